"""Builders for threshold tests."""

from __future__ import annotations

from pathlib import Path

from pytest_lossy.cases import CLEAN, Case
from pytest_lossy.tasks.registry import known_metrics
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.rules import Gate, Thresholds

METRICS = dict.fromkeys(("miou", "pixel_accuracy", "mean_class_accuracy", "fw_iou"), True)


def case(model: str = "segnet-mini", label: str = "jpeg", level: float | None = 15) -> Case:
    if level is None:
        return Case(model, "segmentation", CLEAN)
    return Case(model, "segmentation", label, label.partition("-")[0], "q", level)


def read(folder: Path, text: str, *, any_metric: bool = False) -> Thresholds:
    path = folder / "thresholds.yaml"
    path.write_text(text, encoding="utf-8")
    return load_thresholds(
        path,
        Path("thresholds.yaml"),
        metrics=None if any_metric else known_metrics(),
        labels={"jpeg", "jpeg-444"},
    )


def gates(thresholds: Thresholds, of: Case) -> list[Gate]:
    return thresholds.gates_for(of, "miou", METRICS)


def limits(thresholds: Thresholds, of: Case) -> dict[str, float]:
    return {f"{gate.metric}.{gate.bound}": gate.limit for gate in gates(thresholds, of)}
