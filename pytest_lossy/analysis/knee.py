"""The knee: where a model's retention leaves what the tolerance allows, or why nobody can say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pytest_lossy.analysis.bands import Band, simultaneous_band
from pytest_lossy.analysis.positions import Place, crossings, place_interval
from pytest_lossy.analysis.retention import RetentionCurve, isotonic
from pytest_lossy.tasks.base import FloatArray

__all__ = ["KneeReason", "LocatedKnee", "locate_knee"]

KneeReason = Literal[
    "crossed", "milder_than_range", "beyond_severe", "wide_band", "no_replicates", "unbounded", "no_retention"
]
"""Why a knee is what it is:

- ``crossed``: resolved;
- ``milder_than_range``: the mildest level has already lost more than the tolerance;
- ``beyond_severe``: the most severe level has not;
- ``wide_band``: the simultaneous band is as wide as the tolerance, or wider;
- ``no_replicates``: a single independent unit;
- ``unbounded``: the replicates agree on neither end, or on fewer than half of the crossings;
- ``no_retention``: nothing to cross.
"""


@dataclass(frozen=True, slots=True)
class LocatedKnee:
    """A knee as a place between levels; :mod:`~pytest_lossy.analysis.findings` puts it in words."""

    status: Literal["resolved", "not_resolved", "beyond_range", "undefined"]
    reason: KneeReason
    place: Place | None
    """Of a resolved knee."""
    crossing: float
    """Where the isotonic fit crosses, resolved or not: infinite beyond the levels, NaN where undefined."""
    censored: float | None
    """Share of replicates that never cross."""
    censored_mild: float | None
    """Share of replicates that are below the line from the mildest level on."""
    band: Band
    band_width: float
    """Where the curve is nearest to crossing; NaN where unknown."""
    fit: FloatArray
    """(L,) isotonic retention."""


def locate_knee(curve: RetentionCurve, *, tolerance: float, confidence: float) -> LocatedKnee:
    """The interpolated level where isotonic retention crosses ``1 - tolerance``, if the data can tell.

    "If the data can tell": the full width of the simultaneous band at the crossing, interpolated between the two levels
    around it, is below the tolerance. There, because the position depends on nothing but the curve around the crossing:
    a band that is wide at levels far beyond the knee says nothing against it. The full width, because a band
    narrower than the tolerance cannot hold both "nothing lost" and "the tolerance lost" at one level, so that the noise of
    a flat curve crosses only where the simultaneous band fails by about its own width. A curve that does not cross is
    "beyond the range" under the same condition at its nearest level, or where the whole band is on one side of the line.

    The interval resamples the data, not the levels: the crossing of the curve between two levels is that of a straight line.

    Args:
        curve: retention over the levels, mild to severe.
        tolerance: share of the clean metric that may be lost, in (0, 1).
        confidence: of the band, and of the two-sided interval of the place.
    """
    line = 1 - tolerance
    band = simultaneous_band(
        curve.point, curve.replicates, confidence=confidence, units=curve.units, unseen=curve.unseen
    )
    fit = isotonic(curve.point)
    crossing = float(crossings(fit[None], line)[0])
    if math.isnan(crossing):
        return LocatedKnee("undefined", "no_retention", None, math.nan, None, None, band, math.nan, fit)
    width = float(_at_crossing(band.width, fit, crossing))
    if not len(curve.replicates):
        return LocatedKnee("not_resolved", "no_replicates", None, crossing, None, None, band, math.nan, fit)
    # Only levels that the full data has: a level that exists in replicates alone would bend them away from the estimate.
    replicates = crossings(isotonic(np.where(np.isfinite(curve.point), curve.replicates, np.nan)), line)
    defined = replicates[~np.isnan(replicates)]
    late, early = (float(np.mean(defined == end)) if len(defined) else None for end in (np.inf, -np.inf))

    def knee(
        status: Literal["resolved", "not_resolved", "beyond_range"], reason: KneeReason, place: Place | None = None
    ) -> LocatedKnee:
        return LocatedKnee(status, reason, place, crossing, late, early, band, width, fit)

    narrow = width < tolerance
    if crossing == math.inf:
        clear = _nearest(band.low, fit, last=True) >= line
        return knee("beyond_range", "beyond_severe") if narrow or clear else knee("not_resolved", "wide_band")
    if crossing == -math.inf:
        clear = _nearest(band.high, fit, last=False) < line
        return knee("beyond_range", "milder_than_range") if narrow or clear else knee("not_resolved", "wide_band")
    if not narrow:
        return knee("not_resolved", "wide_band")
    place = place_interval(crossing, replicates, confidence=confidence, units=curve.units)
    finite = float(np.isfinite(defined).mean()) if len(defined) else 0.0
    if place is None or finite < 0.5 or (math.isinf(place.low) and math.isinf(place.high)):
        return knee("not_resolved", "unbounded")
    return knee("resolved", "crossed", place)


def _nearest(values: FloatArray, fit: FloatArray, *, last: bool) -> float:
    """The value at the first or last level that the curve has."""
    return float(values[np.flatnonzero(np.isfinite(fit))[-1 if last else 0]])


def _at_crossing(values: FloatArray, fit: FloatArray, crossing: float) -> float:
    """A quantity of the levels, interpolated at the crossing, or at the end that is nearest to it."""
    if math.isinf(crossing):
        return _nearest(values, fit, last=crossing > 0)
    known = np.flatnonzero(np.isfinite(fit))
    return float(np.interp(crossing, known, values[known]))
