"""What the analysis finds in a run: curves with knees and limits, rates, recovery, resilience, pictures of samples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from pytest_lossy.results.values import Estimate, MetricValue, Number, Strict, Verdict

__all__ = [
    "ArmDifference",
    "Curve",
    "CurvePoint",
    "FamilyResilience",
    "GallerySample",
    "Knee",
    "Limit",
    "Position",
    "RateDifference",
    "Recovery",
    "RecoverySummary",
    "Resilience",
    "ResilienceRow",
    "RetainedArea",
]


class Position(Strict):
    """A place between levels, in every unit that locates it; intervals are of the place itself."""

    level: Estimate
    bpp: Estimate | None = None
    kbps: Estimate | None = None
    byte_share: Annotated[
        Estimate | None, Field(description="bytes there over the bytes at `Curve.bytes_of`, the mildest level measured")
    ] = None


class Knee(Strict):
    """Where a curve leaves the clean reference: isotonic retention crosses 1 - tolerance."""

    metric: str
    status: Annotated[
        Literal["resolved", "not_resolved", "beyond_range", "undefined"],
        Field(
            description="not_resolved: the simultaneous band is wider than the tolerance, or too few replicates agree; "
            "beyond_range: the curve does not cross within the levels tried; undefined: there is no retention"
        ),
    ]
    tolerance: FiniteFloat
    position: Annotated[Position | None, Field(description="null unless resolved")] = None
    censored: Annotated[
        Number, Field(description="share of bootstrap replicates that cross at none of the levels tried")
    ] = None
    band_width: Annotated[
        Number,
        Field(description="full width of the simultaneous retention band where the curve is nearest to crossing"),
    ] = None
    explanation: Annotated[str, Field(description="the answer in one sentence, such as why it is not resolved")] = ""
    second_opinion: Annotated[
        Estimate | None, Field(description="level of the break of a two-segment fit; null where one line fits as well")
    ] = None


class Limit(Strict):
    """The operating limit: from mild to severe, the last level before the first not shown to meet its requirement."""

    metric: str
    slice: Annotated[str | None, Field(description="the user's tag that the limit is for; null for all samples")] = None
    status: Annotated[
        Literal["found", "none", "undefined"],
        Field(description="none: not even the mildest level is shown to meet its requirement"),
    ]
    requirement: Annotated[str, Field(description="in words, such as `retention >= 95% at one-sided 95%`")]
    gated: Annotated[bool, Field(description="whether thresholds.yaml set it, or the knee's tolerance stands in")]
    level: Number = None
    case: str | None = None
    bpp: Number = None
    kbps: Number = None
    byte_share: Number = None
    ended_by: Annotated[Number, Field(description="the first level not shown to be safe; null beyond the range")] = None
    explanation: str = ""


class RetainedArea(Strict):
    """The mean of the isotonic retention over a curve's range: 1 where nothing was lost."""

    over_level: Estimate | None = None
    over_log_bpp: Estimate | None = None


class CurvePoint(Strict):
    """One level of a curve; the clean reference is ``Curve.clean``."""

    level: FiniteFloat
    case: str
    role: Annotated[
        Literal["case", "probe"], Field(description="probe: measured by the search for the knee, no case of the grid")
    ] = "case"
    bpp: Number = None
    kbps: Number = None
    psnr: Number = None
    verdict: Verdict
    metric: MetricValue
    band_low: Annotated[Number, Field(description="of retention, simultaneous over the curve's levels")] = None
    band_high: Number = None
    isotonic: Annotated[Number, Field(description="retention, isotonic fit over the levels")] = None


class Curve(Strict):
    """The primary metric over the levels of one (model, codec), mild to severe."""

    model: str
    codec: str
    metric: str
    clean: MetricValue | None = None
    points: list[CurvePoint]
    bytes_of: Annotated[Number, Field(description="the level whose bytes `byte_share` divides by")] = None
    knee: Knee | None = None
    limit: Limit | None = None
    slice_limits: Annotated[list[Limit], Field(description="one per user tag, such as a camera")] = []
    area: RetainedArea | None = None


