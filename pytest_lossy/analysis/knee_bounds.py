"""The interval of a knee's place where the knee itself may lie beyond the levels measured."""

from __future__ import annotations

import math

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected_ranks
from pytest_lossy.analysis.knee import LocatedKnee
from pytest_lossy.analysis.positions import Place, crossings
from pytest_lossy.analysis.retention import RetentionCurve, isotonic

__all__ = ["knee_bounds", "level_at"]


def knee_bounds(located: LocatedKnee, curve: RetentionCurve, *, tolerance: float, confidence: float) -> Place:
    """Between which places the knee lies.

    A curve that stays above the line has its knee beyond its levels, but some replicates may cross earlier: they bound how
    mild it may be, by the bias-corrected percentile of their ranks, as within the levels.

    Args:
        located: the knee of ``curve``.
        curve: retention over the levels, mild to severe.
        tolerance: as it was located with.
        confidence: two-sided.

    Returns:
        Fractional indices into ``curve.levels``; an infinite one lies beyond them. Where the knee is not resolved the ends
        exclude nothing, and the place is NaN where there is none.
    """
    if located.place is not None:
        return located.place
    if located.status != "beyond_range":
        return Place(located.crossing, -math.inf, math.inf)
    fits = isotonic(np.where(np.isfinite(curve.point), curve.replicates, np.nan))
    places = crossings(fits, 1 - tolerance)
    ordered = np.sort(places[~np.isnan(places)])
    if 2 * len(ordered) < len(places):
        return Place(located.crossing, -math.inf, math.inf)
    lower, upper = bias_corrected_ranks(located.crossing, ordered, confidence, curve.units)
    last = len(ordered) - 1
    low, high = float(ordered[math.floor(lower * last)]), float(ordered[math.ceil(upper * last)])
    return Place(located.crossing, min(low, located.crossing), max(high, located.crossing))


def level_at(place: float, levels: tuple[float, ...]) -> float:
    """The level at a fractional index, linear between two levels; an infinite place stays what it is."""
    return float(np.interp(place, np.arange(len(levels)), levels)) if math.isfinite(place) else place
