"""Integrals of monotone piecewise cubics (PCHIP), many rows at once and each over points of its own.

``scipy.interpolate.PchipInterpolator`` is the reference, and the tests hold this against it; but it takes one set of
abscissae for all rows, where inverse curves of bootstrap replicates have a set each.
"""

from __future__ import annotations

import numpy as np

from pytest_lossy.tasks.base import FloatArray

__all__ = ["integrals", "slopes"]


def slopes(x: FloatArray, y: FloatArray) -> FloatArray:
    """The derivative at each point (Fritsch & Butland 1984; at the ends Moler 2004, "Numerical Computing with Matlab", 3.6).

    Args:
        x: (..., L), strictly increasing, L at least 2.
        y: (..., L).

    Returns:
        (..., L).
    """
    width = np.diff(x, axis=-1)
    secant = np.diff(y, axis=-1) / width
    found = np.empty(np.broadcast_shapes(x.shape, y.shape))
    if x.shape[-1] == 2:
        found[...] = secant
        return found
    before, after = secant[..., :-1], secant[..., 1:]
    weight_before, weight_after = width[..., :-1] + 2 * width[..., 1:], 2 * width[..., :-1] + width[..., 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A harmonic mean; where the secants change sign or one is 0, the curve is level.
        mean = (weight_before + weight_after) / (weight_before / before + weight_after / after)
    found[..., 1:-1] = np.where(before * after > 0, mean, 0.0)
    found[..., 0] = _end(width[..., 0], width[..., 1], secant[..., 0], secant[..., 1])
    found[..., -1] = _end(width[..., -1], width[..., -2], secant[..., -1], secant[..., -2])
    return found


def _end(width: FloatArray, next_width: FloatArray, secant: FloatArray, next_secant: FloatArray) -> FloatArray:
    """Three-point formula, kept from overshooting."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    steep = (np.sign(secant) != np.sign(next_secant)) & (np.abs(slope) > 3 * np.abs(secant))
    slope = np.where(steep, 3 * secant, slope)
    kept: FloatArray = np.where(np.sign(slope) == np.sign(secant), slope, 0.0)
    return kept


def integrals(x: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """The integral of each row's interpolant from ``low`` to ``high``, as far as these lie within its points.

    Args:
        x: (..., L), strictly increasing, L at least 2.
        y: (..., L).
        low: (...).
        high: (...), not below ``low``.

    Returns:
        (...).
    """
    slope, width = slopes(x, y), np.diff(x, axis=-1)
    ends = [np.clip((edge[..., None] - x[..., :-1]) / width, 0.0, 1.0) for edge in (low, high)]
    first, second = (_antiderivative(end, y, slope, width) for end in ends)
    total: FloatArray = ((second - first) * width).sum(axis=-1)
    return total


def _antiderivative(t: FloatArray, y: FloatArray, slope: FloatArray, width: FloatArray) -> FloatArray:
    """Of each cubic in Hermite form from 0 to t, both in units of its own width."""
    left, right = y[..., :-1], y[..., 1:]
    rise_left, rise_right = slope[..., :-1] * width, slope[..., 1:] * width
    square = t * t
    third, half = square * t, square * square / 2  # a power of floats takes ten times as long
    area: FloatArray = (
        left * (half - third + t)
        + rise_left * (half / 2 - 2 * third / 3 + square / 2)
        + right * (third - half)
        + rise_right * (half / 2 - third / 3)
    )
    return area