class RateDifference(Strict):
    """Bjontegaard differences of one curve against another over the range that both cover."""

    kind: Annotated[
        Literal["models", "codecs"],
        Field(description="models: two models, one codec; codecs: two codecs, one model"),
    ]
    metric: str
    model: str
    codec: str
    against_model: str
    against_codec: str
    bd_metric: Annotated[Number, Field(description="mean difference of the metric at equal log rate")] = None
    bd_rate: Annotated[
        Number, Field(description="mean relative difference of the rate at equal metric; -0.2 is 20 % fewer bits")
    ] = None
    note: Annotated[str, Field(description="why a number is null, or what limits it")] = ""


class Recovery(Strict):
    """What one retrained model wins back at one level, of one metric."""

    model: str
    parent: str
    control: str
    codec: str
    level: FiniteFloat
    trained_on: Annotated[bool, Field(description="whether the model was trained on this level")]
    metric: str
    recovery: Annotated[Estimate, Field(description="(retrained - control) / (control clean - control)")]
    gain: Annotated[Estimate, Field(description="retrained - control, signed so that better is positive")]
    naive: Annotated[Estimate, Field(description="(retrained - parent) / (parent clean - parent)")]
    clean_cost: Annotated[
        Estimate, Field(description="control - retrained on clean samples, signed so that worse is positive")
    ]
    note: Annotated[str, Field(description="such as `nothing to recover`")] = ""


class RecoverySummary(Strict):
    """Recovery of one codec, level and metric over the seeds of a retraining."""

    parent: str
    codec: str
    trained_levels: list[FiniteFloat]
    level: FiniteFloat
    metric: str
    seeds: int
    recovery: Annotated[Estimate, Field(description="mean over seeds; the ends are the smallest and largest seed")]
    gain: Estimate
    naive: Estimate
    clean_cost: Estimate


class ResilienceRow(Strict):
    """One curve's place in the ranking by retained area, sorted by the interval's lower end."""

    rank: int
    model: str
    task: str
    architecture: str | None
    codec: str
    area: RetainedArea


class FamilyResilience(Strict):
    """Retained area of one architecture family under one codec, the mean over its models."""

    architecture: str
    codec: str
    models: list[str]
    tasks: list[str]
    area: RetainedArea


class ArmDifference(Strict):
    """A controlled experiment: one arm's retained area minus another's, on the same samples."""

    experiment: str
    task: str
    codec: str
    arm: str
    against: str
    seeds: Annotated[int, Field(description="models of each arm")]
    clean: Annotated[Estimate, Field(description="difference of the primary metric on clean samples")]
    over_level: Estimate | None = None
    over_log_bpp: Estimate | None = None
    by_seed: Annotated[
        list[FiniteFloat], Field(description="difference over the levels, pairing the seeds in order")
    ] = []
    sampling_only: Annotated[Estimate | None, Field(description="over the levels, resampling the data alone")] = None
    note: str = ""


class Resilience(Strict):
    """How much of their metric the run's models keep over the levels tried."""

    ranking: list[ResilienceRow] = []
    families: list[FamilyResilience] = []
    experiments: list[ArmDifference] = []


class GallerySample(Strict):
    """One sample before and after compression, as pictures beside ``results.json``."""

    case: str
    model: str
    codec: str
    level: FiniteFloat
    sample: Annotated[str, Field(description="the sample's id")]
    kind: Literal["worst", "typical"]
    metric: str
    clean: Annotated[Number, Field(description="the metric on this sample alone, without the codec")]
    value: Annotated[Number, Field(description="the same, with it")]
    pictures: Annotated[
        dict[Literal["source", "compressed", "difference", "clean_prediction", "prediction", "target"], str],
        Field(description="paths of WebP or JPEG files, relative to `results.json`, below `gallery/`"),
    ] = {}
