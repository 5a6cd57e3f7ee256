"""The tasks by name: add one here, or through the entry-point group ``pytest_lossy.tasks``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pytest_lossy.registry import Registry
from pytest_lossy.tasks.agreement import AgreementTask, agreement_metrics
from pytest_lossy.tasks.base import Metric, Task
from pytest_lossy.tasks.extra.declaration import MetricSection
from pytest_lossy.tasks.frames import FrameTask, frame_metrics

if TYPE_CHECKING:
    from pytest_lossy.tasks.extra.task import ExtraMetric

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


def task_metrics(
    name: str,
    *,
    extra: Mapping[str, MetricSection] | None = None,
    clips: bool = False,
    label_free: bool = False,
) -> tuple[Metric, ...]:
    """The metrics of a task, without building it.

    Args:
        name: of the task.
        extra: what a spec declares beside them.
        clips: whether the data holds clips, on which image tasks have a flicker rate.
        label_free: whether the model's own clean predictions are the targets.
    """
    family = TASKS.load(name)
    metrics: tuple[Metric, ...] = frame_metrics(family) if clips else family.metrics
    metrics = (*metrics, *(section.info(metric) for metric, section in (extra or {}).items()))
    return agreement_metrics(metrics) if label_free else metrics


def task_primary(name: str) -> str:
    """The primary metric of a task, without building it."""
    return str(TASKS.load(name).primary)


def task_options(name: str) -> type[BaseModel] | None:
    """The pydantic model of a task's options; None where it declares none."""
    options: type[BaseModel] | None = getattr(TASKS.load(name), "Options", None)
    return options


def known_metrics() -> set[str]:
    """Every metric name of every built-in task."""
    return {metric.name for name in TASKS.builtin for metric in task_metrics(name, clips=True)}


def build_task(
    name: str,
    classes: Sequence[str],
    options: Mapping[str, Any] | None = None,
    *,
    extra: Sequence[ExtraMetric] = (),
    clips: bool = False,
    label_free: bool = False,
) -> Task:
    """Build a task for a data set's classes.

    Args:
        name: registry name or dotted path.
        classes: names in label order.
        options: ``task_kwargs`` of the spec.
        extra: metrics beside the task's own.
        clips: whether the data holds clips; an image task then scores their frames.
        label_free: whether targets are the model's own clean predictions.

    Raises:
        LossyError: the name is unknown.
    """
    family = TASKS.load(name)
    schema = task_options(name)
    task: Task = family(tuple(classes), schema(**(options or {}))) if schema else family(tuple(classes))
    if extra:
        from pytest_lossy.tasks.extra.task import MeasuredTask

        task = MeasuredTask(task, extra)
    if label_free:
        task = AgreementTask(task)
    return FrameTask(task) if clips and getattr(task, "per_frame", False) else task
