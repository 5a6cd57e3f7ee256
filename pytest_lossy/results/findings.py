"""What the analysis finds in a run: curves with knees and limits, rates, recovery, resilience, pictures of samples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from pytest_lossy.results.values import Estimate, MetricValue, Number, Strict, Verdict

__all__ = [
    "ArmDifference",
    "ArmMember",
    "Curve",
    "CurvePoint",
    "FamilyResilience",
    "GallerySample",
    "Knee",
    "KneeMove",
    "Limit",
    "PictureKind",
    "Position",
    "RateDifference",
    "Recovery",
    "RecoverySummary",
    "Resilience",
    "ResilienceRow",
    "RetainedArea",
]


class Position(Strict):
    """A place between levels, in every unit that locates it; intervals are of the place itself.

    ``low`` and ``high`` are in numerical order. A null end lies beyond the levels measured on that side: for a level, below
    the smallest or above the largest of them.
    """

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
            "beyond_range: the curve does not cross within the levels tried, or lies below the line at the mildest of "
            "them already; undefined: there is no retention"
        ),
    ]
    tolerance: FiniteFloat
    position: Annotated[Position | None, Field(description="null unless resolved")] = None
    censored: Annotated[
        Number, Field(description="share of bootstrap replicates that cross at none of the levels tried")
    ] = None
    censored_mild: Annotated[
        Number, Field(description="share of bootstrap replicates that are below the line at the mildest level already")
    ] = None
    band_width: Annotated[
        Number,
        Field(description="full width of the simultaneous retention band where the curve is nearest to crossing"),
    ] = None
    explanation: Annotated[str, Field(description="the answer in one sentence, such as why it is not resolved")] = ""
    evaluations: Annotated[
        int | None, Field(description="levels that a search evaluated; null where they were listed before anything ran")
    ] = None
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
    requirement: Annotated[
        str,
        Field(
            description="in words, such as `miou retention at least 95%, shown at one-sided 95%`; "
            "of the level that ended the walk, or of the last one"
        ),
    ]
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
    bd_metric: Annotated[
        Estimate | None,
        Field(description="mean difference of the metric at equal bits per pixel, in the metric's units"),
    ] = None
    bd_rate: Annotated[
        Estimate | None,
        Field(description="mean relative difference of the bits per pixel at equal metric; -0.2 is 20 % fewer bits"),
    ] = None
    rate_overlap: Annotated[
        Number, Field(description="share of the log rates of either curve that both cover; `bd_metric` speaks of these")
    ] = None
    metric_overlap: Annotated[
        Number,
        Field(description="share of the metric's values of either curve that both reach; `bd_rate` speaks of these"),
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
    """Recovery of one codec, level and metric over the seeds of a retraining; null where one seed's is."""

    parent: str
    codec: str
    trained_levels: list[FiniteFloat]
    trained_on: Annotated[bool, Field(description="whether the models were trained on this codec and level")] = True
    level: FiniteFloat
    metric: str
    models: list[str] = []
    seeds: int
    recovery: Annotated[Estimate, Field(description="mean over seeds; the ends are the smallest and largest seed")]
    gain: Estimate
    naive: Estimate
    clean_cost: Estimate
    note: Annotated[str, Field(description="such as for how many models there was nothing to recover")] = ""


class ResilienceRow(Strict):
    """One curve's place in the ranking by retained area over the levels, sorted by the interval's lower end."""

    rank: Annotated[int, Field(description="from 1, among the curves of the same codec and levels")]
    model: str
    task: str
    architecture: str | None
    codec: str
    levels: Annotated[list[FiniteFloat], Field(description="mild to severe; only curves of equal levels compare")]
    metric: str
    area: RetainedArea


class FamilyResilience(Strict):
    """Retained area of one architecture family under one codec, the mean over its models; descriptive across tasks."""

    architecture: str
    codec: str
    levels: list[FiniteFloat]
    models: list[str]
    tasks: list[str]
    area: RetainedArea


