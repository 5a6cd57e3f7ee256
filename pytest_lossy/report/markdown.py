"""``summary.md``: what a CI job posts, with a fixed upper length whatever the run's size.

The text is GitHub-flavoured Markdown that other renderers accept. Everything from the document is
neutralised: it cannot end a table cell, open a tag, mention a person, refer to an issue or become a link.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_lossy.analysis.budget import Budget
from pytest_lossy.report import formatting
from pytest_lossy.report.budget_tables import budget_name, budget_table, choice_name
from pytest_lossy.report.comparison_rows import change_rows, comparison_sentence
from pytest_lossy.report.curve_words import bytes_text, knee_text, limit_text
from pytest_lossy.report.headline import Problem, headline, inconclusive_rows, misses, tally
from pytest_lossy.report.lookup import CLEAN, Lookup, verdict_word
from pytest_lossy.report.markdown_text import Blocks, escaped
from pytest_lossy.report.recovery_tables import (
    RECOVERY_CLAIM,
    recovery_points,
    recovery_share,
    recovery_text,
    recovery_view,
)
from pytest_lossy.report.resilience_tables import area_text, experiment_rows, points_text, resilience_tables
from pytest_lossy.report.tables import error_groups
from pytest_lossy.results.document import Curve, Recovery, RecoverySummary, ResultsDocument, Verdict

__all__ = ["LIMIT", "render_markdown"]

LIMIT = 60_000
"""Characters; GitHub refuses comments beyond 65,536."""

_FOOTER_ROOM = 400
_FAILURE_SHARE = 0.6
_CURVE_SHARE = 0.7
_RANKED = 10
"""Models of a ranking; index.html has all of them."""
_BLOCKS = "▁▂▃▄▅▆▇█"

_MARKS: dict[Verdict, str] = {
    "passed": "passed",
    "failed": "**failed**",
    "inconclusive": "*inconclusive*",
    "ungated": "ungated",
    "error": "**error**",
    "crashed": "**crashed**",
    "not_run": "not run",
}


def _problem_row(problem: Problem) -> list[str]:
    case, gate = problem.case, problem.gate
    if gate is None:
        return [escaped(case.id), "no gate", formatting.ABSENT, formatting.ABSENT, _MARKS[case.verdict]]
    return [
        escaped(case.id),
        escaped(formatting.gate_requirement(gate)),
        formatting.gate_observed(gate),
        escaped(f"{gate.file}:{gate.line}"),
        _MARKS[gate.verdict],
    ]


_PROBLEM_HEADER = ["Case", "Required", "Observed [interval]", "Gate", "Verdict"]


def _curve_rows(lookup: Lookup, curve: Curve) -> list[list[str]]:
    rows = []
    if curve.clean is not None:
        clean = lookup.clean_cases.get(curve.model)
        rows.append(
            [
                CLEAN,
                formatting.quantity(curve.clean),
                formatting.ABSENT,
                formatting.bits_per_pixel(clean.bpp if clean else None),
                _MARKS[clean.verdict] if clean else formatting.ABSENT,
            ]
        )
    for point in sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level)):
        value = point.metric
        if lookup.label_free(curve.model):
            kept = formatting.with_interval(value.loss, value.loss_low, value.loss_high, formatting.metric)
        else:
            kept = formatting.with_interval(
                value.retention, value.retention_low, value.retention_high, formatting.percent
            )
        rows.append(
            [
                escaped(lookup.level_name(curve.codec, point.level)),
                formatting.quantity(value),
                kept,
                formatting.rate(point.bpp, point.kbps),
                _MARKS[point.verdict],
            ]
        )
    return rows


def _opening(budget: Blocks, lookup: Lookup) -> None:
    top = headline(lookup)
    run = lookup.document.run
    budget.add(f"## {escaped(top.text)}")
    counts = ", ".join(f"{number:,} {verdict_word(verdict)}" for verdict, number in tally(lookup)) or "no cases"
    budget.add(f"{counts}. Started {escaped(run.started)}, {formatting.duration(run.seconds)}.")
    for text in top.cautions:
        budget.add(f"> **Note:** {escaped(text, 600)}")
    for text in top.warnings[:20]:
        budget.add(f"> **Warning:** {escaped(text, 600)}")
    if len(top.warnings) > 20:
        budget.add(f"> **Warning:** {len(top.warnings) - 20:,} more warnings are in results.json.")


def _failures(budget: Blocks, lookup: Lookup) -> None:
    share = int(budget.room * _FAILURE_SHARE)
    rows = [_problem_row(problem) for problem in misses(lookup)]
    if rows:
        budget.table("### Gates not met", _PROBLEM_HEADER, rows, share)
    errors = [
        [escaped(group.title), f"{len(group.cases):,}", escaped(group.message, 400)] for group in error_groups(lookup)
    ]
    if errors:
        budget.table("### Errors", ["Model", "Cases", "Message"], errors, share // 2)
    doubtful = [_problem_row(problem) for problem in inconclusive_rows(lookup)]
    if doubtful:
        budget.table("### Inconclusive", _PROBLEM_HEADER, doubtful, share // 3)


def _spark(curve: Curve, lookup: Lookup) -> str:
    """One block per level, mild to severe: the retention of the point, full at 1 and empty at 0."""
    points = sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level))
    kept = [point.metric.retention for point in points]
    if not any(share is not None for share in kept):
        return formatting.ABSENT
    last = len(_BLOCKS) - 1
    return "".join("·" if share is None else _BLOCKS[round(min(max(share, 0.0), 1.0) * last)] for share in kept)


def _summary_row(lookup: Lookup, curve: Curve) -> list[str]:
    points = sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level))
    worst = next((point for point in reversed(points) if point.metric.retention is not None), None)
    share = bytes_text(lookup, curve, curve.limit.byte_share) if curve.limit else ""
    limit = escaped(limit_text(lookup, curve.codec, curve.limit), 80)
    return [
        f"{escaped(curve.model, 80)} {escaped(curve.metric, 80)}",
        escaped(curve.codec, 80),
        _spark(curve, lookup),
        f"{formatting.percent(worst.metric.retention)} at {escaped(lookup.level_name(curve.codec, worst.level), 80)}"
        if worst
        else formatting.ABSENT,
        escaped(knee_text(lookup, curve), 120),
        f"{limit}, {escaped(share, 120)}" if share else limit,
    ]


def _knees(budget: Blocks, lookup: Lookup) -> None:
    """One line per curve, before the tables that may not all fit."""
    curves = [curve for curve in lookup.document.curves if not lookup.label_free(curve.model)]
    if curves:
        header = ["Model, metric", "Codec", "Retention, mild to severe", "Most severe", "Knee", "Operating limit"]
        share = int(budget.room * _CURVE_SHARE)
        budget.table("### Curves", header, [_summary_row(lookup, curve) for curve in curves], share)


def _recovery(budget: Blocks, lookup: Lookup) -> None:
    """What retraining won back of the primary metric at each level that it was trained on; seeds before single models."""
    view = recovery_view(lookup)
    header = ["Retrained", "Level", "Recovery", "Retrained - control", "Naive", "Cost on clean"]
    seeds = [
        [
            f"{escaped(table.parent, 80)} on {escaped(table.trained, 80)}, {table.seeds:,} seeds",
            *_recovery_cells(lookup, row),
        ]
        for table in view.seeds
        for row in table.rows
        if row.trained_on
    ]
    models = [
        [escaped(table.model, 80), *_recovery_cells(lookup, row)]
        for table in view.models
        for row in table.rows
        if row.trained_on
    ]
    room = budget.room // 4
    if seeds:
        budget.table("### Recovery by retraining, mean [smallest, largest seed]", header, seeds, room)
    if models:
        budget.table("### Recovery by retraining, each model [interval]", header, models, room)
    if seeds or models:
        budget.add(f"{escaped(RECOVERY_CLAIM, 400)}. Intervals omit how much training runs differ.")


def _recovery_cells(lookup: Lookup, entry: Recovery | RecoverySummary) -> list[str]:
    return [
        escaped(f"{entry.codec} {lookup.level_name(entry.codec, entry.level)}", 80),
        recovery_text(entry),
        recovery_points(entry.gain),
        recovery_share(entry.naive),
        recovery_points(entry.clean_cost),
    ]


def _resilience(budget: Blocks, lookup: Lookup) -> None:
    """Experiments in full, and the head of every ranking."""
    rows = [
        [
            escaped(f"{row.difference.experiment}, {row.difference.codec}", 120),
            escaped(f"{row.difference.arm} minus {row.difference.against}", 120),
            points_text(row.difference.over_level),
            points_text(row.difference.over_log_bpp),
            f"{row.difference.seeds:,}",
            escaped(row.sentence),
        ]
        for row in experiment_rows(lookup)
    ]
    if rows:
        header = [
            "Experiment",
            "Difference of retained area",
            "Over the level, points",
            "Over log bpp",
            "Seeds",
            "Reading",
        ]
        budget.table("### Controlled experiments", header, rows, budget.room // 5)
    ranked = [
        [
            escaped(table.codec, 80),
            f"{entry.row.rank:,}",
            f"{escaped(entry.row.model, 80)}, {escaped(entry.row.metric, 80)}",
            area_text(entry.row.area.over_level),
            area_text(entry.row.area.over_log_bpp),
        ]
        for table in resilience_tables(lookup)
        if len(table.models) > 1
        for entry in table.models[:_RANKED]
    ]
    if ranked:
        header = ["Codec", "Rank", "Model, metric", "Retained area over the level", "Over log bpp"]
        budget.table("### Resilience", header, ranked, budget.room // 5)


def _budgets(budget: Blocks, lookup: Lookup, budgets: Sequence[Budget]) -> None:
    found = budget_table(lookup, budgets)
    if found is None:
        return
    rows = []
    for row in found.rows:
        cells = [f"{escaped(row.model, 80)}, {escaped(row.metric, 80)}"]
        for cell in row.cells:
            if not cell:
                cells.append(formatting.ABSENT)
                continue
            unsafe = ", beyond its limit" if cell[0].safe is False else ""
            cells.append(
                f"{escaped(choice_name(lookup, cell[0]), 80)}, {formatting.metric(cell[0].point.metric.value)}{unsafe}"
            )
        rows.append(cells)
    header = ["Model, metric", *(f"At most {budget_name(entry)}" for entry in found.budgets)]
    budget.table("### Best codec and level under a budget", header, rows, budget.room // 5)


def _measurements(budget: Blocks, lookup: Lookup) -> None:
    curves = lookup.document.curves
    drawn = {curve.model for curve in curves}
    for curve in curves:
        heading = f"### {escaped(curve.model, 80)}, {escaped(curve.codec, 80)}"
        metric = escaped(lookup.metric_title(curve.model, curve.metric), 80)
        against_clean = "Disagreement" if lookup.label_free(curve.model) else "Retention"
        header = ["Level", f"{metric} [interval]", f"{against_clean} [interval]", "Rate (bpp)", "Verdict"]
        budget.table(heading, header, _curve_rows(lookup, curve), budget.room)
    rest = []
    for case in lookup.document.cases:
        if case.model in drawn:
            continue
        value = case.metrics.get(case.primary)
        shown = f"{escaped(case.primary, 80)} {formatting.quantity(value)}" if value else formatting.ABSENT
        rest.append([escaped(case.id), shown, formatting.bits_per_pixel(case.bpp), _MARKS[case.verdict]])
    if rest:
        header = ["Case", "Primary metric [interval]", "bpp", "Verdict"]
        budget.table("### Cases without a curve", header, rest, budget.room)


def _changes(budget: Blocks, lookup: Lookup) -> None:
    """What is certainly worse or better than the baseline, and whether a rule fails for it."""
    comparison = lookup.document.comparison
    if comparison is None:
        return
    budget.add(
        f"### Against the baseline {escaped(comparison.reference, 80)}\n\n{comparison_sentence(comparison)}."
        + (
            f" Not only the models may differ: {escaped('; '.join(comparison.differences), 600)}."
            * bool(comparison.differences)
        )
    )
    rows = [
        [
            escaped(row.where),
            escaped(row.change.metric, 80),
            row.before,
            row.after,
            row.difference,
            row.relative,
            row.word,
        ]
        for row in change_rows(lookup, comparison)
        if row.change.verdict in ("worse", "better")
    ]
    if rows:
        header = ["Case", "Metric", "Before", "After", "Difference [interval]", "Relative", "Change"]
        budget.table("Certain changes", header, rows, budget.room // 3)


def render_markdown(document: ResultsDocument, budgets: Sequence[Budget] = ()) -> str:
    """Render the summary: outcome, what failed, then every curve, in at most :data:`LIMIT` characters.

    Args:
        document: everything but pixels.
        budgets: to choose levels under; round numbers within the run's rates where there are none.
    """
    lookup = Lookup(document)
    budget = Blocks(LIMIT - _FOOTER_ROOM)
    _opening(budget, lookup)
    _failures(budget, lookup)
    _changes(budget, lookup)
    _knees(budget, lookup)
    _recovery(budget, lookup)
    _resilience(budget, lookup)
    _budgets(budget, lookup, budgets)
    _measurements(budget, lookup)
    if budget.left_out:
        budget.blocks.append(
            f"*{formatting.count(budget.left_out, 'table row')} left out to keep this summary short; "
            "index.html and results.json have all of them.*"
        )
    run = document.run
    budget.blocks.append(
        f"Intervals: {run.confidence * 100:g}% confidence, {formatting.count(run.replicates, 'replicate')}. "
        f"pytest-lossy {escaped(run.plugin_version, 40)}."
    )
    return "\n\n".join(budget.blocks) + "\n"
