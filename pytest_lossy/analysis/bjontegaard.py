"""Bjontegaard differences: how much better one rate curve is than another, at equal rate or at equal metric.

Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001; Herglotz et al., "The Bjontegaard
bible", arXiv 2304.12852, compare its variants. Here curves are interpolated by PCHIP over the logarithm of the rate, which
keeps them monotone. Those of a task metric are not, so each is first fitted by the least-squares curve that never gets
worse with more bits. That leaves plateaus. BD-metric does not mind them. BD-rate needs the inverse curve, the least rate
that attains a value: at a plateau it jumps from the plateau's lowest rate, just enough to reach it, to its highest, where
the curve begins to rise above it. The pieces between such jumps are interpolated by themselves; a curve without plateaus is
one piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pytest_lossy.analysis import pchip
from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.analysis.retention import isotonic
from pytest_lossy.results.values import Estimate
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Differences", "RateCurve", "bd_metric", "bd_rate", "compare_rates", "rate_curve"]

_TIE = 1e-12
"""Relative to the values: what the isotonic fit makes equal may differ by rounding."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """A metric over the rate."""

    log_rates: FloatArray
    """(L,) natural logarithms, strictly increasing."""
    point: FloatArray
    """(L,) never getting worse with the rate; for errors their negative, so that more is better."""
    replicates: FloatArray
    """(B, L), each row likewise; B is 0 where nothing was resampled."""


def rate_curve(rates: FloatArray, metric: FloatArray, replicates: FloatArray, *, higher_is_better: bool) -> RateCurve:
    """Order, fit and orient a curve; levels of equal rate become one, with their mean.

    Args:
        rates: (L,) positive, in any order.
        metric: (L,) finite.
        replicates: (B, L); rows with an undefined entry are kept as NaN.
        higher_is_better: of the metric.
    """
    distinct, group = np.unique(np.log(rates), return_inverse=True)
    shares = np.eye(len(distinct))[group]
    shares /= np.maximum(shares.sum(axis=0), 1)
    sign = 1.0 if higher_is_better else -1.0

    def fitted(values: FloatArray) -> FloatArray:
        whole = np.isfinite(values).all(axis=-1, keepdims=True)
        by_rate = sign * (np.where(whole, values, 0.0) @ shares)
        # `isotonic` never rises along a row: from the highest rate to the lowest.
        return np.where(whole, isotonic(by_rate[..., ::-1])[..., ::-1], np.nan)

    return RateCurve(distinct, fitted(metric), fitted(replicates))


def bd_metric(test: RateCurve, anchor: RateCurve, *, replicates: bool = False) -> FloatArray:
    """The mean of test - anchor over the log rates that both cover, more is better.

    Returns:
        () of the points, or (B,) of the replicates; NaN where the curves share no rates.
    """
    low, high = _common(test.log_rates, anchor.log_rates)
    values = [curve.replicates if replicates else curve.point for curve in (test, anchor)]
    if not high > low:
        return np.full(values[0].shape[:-1], np.nan)
    ahead, behind = (
        pchip.integrals(np.broadcast_to(curve.log_rates, rows.shape), rows, np.array(low), np.array(high))
        for curve, rows in zip((test, anchor), values, strict=True)
    )
    mean: FloatArray = (ahead - behind) / (high - low)
    return mean


def bd_rate(test: RateCurve, anchor: RateCurve, *, replicates: bool = False) -> FloatArray:
    """The mean relative difference of the rate over the metric's values that both reach: -0.2 is 20 % fewer bits.

    Returns:
        () of the points, or (B,) of the replicates; NaN where the curves share no range of values.
    """
    ours, theirs = ((curve.replicates if replicates else curve.point[None]) for curve in (test, anchor))
    low = np.maximum(ours[:, 0], theirs[:, 0])
    high = np.minimum(ours[:, -1], theirs[:, -1])
    width = np.where(high - low > _TIE * np.abs(high), high - low, np.nan)
    ahead, behind = _log_rate_integrals(ours, test, low, high), _log_rate_integrals(theirs, anchor, low, high)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.expm1((ahead - behind) / width)
    result: FloatArray = mean if replicates else mean[0]
    return result


def _log_rate_integrals(rows: FloatArray, curve: RateCurve, low: FloatArray, high: FloatArray) -> FloatArray:
    """The integral of the least log rate that attains a value, from ``low`` to ``high`` of each row."""
    total = np.full(len(rows), np.nan)
    usable = np.flatnonzero(np.isfinite(rows).all(axis=1) & (high > low))
    scale = np.abs(rows[usable]).max(axis=1, keepdims=True, initial=0.0)
    rising = np.diff(rows[usable], axis=1) > _TIE * scale
    # Rows with plateaus at the same places are cut alike, so that each kind is one computation.
    for pattern in np.unique(rising, axis=0):
        chosen = usable[(rising == pattern).all(axis=1)]
        total[chosen] = 0.0
        edges = [0, *(np.flatnonzero(~pattern) + 1).tolist(), len(curve.log_rates)]
        for first, end in pairwise(edges):
            if end - first > 1:
                piece = rows[chosen, first:end]
                log_rates = np.broadcast_to(curve.log_rates[first:end], piece.shape)
                inside = [np.clip(edge[chosen], piece[:, 0], piece[:, -1]) for edge in (low, high)]
                total[chosen] += pchip.integrals(piece, log_rates, *inside)
    return total


def _common(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    return max(float(first[0]), float(second[0])), min(float(first[-1]), float(second[-1]))


def _overlap(first: FloatArray, second: FloatArray) -> float:
    """What both cover as a share of what either does."""
    low, high = _common(first, second)
    whole = max(float(first[-1]), float(second[-1])) - min(float(first[0]), float(second[0]))
    return max(high - low, 0.0) / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Differences:
    """One curve against another."""

    metric: Estimate | None
    """In the metric's own direction: for errors, negative is better."""
    rate: Estimate | None
    rate_overlap: float
    metric_overlap: float


def compare_rates(
    test: RateCurve, anchor: RateCurve, *, higher_is_better: bool, paired: bool, units: int, confidence: float
) -> Differences:
    """Both differences with intervals.

    Args:
        test: the curve to speak of.
        anchor: the one that it is held against.
        higher_is_better: of the metric.
        paired: whether row b of the replicates has the same weights in both; without, there are no intervals.
        units: that the replicates resample.
        confidence: two-sided.
    """
    sign = 1.0 if higher_is_better else -1.0
    resampled = paired and len(test.replicates) == len(anchor.replicates) > 0

    def estimate(point: FloatArray, replicates: FloatArray | None) -> Estimate | None:
        value = float(point)
        if not math.isfinite(value):
            return None
        bounds = None if replicates is None else bias_corrected(value, replicates, confidence, units)
        low, high = bounds or (None, None)
        return Estimate(value=value, low=low, high=high)

    return Differences(
        estimate(
            sign * bd_metric(test, anchor), sign * bd_metric(test, anchor, replicates=True) if resampled else None
        ),
        estimate(bd_rate(test, anchor), bd_rate(test, anchor, replicates=True) if resampled else None),
        _overlap(test.log_rates, anchor.log_rates),
        _overlap(test.point, anchor.point),
    )
