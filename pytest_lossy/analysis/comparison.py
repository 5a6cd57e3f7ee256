"""A case's metrics with intervals, and their retention and loss against the clean case."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_lossy.analysis.bootstrap import (
    BOOTSTRAP_SEED,
    Reduce,
    bias_corrected,
    independent_units,
    replicate,
    weight_chunks,
)
from pytest_lossy.analysis.proportions import outcomes_of, paired, paired_ratio, tango, wilson
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
    outcomes: Mapping[str, FloatArray] = field(default_factory=dict)
    """Of plain proportions of ungrouped samples: metric -> (n,) 1, 0, or NaN where a sample does not count."""


def measure(
    reduce: Reduce, groups: Sequence[str | None], replicates: int, *, proportions: Collection[str] = ()
) -> Replicates:
    """Evaluate a case's evidence on the full data and under B weightings.

    The weights depend only on the groups and B, so that any two cases of the same samples are paired.

    Args:
        reduce: (B, n) weights -> metric -> (B,).
        groups: n groups, None for a sample of its own.
        replicates: B.
        proportions: aggregate metrics that declare themselves plain proportions.
    """
    units, count = independent_units(groups)
    point = {name: float(values[0]) for name, values in reduce(np.ones((1, len(groups)))).items()}
    if count < 2:
        return Replicates(point, {}, count)
    chunks = weight_chunks(units, count, replicates, BOOTSTRAP_SEED)
    plain = proportions if all(group is None for group in groups) else ()
    return Replicates(point, replicate(reduce, chunks), count, outcomes_of(reduce, len(groups), plain, point))


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
    interval = _value_interval(name, case, confidence)
    fields = {"value": value, "low": interval[0], "high": interval[1]}
    if clean is not None and name in clean.point:
        reference = clean.point[name]
        loss = reference - value if higher_is_better else value - reference
        fields["loss"] = loss
        fields["retention"] = _ratio(value, reference, higher_is_better)
        if name in case.replicates and name in clean.replicates:
            compared = _compared_intervals(name, case, clean, higher_is_better, confidence)
            fields["loss_low"], fields["loss_high"] = compared.loss
            if _contains_zero(_value_interval(name, clean, confidence)):
                fields["retention"] = None
            if fields["retention"] is not None:
                fields["retention_low"], fields["retention_high"] = compared.retention
    return MetricValue(**{key: _finite(number) for key, number in fields.items()})


Interval = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Compared:
    loss: Interval
    retention: Interval


def _value_interval(name: str, measured: Replicates, confidence: float) -> Interval:
    """Wilson's for a plain proportion, else bias-corrected."""
    if name in measured.outcomes:
        known = measured.outcomes[name][~np.isnan(measured.outcomes[name])]
        return wilson(int(known.sum()), len(known), confidence)
    return _interval(measured.point[name], measured.replicates.get(name), confidence, measured.units)


def _compared_intervals(
    name: str, case: Replicates, clean: Replicates, higher_is_better: bool, confidence: float
) -> _Compared:
    """Of loss and retention: score intervals for plain proportions, else bias-corrected ones of the paired replicates."""
    better, worse = (clean, case) if higher_is_better else (case, clean)
    if name in case.outcomes and name in clean.outcomes:
        table = paired(better.outcomes[name], worse.outcomes[name])
        turned = paired(worse.outcomes[name], better.outcomes[name])
        if table is not None and turned is not None:
            return _Compared(tango(table, confidence), paired_ratio(turned, confidence) or (None, None))
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = better.replicates[name] - worse.replicates[name]
        ratios = worse.replicates[name] / better.replicates[name]
        loss = better.point[name] - worse.point[name]
        ratio = np.divide(worse.point[name], better.point[name])
    return _Compared(
        _interval(loss, losses, confidence, case.units), _interval(float(ratio), ratios, confidence, case.units)
    )


def _interval(point: float, replicates: FloatArray | None, confidence: float, units: int) -> Interval:
    if replicates is None:
        return None, None
    return bias_corrected(point, replicates, confidence, units) or (None, None)


def _contains_zero(interval: Interval) -> bool:
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
