"""The section that ends a pytest run: lines with markup keywords of pytest's ``TerminalWriter``, ASCII."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from pytest_lossy.report import formatting
from pytest_lossy.report.comparison_rows import change_rows, comparison_sentence
from pytest_lossy.report.curve_words import curve_sentence
from pytest_lossy.report.headline import headline, inconclusive_rows, misses, tally
from pytest_lossy.report.lookup import CLEAN, Lookup, verdict_word
from pytest_lossy.report.recovery_tables import recovery_points, recovery_text, recovery_view
from pytest_lossy.report.tables import error_groups
from pytest_lossy.results.document import CaseRow, ResultsDocument, Verdict

__all__ = ["terminal_lines"]

Line = tuple[str, dict[str, bool]]

_MARKUP: dict[Verdict, dict[str, bool]] = {
    "passed": {},
    "failed": {"red": True},
    "inconclusive": {"yellow": True},
    "ungated": {},
    "error": {"red": True},
    "crashed": {"red": True},
    "not_run": {"yellow": True},
}
_HEADLINE: dict[str, dict[str, bool]] = {
    "passed": {"green": True, "bold": True},
    "failed": {"red": True, "bold": True},
    "inconclusive": {"yellow": True, "bold": True},
    "ungated": {"bold": True},
    "not_run": {"yellow": True, "bold": True},
}
_ROWS = 80
"""Rows above which a run that is not verbose shows only the rows that need attention."""
_MOST = 40
"""Tables, errors and warnings, each, of a run that is not verbose; the report has the rest."""
_QUIET = ("passed", "ungated")
_GAP = "  "


def _plain(text: str) -> str:
    """Make text from the document printable: escape sequences would reach the user's terminal."""
    flat = " ".join(text.replace(formatting.ABSENT, "-").split())
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in flat)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[: max(width, 0)]


def _wrapped(text: str, width: int) -> list[str]:
    """Fold prose; a word that is longer than the line is cut into pieces, never clipped."""
    indent = _GAP if width > 8 else ""
    return textwrap.wrap(_plain(text), width, subsequent_indent=indent, break_on_hyphens=False)


def _columns(rows: Sequence[Sequence[str]], aligned_right: Sequence[bool]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(size) if right else cell.ljust(size)
            for cell, size, right in zip(row, widths, aligned_right, strict=True)
        ]
        lines.append(f"{_GAP}{_GAP.join(cells)}".rstrip())
    return lines


# what a narrow terminal loses first stands last
_KEPT = (
    ("level", "value", "interval", "retention", "bpp", "verdict"),
    ("level", "value", "retention", "bpp", "verdict"),
    ("level", "value", "retention", "verdict"),
    ("level", "value", "verdict"),
    ("level", "verdict"),
)


def _fitted(cells: list[dict[str, str]], width: int) -> list[str]:
    """Lay out a table; drop columns until it fits, then clip."""
    lines: list[str] = []
    for names in _KEPT:
        right = [name in ("value", "retention", "bpp") for name in names]
        lines = _columns([[row[name] for name in names] for row in cells], right)
        if max(map(len, lines)) <= width:
            break
    return [_clipped(line, width) for line in lines]


def _head(metric: str, *, label_free: bool) -> dict[str, str]:
    return {
        "level": "level",
        "value": _clipped(_plain(metric), 24),
        "interval": "interval",
        "retention": "disagreement" if label_free else "retention",
        "bpp": "bpp",
        "verdict": "verdict",
    }


def _row(lookup: Lookup, case: CaseRow) -> dict[str, str]:
    value = case.metrics.get(case.primary)
    kept = value.retention if value else None
    place, _, spread = lookup.knee_text(case).partition(" [")
    spread = f"[{spread}" if spread and case.knee is not None else ""
    changed = formatting.metric(value.loss if value else None)
    role = lookup.role_text(case)
    word = verdict_word(case.verdict) + (f" ({role})" if role else "")
    return {
        "level": _clipped(_plain(lookup.case_level(case)), 24),
        "value": _plain(formatting.metric(value.value if value else None) if case.knee is None else place),
        "interval": _plain(formatting.interval(value.low, value.high)) if value else spread,
        "retention": ""
        if case.codec == CLEAN
        else _plain(changed if lookup.label_free(case.model) else formatting.percent(kept)),
        "bpp": _plain(formatting.rate(case.bpp, case.kbps)),
        "verdict": word.upper() if case.verdict in ("failed", "error", "crashed") else word,
    }


