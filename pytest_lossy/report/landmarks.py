"""What analysis adds to a plot: the simultaneous band, the isotonic fit, knee and operating limit, as coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_lossy.report import formatting, svg
from pytest_lossy.report.curve_words import knee_interval
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import Curve, CurvePoint, Estimate

__all__ = [
    "Axis",
    "KneeMark",
    "LimitMark",
    "Tolerance",
    "band_edges",
    "fit_lines",
    "knee_mark",
    "limit_mark",
    "tolerance_line",
]

_CHARACTER = 6.4
"""Width of a character of the plots' labels, in SVG units, taken wide."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis of one plot."""

    kind: Literal["level", "bpp"]
    at: Callable[[float], float]
    """From a level, or from bits per pixel, to the coordinate."""
    left: float
    right: float

    def inside(self, value: float) -> float:
        """Give the coordinate of ``value``, held within the frame; no bits at all lie at the severe end."""
        if self.kind == "bpp" and value <= 0:
            return self.right
        return min(max(self.at(value), self.left), self.right)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The retention whose crossing is the knee."""

    y: str
    text: str


@dataclass(frozen=True, slots=True)
class KneeMark:
    """The knee and its interval, at the height of the tolerance."""

    x: str
    y: str
    interval: tuple[str, str] | None
    """From left to right; an end that no replicate closed lies on the frame."""
    closed: tuple[bool, bool]
    """Whether the left and the right end are known."""
    label: str
    label_x: str
    text: str
    value: float


@dataclass(frozen=True, slots=True)
class LimitMark:
    """The operating limit: every milder level that was tried is shown to be safe."""

    x: str
    label: str
    label_x: str
    text: str
    value: float


def _label_x(label: str, across: float, axis: Axis) -> str:
    half = len(label) * _CHARACTER / 2
    return svg.coordinate(min(max(across, axis.left + half), max(axis.right - half, axis.left + half)))


def _metric_at(lookup: Lookup, curve: Curve, retention: float | None) -> float | None:
    return None if retention is None else lookup.retention_in_metric_units(curve, retention)


def band_edges(
    lookup: Lookup,
    curve: Curve,
    points: Sequence[CurvePoint],
    across: Callable[[CurvePoint], float],
    down: Callable[[float], float],
) -> list[str]:
    """Outline the simultaneous band of retention in the metric's units: one path for each stretch that has it."""

    def ends(point: CurvePoint) -> tuple[float, float] | None:
        low, high = (_metric_at(lookup, curve, end) for end in (point.band_low, point.band_high))
        return None if low is None or high is None else (low, high)

    outlines = []
    for stretch in svg.runs(points, lambda point: ends(point) is not None):
        pairs = [(across(point), found) for point in stretch if (found := ends(point))]
        upper = [(x, down(high)) for x, (_, high) in pairs]
        lower = [(x, down(low)) for x, (low, _) in pairs]
        if len(pairs) == 1:  # a lone level: its ends, as wide as a marker
            (x, (low, high)) = pairs[0]
            outlines += [svg.polyline([(x - 5, down(end)), (x + 5, down(end))]) for end in (low, high)]
        else:
            outlines += [svg.polyline(upper), svg.polyline(lower)]
    return outlines


def fit_lines(
    lookup: Lookup,
    curve: Curve,
    points: Sequence[CurvePoint],
    across: Callable[[CurvePoint], float],
    down: Callable[[float], float],
) -> list[str]:
    """Draw the isotonic fit in the metric's units; no line bridges a level without it."""
    fitted = [(point, _metric_at(lookup, curve, point.isotonic)) for point in points]
    stretches = svg.runs(fitted, lambda pair: pair[1] is not None)
    return [
        line
        for stretch in stretches
        if (line := svg.polyline([(across(point), down(value)) for point, value in stretch if value is not None]))
    ]


def tolerance_line(lookup: Lookup, curve: Curve, down: Callable[[float], float]) -> Tolerance | None:
    """Place the retention that the knee crosses; None where there is no knee to speak of."""
    if curve.knee is None or curve.knee.status == "undefined":
        return None
    value = _metric_at(lookup, curve, 1 - curve.knee.tolerance)
    if value is None:
        return None
    share = formatting.percent(1 - curve.knee.tolerance).replace(".0%", "%")
    return Tolerance(svg.coordinate(down(value)), f"{share} retained: {curve.metric} {formatting.metric(value)}")


def knee_mark(lookup: Lookup, curve: Curve, axis: Axis, down: Callable[[float], float]) -> KneeMark | None:
    """Place the knee; None unless it is resolved and has a place on this axis."""
    knee = curve.knee
    if knee is None or knee.position is None:
        return None
    place: Estimate | None = knee.position.level if axis.kind == "level" else knee.position.bpp
    height = _metric_at(lookup, curve, 1 - knee.tolerance)
    if place is None or place.value is None or height is None:
        return None
    across = axis.inside(place.value)
    ends: tuple[str, str] | None = None
    closed = (False, False)
    if place.low is not None or place.high is not None:
        mild, severe = (place.low, place.high) if axis.at(1.0) < axis.at(2.0) else (place.high, place.low)
        left = axis.left if mild is None else axis.inside(mild)
        right = axis.right if severe is None else axis.inside(severe)
        ends, closed = (svg.coordinate(left), svg.coordinate(right)), (mild is not None, severe is not None)
    name = f"{lookup.parameter(curve.codec)}{formatting.position(knee.position.level.value)}"
    label = f"knee {name}"
    text = f"knee: {name} {knee_interval(lookup, curve)}".rstrip()
    if knee.position.bpp is not None:
        text += f", {formatting.bits_per_pixel(knee.position.bpp.value)} bpp"
    return KneeMark(
        svg.coordinate(across),
        svg.coordinate(down(height)),
        ends,
        closed,
        label,
        _label_x(label, across, axis),
        text,
        place.value,
    )


def limit_mark(lookup: Lookup, curve: Curve, axis: Axis) -> LimitMark | None:
    """Place the operating limit; None unless it is found and has a place on this axis."""
    limit = curve.limit
    if limit is None or limit.status != "found" or limit.level is None:
        return None
    place = limit.level if axis.kind == "level" else limit.bpp
    if place is None:
        return None
    across = axis.inside(place)
    name = lookup.level_name(curve.codec, limit.level)
    label = f"limit {name}"
    return LimitMark(
        svg.coordinate(across),
        label,
        _label_x(label, across, axis),
        f"operating limit: {name}, {limit.requirement}",
        place,
    )
