"""Image tasks on clips: every labelled frame is scored as an image, and a flicker rate says how stable the output is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, Task, UInt8Array, task_drawing, task_notes
from pytest_lossy.tasks.ordered_sums import ratio

__all__ = ["FLICKER", "FrameTask", "Window", "frame_metrics"]

FLICKER = Metric(
    "flicker",
    "flicker rate",
    higher_is_better=False,
    description="of what the model reports in the frames before and after, the share that it misses in the frame between",
)

_COUNTS = "flicker"


@dataclass(frozen=True, slots=True)
class Window:
    """The prediction for one frame of a clip and those for its neighbours, None where the clip ends."""

    now: Any
    before: Any = None
    after: Any = None


def frame_metrics(task: Any) -> tuple[Metric, ...]:
    """The metrics of a task (or of its class) on clips: its own, and the flicker rate where it knows one."""
    metrics: tuple[Metric, ...] = task.metrics
    return (*metrics, FLICKER) if has_flicker(task) else metrics


def has_flicker(task: Any) -> bool:
    """Whether a task has ``flicker(before, now, after) -> (kept, lost)``."""
    return callable(getattr(task, "flicker", None))


class FrameTask:
    """Scores single frames of clips by an image task. A prediction is a :class:`Window`; a target is the image task's.

    Args:
        task: the image task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.name, self.primary, self.metrics = task.name, task.primary, frame_metrics(task)
        self.needs_neighbours = has_flicker(task)
        """Whether the frames before and after are predicted too, where only some frames have labels."""

    def check(self, prediction: Window, target: Any) -> str | None:
        """Say what is wrong with the frame's prediction, or None."""
        return self.task.check(prediction.now, target)

    def evidence(self, prediction: Window, target: Any) -> Evidence:
        """The image task's evidence of the frame and, where the task can flicker, ``flicker`` (1, 2) int64: kept, lost."""
        own = self.task.evidence(prediction.now, target)
        if not self.needs_neighbours:
            return own
        counts = (0, 0)
        if prediction.before is not None and prediction.after is not None:
            counts = self.task.flicker(prediction.before, prediction.now, prediction.after)  # type: ignore[attr-defined]
        return {**own, _COUNTS: np.array([counts], dtype=np.int64)}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """The image task's metrics over frames, and ``flicker``, pooled: lost / (kept + lost)."""
        result = dict(self.task.reduce(evidence, weights))
        if self.needs_neighbours:
            counts = np.concatenate([item[_COUNTS] for item in evidence]).astype(np.float64)
            # Whole counts times weights: exact in float64, in any order.
            kept, lost = weights @ counts[:, 0], weights @ counts[:, 1]
            result[FLICKER.name] = ratio(lost, kept + lost)
        return result

    def as_target(self, prediction: Any) -> Any:
        """The image task's, of the frame."""
        return self.task.as_target(prediction.now if isinstance(prediction, Window) else prediction)

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array | None:
        """The image task's, of the frame; None where it draws nothing."""
        return task_drawing(self.task, image, prediction.now if isinstance(prediction, Window) else prediction, target)

    def notes(self, evidence: Sequence[Evidence]) -> Sequence[str]:
        """The image task's."""
        return task_notes(self.task, evidence)
