"""The search for a knee and an operating limit: which level of a codec to evaluate next, and when no further one helps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LIMIT_TESTS", "LevelScale", "Reading", "search"]

_CELLS = 100
"""A bracket narrower than this part of the way from the mildest to the most severe level is not halved again."""

LIMIT_TESTS = math.ceil(math.log2(_CELLS))
"""Levels that one bisection may ask whether they are safe. A walk over levels that were fixed beforehand needs no correction
for how many they are; one over levels that were chosen by earlier answers does (Bonferroni), since each is another chance
to take an unsafe level for safe."""

_MOST = 2 * LIMIT_TESTS + 2
"""Evaluations: both ends, and one bisection for the knee and one for the limit. Only noise could ask for more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the curve through all levels evaluated so far says; one entry for each of them, mild to severe."""

    above: Sequence[bool | None]
    """Whether the isotonic retention is at least ``1 - tolerance``; None where it is undefined."""
    safe: Sequence[bool]
    """Whether the level, and every milder one of them, is shown to be safe."""
    interval: tuple[float, float] | None = None
    """Mild and severe end of the knee's interval as levels, infinite beyond the levels tried; None unless it is resolved."""


@dataclass(frozen=True, slots=True)
class LevelScale:
    """The scale on which a bracket is halved: halfway between two levels is halfway along the list of levels.

    So the list says where levels matter: bit rates of 4000, 2000, ..., 125 kbit/s are halved by their ratio, and JPEG's
    qualities 95, 75, 50, 30, 15, 10, 5 more finely where they are low. Two levels alone are halved by their difference.
    """

    levels: tuple[float, ...]
    """Mild to severe, two or more."""
    integral: bool
    """Whether the codec has whole levels only."""

    def place(self, level: float) -> float:
        """The fractional index of a level."""
        return float(np.interp(self._sign * level, [self._sign * one for one in self.levels], range(len(self.levels))))

    def level(self, place: float) -> float:
        """The level at a fractional index."""
        return float(np.interp(place, range(len(self.levels)), self.levels))

    @property
    def _sign(self) -> int:
        return 1 if self.levels[-1] > self.levels[0] else -1

    def between(self, mild: float, severe: float) -> float | None:
        """A level about halfway, in as few digits as the resolution needs; None where the two are near enough."""
        first, last = self.place(mild), self.place(severe)
        cell = (len(self.levels) - 1) / _CELLS
        if last - first <= cell * (1 + 1e-9):
            return None
        middle = (first + last) / 2
        size = abs(self.level(middle + cell / 2) - self.level(middle - cell / 2))
        exponent = math.floor(math.log10(size))
        least, most = sorted((mild, severe))
        for digits in range(-exponent, 3 - exponent):
            level = round(self.level(middle), max(digits, 0) if not self.integral else min(digits, 0))
            if least < level < most:
                return level
        # Whole levels around a place that lies near one end of the bracket.
        return mild + self._sign if self.integral and most - least > 1 else None


def search(evaluate: Callable[[tuple[float, ...]], Reading], scale: LevelScale) -> tuple[float, ...]:
    """Find between which two neighbouring levels a curve crosses the line, and where its safe levels end.

    Both ends come first. A curve that is above the line at the severe end, or below it at the mild end, has no crossing in
    between, if it falls; the isotonic fit says which of two levels that contradict each other to believe. Else the bracket
    is halved until it is as narrow as the scale resolves, or until the knee's interval covers it: then the data cannot tell
    either end of the bracket from the line, and halving it again would choose between levels that are as good. Then the
    last safe level and the first one not shown to be safe are brought together in the same way; most of the levels that
    this needs are there.

    Args:
        evaluate: called with all levels so far, mild to severe, one more each time (two the first time); evaluates what is
            new and reads the curve.
        scale: its ends are where the search begins and ends.

    Returns:
        The levels in the order of their evaluation: at most ``log2(min(range, 100)) + 2`` for the knee of a falling curve,
        and never more than 16.
    """
    order = [scale.levels[0], scale.levels[-1]]
    while True:
        tried = tuple(sorted(order, key=scale.place))
        reading = evaluate(tried)
        level = _next(tried, reading, scale)
        if level is None or level in tried or len(order) >= _MOST:
            return tuple(order)
        order.append(level)


def _next(tried: tuple[float, ...], reading: Reading, scale: LevelScale) -> float | None:
    bracket = _crossing(tried, reading.above)
    if bracket is not None and not _covered(bracket, reading.interval, scale):
        level = scale.between(*bracket)
        if level is not None:
            return level
    unsafe = next((index for index, safe in enumerate(reading.safe) if not safe), 0)
    return scale.between(tried[unsafe - 1], tried[unsafe]) if unsafe else None


def _crossing(tried: tuple[float, ...], above: Sequence[bool | None]) -> tuple[float, float] | None:
    known = [(level, side) for level, side in zip(tried, above, strict=True) if side is not None]
    first_below = bisect_left([not side for _, side in known], True)
    return (known[first_below - 1][0], known[first_below][0]) if 0 < first_below < len(known) else None


def _covered(bracket: tuple[float, float], interval: tuple[float, float] | None, scale: LevelScale) -> bool:
    """Whether the interval reaches beyond both ends of the bracket."""
    if interval is None:
        return False
    mild, severe = (end if math.isinf(end) else scale.place(end) for end in interval)
    return mild < scale.place(bracket[0]) and severe > scale.place(bracket[1])
