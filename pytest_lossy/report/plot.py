"""One curve as a picture: where every line, band, mark and label lies; a template only prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_lossy.report import formatting, svg
from pytest_lossy.report.curve_words import curve_sentence
from pytest_lossy.report.landmarks import (
    Axis,
    band_edges,
    fit_lines,
    knee_mark,
    limit_mark,
    tolerance_line,
)
from pytest_lossy.report.lookup import Lookup, verdict_word
from pytest_lossy.report.plot_parts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    CleanLine,
    GateMark,
    Label,
    Mark,
    Plot,
    Shade,
)
from pytest_lossy.results.document import Curve, CurvePoint, MetricValue

__all__ = ["metric_domain", "plot_level", "plot_rate"]

_LABEL_GAP = 27.0
_GATE_HALF = 9.0


@dataclass(frozen=True, slots=True)
class _Gate:
    value: float
    upwards: bool
    text: str


def _gates(lookup: Lookup, curve: Curve, point: CurvePoint) -> list[_Gate]:
    case = lookup.cases.get(point.case)
    found = []
    for gate in case.gates if case else []:
        if gate.metric != curve.metric:
            continue
        value = lookup.gate_in_metric_units(gate, curve.clean, curve.model)
        if value is not None:
            text = f"gate: {formatting.gate_requirement(gate)}, at {formatting.metric(value)}"
            found.append(_Gate(value, lookup.higher_is_better(curve.model, curve.metric), text))
    return found


def _extent(value: MetricValue | None) -> list[float]:
    return [] if value is None else [number for number in (value.value, value.low, value.high) if number is not None]


def metric_domain(lookup: Lookup, curves: Sequence[Curve]) -> tuple[float, float]:
    """Give one y range for several curves of one metric, so that plots beside each other compare by eye."""
    values: list[float] = []
    for curve in curves:
        values += _extent(curve.clean)
        for point in curve.points:
            values += _extent(point.metric)
            values += [gate.value for gate in _gates(lookup, curve, point)]
    if not values:
        return svg.nice_domain(values)
    # a band is ever so wide where retention nears 0 and the metric is an error; it may double the range, and is then cut
    low, high = min(values), max(values)
    span = (high - low) / 2
    for curve in curves:
        ends = [end for point in curve.points for end in (point.band_low, point.band_high)]
        ends += [1 - curve.knee.tolerance] if curve.knee is not None and curve.knee.status != "undefined" else []
        found = [lookup.retention_in_metric_units(curve, end) for end in ends if end is not None]
        values += [min(max(value, low - span), high + span) for value in found if value is not None]
    return svg.nice_domain(values)


def _tick_text(ticks: Sequence[float]) -> list[str]:
    """Print ticks with as few common decimals as keep them apart."""
    for decimals in range(7):
        texts = [f"{tick:.{decimals}f}" for tick in ticks]
        if all(abs(float(text) - tick) <= 1e-9 * max(1.0, abs(tick)) for text, tick in zip(texts, ticks, strict=True)):
            return texts if max(map(len, texts), default=0) <= 7 else [f"{tick:.3g}" for tick in ticks]
    return [f"{tick:.3g}" for tick in ticks]


def _labels(positions: Sequence[float], texts: Sequence[str], gap: float) -> tuple[Label, ...]:
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    kept = svg.thinned([positions[index] for index in order], gap)
    return tuple(Label(svg.coordinate(positions[order[index]]), texts[order[index]]) for index in kept)


def _mark_text(lookup: Lookup, curve: Curve, point: CurvePoint) -> str:
    value = point.metric
    parts = [
        f"{lookup.level_name(curve.codec, point.level)}: {curve.metric} {formatting.quantity(value)}",
        f"disagreement {formatting.metric(value.loss)}"
        if lookup.label_free(curve.model)
        else f"retention {formatting.percent(value.retention)}",
        f"{formatting.bits_per_pixel(point.bpp)} bpp",
        "probe" if point.role == "probe" else verdict_word(point.verdict),
    ]
    if lookup.milder_than_source(curve.model, curve.codec, point.level):
        parts.append("milder than the source")
    return ", ".join(parts)


def _shade(edge: float) -> Shade:
    """From the left, where the mild levels are, to ``edge``."""
    at = min(max(edge, LEFT), RIGHT)
    return Shade(svg.coordinate(LEFT), svg.coordinate(at - LEFT), svg.coordinate(at), "levels milder than the source")


def _rate_shade(
    lookup: Lookup, curve: Curve, points: Sequence[CurvePoint], x: Callable[[CurvePoint], float]
) -> Shade | None:
    """To the middle between the last level that is milder than the source and the next: no rate says where it ends."""
    across = {x(point): lookup.milder_than_source(curve.model, curve.codec, point.level) for point in points}
    milder = [at for at, mild in across.items() if mild]
    if not milder:
        return None
    beyond = [at for at, mild in across.items() if not mild and at > max(milder)]
    return _shade((max(milder) + min(beyond)) / 2 if beyond else RIGHT)


def _clean_line(curve: Curve, y: svg.Scale) -> CleanLine | None:
    if curve.clean is None or curve.clean.value is None:
        return None
    at = y(curve.clean.value)
    top = at if curve.clean.high is None else y(curve.clean.high)
    bottom = at if curve.clean.low is None else y(curve.clean.low)
    return CleanLine(
        svg.coordinate(at),
        svg.coordinate(min(top, bottom)),
        svg.coordinate(abs(bottom - top)),
        f"clean {formatting.quantity(curve.clean)}",
    )


def _picture(
    lookup: Lookup,
    curve: Curve,
    *,
    points: Sequence[CurvePoint],
    position: Callable[[CurvePoint], float],
    axis: Axis,
    domain: tuple[float, float],
    x_ticks: tuple[Label, ...],
    x_title: str,
    shade: Shade | None,
) -> Plot:
    y = svg.LinearScale(*domain, BOTTOM, TOP)

    def at(point: CurvePoint, value: float | None) -> tuple[float, float]:
        return position(point), y(value) if value is not None else BOTTOM

    def within(value: float) -> float:
        return min(max(y(value), TOP), BOTTOM)

    drawn = svg.runs(points, lambda point: point.metric.value is not None)
    banded = svg.runs(points, lambda point: point.metric.low is not None and point.metric.high is not None)
    alone = {stretch[0].level for stretch in banded if len(stretch) == 1}
    bands = [svg.area([at(p, p.metric.high) for p in run], [at(p, p.metric.low) for p in run]) for run in banded]
    lines = [svg.polyline([at(p, p.metric.value) for p in run]) for run in drawn]
    marks, gates = [], []
    for point in points:
        across, down = at(point, point.metric.value)
        low, high = point.metric.low, point.metric.high
        whisker = None
        if point.level in alone and low is not None and high is not None:
            whisker = (svg.coordinate(y(low)), svg.coordinate(y(high)))
        marks.append(
            Mark(
                svg.coordinate(across),
                svg.coordinate(down),
                point.verdict,
                svg.MARKERS[point.verdict],
                _mark_text(lookup, curve, point),
                point.level,
                point.metric.value,
                whisker,
                point.role == "probe",
            )
        )
        for gate in _gates(lookup, curve, point):
            gates.append(
                GateMark(
                    svg.coordinate(across),
                    svg.coordinate(y(gate.value)),
                    svg.coordinate(max(across - _GATE_HALF, LEFT)),
                    svg.coordinate(min(across + _GATE_HALF, RIGHT)),
                    gate.upwards,
                    f"{lookup.level_name(curve.codec, point.level)} {gate.text}",
                    gate.value,
                )
            )
    heights = svg.linear_ticks(*domain)
    return Plot(
        title=f"{curve.model}, {curve.codec}: {curve.metric} against {x_title.partition(' (')[0]}",
        description="; ".join(_mark_text(lookup, curve, point) for point in points)
        + (f". {sentence}" if (sentence := curve_sentence(lookup, curve)) and points else "")
        or "No level has a value here.",
        x_title=x_title,
        y_title=lookup.metric_title(curve.model, curve.metric),
        x_ticks=x_ticks,
        y_ticks=_labels([y(height) for height in heights], _tick_text(heights), 13.0),
        bands=tuple(filter(None, bands)),
        lines=tuple(filter(None, lines)),
        marks=tuple(marks),
        gates=tuple(gates),
        clean=_clean_line(curve, y),
        shade=shade,
        simultaneous=tuple(band_edges(lookup, curve, points, position, within)),
        fits=tuple(fit_lines(lookup, curve, points, position, within)),
        tolerance=tolerance_line(lookup, curve, within),
        knee=knee_mark(lookup, curve, axis, within),
        limit=limit_mark(lookup, curve, axis),
    )


def plot_level(lookup: Lookup, curve: Curve, domain: tuple[float, float]) -> Plot:
    """Draw a curve against its codec's level, mild on the left; ticks stand at the levels that were tried."""
    points = sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level))
    levels = [point.level for point in points] or [0.0]
    low, high = min(levels), max(levels)
    room = 0.04 * (high - low) or max(abs(high) * 0.1, 1.0)
    ends = (LEFT, RIGHT) if lookup.rises(curve.codec) else (RIGHT, LEFT)
    x = svg.LinearScale(low - room, high + room, *ends)
    ticks = _labels([x(p.level) for p in points], [formatting.level(p.level) for p in points], _LABEL_GAP)
    title = f"{curve.codec} {lookup.parameter(curve.codec)} (more compressed to the right)"
    limit = lookup.source_limit(curve.model, curve.codec)
    milder = limit is not None and any(lookup.milder_than_source(curve.model, curve.codec, p.level) for p in points)
    return _picture(
        lookup,
        curve,
        points=points,
        position=lambda point: x(point.level),
        axis=Axis("level", x, LEFT, RIGHT),
        domain=domain,
        x_ticks=ticks,
        x_title=title,
        shade=_shade(x(limit)) if limit is not None and milder else None,
    )


