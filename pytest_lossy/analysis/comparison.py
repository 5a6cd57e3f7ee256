"""A case's metrics with intervals, and their retention and loss against the clean case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.bootstrap import (
    BOOTSTRAP_SEED,
    Reduce,
    bias_corrected,
    independent_units,
    replicate,
    weight_chunks,
)
from pytest_lossy.results.document import MetricValue
from pytest_lossy.tasks.base import FloatArray

__all__ = ["FEW_UNITS", "Replicates", "compare", "measure", "unit_notes"]

FEW_UNITS = 30
"""Below about this many independent units bootstrap intervals are too narrow to lean on, and a note says so."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """One case's metrics: on the full data, and under each bootstrap weighting."""

    point: Mapping[str, float]
    replicates: Mapping[str, FloatArray]
    """metric -> (B,); empty where there is a single unit."""
    units: int


def measure(reduce: Reduce, groups: Sequence[str | None], replicates: int) -> Replicates:
    """Evaluate a case's evidence on the full data and under B weightings.

    The weights depend only on the groups and B, so that any two cases of the same samples are paired.

    Args:
        reduce: (B, n) weights -> metric -> (B,).
        groups: n groups, None for a sample of its own.
        replicates: B.
    """
    units, count = independent_units(groups)
    point = {name: float(values[0]) for name, values in reduce(np.ones((1, len(groups)))).items()}
    if count < 2:
        return Replicates(point, {}, count)
    chunks = weight_chunks(units, count, replicates, BOOTSTRAP_SEED)
    return Replicates(point, replicate(reduce, chunks), count)


def unit_notes(groups: Sequence[str | None]) -> list[str]:
    """What a reader must know about the intervals of these samples."""
    _, count = independent_units(groups)
    notes = []
    if len(groups) > 1 and groups[0] is not None and len(set(groups)) == 1:
        notes.append("one sequence: intervals hold within that sequence only")
    if count < 2:
        notes.append("one independent unit: no intervals")
    elif count < FEW_UNITS:
        notes.append(f"only {count} independent units: intervals are rough and tend to be too narrow")
    return notes


def compare(
    case: Replicates,
    clean: Replicates | None,
    *,
    higher_is_better: Mapping[str, bool],
    confidence: float,
    retention: bool = True,
) -> dict[str, MetricValue]:
    """Intervals of a case's metrics and, against ``clean``, of its retention and loss.

    Args:
        case: what was measured under the codec.
        clean: what was measured without, on the same samples; None for the clean case itself.
        higher_is_better: of each aggregate metric; slices such as ``miou[road]`` follow their metric.
        confidence: two-sided.
        retention: False in label-free mode, where metrics are agreement and only their difference to clean is given.
    """
    found = {
        name: _one(name, case, clean, higher_is_better[name.partition("[")[0].partition("{")[0]], confidence)
        for name in case.point
    }
    if retention:
        return found
    nothing = {"retention": None, "retention_low": None, "retention_high": None}
    return {name: value.model_copy(update=nothing) for name, value in found.items()}


def _one(
    name: str, case: Replicates, clean: Replicates | None, higher_is_better: bool, confidence: float
) -> MetricValue:
    value = case.point[name]
    interval = _interval(value, case.replicates.get(name), confidence)
    fields = {"value": value, "low": interval[0], "high": interval[1]}
    if clean is not None and name in clean.point:
        reference = clean.point[name]
        loss = reference - value if higher_is_better else value - reference
        fields["loss"] = loss
        fields["retention"] = _ratio(value, reference, higher_is_better)
        if name in case.replicates and name in clean.replicates:
            with np.errstate(divide="ignore", invalid="ignore"):
                ours, theirs = case.replicates[name], clean.replicates[name]
                losses = theirs - ours if higher_is_better else ours - theirs
                ratios = ours / theirs if higher_is_better else theirs / ours
            fields["loss_low"], fields["loss_high"] = _interval(loss, losses, confidence)
            clean_interval = _interval(reference, clean.replicates[name], confidence)
            if _contains_zero(clean_interval):
                fields["retention"] = None
            if fields["retention"] is not None:
                low, high = _interval(fields["retention"], ratios, confidence)
                fields["retention_low"], fields["retention_high"] = low, high
    return MetricValue(**{key: _finite(number) for key, number in fields.items()})


def _interval(point: float, replicates: FloatArray | None, confidence: float) -> tuple[float | None, float | None]:
    if replicates is None:
        return None, None
    return bias_corrected(point, replicates, confidence) or (None, None)


def _contains_zero(interval: tuple[float | None, float | None]) -> bool:
    low, high = interval
    return low is not None and high is not None and low <= 0 <= high


def _ratio(value: float, reference: float, higher_is_better: bool) -> float | None:
    """metric / clean, for errors clean / metric; None where it is undefined."""
    above, below = (value, reference) if higher_is_better else (reference, value)
    if reference == 0 or below == 0 or not math.isfinite(above) or not math.isfinite(below):
        return None
    return above / below


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
