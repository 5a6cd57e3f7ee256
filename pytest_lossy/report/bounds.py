"""What a page draws of a very large run: the curves that need attention first, whole, and the number of those left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_lossy.report.formatting import count
from pytest_lossy.report.lookup import CLEAN, VERDICTS
from pytest_lossy.results.document import CaseRow, ResultsDocument

__all__ = ["ROWS", "WARNINGS", "Bounded", "bound"]

ROWS = 3_000
"""Rows of a page: some 15 MB with their plots, which a browser opens in seconds."""
WARNINGS = 40
"""Warnings of a page: a large run repeats one for each model."""

_CALM = ("passed", "ungated")


@dataclass(frozen=True, slots=True)
class Bounded:
    """A document that a page can show."""

    document: ResultsDocument
    notes: tuple[str, ...]
    """What is left out and where it is; empty where everything is shown."""


def bound(document: ResultsDocument, rows: int = ROWS, warnings: int = WARNINGS) -> Bounded:
    """Leave whole curves out of a document until few enough rows are left; counts and summaries stay those of the run.

    Curves, and clean cases, with a row that failed, crashed or is in error come first, then inconclusive ones, then the
    rest, each in the document's order. A model's clean row and its description stay as long as one of its curves does.

    Args:
        document: of any size; one of few rows comes back as it is.
        rows: at most, but for one curve and clean rows.
        warnings: of the run, at most.
    """
    notes: list[str] = []
    run = document.run
    if len(run.warnings) > warnings:
        left = count(len(run.warnings) - warnings, "more warning")
        run = run.model_copy(update={"warnings": [*run.warnings[:warnings], f"and {left}, listed in results.json"]})
        document = document.model_copy(update={"run": run})
    if len(document.cases) <= rows:
        return Bounded(document, tuple(notes))
    shown = _chosen(document.cases, rows)
    models = {model for model, _ in shown}
    cases = [row for row in document.cases if _curve(row) in shown or (row.codec == CLEAN and row.model in models)]
    curves = [curve for curve in document.curves if (curve.model, curve.codec) in shown]
    described = [model for model in document.models if model.name in models]
    notes.append(
        f"This page shows {len(cases):,} of {len(document.cases):,} rows, {len(curves):,} of {len(document.curves):,} "
        f"curves and {len(described):,} of {len(document.models):,} models: those that need attention come first. "
        "results.csv and results.json have all of them; the counts above are those of the whole run."
    )
    resilience = document.resilience
    if resilience is not None:
        ranking = [row for row in resilience.ranking if (row.model, row.codec) in shown]
        resilience = resilience.model_copy(update={"ranking": ranking})
    comparison = document.comparison
    if comparison is not None:
        moves = [move for move in comparison.moves if (move.model, move.codec) in shown]
        comparison = comparison.model_copy(update={"moves": moves})
    codecs = {codec for _, codec in shown}
    kept = {
        "cases": cases,
        "curves": curves,
        "models": described,
        "codecs": [codec for codec in document.codecs if codec.label in codecs],
        "rate_differences": [entry for entry in document.rate_differences if (entry.model, entry.codec) in shown],
        "recovery": [entry for entry in document.recovery if (entry.model, entry.codec) in shown],
        "resilience": resilience,
        "comparison": comparison,
    }
    return Bounded(document.model_copy(update=kept), tuple(notes))


def _curve(row: CaseRow) -> tuple[str, str]:
    return row.model, row.codec


def _chosen(cases: Sequence[CaseRow], rows: int) -> set[tuple[str, str]]:
    """The (model, codec) pairs to show."""
    sizes: dict[tuple[str, str], int] = {}
    worst: dict[tuple[str, str], int] = {}
    severity = {verdict: place for place, verdict in enumerate(VERDICTS)}
    for row in cases:
        key = _curve(row)
        place = len(VERDICTS) if row.verdict in _CALM else severity[row.verdict]
        sizes[key] = sizes.get(key, 0) + 1
        worst[key] = min(worst.get(key, place), place)
    shown: set[tuple[str, str]] = set()
    left = rows
    for key in sorted(sizes, key=lambda key: worst[key]):  # stable
        if shown and sizes[key] > left:
            break
        shown.add(key)
        left -= sizes[key]
    return shown
