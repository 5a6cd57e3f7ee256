"""A task with extra metrics beside its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lossy.errors import MetricError, ModelError
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, Task, task_notes
from pytest_lossy.tasks.extra.arguments import Arguments, arguments_for
from pytest_lossy.tasks.extra.declaration import MetricSection
from pytest_lossy.tasks.extra.kinds import Kind, kind_for
from pytest_lossy.tasks.extra.objects import MetricObject
from pytest_lossy.usercode import explain_exception, import_callable

__all__ = ["ExtraMetric", "MeasuredTask", "build_extra_metrics"]


class ExtraMetric:
    """One metric, ready to score: what a prediction becomes, and how evidence becomes a number."""

    def __init__(self, info: Metric, arguments: Arguments | None, kind: Kind) -> None:
        self.info, self._arguments, self._kind = info, arguments, kind
        self._prefix = f"metric/{info.name}/"

    def evidence(self, task: Task, prediction: Any, target: Any) -> Evidence:
        """Evidence of one sample, under names of this metric's own.

        Raises:
            MetricError: the metric refused.
        """
        convert = self._arguments or arguments_for(task)
        try:
            arguments = convert(prediction, target)
        except Exception as error:  # noqa: BLE001  a user's function, or a prediction of another package's task
            raise MetricError(
                f"metric '{self.info.name}': its arguments could not be made: {explain_exception(error)}"
            ) from None
        if not isinstance(arguments, list | tuple):
            raise MetricError(
                f"metric '{self.info.name}': its function of arguments returned {type(arguments).__name__}; return a tuple"
            )
        found = self._kind.evidence(arguments)
        return {f"{self._prefix}{name}": array for name, array in found.items()}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> FloatArray:
        """(B, n) weights -> (B,)."""
        return self._kind.reduce(self._own(evidence), weights)

    def note(self, evidence: Sequence[Evidence]) -> str | None:
        """What a reader must know of this number."""
        return self._kind.note(self._own(evidence))

    def _own(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        return [
            {name.removeprefix(self._prefix): array for name, array in item.items() if name.startswith(self._prefix)}
            for item in evidence
        ]


class MeasuredTask:
    """A task that also has extra metrics; whatever else it has, such as ``draw`` or ``flicker``, is the task's own.

    Args:
        task: scores predictions and checks them.
        extra: further metrics of the same predictions.
    """

    def __init__(self, task: Task, extra: Sequence[ExtraMetric]) -> None:
        self._task, self._extra = task, tuple(extra)
        self.name, self.primary = task.name, task.primary
        self.metrics = (*task.metrics, *(one.info for one in extra))

    def __getattr__(self, name: str) -> Any:
        # Optional parts of a task: asked of the task, so that one without them stays without.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._task, name)

    def check(self, prediction: Any, target: Any) -> str | None:
        """The task's."""
        return self._task.check(prediction, target)

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """The task's, and ``metric/NAME/...`` of each extra metric."""
        result = dict(self._task.evidence(prediction, target))
        for one in self._extra:
            result |= one.evidence(self._task, prediction, target)
        return result

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """The task's metrics, and the extra ones."""
        result = dict(self._task.reduce(evidence, weights))
        for one in self._extra:
            result[one.info.name] = np.asarray(one.reduce(evidence, weights), dtype=np.float64)
        return result

    def as_target(self, prediction: Any, *cut: float) -> Any:
        """The task's."""
        return self._task.as_target(prediction, *cut)

    def notes(self, evidence: Sequence[Evidence]) -> Sequence[str]:
        """The task's, and those of the extra metrics."""
        notes = [one.note(evidence) for one in self._extra]
        return [*task_notes(self._task, evidence), *(note for note in notes if note is not None)]


def build_extra_metrics(sections: Mapping[str, MetricSection], base: Path) -> tuple[ExtraMetric, ...]:
    """Build what a spec declares under ``metrics``.

    Args:
        sections: name -> declaration.
        base: folder of the spec.

    Raises:
        MetricError: one cannot be imported or built, or is no metric.
    """
    return tuple(_build(name, section, base) for name, section in sections.items())


def _build(name: str, section: MetricSection, base: Path) -> ExtraMetric:
    try:
        make = import_callable(section.metric, base)
        arguments = import_callable(section.arguments, base) if section.arguments else None
    except ModelError as error:
        raise MetricError(f"metric '{name}': {error}") from error.__cause__
    try:
        target = make(**section.kwargs)
    except Exception as error:  # noqa: BLE001  a user's builder may raise anything
        raise MetricError(f"metric '{name}': {section.metric} raised {explain_exception(error)}") from None
    metric = MetricObject(name, target, section)
    return ExtraMetric(section.info(name), arguments, kind_for(target, metric, section.over))