class ArmMember(Strict):
    """One model of a controlled experiment: one seed of one arm."""

    model: str
    arm: str
    seed: int
    clean: Annotated[Number, Field(description="the primary metric on clean samples")]
    over_level: Annotated[Number, Field(description="retained area")] = None
    over_log_bpp: Number = None


class ArmDifference(Strict):
    """A controlled experiment: one arm's retained area minus another's, on the same samples.

    Intervals hold for other samples and other seeds alike; ``sampling_only`` leaves the seeds out.
    """

    experiment: str
    task: str
    codec: str
    levels: list[FiniteFloat]
    metric: str
    arm: str
    against: str
    seeds: Annotated[int, Field(description="models of each arm, of the smaller one where they differ")]
    clean: Annotated[Estimate, Field(description="difference of the primary metric on clean samples")]
    over_level: Estimate | None = None
    over_log_bpp: Estimate | None = None
    sampling_only: Annotated[
        Estimate | None, Field(description="over the levels, for these very models: the samples alone are resampled")
    ] = None
    freedom: Annotated[Number, Field(description="degrees of freedom of the interval of `over_level`")] = None
    members: list[ArmMember] = []
    note: str = ""


class Resilience(Strict):
    """How much of their metric the run's models keep over the levels tried."""

    ranking: list[ResilienceRow] = []
    families: list[FamilyResilience] = []
    experiments: list[ArmDifference] = []


PictureKind = Literal["source", "compressed", "difference", "clean_prediction", "prediction", "target"]


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
        dict[PictureKind, str],
        Field(description="paths of WebP or JPEG files, relative to `results.json`, below `gallery/`"),
    ] = {}
    gain: Annotated[int, Field(description="what the absolute difference was multiplied by")] = 1
    size: Annotated[tuple[int, int] | None, Field(description="width and height of the sample, or of its frame")] = None
    window: Annotated[
        tuple[int, int, int, int] | None,
        Field(description="left, top, width and height of the part that source, compressed and difference show"),
    ] = None


class CaseChange(Strict):
    """What became of one case since the baseline."""

    case: str
    model: str
    codec: str
    level: Number
    metric: str
    before: Number
    after: Number
    change: Annotated[
        Estimate, Field(description="after - before in the metric's units, signed so that better is positive")
    ]
    relative: Annotated[Number, Field(description="change / before; for errors -change / after")] = None
    paired: Annotated[bool, Field(description="whether both runs measured the same samples")]
    p: Annotated[Number, Field(description="one-sided, of a loss in this case alone")] = None
    p_adjusted: Annotated[Number, Field(description="the same with an allowance for all compared cases")] = None
    detectable: Annotated[
        Number, Field(description="the smallest loss that this comparison finds with 80 % power, in the metric's units")
    ] = None
    samples_for: Annotated[
        dict[str, int],
        Field(description="loss, a share of the metric such as `0.5%` -> independent units that show it"),
    ] = {}
    verdict: Literal["worse", "better", "unchanged", "not_compared"]
    failed: Annotated[bool, Field(description="whether --lossy-compare-fail names this change")] = False


class KneeMove(Strict):
    """Where a knee and an operating limit were, and where they are."""

    model: str
    codec: str
    knee_before: Number = None
    knee_after: Number = None
    status_before: str
    status_after: str
    limit_before: Number = None
    limit_after: Number = None


class Comparison(Strict):
    """A run beside an earlier one."""

    reference: Annotated[str, Field(description="as --lossy-compare names it")]
    started: Annotated[str, Field(description="of the earlier run")]
    alpha: Annotated[FiniteFloat, Field(description="one-sided, over all compared cases")]
    changes: list[CaseChange]
    moves: list[KneeMove] = []
    only_before: list[str] = []
    only_after: list[str] = []
    differences: Annotated[
        list[str], Field(description="of data, weights, codecs and environments, in words; the cause may lie there")
    ] = []
    rule: Annotated[str | None, Field(description="--lossy-compare-fail")] = None
