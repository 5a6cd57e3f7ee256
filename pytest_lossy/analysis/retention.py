"""Retention curves: retention of one metric at every level of one (model, codec), with paired replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.tasks.base import FloatArray

__all__ = ["RetentionCurve", "isotonic", "retention_curve"]


@dataclass(frozen=True, slots=True)
class RetentionCurve:
    """Retention over the levels of one (model, codec), mild to severe."""

    levels: tuple[float, ...]
    """L levels in the codec's own parameter."""
    point: FloatArray
    """(L,), NaN where it is undefined."""
    replicates: FloatArray
    """(B, L); B is 0 where there is a single independent unit. Column by column paired: row b of every level, and of every
    other curve on the same samples, has the same weights."""
    log_bpp: FloatArray
    """(L,) natural logarithm of the bits per pixel, NaN where unknown."""
    units: int
    unseen: float = 1.0
    """By how much retention would fall per share of units that lose all they can: 1 / clean of a score in [0, 1]; of an
    error, which is taken to double there, 1."""


def retention_curve(
    levels: Sequence[tuple[float, StoredReplicates, float | None]],
    clean: StoredReplicates,
    metric: str,
    *,
    higher_is_better: bool,
) -> RetentionCurve | None:
    """The retention of ``metric`` at every level: metric / clean, for errors clean / metric.

    Args:
        levels: level, what was measured there and its bits per pixel, mild to severe.
        clean: the same without a codec.
        metric: an aggregate metric, or a tag's such as ``miou{night}``.
        higher_is_better: its direction.

    Returns:
        None where no level has the metric, or where clean has not, is 0 or other samples than the levels.
    """
    reference = clean.point.get(metric, np.nan)
    kept = [entry for entry in levels if metric in entry[1].point and entry[1].samples == clean.samples]
    if not kept or not np.isfinite(reference) or reference == 0:
        return None
    paired = metric in clean.replicates and all(metric in stored.replicates for _, stored, _ in kept)
    values = np.array([stored.point[metric] for _, stored, _ in kept])
    drawn = np.stack([stored.replicates[metric] for _, stored, _ in kept], axis=1) if paired else None
    with np.errstate(divide="ignore", invalid="ignore"):
        point = values / reference if higher_is_better else reference / values
        if drawn is None:
            replicates = np.zeros((0, len(kept)))
        else:
            base = clean.replicates[metric][:, None]
            replicates = drawn / base if higher_is_better else base / drawn
        rates = np.log(np.array([np.nan if rate is None else rate for _, _, rate in kept], dtype=np.float64))
    unseen = 1 / abs(reference) if higher_is_better else 1.0
    point, replicates = (np.where(np.isfinite(values), values, np.nan) for values in (point, replicates))
    return RetentionCurve(tuple(level for level, _, _ in kept), point, replicates, rates, clean.units, unseen)


def isotonic(retention: FloatArray) -> FloatArray:
    """Least-squares fit that never rises from mild to severe, row by row.

    By the min-max formula over the means of all runs of levels (Robertson, Wright & Dykstra 1988, section 1.4), which
    many rows share; equal to pooling adjacent violators, up to rounding.

    Args:
        retention: (..., L), mild to severe; NaN entries take no part and stay NaN.

    Returns:
        (..., L).
    """
    rows = retention.reshape(-1, retention.shape[-1])
    known = np.isfinite(rows)
    values, counts = np.where(known, rows, 0.0), known.astype(np.float64)
    fitted = np.full(rows.shape, np.inf)
    for first in range(rows.shape[1]):
        # Means of the runs from `first` to every later level; the best of those that reach a level; the worst such best.
        sums, number = np.cumsum(values[:, first:], axis=1), np.cumsum(counts[:, first:], axis=1)
        means = np.divide(sums, number, out=np.full(sums.shape, -np.inf), where=number > 0)
        best = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        np.minimum(fitted[:, first:], best, out=fitted[:, first:])
    return np.where(known, fitted, np.nan).reshape(retention.shape)
