"""A run beside its baseline: what changed, worst first, in words that every report shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_lossy.report import formatting
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import CaseChange, Comparison, KneeMove

__all__ = ["ChangeRow", "change_rows", "comparison_sentence", "comparison_verdict", "move_text", "power_text"]

_ORDER = ("worse", "better", "not_compared", "unchanged")
_KNEE_WORDS = {"not_resolved": "not resolved", "beyond_range": "beyond the levels tried", "undefined": "undefined"}

Tone = Literal["failed", "inconclusive", "passed", "ungated"]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One case, in words."""

    change: CaseChange
    tone: Tone
    word: str
    where: str
    """Model, codec and level."""
    before: str
    after: str
    difference: str
    """With its interval."""
    relative: str
    p: str
    """With the allowance for all compared cases."""


def comparison_verdict(change: CaseChange) -> tuple[Tone, str]:
    """A tone of the verdicts' closed list, and the word for it."""
    if change.verdict == "worse":
        return ("failed", "worse, fails") if change.failed else ("inconclusive", "worse")
    return ("passed", "better") if change.verdict == "better" else ("ungated", change.verdict.replace("_", " "))


def change_rows(lookup: Lookup, comparison: Comparison) -> list[ChangeRow]:
    """Every change: losses that are certain first, the largest share of the metric first among equals."""
    ordered = sorted(
        comparison.changes,
        key=lambda change: (not change.failed, _ORDER.index(change.verdict), change.relative or 0.0, change.case),
    )
    rows = []
    for change in ordered:
        tone, word = comparison_verdict(change)
        level = "" if change.level is None else f" {lookup.level_name(change.codec, change.level)}"
        interval = formatting.interval(change.change.low, change.change.high, formatting.signed)
        rows.append(
            ChangeRow(
                change,
                tone,
                word,
                f"{change.model}, {change.codec}{level}",
                formatting.metric(change.before),
                formatting.metric(change.after),
                f"{formatting.signed(change.change.value)} {interval}".rstrip(),
                formatting.percent(change.relative),
                formatting.metric(change.p_adjusted),
            )
        )
    return rows


def comparison_sentence(comparison: Comparison) -> str:
    """The outcome in one sentence, without names from the document."""
    counts = {verdict: sum(change.verdict == verdict for change in comparison.changes) for verdict in _ORDER}
    failed = sum(change.failed for change in comparison.changes)
    parts = [
        f"{counts['worse']} worse",
        f"{counts['better']} better",
        f"{counts['unchanged']} without a certain change",
    ]
    if counts["not_compared"]:
        parts.append(f"{counts['not_compared']} that cannot be compared")
    rule = f"; {failed} of them worse than the rule allows" if failed else ""
    return (
        f"{formatting.count(len(comparison.changes), 'case')} compared: {', '.join(parts)}{rule}. A change is certain where "
        f"chance would call one in {round(1 / comparison.alpha)} such comparisons changed, all cases taken together"
    )


def power_text(comparison: Comparison) -> str | None:
    """What loss this comparison could have seen, and how many samples smaller ones take: of the median case."""
    known = sorted(
        (change for change in comparison.changes if change.samples_for and change.detectable and change.before),
        key=lambda change: (change.detectable or 0.0) / abs(change.before or 1.0),
    )
    if not known:
        return None
    middle = known[len(known) // 2]
    share = (middle.detectable or 0.0) / abs(middle.before or 1.0)
    needed = ", ".join(f"{loss} about {count:,}" for loss, count in middle.samples_for.items())
    return (
        f"In the median case a loss of {formatting.percent(share)} of the metric is found with 80% power; independent "
        f"samples needed to see a loss of {needed}"
    )


def move_text(lookup: Lookup, move: KneeMove) -> str:
    """Where a knee and a limit were and are."""

    def knee(level: float | None, status: str) -> str:
        if level is not None:
            return lookup.level_name(move.codec, round(level, 1))
        return _KNEE_WORDS.get(status, status)

    def limit(level: float | None) -> str:
        return "none" if level is None else lookup.level_name(move.codec, level)

    return (
        f"knee {knee(move.knee_before, move.status_before)} -> {knee(move.knee_after, move.status_after)}, "
        f"limit {limit(move.limit_before)} -> {limit(move.limit_after)}"
    )
