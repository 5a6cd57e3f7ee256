"""Weighted sums whose every bit is the same however many weightings are reduced in one call.

``weights @ values`` is no such sum: BLAS picks another kernel, and with it another order of summation, for another
number of rows. Whole numbers do not mind (they are exact in float64), sums of fractions do, and bootstrap replicates are
reduced in chunks whose size follows from memory. numpy's reductions along the last axis of a C-contiguous array visit
each row alone, in an order that depends on nothing but the row's length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import FloatArray

__all__ = ["ratio", "segment_sums", "weighted_sums"]


def weighted_sums(weights: FloatArray, values: npt.NDArray[Any]) -> FloatArray:
    """Sum ``weights * values`` over the samples.

    Args:
        weights: (B, n), in any memory layout.
        values: (n,), or (B, n) where they differ between weightings; finite.

    Returns:
        (B,).
    """
    # The product is laid out in rows by force: it would inherit columns from its arguments.
    products = np.multiply(weights, values, order="C", dtype=np.float64)
    sums: FloatArray = np.add.reduce(products, axis=1)
    return sums


def segment_sums(table: FloatArray, starts: npt.NDArray[np.intp]) -> FloatArray:
    """Sum each row over consecutive segments of columns.

    Args:
        table: (B, n), in any memory layout.
        starts: (K,) the first column of each segment, ascending from 0; no segment is empty.

    Returns:
        (B, K), C-contiguous.
    """
    if not len(starts):
        return np.zeros((len(table), 0))
    return np.ascontiguousarray(np.add.reduceat(np.ascontiguousarray(table), starts, axis=1))


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide where the denominator is positive; NaN elsewhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: FloatArray = np.where(denominator > 0, numerator / denominator, np.nan)
    return result