def plot_rate(lookup: Lookup, curve: Curve, domain: tuple[float, float]) -> Plot | None:
    """Draw a curve against bits per pixel on a log axis that falls to the right, so that severe stays right.

    None where no level has a rate.
    """
    rated = [(point.bpp, point) for point in curve.points if point.bpp is not None and point.bpp > 0]
    if not rated:
        return None
    rates = {point.level: rate for rate, point in rated}
    room = max((max(rates.values()) / min(rates.values())) ** 0.05, 1.2)
    x = svg.LogScale(min(rates.values()) / room, max(rates.values()) * room, RIGHT, LEFT)
    ticks = svg.log_ticks(x.low, x.high)
    labels = _labels([x(tick) for tick in ticks], [f"{tick:g}" for tick in ticks], _LABEL_GAP)
    points = [point for _, point in sorted(rated, key=lambda pair: (-pair[0], pair[1].level))]
    title = "bits per pixel (log axis, fewer to the right)"

    def position(point: CurvePoint) -> float:
        return x(rates[point.level])

    return _picture(
        lookup,
        curve,
        points=points,
        position=position,
        axis=Axis("bpp", x, LEFT, RIGHT),
        domain=domain,
        x_ticks=labels,
        x_title=title,
        shade=_rate_shade(lookup, curve, points, position),
    )
