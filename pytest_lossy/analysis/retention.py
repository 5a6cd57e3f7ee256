"""Retention curves: retention of one metric at every level of one (model, codec), with paired replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

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
    point, replicates = (np.where(np.isfinite(values), values, np.nan) for values in (point, replicates))
    return RetentionCurve(tuple(level for level, _, _ in kept), point, replicates, rates, clean.units)


def isotonic(retention: FloatArray) -> FloatArray:
    """Least-squares fit that never rises from mild to severe (pool adjacent violators), row by row.

    Args:
        retention: (..., L), mild to severe; NaN entries take no part and stay NaN.

    Returns:
        (..., L).
    """
    rows = retention.reshape(-1, retention.shape[-1])
    fitted = np.full_like(rows, np.nan)
    for row, out in zip(rows, fitted, strict=True):
        known = np.isfinite(row)
        if known.any():
            out[known] = isotonic_regression(row[known], increasing=False).x
    return fitted.reshape(retention.shape)
