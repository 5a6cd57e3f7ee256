"""The HTML report's tables as rows of plain values: what is shown where, without markup."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_lossy.report.headline import attention
from pytest_lossy.report.lookup import CLEAN, Lookup
from pytest_lossy.results.document import CaseRow, Curve, MetricValue

__all__ = [
    "ErrorGroup",
    "Heat",
    "HeatCell",
    "HeatRow",
    "SliceRow",
    "SliceTable",
    "curve_cases",
    "detail_text",
    "error_groups",
    "heat_bin",
    "heat_maps",
    "other_metrics",
    "slice_names",
    "slice_tables",
]

_SLICE = re.compile(r"^(?P<metric>[^\[\]{}]+)(?:\[(?P<name>.+)\]|(?P<tag>\{.+\}))$", re.DOTALL)

HEAT_EDGES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.35, 0.50)
"""Drops at which the heat map changes its shade; the first shade is 'under 1 %'."""


def heat_bin(retention: float) -> int:
    """Give the shade of a retention, 0 (no drop to speak of, or a gain) to 7 (half or more is lost)."""
    # a drop of exactly 5 % opens the next shade although 1 - 0.95 > 0.05 in binary
    return sum(1.0 - retention >= edge - 1e-9 for edge in HEAT_EDGES)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One level of one model."""

    retention: float | None
    shade: int | None
    case: CaseRow | None


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One model."""

    model: str
    number: int
    """Position of the model, for its anchor: names never become identifiers."""
    metric: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """Retention of the primary metric, models by levels of one codec, mild to severe."""

    codec: str
    levels: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def heat_maps(lookup: Lookup) -> list[Heat]:
    """Build one matrix per codec that has a row with a level; label-free models have no retention to show."""
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    grid: dict[str, dict[str, dict[float, CaseRow]]] = {}
    for case in lookup.document.cases:
        if case.codec != CLEAN and case.level is not None and not lookup.label_free(case.model):
            grid.setdefault(case.codec, {}).setdefault(case.model, {})[case.level] = case
    maps = []
    for codec in (label for label in lookup.codec_labels if label in grid):
        found = {level for cells in grid[codec].values() for level in cells}
        levels = sorted(found, key=lambda level: lookup.severity(codec, level))
        rows = tuple(
            HeatRow(
                model,
                numbers[model],
                next(iter(cells.values())).primary,
                tuple(_heat_cell(cells.get(level)) for level in levels),
            )
            for model, cells in grid[codec].items()
        )
        maps.append(Heat(codec, tuple(lookup.level_name(codec, level) for level in levels), rows))
    return maps


def _heat_cell(case: CaseRow | None) -> HeatCell:
    value = case.metrics.get(case.primary) if case else None
    retention = value.retention if value else None
    return HeatCell(retention, None if retention is None else heat_bin(retention), case)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One class or slice of a metric."""

    name: str
    clean: MetricValue | None
    values: tuple[MetricValue | None, ...]
    worst: MetricValue | None
    """At the most severe level."""


@dataclass(frozen=True, slots=True)
class SliceTable:
    """A metric by class or slice over one curve, the largest drop first."""

    metric: str
    levels: tuple[str, ...]
    rows: tuple[SliceRow, ...]


def slice_names(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Give metric, slice and full name of each name like ``miou[road]`` or ``miou{night}``, once, in their order."""
    found = []
    for full in dict.fromkeys(names):
        match = _SLICE.match(full)
        if match:
            found.append((match["metric"], match["name"] or match["tag"], full))
    return found


def curve_cases(lookup: Lookup, curve: Curve) -> list[CaseRow]:
    """Give the rows of a curve's levels, mild to severe."""
    rows = [lookup.cases[point.case] for point in curve.points if point.case in lookup.cases]
    return sorted(rows, key=lambda case: lookup.severity(curve.codec, case.level or 0.0))


def slice_tables(lookup: Lookup, curve: Curve) -> list[SliceTable]:
    """Collect metrics named like ``miou[road]`` and rank their slices by the drop at the most severe level.

    Slices whose retention is undefined follow, ranked by loss; those with neither come last.
    """
    cases = curve_cases(lookup, curve)
    clean = lookup.clean_cases.get(curve.model)
    reference = clean.metrics if clean else {}
    names: dict[str, dict[str, str]] = {}
    for metric, name, full in slice_names([*reference, *(name for case in cases for name in case.metrics)]):
        names.setdefault(metric, {})[name] = full
    tables = []
    for metric, slices in names.items():
        rows = [
            SliceRow(name, reference.get(full), tuple(case.metrics.get(full) for case in cases), worst)
            for name, full in slices.items()
            for worst in (next((c.metrics[full] for c in reversed(cases) if full in c.metrics), None),)
        ]
        rows.sort(key=_rank)
        levels = tuple(lookup.level_name(curve.codec, case.level) for case in cases)
        tables.append(SliceTable(metric, levels, tuple(rows)))
    return tables


def _rank(row: SliceRow) -> tuple[int, float]:
    if row.worst is not None and row.worst.retention is not None:
        return 0, row.worst.retention
    if row.worst is not None and row.worst.loss is not None:
        return 1, -row.worst.loss
    return 2, 0.0


def other_metrics(lookup: Lookup, curve: Curve) -> tuple[list[str], list[tuple[str, list[MetricValue | None]]]]:
    """Give the curve's metrics that are neither primary nor slices: names, and values per level."""
    cases = curve_cases(lookup, curve)
    clean = lookup.clean_cases.get(curve.model)
    rows = ([(CLEAN, clean.metrics)] if clean else []) + [
        (lookup.level_name(curve.codec, case.level), case.metrics) for case in cases
    ]
    names = dict.fromkeys(name for _, metrics in rows for name in metrics if not _SLICE.match(name))
    names.pop(curve.metric, None)
    return list(names), [(label, [metrics.get(name) for name in names]) for label, metrics in rows]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Cases that ended for the same reason: a model that cannot be loaded is one problem, not thirty."""

    title: str
    message: str
    cases: tuple[CaseRow, ...]


def error_groups(lookup: Lookup) -> list[ErrorGroup]:
    """Group rows in error or crashed by model and message; a model's own error leads."""
    groups: dict[tuple[str, str, str], list[CaseRow]] = {}
    for model in lookup.document.models:
        if model.error is not None:
            groups[(model.name, "could not be loaded", model.error)] = []
    for case in attention(lookup):
        if case.verdict not in ("error", "crashed"):
            continue
        message = case.error or "No message was recorded."
        own = (case.model, "could not be loaded", message)
        key = own if own in groups else (case.model, "crashed" if case.verdict == "crashed" else "error", message)
        groups.setdefault(key, []).append(case)
    return [ErrorGroup(f"{model}: {word}", message, tuple(cases)) for (model, word, message), cases in groups.items()]


def detail_text(value: Any) -> str:
    """Print a value of ``ModelInfo.details``, whatever JSON it is."""
    if value is None:
        return "–"  # noqa: RUF001 - an en dash is meant
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return ", ".join(detail_text(item) for item in value)
    return json.dumps(value, ensure_ascii=False, default=str)
