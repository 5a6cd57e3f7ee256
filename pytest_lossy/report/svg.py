"""Scales, ticks and paths of the report's plots, in SVG units (y grows downwards); no markup."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = [
    "MARKERS",
    "LinearScale",
    "LogScale",
    "Scale",
    "area",
    "coordinate",
    "linear_ticks",
    "log_ticks",
    "nice_domain",
    "polyline",
    "runs",
    "thinned",
]

Point = tuple[float, float]
T = TypeVar("T")


class Scale(Protocol):
    """Maps a value of the data to a coordinate of the picture, strictly monotonically."""

    def __call__(self, value: float) -> float:
        """Give the coordinate of ``value``."""


@dataclass(frozen=True, slots=True)
class LinearScale:
    """``low`` lands on ``start`` and ``high`` on ``end``; ``low < high``; ``start`` may exceed ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.low / 2 < self.high / 2:  # the smallest numbers have no halves
            raise ValueError(f"a scale needs low < high, not {self.low!r} and {self.high!r}")

    def __call__(self, value: float) -> float:
        """Interpolate; values outside of the domain extrapolate."""
        # halves keep the difference of two huge numbers finite
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class LogScale:
    """As :class:`LinearScale` in the logarithm; values must be positive."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"a log scale needs 0 < low < high, not {self.low!r} and {self.high!r}")

    def __call__(self, value: float) -> float:
        """Interpolate the logarithm of ``value``."""
        low, high = math.log10(self.low), math.log10(self.high)
        return self.start + (math.log10(value) - low) / (high - low) * (self.end - self.start)


def _step(span: float, target: int) -> float:
    """Give the 1, 2 or 5 times a power of ten that cuts ``span`` into about ``target`` parts."""
    rough = span / max(target, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0):
        if rough <= factor * power * 1.0000001:
            return factor * power
    return 10.0 * power


def _multiples(low: float, high: float, step: float) -> list[float]:
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # rounding turns 3 * 0.1 into 0.3; the ends are clamped because it may also step over them
    values = (round(index * step, digits) + 0.0 for index in range(first, last + 1))
    return sorted({min(max(value, low), high) for value in values})


def linear_ticks(low: float, high: float, target: int = 5) -> list[float]:
    """Give round values in [low, high], rising, about ``target``; ``[low]`` for an empty range."""
    if not low < high or not math.isfinite(high - low):
        return [low]
    span = high - low
    if span < 1e-12 * max(abs(low), abs(high)) or span < 1e-200:
        return [low, high]
    return _multiples(low, high, _step(span, target)) or [low, high]


def log_ticks(low: float, high: float) -> list[float]:
    """Give 1, 2 and 5 times powers of ten in [low, high], rising; powers alone where they suffice."""
    if not 0 < low < high:
        return [low]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def within(factors: tuple[int, ...]) -> list[float]:
        values = [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in factors]
        return [value for value in values if low <= value <= high]

    powers = within((1,))
    if len(powers) >= 4:
        return powers[:: math.ceil(len(powers) / 8)]
    fine = within((1, 2, 5))
    return fine if len(fine) >= 2 else linear_ticks(low, high, 3)


def nice_domain(values: Iterable[float], target: int = 5) -> tuple[float, float]:
    """Widen the range of ``values`` to round numbers; zero joins where it is near, compared with the range.

    Never empty: a single value gets room on both sides.
    """
    found = list(values)
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    if 0 < low <= 0.5 * high:
        low = 0.0
    elif 0.5 * low <= high < 0:
        high = 0.0
    # differences under a thousandth of the size are noise that a full-height axis would turn into cliffs
    room = max(1e-3 * max(abs(low), abs(high)), 1e-9)
    if high - low < room:
        middle = low / 2 + high / 2
        low, high = middle - room, middle + room
    step = _step(high - low, target)
    if not math.isfinite(step):
        return low, high
    digits = max(0, 1 - math.floor(math.log10(step)))
    nice_low = round(math.floor(low / step + 1e-9) * step, digits) + 0.0
    nice_high = round(math.ceil(high / step - 1e-9) * step, digits) + 0.0
    return min(nice_low, low), max(nice_high, high)


def thinned(positions: Sequence[float], gap: float) -> list[int]:
    """Choose indices whose positions keep ``gap`` apart; both ends stay if they fit. ``positions`` rise."""
    if not positions:
        return []
    kept = [0]
    for index in range(1, len(positions)):
        if positions[index] - positions[kept[-1]] >= gap:
            kept.append(index)
    last = len(positions) - 1
    if kept[-1] != last:
        while len(kept) > 1 and positions[last] - positions[kept[-1]] < gap:
            kept.pop()
        if positions[last] - positions[kept[-1]] >= gap:
            kept.append(last)
    return kept


def coordinate(value: float) -> str:
    """Print a coordinate with at most two decimals: a hundredth of a pixel, and half of the file's size."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def polyline(points: Sequence[Point]) -> str:
    """Give the path through ``points``; empty for fewer than two."""
    if len(points) < 2:
        return ""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)


def area(upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """Give the closed path between two lines over the same x; empty for fewer than two points."""
    outline = polyline([*upper, *reversed(lower)])
    return f"{outline}Z" if len(upper) > 1 and outline else ""


def runs(items: Iterable[T], keep: Callable[[T], bool]) -> list[list[T]]:
    """Cut ``items`` into the longest stretches that satisfy ``keep``: no line bridges a missing point."""
    found: list[list[T]] = []
    fresh = True
    for item in items:
        if not keep(item):
            fresh = True
            continue
        if fresh:
            found.append([])
            fresh = False
        found[-1].append(item)
    return found


MARKERS = {
    "passed": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
    "failed": "M-4.9-2.9-2.9-4.9 0-2 2.9-4.9 4.9-2.9 2 0 4.9 2.9 2.9 4.9 0 2-2.9 4.9-4.9 2.9-2 0Z",
    "inconclusive": "M0-5.4 5.2 4H-5.2Z",
    "ungated": "M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0-7.6 0Z",
    "error": "M-4.2-4.2H4.2V4.2H-4.2Z",
    "crashed": "M0-5.6 5.6 0 0 5.6-5.6 0Z",
    "not_run": "M-5-1.2H5V1.2H-5Z",
}
"""One outline per verdict, about 11 units wide around the origin: shapes tell them apart without colour."""
