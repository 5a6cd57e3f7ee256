"""The schema of ``results.json``: everything that a report shows, and nothing that needs the engine to compute.

The models here are both the writer's types and the reader's validation; ``pytest-lossy schema results`` prints their
JSON Schema. Numbers that are undefined or infinite are null, never NaN: JSON has no such number.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, TypeAdapter
from pydantic_core import PydanticSerializationError

from pytest_lossy.results.findings import (
    ArmDifference,
    ArmMember,
    CaseChange,
    Comparison,
    Curve,
    CurvePoint,
    FamilyResilience,
    GallerySample,
    Knee,
    KneeMove,
    Limit,
    Position,
    RateDifference,
    Recovery,
    RecoverySummary,
    Resilience,
    ResilienceRow,
    RetainedArea,
)
from pytest_lossy.results.values import Estimate, GateResult, MetricValue, Number, Reference, Strict, Verdict

__all__ = [
    "SCHEMA_VERSION",
    "ArmDifference",
    "ArmMember",
    "CaseChange",
    "CaseRow",
    "CodecInfo",
    "Comparison",
    "Curve",
    "CurvePoint",
    "DataInfo",
    "Environment",
    "Estimate",
    "Experiment",
    "FamilyResilience",
    "GallerySample",
    "GateResult",
    "Knee",
    "KneeMove",
    "Limit",
    "MetricInfo",
    "MetricValue",
    "ModelInfo",
    "Position",
    "RateDifference",
    "Recovery",
    "RecoverySummary",
    "Reference",
    "Resilience",
    "ResilienceRow",
    "ResultsDocument",
    "RetainedArea",
    "Retrained",
    "RunInfo",
    "SourceQuality",
    "Verdict",
]

SCHEMA_VERSION = 1


class CaseRow(Strict):
    """One case: one pytest item, one row."""

    id: Annotated[str, Field(description="file, model and case; pytest's node id, but for Python tests")]
    test: Annotated[
        str | None, Field(description="node id of the Python test that measured the case; null for a spec file's")
    ] = None
    model: str
    task: str
    codec: Annotated[str, Field(description="the spec's label, or `clean`")]
    codec_name: Annotated[str | None, Field(description="the registry's codec; null for clean")]
    parameter: str | None
    level: Number
    mix: Annotated[str | None, Field(description="the mix of levels that the row judges, codec `mix`")] = None
    shares: Annotated[dict[str, FiniteFloat], Field(description="of a mix: case name -> share of the fleet")] = {}
    knee: Annotated[
        Knee | None, Field(description="what was found, in the row that judges a knee: it has a codec and no level")
    ] = None
    reference: Reference = "labels"
    """``clean``: label-free; metrics are agreement with the model's own clean prediction, and there is no retention."""
    role: Literal["case", "reference", "probe"] = "case"
    """``reference``: a clean case that was not selected but had to be computed for the others; ``probe``: a level that the
    search for the knee measured, and no case."""
    verdict: Verdict
    outcome: Literal["passed", "failed", "none"]
    """What pytest reported; ``none`` where no item ran."""
    primary: str
    metrics: dict[str, MetricValue] = {}
    bpp: Annotated[Number, Field(description="pooled 8 x payload bytes / pixels")] = None
    header_share: Annotated[Number, Field(description="share of the payload that is headers")] = None
    kbps: Annotated[Number, Field(description="payload of whole clips over their duration, in kbit/s")] = None
    psnr: Annotated[Number, Field(description="dB; null where infinite")] = None
    samples: Annotated[int, Field(description="scored units: stills, clips, or labelled frames of clips")] = 0
    units: Annotated[int, Field(description="independent units that the intervals resample")] = 0
    seconds: FiniteFloat = 0.0
    batch_size: int | None = None
    gates: list[GateResult] = []
    error: str | None = None
    notes: list[str] = []
    answers: Annotated[
        dict[str, FiniteFloat],
        Field(description="label-free mode, clean case: share of each answer among the model's own predictions"),
    ] = {}
    cut_sensitivity: Annotated[
        dict[str, FiniteFloat | None],
        Field(description="label-free mode: the primary metric with the reference cut at another confidence"),
    ] = {}
    fingerprint: Annotated[str | None, Field(description="of the codec")] = None
    worker: str | None = None


class MetricInfo(Strict):
    """What a metric name means."""

    name: str
    title: str
    higher_is_better: bool
    unit: str = ""
    description: str = ""


class SourceQuality(Strict):
    """How strongly one codec had compressed the data's samples before they were evaluated, as their files say."""

    parameter: Annotated[
        Literal["q", "kbps"], Field(description="q: IJG quality of JPEG files; kbps: of video streams")
    ]
    count: Annotated[int, Field(description="samples of known quality")]
    minimum: FiniteFloat
    median: FiniteFloat
    maximum: FiniteFloat
    nonstandard: Annotated[
        int, Field(description="how many of them have other quantisation tables, and the nearest quality")
    ] = 0


