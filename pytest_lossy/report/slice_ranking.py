"""Classes and tags of the whole run, those that lose most first."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.report.lookup import CLEAN, Lookup
from pytest_lossy.report.tables import curve_cases, slice_names
from pytest_lossy.results.document import Curve, MetricValue

__all__ = ["RankedSlice", "SliceRanking", "rank_slices"]


@dataclass(frozen=True, slots=True)
class RankedSlice:
    """One class or tag of one curve."""

    model: str
    number: int
    """Position of the model, for its anchor."""
    codec: str
    metric: str
    name: str
    tag: bool
    """Whether the slice is a user's tag, and no class."""
    level: str
    clean: MetricValue | None
    value: MetricValue
    """At the most severe level that has the slice."""
    whole: MetricValue | None
    """The same metric over all samples there."""
    limit: str | None
    """Name of the operating limit of all samples."""
    at_limit: MetricValue | None
    """The slice at that level."""


@dataclass(frozen=True, slots=True)
class SliceRanking:
    """The worst slices of a run."""

    rows: tuple[RankedSlice, ...]
    total: int
    """Slices of all curves together."""


def _certain_drop(row: RankedSlice) -> float:
    """The drop that the interval leaves no doubt of: a small slice is noisy, and noise must not lead the list."""
    kept = row.value.retention_high if row.value.retention_high is not None else row.value.retention
    return 0.0 if kept is None else 1 - kept


def rank_slices(lookup: Lookup, most: int = 30) -> SliceRanking:
    """Rank the slices of each curve's own metric by the certain part of their drop at the most severe level.

    Args:
        lookup: the document.
        most: rows to give; the tables under the curves have all of them.
    """
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    found = [row for curve in lookup.document.curves for row in _of_curve(lookup, curve, numbers[curve.model])]
    # ties are common where whole classes are lost; the point and then the order of the document decide
    found.sort(key=lambda row: (-_certain_drop(row), row.value.retention or 0.0))
    return SliceRanking(tuple(found[:most]), len(found))


def _of_curve(lookup: Lookup, curve: Curve, number: int) -> list[RankedSlice]:
    cases = curve_cases(lookup, curve)
    clean = lookup.clean_cases.get(curve.model)
    limit = lookup.cases.get(curve.limit.case) if curve.limit and curve.limit.case else None
    rows = []
    for metric, name, full in slice_names(name for case in cases for name in case.metrics):
        if metric != curve.metric:
            continue
        worst = next((case for case in reversed(cases) if full in case.metrics), None)
        if worst is None or worst.metrics[full].retention is None:
            continue
        rows.append(
            RankedSlice(
                curve.model,
                number,
                curve.codec,
                metric,
                name[1:-1] if (tag := full.endswith("}")) else name,
                tag,
                lookup.level_name(curve.codec, worst.level),
                clean.metrics.get(full) if clean else None,
                worst.metrics[full],
                worst.metrics.get(metric),
                lookup.case_level(limit) if limit and limit.codec != CLEAN else None,
                limit.metrics.get(full) if limit else None,
            )
        )
    return rows
