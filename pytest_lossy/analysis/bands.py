"""Bands that hold for every level of a curve at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.bootstrap import bounded_share, small_sample_quantile
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Band", "simultaneous_band"]


@dataclass(frozen=True, slots=True)
class Band:
    """Lower and upper ends over L levels; NaN where a level has none."""

    low: FloatArray
    high: FloatArray

    @property
    def width(self) -> FloatArray:
        """(L,) full width."""
        return self.high - self.low


def simultaneous_band(
    point: FloatArray, replicates: FloatArray, *, confidence: float, units: int, unseen: float
) -> Band:
    """The studentised sup-t band: with ``confidence``, the true curve lies inside at all levels together.

    Each level's deviation is divided by its bootstrap standard error; the band's half width is the quantile of the largest
    such ratio over the levels, times the standard error (Westfall & Young 1993, max-T; as a band: Montiel Olea &
    Plagborg-Moller 2019, algorithm 2). Paired replicates carry the levels' correlation, so the band is narrower than
    Bonferroni's. It is centred on the estimate less the bootstrap's bias, and widened to contain the estimate.

    A level whose replicates do not vary takes no part in the largest ratio. No sample shows a change there, which says
    nothing about samples of a kind that the data do not hold: its band allows for the share of those that
    :func:`~pytest_lossy.analysis.bootstrap.bounded_share` leaves, so that twelve unchanged samples are no certainty.

    Args:
        point: (L,), NaN where undefined.
        replicates: (B, L), paired row by row. NaN entries are left out; a level defined in fewer than half of the rows has
            no band.
        confidence: of the whole band, such as 0.95.
        units: independent units behind the replicates; few of them widen the band
            (:func:`~pytest_lossy.analysis.bootstrap.small_sample_quantile`).
        unseen: by how much the curve would move per share of units that lose all they can.
    """
    nothing = np.full(point.shape, np.nan)
    known = np.isfinite(replicates)
    usable = np.isfinite(point) & (2 * known.sum(axis=0) >= max(1, len(replicates)))
    if not usable.any():
        return Band(nothing, nothing)
    drawn = np.where(known, replicates, np.nan)[:, usable]
    centre = np.nanmean(drawn, axis=0)
    deviation = np.abs(drawn - centre)
    error = np.sqrt(np.nanmean(deviation**2, axis=0))
    varies = error > 1e-12 * np.maximum(1.0, np.abs(centre))
    half = np.full(len(centre), unseen * bounded_share(units, confidence))
    if varies.any():
        ratios = deviation[:, varies] / error[varies]
        largest = np.max(np.where(np.isfinite(ratios), ratios, 0.0), axis=1)
        half[varies] = small_sample_quantile(float(np.quantile(largest, confidence)), units) * error[varies]
    low, high = nothing.copy(), nothing.copy()
    middle = np.where(varies, 2 * point[usable] - centre, point[usable])
    low[usable] = np.minimum(middle - half, point[usable])
    high[usable] = np.maximum(middle + half, point[usable])
    return Band(low, high)
