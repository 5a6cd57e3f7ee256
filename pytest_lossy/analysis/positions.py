"""Places between the levels of a curve: where a falling curve crosses a line, and the intervals of such places.

A place is a fractional index into the levels, mild to severe: 1.25 is a quarter of the way from the second level to the
third. A curve that is below the line from the start crosses at -inf, one that never falls below it at +inf: such censored
places are ranked beyond the ends, never dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected_ranks
from pytest_lossy.results.findings import Position
from pytest_lossy.results.values import Estimate
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Place", "Scale", "crossings", "locate", "place_interval"]


@dataclass(frozen=True, slots=True)
class Place:
    """A fractional index with its interval; an infinite end lies beyond the levels measured."""

    value: float
    low: float
    """Towards mild."""
    high: float
    """Towards severe."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What a curve's levels are in other units; rates are natural logarithms, NaN where unknown."""

    levels: FloatArray
    """(L,) mild to severe."""
    log_bpp: FloatArray
    log_kbps: FloatArray
    log_bpp_of_mildest: float = math.nan
    """Of the mildest level measured, whose bytes are 100 %."""


def crossings(curves: FloatArray, line: float) -> FloatArray:
    """Where each curve first falls below ``line``, interpolated linearly between the two levels around that.

    Args:
        curves: (B, L), never rising from mild to severe; NaN entries are skipped.
        line: the value to cross.

    Returns:
        (B,) fractional indices; -inf where the first value is below already, inf where none is, NaN where all are NaN.
    """
    places = np.full(len(curves), np.nan)
    whole = np.isfinite(curves).all(axis=1)
    places[whole] = _crossings(curves[whole], line)
    for row in np.flatnonzero(~whole):
        known = np.flatnonzero(np.isfinite(curves[row]))
        if len(known):
            place = float(_crossings(curves[row : row + 1, known], line)[0])
            places[row] = np.interp(place, np.arange(len(known)), known) if math.isfinite(place) else place
    return places


def _crossings(curves: FloatArray, line: float) -> FloatArray:
    below = curves < line
    first = np.argmax(below, axis=1)
    places = np.where(below.any(axis=1), -np.inf, np.inf)
    between = np.flatnonzero(first > 0)
    after = first[between]
    upper, lower = curves[between, after - 1], curves[between, after]
    places[between] = after - 1 + (upper - line) / (upper - lower)
    return places


def place_interval(value: float, replicates: FloatArray, *, confidence: float, units: int) -> Place | None:
    """The bias-corrected percentile interval of a place; censored replicates keep their rank beyond the ends.

    Ends are order statistics, taken outwards, since nothing can be interpolated between a level and "beyond".

    Args:
        value: the place on the full data, finite.
        replicates: (B,), infinite where censored, NaN where undefined.
        confidence: two-sided.
        units: independent units behind the replicates.

    Returns:
        None where fewer than half of the replicates are defined.
    """
    defined = np.sort(replicates[~np.isnan(replicates)])
    if not math.isfinite(value) or not len(defined) or 2 * len(defined) < len(replicates):
        return None
    lower, upper = bias_corrected_ranks(value, defined, confidence, units)
    last = len(defined) - 1
    low = float(defined[math.floor(lower * last)])
    high = float(defined[math.ceil(upper * last)])
    return Place(value, min(low, value), max(high, value))


def locate(place: Place, scale: Scale) -> Position:
    """A place in every unit that is known at it: level, and logarithmic in bits per pixel, kbit/s and bytes."""
    rate = _estimate(place, scale.log_bpp)
    bpp = None if rate is None else _exponential(rate, 0.0)
    kbps = _estimate(place, scale.log_kbps)
    level = _estimate(place, scale.levels)
    assert level is not None  # noqa: S101 - levels are finite
    return Position(
        level=level,
        bpp=bpp,
        kbps=None if kbps is None else _exponential(kbps, 0.0),
        byte_share=None
        if rate is None or not math.isfinite(scale.log_bpp_of_mildest)
        else _exponential(rate, scale.log_bpp_of_mildest),
    )


def _estimate(place: Place, values: FloatArray) -> Estimate | None:
    """The place in other units, ends in numerical order; an end beyond the levels is null."""
    value, mild, severe = (_at(index, values) for index in (place.value, place.low, place.high))
    if value is None:
        return None
    if values[-1] >= values[0]:
        return Estimate(value=value, low=mild, high=severe)
    return Estimate(value=value, low=severe, high=mild)


def _at(index: float, values: FloatArray) -> float | None:
    if not math.isfinite(index):
        return None
    before = math.floor(index)
    share = index - before
    found = float(values[before] if not share else values[before] * (1 - share) + values[before + 1] * share)
    return found if math.isfinite(found) else None


def _exponential(estimate: Estimate, origin: float) -> Estimate:
    def raised(value: float | None) -> float | None:
        return None if value is None else math.exp(value - origin)

    return Estimate(value=raised(estimate.value), low=raised(estimate.low), high=raised(estimate.high))
