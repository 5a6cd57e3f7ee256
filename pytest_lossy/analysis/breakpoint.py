"""A second opinion on the knee: the break of two straight segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Break", "two_segment_break"]

_STEPS = 32
"""Candidate breaks per gap between two levels."""


@dataclass(frozen=True, slots=True)
class Break:
    """The break in the codec's own parameter, with its interval, ends in numerical order."""

    level: float
    low: float
    high: float


def two_segment_break(
    levels: FloatArray, point: FloatArray, replicates: FloatArray, *, confidence: float, units: int
) -> Break | None:
    """The break of the continuous two-segment least-squares fit, where the curve starts to fall faster.

    The fit is a line plus a hinge ``max(0, level - break)``; the break is searched over the span in which both segments hold
    at least two levels. Under a single line the break does not exist, so that no F table holds (Davies 1987): the gain in
    squared error is compared with its distribution over curves that are the single line plus the bootstrap's own paired
    deviations (a bootstrap of the null, as Hansen 1996 proposes), whose levels are correlated as the data's.

    Args:
        levels: (L,), mild to severe, rising or falling.
        point: (L,) retention; NaN levels take no part.
        replicates: (B, L), paired.
        confidence: the break is given where the null is rejected at ``1 - confidence``; also of the interval.
        units: independent units behind the replicates.

    Returns:
        None with fewer than five levels, without replicates, and where one line fits as well.
    """
    known = np.isfinite(point) & (2 * np.isfinite(replicates).sum(axis=0) >= max(1, len(replicates)))
    if known.sum() < 5 or not len(replicates):
        return None
    drawn = replicates[:, known]
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if 2 * len(drawn) < len(replicates):
        return None
    sign = 1.0 if levels[-1] > levels[0] else -1.0
    severity = sign * levels[known]
    between = np.arange(_STEPS) / _STEPS
    inner = severity[1:-1]
    candidates = np.append((inner[:-1, None] + np.diff(inner)[:, None] * between).ravel(), inner[-1])
    hinges = _orthogonal_hinges(severity, candidates)
    curve = point[known]
    found = _steepest(curve[None], hinges)
    deviations = drawn - drawn.mean(axis=0)
    by_chance = _steepest(deviations, hinges).gain
    gain = float(found.gain[0])
    # The line itself is orthogonal to every hinge, so that deviations alone are the null's curves.
    if gain <= 1e-18 or (1 + np.sum(by_chance >= gain)) / (1 + len(by_chance)) > 1 - confidence:
        return None
    level = float(candidates[found.index[0]])
    low, high = bias_corrected(level, candidates[_steepest(drawn, hinges).index], confidence, units) or (level, level)
    ends = sorted((sign * low, sign * high))
    return Break(sign * level, ends[0], ends[1])


@dataclass(frozen=True, slots=True)
class _Steepest:
    gain: FloatArray
    """(B,) squared error that the best downward hinge saves over a line."""
    index: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
    """(B,) its candidate."""


def _steepest(curves: FloatArray, hinges: FloatArray) -> _Steepest:
    # One product per level, in order: a matrix product may use other kernels, and other bits, for other shapes.
    slopes = np.zeros((len(curves), hinges.shape[1]))
    for level in range(curves.shape[1]):
        slopes += curves[:, level, None] * hinges[level]
    gains = np.minimum(slopes, 0.0) ** 2  # a plateau after the fall is no knee
    index = np.argmax(gains, axis=1)
    return _Steepest(gains[np.arange(len(curves)), index], index)


def _orthogonal_hinges(severity: FloatArray, candidates: FloatArray) -> FloatArray:
    """(L, C): each hinge less its projection on constants and lines, at unit length."""
    centred = severity - severity.mean()
    line = centred / np.sqrt((centred**2).sum())
    hinges = np.maximum(0.0, severity[:, None] - candidates)
    hinges = hinges - hinges.mean(axis=0)
    hinges = hinges - line[:, None] * (line[:, None] * hinges).sum(axis=0)
    return np.asarray(hinges / np.sqrt((hinges**2).sum(axis=0)))
