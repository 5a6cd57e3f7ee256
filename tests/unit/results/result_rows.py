"""Builders for results tests."""

from __future__ import annotations

import numpy as np

from pytest_lossy.results.document import (
    CaseRow,
    CodecInfo,
    Curve,
    CurvePoint,
    DataInfo,
    GateResult,
    MetricValue,
    ModelInfo,
    ResultsDocument,
    RunInfo,
)
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.results.evidence import CaseEvidence, SampleCost


def evidence(count: int = 5) -> CaseEvidence:
    return CaseEvidence(
        ids=tuple(f"p{index}.png" for index in range(count)),
        groups=tuple(None if index % 2 else "g" for index in range(count)),
        evidence=tuple(
            {"pairs": np.arange(index, dtype=np.int32), "pixels": np.arange(index, dtype=np.int64) * 7}
            for index in range(count)
        ),
        costs=tuple(SampleCost(8 * index, index, 63, index**3, f"d{index}") for index in range(count)),
        meta={"batch_size": 4, "notes": ["x"], "sources": {"PNG RGB": count}},
    )


def row(model: str = "net", level: float | None = 15) -> CaseRow:
    value = MetricValue(value=0.5, low=0.4, high=0.6, retention=0.9, loss=0.05)
    gate = GateResult(
        metric="miou",
        bound="min",
        limit=0.4,
        quantity="value",
        observed=0.5,
        low=0.4,
        high=0.6,
        required=0.4,
        comparison=">=",
        verdict="passed",
        met=True,
        file="thresholds.yaml",
        line=3,
    )
    return CaseRow(
        id=f"specs/net.yaml::{model}::jpeg-q15",
        model=model,
        task="segmentation",
        codec="clean" if level is None else "jpeg",
        codec_name=None if level is None else "jpeg",
        parameter=None if level is None else "q",
        level=level,
        verdict="passed",
        outcome="passed",
        primary="miou",
        metrics={"miou": value, "miou[road]": MetricValue(value=None)},
        gates=[gate],
        samples=5,
    )


def info(name: str = "net") -> ModelInfo:
    return ModelInfo(
        name=name,
        spec="net.yaml",
        task="segmentation",
        primary="miou",
        data=DataInfo(name="d"),
        details={"a": 1},
    )


def document() -> ResultsDocument:
    return ResultsDocument(
        run=RunInfo(
            started="2025-01-01T00:00:00Z",
            seconds=1.5,
            status="complete",
            command="pytest --lossy-codec=all",
            exit_status=0,
            workers=1,
            replicates=1000,
            confidence=0.95,
            seed=1,
            counts={"passed": 1},
            plugin_version="0.1.0",
        ),
        environment=describe_environment(["cpu"]),
        models=[info()],
        codecs=[
            CodecInfo(
                label="jpeg",
                name="jpeg",
                parameter="q",
                higher_is_more_compressed=False,
                minimum=1,
                maximum=100,
            )
        ],
        cases=[row(), row(level=None)],
        curves=[
            Curve(
                model="net",
                codec="jpeg",
                metric="miou",
                clean=MetricValue(value=0.6),
                points=[CurvePoint(level=15, case=row().id, verdict="passed", metric=MetricValue(value=0.5))],
            )
        ],
    )
