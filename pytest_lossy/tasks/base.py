"""The task protocol: a case maps each sample to evidence, and metrics are a weighted reduce of evidence.

Because ``reduce`` takes weights, a bootstrap replicate is a reweighting of stored evidence and never a second inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["IGNORED", "Evidence", "FloatArray", "Metric", "Task", "UInt8Array", "task_drawing", "task_notes"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

IGNORED = 255
"""In a label map: pixels that count neither for nor against; in a predicted one, "no class"."""

Evidence = Mapping[str, npt.NDArray[Any]]
"""Sufficient statistics of one sample: named arrays of fixed dtype; the first axis may differ between samples."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a task reports, with its direction and unit: gates derive ``>=`` or ``<=`` from it."""

    name: str
    """As written in thresholds.yaml, for example ``miou``."""
    title: str
    """As printed in a report, for example ``mIoU``."""
    higher_is_better: bool = True
    unit: str = ""
    """``""`` for a proportion, otherwise for example ``"m"``."""
    description: str = ""
    per_class: bool = False
    """Whether ``name[class]`` exists beside ``name``."""
    needs_labels: bool = False
    """Whether it says nothing in label-free mode, such as a calibration error against one's own answers."""
    proportion: bool = False
    """Whether it, and each slice of it, is the share of samples that are right, each being right or wrong: then ungrouped
    samples get score intervals, which do not collapse at 0 and 1."""


@runtime_checkable
class Task(Protocol):
    """What is measured. Instances are immutable and thread-safe.

    A task may also have:

    - ``notes(evidence) -> sequence of text``: what a reader of one case's numbers must know, such as how many samples could
      not be scored;
    - ``per_frame = True``: predictions are for single images, so that clips are predicted and scored frame by frame;
    - ``flicker(before, now, after) -> (kept, lost)``: of what the predictions before and after a frame share, how much the
      prediction for the frame itself shows and misses;
    - ``reference_cuts``: other confidences at which label-free mode may cut, each an argument of ``as_target``;
    - ``draw(image, prediction, target) -> (H', W', 3) uint8``: what a person must see of one prediction on the still
      ``image``, of whatever size; where ``prediction`` is None the target alone, or None if predictions show it already.
      Of a task without it the report's gallery shows pixels alone.
    """

    @property
    def name(self) -> str:
        """The registry's name."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every aggregate metric; slices are derived from these by ``name[slice]``."""

    @property
    def primary(self) -> str:
        """The name of the metric that ``primary`` means in thresholds.yaml."""

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a prediction for this target, or None where it can be scored."""

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Score one sample."""

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Compute every metric and slice under each weighting.

        Args:
            evidence: n samples.
            weights: (B, n), non-negative; a row of ones is the plain metric.

        Returns:
            metric or ``metric[slice]`` -> (B,); NaN where it is undefined.
        """

    def as_target(self, prediction: Any) -> Any:
        """Turn a prediction into a target, for label-free mode."""


def task_notes(task: Task, evidence: Sequence[Evidence]) -> Sequence[str]:
    """A task's ``notes`` on one case; none where it has no such method."""
    notes = getattr(task, "notes", None)
    return notes(evidence) if notes is not None else ()


def task_drawing(task: Any, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array | None:
    """A task's ``draw``; None where it has no such method, or nothing to draw."""
    draw = getattr(task, "draw", None)
    if draw is None:
        return None
    drawn: UInt8Array | None = draw(image, prediction, target)
    return drawn
