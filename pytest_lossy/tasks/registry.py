"""The tasks by name: add one here, or through the entry-point group ``pytest_lossy.tasks``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pytest_lossy.registry import Registry
from pytest_lossy.tasks.base import Metric, Task

__all__ = ["TASKS", "build_task", "known_metrics", "task_metrics", "task_options", "task_primary"]

TASKS = Registry(
    "task",
    "pytest_lossy.tasks",
    {
        "action": "pytest_lossy.tasks.action:ActionTask",
        "classification": "pytest_lossy.tasks.classification:ClassificationTask",
        "depth": "pytest_lossy.tasks.depth:DepthTask",
        "detection": "pytest_lossy.tasks.detection:DetectionTask",
        "pose": "pytest_lossy.tasks.pose:PoseTask",
        "segmentation": "pytest_lossy.tasks.segmentation:SegmentationTask",
    },
)
"""Each entry is a class with the attributes ``name``, ``metrics``, ``primary`` and, where it has options, ``Options``
(a pydantic model); it is called as ``cls(classes, options)``, or ``cls(classes)`` where it has no ``Options``."""


def task_metrics(name: str) -> tuple[Metric, ...]:
    """The metrics of a task, without building it."""
    metrics: tuple[Metric, ...] = TASKS.load(name).metrics
    return metrics


def task_primary(name: str) -> str:
    """The primary metric of a task, without building it."""
    return str(TASKS.load(name).primary)


def task_options(name: str) -> type[BaseModel] | None:
    """The pydantic model of a task's options; None where it declares none."""
    options: type[BaseModel] | None = getattr(TASKS.load(name), "Options", None)
    return options


def known_metrics() -> set[str]:
    """Every metric name of every built-in task."""
    return {metric.name for name in TASKS.builtin for metric in task_metrics(name)}


def build_task(name: str, classes: Sequence[str], options: Mapping[str, Any] | None = None) -> Task:
    """Build a task for a data set's classes.

    Raises:
        LossyError: the name is unknown.
    """
    family = TASKS.load(name)
    schema = task_options(name)
    task: Task = family(tuple(classes), schema(**(options or {}))) if schema else family(tuple(classes))
    return task
