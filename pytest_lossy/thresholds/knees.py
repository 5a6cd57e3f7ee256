"""Judging where a knee lies: no milder than a level, whichever way the codec's level runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_lossy.results.document import GateResult, Knee
from pytest_lossy.thresholds.rules import Gate

__all__ = ["KneeLevels", "judge_knee"]


@dataclass(frozen=True, slots=True)
class KneeLevels:
    """Where a knee lies, in levels of its codec; ``-inf`` is beyond the mildest level tried, ``inf`` beyond the severest."""

    value: float
    """NaN where there is none."""
    mild: float
    """The mild end of its interval."""
    severe: float


def judge_knee(
    gate: Gate, knee: Knee, found: KneeLevels, *, tried: Sequence[float], higher_is_more_compressed: bool
) -> GateResult:
    """Compare a knee's interval with the level that it has to reach.

    Passed where the whole interval lies at or beyond that level, failed where all of it is milder. An end that lies beyond
    the levels tried decides only as far as they reach: a model that survives every level tried has the best knee there
    is, and passes if they include one at or beyond the required level.

    Args:
        gate: a bound ``no_milder_than``.
        knee: what is known of it.
        found: its place.
        tried: levels measured, mild to severe, at least one.
        higher_is_more_compressed: direction of the codec's level.
    """
    sign = 1 if higher_is_more_compressed else -1

    def meets(level: float) -> bool | None:
        if level == math.inf:
            return True if sign * tried[-1] >= sign * gate.limit else None
        if level == -math.inf:
            return False if sign * tried[0] <= sign * gate.limit else None
        return None if math.isnan(level) else sign * level >= sign * gate.limit

    verdict: Literal["passed", "failed", "inconclusive"] = "inconclusive"
    resolved = knee.status in ("resolved", "beyond_range")
    if resolved and meets(found.mild):
        verdict = "passed"
    elif resolved and meets(found.severe) is False:
        verdict = "failed"
    met = bool(meets(found.value))
    low, high = (found.mild, found.severe) if higher_is_more_compressed else (found.severe, found.mild)
    return GateResult(
        metric=gate.metric,
        bound=gate.bound,
        limit=gate.limit,
        quantity="knee",
        observed=_finite(found.value),
        low=_finite(low),
        high=_finite(high),
        required=gate.limit,
        comparison=">=" if higher_is_more_compressed else "<=",
        verdict=verdict,
        met=met,
        file=gate.file,
        line=gate.line,
        reason=knee.explanation
        if not resolved
        else _reason(gate, found, tried, sign)
        if verdict == "inconclusive"
        else "",
    )


def _reason(gate: Gate, found: KneeLevels, tried: Sequence[float], sign: int) -> str:
    if found.value == math.inf and sign * tried[-1] < sign * gate.limit:
        return (
            f"the knee lies beyond level {tried[-1]:g}, and nothing more severe was tried; try {gate.limit:g} as well"
        )
    if found.value == -math.inf and sign * tried[0] > sign * gate.limit:
        return f"the knee is milder than level {tried[0]:g}, and nothing milder was tried; try {gate.limit:g} as well"
    return ""


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
