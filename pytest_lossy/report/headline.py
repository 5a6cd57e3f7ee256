"""The outcome of a run in words: what a reader must know before any table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_lossy.report.formatting import count
from pytest_lossy.report.lookup import CLEAN, VERDICTS, Lookup
from pytest_lossy.results.document import CaseRow, GateResult, Verdict

__all__ = ["Headline", "Problem", "attention", "headline", "inconclusive_rows", "misses", "tally"]

Kind = Literal["passed", "failed", "inconclusive", "ungated", "not_run"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The first lines of every report."""

    kind: Kind
    """Chooses the icon and colour; ``text`` says the same in words."""
    text: str
    details: tuple[str, ...]
    """Sentences that complete ``text``, plain text of ours and names from the document."""
    cautions: tuple[str, ...]
    """What limits the numbers: smoke run, interruption; and the next action for cases without a gate."""
    warnings: tuple[str, ...]
    """The run's own warnings, verbatim."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a table of misses: a case with the gate that was missed, or without one."""

    case: CaseRow
    gate: GateResult | None
    """None where the case failed without a missed gate: ``--lossy-strict`` or ``inconclusive: fail``."""


def tally(lookup: Lookup) -> list[tuple[Verdict, int]]:
    """Count the verdicts, worst first, without zeros."""
    counts = lookup.document.run.counts
    return [(verdict, counts[verdict]) for verdict in VERDICTS if counts.get(verdict, 0)]


def attention(lookup: Lookup) -> list[CaseRow]:
    """Give the rows that made or would make a run fail, worst first, without those that never ran."""
    rows = [
        case
        for case in lookup.document.cases
        if case.verdict in ("failed", "error", "crashed") or (case.outcome == "failed" and case.verdict != "not_run")
    ]
    return sorted(rows, key=lambda case: VERDICTS.index(case.verdict))


def misses(lookup: Lookup) -> list[Problem]:
    """Give one entry per missed gate of the failing rows, without errors and crashes."""
    found: list[Problem] = []
    for case in attention(lookup):
        if case.verdict in ("error", "crashed"):
            continue
        # a case that failed because an inconclusive gate counts as a miss shows that gate
        wanted = ("failed",) if case.verdict == "failed" else ("failed", "inconclusive")
        missed = [gate for gate in case.gates if gate.verdict in wanted]
        found += [Problem(case, gate) for gate in missed] or [Problem(case, None)]
    return found


def inconclusive_rows(lookup: Lookup) -> list[Problem]:
    """Give the inconclusive gates of rows that are not already among :func:`misses`."""
    found: list[Problem] = []
    for case in lookup.document.cases:
        if case.verdict != "inconclusive" or case.outcome == "failed":
            continue
        straddling = [gate for gate in case.gates if gate.verdict == "inconclusive"]
        found += [Problem(case, gate) for gate in straddling] or [Problem(case, None)]
    return found


def _listed(words: list[str], most: int = 8) -> str:
    shown = words if len(words) <= most else [*words[: most - 1], f"{len(words) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _what_failed(lookup: Lookup, most: int) -> list[str]:
    groups: dict[tuple[str, str, Verdict], list[CaseRow]] = {}
    for case in attention(lookup):
        groups.setdefault((case.model, case.codec, case.verdict), []).append(case)
    lines = []
    for (model, codec, verdict), cases in groups.items():
        word = "crashed" if verdict == "crashed" else "error" if verdict == "error" else "failed"
        if verdict in ("inconclusive", "ungated"):
            word += f" ({verdict})"
        ordered = sorted(cases, key=lookup.turn)
        names = [lookup.case_level(case) for case in ordered]
        where = "" if codec == CLEAN else f" at {_listed(names)}"
        lines.append(f"{model}, {codec}: {word}{where}")
    if len(lines) > most:
        lines = [*lines[:most], f"and {count(len(lines) - most, 'more group')} of cases, listed below"]
    return lines


def _kind_and_text(lookup: Lookup) -> tuple[Kind, str]:
    run = lookup.document.run
    counts = {verdict: run.counts.get(verdict, 0) for verdict in VERDICTS}
    total = sum(counts.values())
    words = {"failed": "missed a gate", "error": "in error", "crashed": "crashed"}
    bad = [f"{count(counts[verdict], 'case')} {words[verdict]}" for verdict in VERDICTS[:3] if counts[verdict]]
    unproven = ("inconclusive", "ungated")
    by_outcome = sum(case.outcome == "failed" and case.verdict in unproven for case in lookup.document.cases)
    if by_outcome:
        bad.append(f"{count(by_outcome, 'case')} not shown to meet {'one' if bad else 'a gate'}")
    if bad:
        return "failed", f"Failed: {_listed(bad)}, of {total:,}"
    skipped = [case for case in lookup.document.cases if case.verdict == "not_run" and case.error]
    optional = {case.model for case in skipped}  # `requires: optional`: missing data or weights skip
    broken = sum(model.error is not None and model.name not in optional for model in lookup.document.models)
    if broken:
        return "failed", f"Failed: {count(broken, 'model')} could not be loaded"
    if run.exit_status not in (0, 1, 2, 5):
        return "failed", f"Failed: pytest ended with exit status {run.exit_status}"
    if total and len(skipped) == total:
        return (
            "not_run",
            f"Nothing was tested: all {count(total, 'case')} were skipped, for data or weights are missing",
        )
    if run.status == "interrupted" or counts["not_run"] > len(skipped):
        return "not_run", f"Incomplete: {count(counts['not_run'], 'case')} did not run, of {total:,}"
    if not total:
        return "not_run", "Nothing was tested: no case ran"
    if run.exit_status not in (0, 5):
        return (
            "failed",
            f"Failed: pytest ended with exit status {run.exit_status}, though no case here failed",
        )
    if counts["inconclusive"]:
        text = f"No gate failed, {count(counts['inconclusive'], 'case')} inconclusive, of {total:,}"
        return "inconclusive", text
    if counts["ungated"] == total:
        return "ungated", f"Measured, not judged: {count(total, 'case')} without a gate"
    gated = count(counts["passed"], "gated case")
    return "passed", f"Passed: all {gated}" if counts["passed"] > 1 else f"Passed: {gated}"


def headline(lookup: Lookup, *, most: int = 6) -> Headline:
    """Put the outcome of the run in words; at most ``most`` groups of failing cases are named."""
    run = lookup.document.run
    kind, text = _kind_and_text(lookup)
    cautions = []
    if run.samples_limit is not None:
        cautions.append(
            f"Smoke run: only the first {count(run.samples_limit, 'sample')} of each data set were evaluated "
            f"(--lossy-samples={run.samples_limit}). These numbers are not a measurement of the models."
        )
    if run.status == "interrupted":
        cautions.append("The run was interrupted: what follows covers the cases that finished before that.")
    skipped = {case.model for case in lookup.document.cases if case.verdict == "not_run" and case.error}
    if skipped and len(skipped) < len(lookup.model_names):
        cautions.append(f"{count(len(skipped), 'model was', 'models were')} skipped, for data or weights are missing.")
    ungated = run.counts.get("ungated", 0)
    if ungated:
        cautions.append(
            f"{count(ungated, 'case has', 'cases have')} no gate: add one to thresholds.yaml, below the lower end of the "
            "interval measured here."
        )
    return Headline(kind, text, tuple(_what_failed(lookup, most)), tuple(cautions), tuple(run.warnings))