def _groups(lookup: Lookup) -> Iterable[list[CaseRow]]:
    """Give the rows of each (model, codec), clean first, mild to severe; clean alone if alone."""
    for cases in lookup.cases_of.values():
        clean = [case for case in cases if case.codec == CLEAN]
        labels = [label for label in dict.fromkeys(case.codec for case in cases) if label != CLEAN]
        if not labels:
            yield clean
        for label in labels:
            rows = [case for case in cases if case.codec == label]
            yield [*clean, *sorted(rows, key=lookup.turn)]


def _gate_lines(case: CaseRow, width: int) -> list[Line]:
    lines: list[Line] = []
    for gate in case.gates:
        text = (
            f"{verdict_word(gate.verdict)}: {formatting.gate_requirement(gate, ascii_only=True)}, "
            f"observed {formatting.gate_observed(gate)} ({gate.file}:{gate.line})"
        )
        lines += [(f"      {line}"[:width], _MARKUP[gate.verdict]) for line in _wrapped(text, max(width - 6, 1))]
    return lines


def _table(lookup: Lookup, cases: list[CaseRow], width: int, *, verbose: bool, few: bool) -> list[Line]:
    shown = cases if few else [case for case in cases if case.codec == CLEAN or case.verdict not in _QUIET]
    hidden = len(cases) - len(shown)
    model, codec, metric = cases[0].model, cases[-1].codec, cases[0].primary
    title = _plain(f"{model}, {codec}: {lookup.metric_title(model, metric)}")
    lines: list[Line] = [(_clipped(title, width), {"bold": True})]
    table = _fitted(
        [_head(metric, label_free=lookup.label_free(model)), *(_row(lookup, case) for case in shown)], width
    )
    lines.append((table[0], {"light": True}))
    for case, text in zip(shown, table[1:], strict=True):
        lines.append((text, _MARKUP[case.verdict]))
        if verbose:
            lines += _gate_lines(case, width)
    curve = lookup.curve(model, codec)
    if curve is not None and (words := curve_sentence(lookup, curve)):
        if curve.knee is not None and curve.knee.status != "resolved" and verbose and curve.knee.explanation:
            words = f"{words} {curve.knee.explanation}"
        lines += [(f"{_GAP}{line}"[:width], {}) for line in _wrapped(words, max(width - 2, 1))]
    if hidden:
        lines.append((_clipped(f"  {formatting.count(hidden, 'level')} passed or ungated, shown with -v", width), {}))
    return lines


def _skipped(lookup: Lookup, width: int) -> dict[str, list[str]]:
    """Models of which nothing ran since something is missing: name -> what it is, once instead of a table of dashes."""
    errors = {model.name: model.error for model in lookup.document.models if model.error is not None}
    found: dict[str, list[str]] = {}
    for name, error in errors.items():
        cases = lookup.cases_of.get(name, [])
        if cases and all(case.verdict == "not_run" and case.error for case in cases):
            reasons = "; ".join(line.strip() for line in error.splitlines() if line.strip())
            found[name] = _wrapped(f"{name}: skipped ({formatting.count(len(cases), 'case')}): {reasons}", width)
    return found


def _missed(lookup: Lookup, width: int, most: int = 12) -> list[Line]:
    """Name each gate that was not met with the line that sets it."""
    found = [problem for problem in misses(lookup) if problem.gate is not None]
    lines: list[Line] = []
    for problem in found[:most]:
        gate = problem.gate
        if gate is None:
            continue
        text = (
            f"{gate.file}:{gate.line}: {problem.case.model}, {lookup.case_name(problem.case)}: "
            f"{formatting.gate_requirement(gate, ascii_only=True)}, observed {formatting.gate_observed(gate)}"
        )
        lines += [(line, _MARKUP[gate.verdict]) for line in _wrapped(text, width)]
    if len(found) > most:
        lines.append((_clipped(f"{len(found) - most:,} more gates not met, shown with -v", width), {"red": True}))
    return lines


def _recovered(lookup: Lookup, width: int) -> list[Line]:
    """One line per retrained model and level that it was trained on."""
    lines: list[Line] = []
    for table in recovery_view(lookup).models:
        rows = [row for row in table.rows if row.trained_on]
        if rows:
            words = "; ".join(
                f"{lookup.level_name(row.codec, row.level)} {recovery_text(row)}, "
                f"naively {formatting.percent(row.naive.value)}"
                for row in rows
            )
            cost = recovery_points(table.cost)
            text = f"recovery by {table.model}, {table.metric}: {words}; costs {cost} on clean samples"
            lines += [(line, {}) for line in _wrapped(text, width)]
    return lines


