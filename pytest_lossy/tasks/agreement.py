"""Label-free mode: any task with the model's own clean prediction as its target.

What comes out is *agreement*, under that name alone: it counts every change as loss, corrected errors included, and a model
that always gives the same answer agrees perfectly. So the answers themselves are counted, and for boxes and people the
metric is also computed with the reference cut at other confidences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.answers import answer_bins, count_answers
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, Task, UInt8Array, task_drawing, task_notes

__all__ = ["AgreementTask", "CleanPrediction", "agreement_metrics"]

_ANSWERS = "answers"

SINGLE_ANSWER = 0.95
"""From this share of one answer on, a note says that agreement tells little."""


def agreement_metrics(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Those metrics that mean something without labels, under the name of what they are then."""
    return tuple(
        dataclasses.replace(metric, title=f"{metric.title} (agreement)")
        for metric in metrics
        if not metric.needs_labels
    )


@dataclass(frozen=True, slots=True)
class CleanPrediction:
    """A label-free target."""

    prediction: Any
    """Of the same model, for the clean sample."""
    video: str | None = None
    """The video that a clip was cut from, over which action scores are averaged."""


class AgreementTask:
    """Scores a prediction against the same model's prediction for the clean sample.

    Args:
        task: the task; its ``as_target`` turns a clean prediction into a target, and where it has ``reference_cuts``
            (confidences) its ``as_target(prediction, cut)`` takes one of them.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.name, self.primary = task.name, task.primary
        self.metrics = agreement_metrics(task.metrics)
        self.per_frame = getattr(task, "per_frame", False)
        self.cuts: tuple[float, ...] = tuple(getattr(task, "reference_cuts", ()))
        self.bins = answer_bins(task)
        self._dropped = frozenset(metric.name for metric in task.metrics if metric.needs_labels)
        if callable(getattr(task, "flicker", None)):
            self.flicker = task.flicker  # type: ignore[attr-defined]

    def check(self, prediction: Any, target: CleanPrediction) -> str | None:
        """Say what is wrong with a prediction, given the clean one, or None."""
        try:
            reference = self._target(target)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            reference = None  # the prediction has the same fault, which the task names before it looks at the target
        return self.task.check(prediction, reference)

    def evidence(self, prediction: Any, target: CleanPrediction) -> Evidence:
        """Score one sample against its clean prediction.

        Args:
            prediction: as the task wants it.
            target: the same model's prediction for the clean sample.

        Returns:
            The task's evidence; the same for each other cut, as ``cutC/NAME``; and ``answers`` (1, K) int64, how often
            the clean prediction gave each answer.
        """
        reference = self._target(target)
        result = dict(self.task.evidence(prediction, reference))
        for cut in self.cuts:
            other = self.task.evidence(prediction, self.task.as_target(target.prediction, cut))  # type: ignore[call-arg]
            result |= {f"{_prefix(cut)}{name}": array for name, array in other.items()}
        if self.bins:
            result[_ANSWERS] = count_answers(self.task, reference)[None]
        return result

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """The task's metrics against the clean predictions."""
        result = self.task.reduce(evidence, weights)
        return {name: values for name, values in result.items() if _aggregate(name) not in self._dropped}

    def as_target(self, prediction: Any) -> Any:
        """The task's."""
        return self.task.as_target(prediction)

    def draw(self, image: UInt8Array, prediction: Any, target: CleanPrediction) -> UInt8Array | None:
        """The task's, with the clean prediction for the truth; None where it draws nothing."""
        return task_drawing(self.task, image, prediction, self._target(target))

    def _target(self, clean: CleanPrediction) -> Any:
        target = self.task.as_target(clean.prediction)
        if clean.video is not None and isinstance(target, Mapping) and "scores" in target:
            return {**target, "video": clean.video}
        return target

    def sensitivity(self, evidence: Sequence[Evidence]) -> dict[str, float]:
        """The primary metric with the reference cut elsewhere: ``%g`` of the cut -> value."""
        unit = np.ones((1, len(evidence)))
        found = {}
        for cut in self.cuts:
            prefix = _prefix(cut)
            part = [
                {name.removeprefix(prefix): array for name, array in item.items() if name.startswith(prefix)}
                for item in evidence
            ]
            found[f"{cut:g}"] = float(self.task.reduce(part, unit)[self.primary][0])
        return found

    def answers(self, evidence: Sequence[Evidence]) -> dict[str, float]:
        """The share of each answer among the clean predictions; empty where the task's answers cannot be counted."""
        if not self.bins:
            return {}
        counts: npt.NDArray[np.int64] = np.concatenate([item[_ANSWERS] for item in evidence]).sum(axis=0)
        total = int(counts.sum())
        return {name: count / total for name, count in zip(self.bins, counts.tolist(), strict=True)} if total else {}

    def notes(self, evidence: Sequence[Evidence]) -> Sequence[str]:
        """The task's, and a warning where the model hardly ever changes its answer."""
        return [*task_notes(self.task, evidence), *_monotony(self.answers(evidence))]


def _monotony(answers: Mapping[str, float]) -> list[str]:
    if not answers:
        return []
    name = max(answers, key=lambda key: answers[key])
    if answers[name] < SINGLE_ANSWER:
        return []
    return [f"{answers[name]:.0%} of the clean answers are '{name}': such a model agrees with itself whatever it sees"]


def _prefix(cut: float) -> str:
    return f"cut{cut:g}/"


def _aggregate(name: str) -> str:
    return name.partition("[")[0]
