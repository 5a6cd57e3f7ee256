"""What a budget of bits buys, limits per tag, and rate differences: rows for the reports, without markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_lossy.analysis.budget import Budget, Choice, budgets_for, choices
from pytest_lossy.report import formatting
from pytest_lossy.report.curve_words import limit_text
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import Curve, Estimate, Limit, RateDifference

__all__ = [
    "BudgetRow",
    "BudgetTable",
    "RateRow",
    "TagLimits",
    "budget_name",
    "budget_table",
    "change_text",
    "choice_name",
    "difference_text",
    "rate_rows",
    "tag_limits",
]


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One model."""

    model: str
    number: int
    """Position of the model, for its anchor."""
    metric: str
    safe: Curve | None
    """The curve whose operating limit takes the fewest bits per pixel."""
    cells: tuple[tuple[Choice, ...], ...]
    """For each budget the best level of each codec, the best first; empty where nothing is under the budget."""


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """Models by budgets."""

    budgets: tuple[Budget, ...]
    chosen: bool
    """Whether the reader named the budgets."""
    rows: tuple[BudgetRow, ...]


@dataclass(frozen=True, slots=True)
class TagLimits:
    """The operating limits of one curve: of all samples, then of each tag."""

    model: str
    number: int
    codec: str
    limits: tuple[tuple[str | None, str, Limit], ...]
    """Tag, the limit in words, the limit."""


@dataclass(frozen=True, slots=True)
class RateRow:
    """One Bjontegaard comparison."""

    difference: RateDifference
    number: int | None
    metric: str


def budget_name(budget: Budget) -> str:
    """Print ``0.5 bpp`` or ``300 kbit/s``."""
    return f"{budget.value:g} {'bpp' if budget.unit == 'bpp' else 'kbit/s'}"


def choice_name(lookup: Lookup, choice: Choice) -> str:
    """Print ``jpeg q50``."""
    return f"{choice.curve.codec} {lookup.level_name(choice.curve.codec, choice.point.level)}"


def budget_table(lookup: Lookup, budgets: Sequence[Budget] = ()) -> BudgetTable | None:
    """Give the best codec and level of each model under each budget; None where no rate is known.

    Args:
        lookup: the document.
        budgets: as the reader named them; round numbers within the run's rates where there are none.
    """
    wanted = tuple(budgets) or budgets_for(lookup.document.curves)
    rows = []
    for number, model in enumerate(lookup.model_names, 1):
        curves = lookup.curves_of.get(model, [])
        if not any(budget.rate(point) is not None for budget in wanted for curve in curves for point in curve.points):
            continue
        metric = curves[0].metric
        better = lookup.higher_is_better(model, metric)
        alike = [curve for curve in curves if curve.metric == metric]
        cells = tuple(
            tuple(choices(alike, budget, higher_is_better=better, severity=lookup.severity)) for budget in wanted
        )
        rows.append(BudgetRow(model, number, lookup.metric_title(model, metric), _cheapest(alike), cells))
    return BudgetTable(wanted, bool(budgets), tuple(rows)) if rows else None


def _cheapest(curves: Sequence[Curve]) -> Curve | None:
    found = [
        (curve.limit.bpp, position, curve)
        for position, curve in enumerate(curves)
        if curve.limit is not None and curve.limit.status == "found" and curve.limit.bpp is not None
    ]
    return min(found, key=lambda entry: entry[:2])[2] if found else None


def tag_limits(lookup: Lookup) -> list[TagLimits]:
    """Give the curves that have operating limits per tag."""
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    found = []
    for curve in lookup.document.curves:
        if curve.slice_limits:
            entries = [*([curve.limit] if curve.limit else []), *curve.slice_limits]
            limits = tuple((entry.slice, limit_text(lookup, curve.codec, entry), entry) for entry in entries)
            found.append(TagLimits(curve.model, numbers[curve.model], curve.codec, limits))
    return found


def rate_rows(lookup: Lookup) -> dict[str, list[RateRow]]:
    """Give the Bjontegaard comparisons by kind, ``codecs`` and ``models``; kinds without any are left out."""
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    found: dict[str, list[RateRow]] = {}
    for entry in lookup.document.rate_differences:
        row = RateRow(entry, numbers.get(entry.model), lookup.metric_title(entry.model, entry.metric))
        found.setdefault(entry.kind, []).append(row)
    return found


def difference_text(estimate: Estimate | None) -> str:
    """Print a difference in a metric's units, ``+0.030 [+0.008, +0.052]``."""
    if estimate is None:
        return formatting.ABSENT
    return formatting.with_interval(estimate.value, estimate.low, estimate.high, formatting.signed)


def change_text(estimate: Estimate | None) -> str:
    """Print a relative change, ``-27.2% [-41.5%, -11.6%]``."""
    if estimate is None:
        return formatting.ABSENT
    return formatting.with_interval(estimate.value, estimate.low, estimate.high, _change)


def _change(value: float | None) -> str:
    text = formatting.percent(value)
    return f"+{text}" if value is not None and value > 0 and text != "0.0%" else text
