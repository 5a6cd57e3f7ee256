"""The area under a retention curve: how much of its metric a model keeps over the levels tried, as one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.retention import RetentionCurve, isotonic
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Areas", "Resampled", "mean_of", "normalised_area", "retained_areas"]


@dataclass(frozen=True, slots=True)
class Resampled:
    """A number on the full data, and under each bootstrap weighting."""

    point: float
    replicates: FloatArray
    """(B,), NaN where it is undefined; B is 0 where there is a single independent unit."""


@dataclass(frozen=True, slots=True)
class Areas:
    """The retained area of one curve over both axes; None where an axis has no range."""

    over_level: Resampled | None
    over_log_bpp: Resampled | None


def normalised_area(retention: FloatArray, axis: FloatArray) -> FloatArray:
    """The mean height of the isotonic fit between the ends of an axis, interpolated linearly.

    A constant retention of r gives r: 1 means that nothing was lost, whatever the unit of the axis. Values above 1 count
    as they are, for a metric may be better under mild compression than clean.

    Args:
        retention: (..., L), mild to severe.
        axis: (L,), strictly rising or strictly falling from mild to severe.

    Returns:
        (...), from 0 to the largest retention; NaN where any retention is.
    """
    fitted = np.where(np.isfinite(retention).all(axis=-1, keepdims=True), isotonic(retention), np.nan)
    widths = np.abs(np.diff(axis))
    heights = (fitted[..., 1:] + fitted[..., :-1]) / 2
    areas: FloatArray = (heights * (widths / widths.sum())).sum(axis=-1)
    return areas


def retained_areas(curve: RetentionCurve) -> Areas:
    """The area over the codec's level, and over the logarithm of the bits per pixel.

    The second is None unless milder levels take more bits throughout: over a rate that does not follow the level, as where
    packets are lost, there is no curve.
    """
    levels = np.array(curve.levels)
    falling = bool(np.isfinite(curve.log_bpp).all() and (np.diff(curve.log_bpp) < 0).all())
    return Areas(_area(curve, levels), _area(curve, curve.log_bpp) if falling else None)


def _area(curve: RetentionCurve, axis: FloatArray) -> Resampled | None:
    if len(axis) < 2 or not np.isfinite(curve.point).all():
        return None
    return Resampled(float(normalised_area(curve.point, axis)), normalised_area(curve.replicates, axis))


def mean_of(parts: list[Resampled]) -> Resampled:
    """The mean of one or more numbers; their replicates are paired row by row, and left out where any has none."""
    size = min(len(part.replicates) for part in parts)
    if any(len(part.replicates) != size for part in parts):
        size = 0
    drawn = [part.replicates[:size] for part in parts]
    return Resampled(float(np.mean([part.point for part in parts])), np.mean(drawn, axis=0))
