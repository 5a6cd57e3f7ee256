"""The best codec and level under a budget of bits: a choice among the levels measured, nothing between them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_lossy.results.document import Curve, CurvePoint

__all__ = ["Budget", "Choice", "budgets_for", "choices", "parse_budgets"]

Unit = Literal["bpp", "kbps"]

_WRITTEN = re.compile(r"(?P<value>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>bpp|kbps|kbit/s)", re.IGNORECASE)
_MOST = {"bpp": 4, "kbps": 3}
"""Budgets chosen for a run, by unit."""


@dataclass(frozen=True, slots=True, order=True)
class Budget:
    """A bound on the rate."""

    unit: Unit
    value: float
    """Bits per pixel, or kbit/s of whole clips."""

    def rate(self, point: CurvePoint) -> float | None:
        """The rate of a level in the budget's unit; None where it is unknown."""
        return point.bpp if self.unit == "bpp" else point.kbps


@dataclass(frozen=True, slots=True)
class Choice:
    """A level that fits a budget."""

    curve: Curve
    point: CurvePoint
    safe: bool | None
    """Whether it is no more compressed than the curve's operating limit; None where there is no limit to compare with."""


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """Read ``0.5bpp,300kbps``: numbers with units, separated by commas.

    Raises:
        ValueError: a part has no known unit, or its number is not positive and finite; the message says what to write.
    """
    found = []
    for part in text.split(","):
        match = _WRITTEN.fullmatch(part.strip())
        value = float(match["value"]) if match else 0.0
        if match is None or value <= 0 or not math.isfinite(value):
            raise ValueError(f"{part.strip()!r} is no budget; write a number with its unit, such as 0.5bpp or 300kbps")
        found.append(Budget("bpp" if match["unit"].lower() == "bpp" else "kbps", value))
    return tuple(dict.fromkeys(found))


def budgets_for(curves: Iterable[Curve]) -> tuple[Budget, ...]:
    """Round budgets within the rates of a run: powers of two in bits per pixel, 1, 2 and 5 times powers of ten in kbit/s.

    At most four and three of them, spread over the range; where the range holds no round number, the next above it.
    """
    points = [point for curve in curves for point in curve.points]
    pixels = [point.bpp for point in points if point.bpp]
    seconds = [point.kbps for point in points if point.kbps]
    found: list[Budget] = []
    if pixels:
        exponents = range(math.floor(math.log2(min(pixels))), math.ceil(math.log2(max(pixels))) + 1)
        found += _within("bpp", [2.0**exponent for exponent in exponents], pixels)
    if seconds:
        decades = range(math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds))) + 1)
        found += _within("kbps", [step * 10.0**decade for decade in decades for step in (1, 2, 5)], seconds)
    return tuple(found)


def _within(unit: Unit, ladder: Sequence[float], rates: Sequence[float]) -> list[Budget]:
    inside = [value for value in ladder if min(rates) <= value <= max(rates)]
    if not inside:
        inside = [value for value in ladder if value > max(rates)][:1]
    count = min(len(inside), _MOST[unit])
    # The ends are kept; what lies between is thinned out evenly.
    chosen = [inside[round(index * (len(inside) - 1) / max(count - 1, 1))] for index in range(count)]
    return [Budget(unit, value) for value in dict.fromkeys(chosen)]


def choices(
    curves: Iterable[Curve], budget: Budget, *, higher_is_better: bool, severity: Callable[[str, float], float]
) -> list[Choice]:
    """The best affordable level of each curve, the best curve first.

    Sorted by the worse end of the metric's interval, not by its point: the best of many points owes part of its lead to
    chance. Where two levels are equal, the one of fewer bits is better.

    Args:
        curves: of one model and one metric.
        budget: an upper bound, itself included.
        higher_is_better: of the metric.
        severity: of codec and level: a number that grows with compression.
    """

    def rank(choice: Choice) -> tuple[float, float]:
        value = choice.point.metric
        end = value.low if higher_is_better else value.high
        bound = value.value if end is None else end
        worth = 0.0 if bound is None else bound
        return (-worth if higher_is_better else worth), budget.rate(choice.point) or 0.0

    best = []
    for curve in curves:
        affordable = [
            Choice(curve, point, _safe(curve, point, severity))
            for point in curve.points
            if point.metric.value is not None and (rate := budget.rate(point)) is not None and rate <= budget.value
        ]
        if affordable:
            best.append(min(affordable, key=rank))
    return sorted(best, key=rank)


def _safe(curve: Curve, point: CurvePoint, severity: Callable[[str, float], float]) -> bool | None:
    limit = curve.limit
    if limit is None or limit.status == "undefined":
        return None
    if limit.level is None:
        return False
    return severity(curve.codec, point.level) <= severity(curve.codec, limit.level)
