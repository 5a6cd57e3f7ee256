"""How every report prints a number: one function per quantity, so that two tables never disagree.

Undefined values print as an en dash (:data:`ABSENT`), never as ``None``, ``nan`` or an empty cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from pytest_lossy.results.document import Estimate, GateResult, MetricValue

__all__ = [
    "ABSENT",
    "bits_per_pixel",
    "count",
    "decibels",
    "duration",
    "gate_limit",
    "gate_observed",
    "gate_requirement",
    "interval",
    "knee_level",
    "level",
    "metric",
    "moment",
    "percent",
    "position",
    "quantity",
    "rate",
    "retention",
    "signed",
    "with_interval",
]

ABSENT = "–"  # noqa: RUF001 - an en dash is meant
"""Printed where a number is undefined."""

Formatter = Callable[[float | None], str]


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    # "-0.000" reads as a small loss where there is none
    return text.lstrip("-") if float(text) == 0 else text


def metric(value: float | None) -> str:
    """Print a metric with three decimals; exponents only where those would mislead."""
    if value is None:
        return ABSENT
    if value != 0 and (abs(value) < 5e-4 or abs(value) >= 1e6):
        return f"{value:.2e}"
    return _fixed(value, 3)


def signed(value: float | None) -> str:
    """Print a loss: like :func:`metric`, with a plus sign where it is worse than clean."""
    text = metric(value)
    return f"+{text}" if value is not None and value > 0 and text != "0.000" else text


def percent(value: float | None) -> str:
    """Print a share with one decimal, ``0.973`` as ``97.3%``."""
    if value is None:
        return ABSENT
    if abs(value) >= 1e4:
        return f"{value * 100:.1e}%"
    return f"{_fixed(value * 100, 1)}%"


retention: Formatter = percent


def bits_per_pixel(value: float | None) -> str:
    """Print a rate with three significant digits and no exponent in the range of real codecs."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e4:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def rate(bpp: float | None, kbps: float | None) -> str:
    """Print bits per pixel, and the achieved bit rate of clips, ``0.31, 843 kbit/s``."""
    bits = bits_per_pixel(bpp)
    return bits if kbps is None else f"{bits}, {kbps:,.0f} kbit/s"


def decibels(value: float | None) -> str:
    """Print a PSNR with one decimal; its unit stands in the table's header."""
    return ABSENT if value is None else _fixed(value, 1)


def level(value: float | None) -> str:
    """Print a codec level as node ids do."""
    return ABSENT if value is None else f"{value:g}"


def position(value: float | None) -> str:
    """Print a place between levels with three significant digits and no exponent, ``17.3`` or ``843``."""
    if value is None:
        return ABSENT
    if value == 0 or not 1e-4 <= abs(value) < 1e15:
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float | None) -> str:
    """Print a time with two units at most, ``3725`` as ``1 h 2 min``."""
    if seconds is None:
        return ABSENT
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def moment(stamp: str) -> str:
    """Print an ISO 8601 time to the minute, ``2025-03-02 09:30 UTC``; anything else as it stands."""
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(UTC)
    return f"{parsed:%Y-%m-%d %H:%M} UTC"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Print a count with its noun, ``1 case`` or ``1,200 cases``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def interval(low: float | None, high: float | None, form: Formatter = metric) -> str:
    """Print an interval in brackets; empty where both ends are undefined."""
    if low is None and high is None:
        return ""
    return f"[{form(low)}, {form(high)}]"


def with_interval(value: float | None, low: float | None, high: float | None, form: Formatter = metric) -> str:
    """Print ``0.612 [0.587, 0.640]``, or the value alone where it has no interval."""
    return f"{form(value)} {interval(low, high, form)}".rstrip()


def quantity(value: MetricValue) -> str:
    """Print a metric's value with its interval."""
    return with_interval(value.value, value.low, value.high)


def knee_level(place: Estimate, name: str = "") -> str:
    """Print where a knee lies, ``q17.3 [14.9, 20.1]``; an end beyond the levels tried is ``beyond``."""
    return f"{name}{position(place.value)} {_knee_ends(place)}".rstrip()


def _knee_ends(place: Estimate) -> str:
    ends = ["beyond" if end is None else position(end) for end in (place.low, place.high)]
    return "" if place.low is None and place.high is None else f"[{ends[0]}, {ends[1]}]"


def _gate_form(gate: GateResult) -> Formatter:
    return {"retention": percent, "knee": position}.get(gate.quantity, metric)


def gate_requirement(gate: GateResult, *, ascii_only: bool = False) -> str:
    """Print what a gate asks for in the units it compares, ``miou retention ≥ 98.0%``."""
    sign = gate.comparison if ascii_only else {">=": "≥", "<=": "≤"}[gate.comparison]
    subject = gate.metric if gate.quantity == "value" else f"{gate.metric} {gate.quantity}"
    if gate.quantity == "knee":
        subject = f"knee of {gate.metric}"
    return f"{subject} {sign} {_gate_form(gate)(gate.required)}"


def gate_limit(gate: GateResult) -> str:
    """Print the bound as thresholds.yaml has it, ``max_drop: 2%``."""
    limit = f"{gate.limit * 100:.6g}%" if gate.bound == "max_drop" else f"{gate.limit:.6g}"
    return f"{gate.bound}: {limit}"


def gate_observed(gate: GateResult) -> str:
    """Print what was measured, in the same units as :func:`gate_requirement`."""
    if gate.quantity == "knee":
        place = Estimate(value=gate.observed, low=gate.low, high=gate.high)
        if gate.observed is None and (gate.met or gate.verdict == "failed"):
            return f"beyond the levels tried {_knee_ends(place)}".rstrip()
        return knee_level(place)
    return with_interval(gate.observed, gate.low, gate.high, _gate_form(gate))