class DataInfo(Strict):
    """The data that a model was evaluated on."""

    name: str
    fingerprint: str | None = None
    samples: int | None = None
    classes: list[str] = []
    notes: Annotated[list[str], Field(description="such as how many images were left out")] = []
    sources: Annotated[dict[str, int], Field(description="stored format and mode -> count")] = {}
    source_quality: Annotated[dict[str, SourceQuality], Field(description="by the codec that wrote the sources")] = {}


class Experiment(Strict):
    """A model's place in a controlled comparison, as its spec declares it."""

    name: str
    arm: Annotated[str, Field(description="what differs on purpose, such as the architecture")]
    seed: int


class Retrained(Strict):
    """Where a fine-tuned model comes from, as its spec records it."""

    parent: str
    control: Annotated[str | None, Field(description="its twin on clean samples; null for the control itself")] = None
    codec: Annotated[str | None, Field(description="label in the parent's spec; null for the control")] = None
    levels: list[FiniteFloat] = []
    iterations: int
    seed: int
    seconds: FiniteFloat


class ModelInfo(Strict):
    """A model of the run, from its spec and from what loading it showed."""

    name: str
    spec: Annotated[str, Field(description="path of the spec, relative to the root directory")]
    task: str
    architecture: str | None = None
    tags: list[str] = []
    reference: Reference = "labels"
    primary: str
    metrics: list[MetricInfo] = []
    details: Annotated[dict[str, Any], Field(description="format, parameters, device, weights")] = {}
    data: DataInfo
    experiment: Experiment | None = None
    retrained: Retrained | None = None
    error: Annotated[str | None, Field(description="why the model or its data could not be loaded")] = None


class CodecInfo(Strict):
    """A codec of the run, for axes and for reproduction."""

    label: str
    name: str
    parameter: str
    higher_is_more_compressed: bool
    minimum: FiniteFloat
    maximum: FiniteFloat
    fingerprint: str | None = None


class Environment(Strict):
    """What the numbers were computed with."""

    python: str
    platform: str
    machine: str
    cpu: str
    instruction_set: str
    packages: dict[str, str]
    devices: list[str] = []


class RunInfo(Strict):
    """The run itself."""

    started: Annotated[str, Field(description="ISO 8601, UTC")]
    seconds: FiniteFloat
    status: Literal["complete", "interrupted"]
    command: Annotated[str, Field(description="the pytest command, ready for a shell")]
    exit_status: int
    workers: int
    samples_limit: Annotated[int | None, Field(description="--lossy-samples; null where all samples ran")] = None
    replicates: int
    confidence: FiniteFloat
    tolerance: Annotated[FiniteFloat, Field(description="share of the clean metric that the knee allows to lose")] = (
        0.05
    )
    seed: int
    thresholds: str | None = None
    inconclusive: Literal["point", "pass", "fail"] = "point"
    strict: bool = False
    shard: Annotated[str | None, Field(description="--lossy-shard, such as `1/4`; null for a whole run")] = None
    planned: Annotated[
        list[str],
        Field(description="node ids of the whole run, in order, where this is a shard or was merged of shards"),
    ] = []
    resumed: Annotated[int, Field(description="cases of an earlier run whose evidence --lossy-resume took over")] = 0
    merged: Annotated[list[str], Field(description="the commands of the runs that were merged")] = []
    cache: Annotated[
        dict[str, int | str | None], Field(description="of encoded media, over all processes; empty where it was off")
    ] = {}
    counts: dict[Verdict, int]
    warnings: list[str] = []
    plugin_version: str


class ResultsDocument(Strict):
    """The whole of ``results.json``."""

    schema_version: Literal[1] = 1
    run: RunInfo
    environment: Environment
    models: list[ModelInfo]
    codecs: list[CodecInfo]
    cases: list[CaseRow]
    curves: list[Curve]
    rate_differences: list[RateDifference] = []
    recovery: list[Recovery] = []
    recovery_summary: list[RecoverySummary] = []
    resilience: Resilience | None = None
    gallery: list[GallerySample] = []
    comparison: Annotated[Comparison | None, Field(description="with a baseline, under --lossy-compare")] = None

    def to_json(self) -> bytes:
        """The content of ``results.json``; text that is no UTF-8, such as a file's name, is backslashed."""
        try:
            # Bytes at once: the text of a large run, and a copy of it, would take as much memory again.
            return TypeAdapter(ResultsDocument).dump_json(self, indent=1) + b"\n"
        except PydanticSerializationError:  # much slower
            text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            return text.encode("utf-8", "backslashreplace")