def _changed(lookup: Lookup, width: int, most: int = 12) -> list[Line]:
    """What became of the baseline's numbers: every certain change, up to ``most``."""
    comparison = lookup.document.comparison
    if comparison is None:
        return []
    opening = f"baseline {comparison.reference}: {comparison_sentence(comparison)}"
    lines: list[Line] = [(line, {}) for line in _wrapped(opening, width)]
    certain = [row for row in change_rows(lookup, comparison) if row.change.verdict in ("worse", "better")]
    for row in certain[:most]:
        colour = (
            {"red": True}
            if row.change.failed
            else {"yellow": True}
            if row.change.verdict == "worse"
            else {"green": True}
        )
        text = f"{row.word}: {row.where}: {row.change.metric} {row.before} -> {row.after} ({row.relative})"
        lines += [(line, colour) for line in _wrapped(text, width)]
    if len(certain) > most:
        lines.append((f"and {len(certain) - most} more, listed in the report", {}))
    for text in comparison.differences:
        lines += [(line, {"yellow": True}) for line in _wrapped(f"also different: {text}", width)]
    return [*lines, ("", {})]


def _left_out(number: int, what: str, width: int) -> list[Line]:
    """Say how many more there are, and where."""
    if number <= 0:
        return []
    return [(_clipped(f"and {formatting.count(number, f'more {what}')}, shown with -v", width), {"yellow": True})]


def terminal_lines(document: ResultsDocument, width: int, *, verbose: bool) -> list[Line]:
    """Give the closing section of a run, lines of at most ``width`` characters.

    One table per (model, codec), clean first, then mild to severe. A narrow terminal loses intervals first,
    then the rate and the retention. Runs of many rows show only what needs attention, unless ``verbose``,
    which also lists every gate under its row.
    """
    width = max(width, 1)
    lookup = Lookup(document)
    top = headline(lookup, most=0)
    groups = list(_groups(lookup))
    few = verbose or len(document.cases) <= _ROWS
    lines: list[Line] = []
    skipped = _skipped(lookup, width)
    chosen = [
        cases
        for cases in groups
        if cases[0].model not in skipped and (few or any(case.verdict not in _QUIET for case in cases))
    ]
    shown = chosen if verbose else chosen[:_MOST]
    for cases in shown:
        lines += [*_table(lookup, cases, width, verbose=verbose, few=few), ("", {})]
    lines += _left_out(len(chosen) - len(shown), "table", width)
    lines += _recovered(lookup, width)
    lines += _changed(lookup, width)
    lines += [(line, _MARKUP["not_run"]) for reasons in skipped.values() for line in reasons]
    told = {f"{name}: could not be loaded" for name in skipped}
    errors = [group for group in error_groups(lookup) if group.cases or group.title not in told]
    for group in errors if verbose else errors[:_MOST]:
        count = formatting.count(len(group.cases), "case")
        first = next((line for line in group.message.splitlines() if line.strip()), "")
        text = f"{group.title} ({count}): {group.message if verbose else first}"
        lines += [(line, {"red": True}) for line in _wrapped(text, width)]
    lines += _left_out(0 if verbose else len(errors) - _MOST, "error", width)
    if not verbose:  # else every gate stands under its row
        lines += _missed(lookup, width)
    doubtful = inconclusive_rows(lookup)
    if doubtful:
        number = formatting.count(len(doubtful), "gate")
        text = f"{number} inconclusive: the interval lies on both sides of the limit"
        lines += [(line, {"yellow": True}) for line in _wrapped(text, width)]
    warnings = top.warnings if verbose else top.warnings[:_MOST]
    for text in (*top.cautions, *(f"warning: {text}" for text in warnings)):
        lines += [(line, {"yellow": True}) for line in _wrapped(text, width)]
    lines += _left_out(len(top.warnings) - len(warnings), "warning", width)
    lines += [(line, _HEADLINE[top.kind]) for line in _wrapped(top.text, width)]
    counts = ", ".join(f"{number:,} {verdict_word(verdict)}" for verdict, number in tally(lookup))
    lines += [(line, {}) for line in _wrapped(counts or "no cases", width)]
    return lines
