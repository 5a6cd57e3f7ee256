"""Sums over samples: right, and the same bit for bit in every batch and memory layout."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.tasks.ordered_sums import ratio, segment_sums, weighted_sums


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(B, n) weights in some layout and (n,) values."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 400))
    weights = generator.random((rows, columns))
    layout = draw(st.sampled_from(["rows", "columns", "strided"]))
    if layout == "columns":
        weights = np.asfortranarray(weights)
    if layout == "strided":
        weights = np.repeat(np.repeat(weights, 2, axis=0), 3, axis=1)[::2, ::3]
    return weights, generator.normal(size=columns)


@settings(max_examples=80, deadline=None)
@given(table=tables())
def test_weighted_sums(table: tuple[np.ndarray, np.ndarray]) -> None:
    weights, values = table
    found = weighted_sums(weights, values)
    for row, total in zip(weights, found, strict=True):
        assert math.isclose(total, math.fsum(row * values), rel_tol=1e-12, abs_tol=1e-12)
        assert total == weighted_sums(row[None].copy(), values)[0]
    by_row = np.repeat(values[None], len(weights), axis=0)
    assert np.array_equal(found, weighted_sums(weights, by_row))


@settings(max_examples=80, deadline=None)
@given(table=tables(), data=st.data())
def test_segment_sums(table: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    weights, _ = table
    columns = weights.shape[1]
    starts = np.array(sorted({0, *data.draw(st.lists(st.integers(0, columns - 1), max_size=8))}))
    found = segment_sums(weights, starts)
    assert found.flags.c_contiguous
    for row, sums in zip(weights, found, strict=True):
        expected = [math.fsum(part) for part in np.split(row, starts[1:])]
        assert np.allclose(sums, expected, rtol=1e-12)
        assert np.array_equal(sums, segment_sums(row[None].copy(), starts)[0])


def test_no_segment_has_no_sum() -> None:
    assert segment_sums(np.zeros((3, 0)), np.array([], dtype=np.intp)).shape == (3, 0)


def test_ratio_is_undefined_without_a_positive_denominator() -> None:
    found = ratio(np.array([1.0, 0.0, 1.0]), np.array([2.0, 0.0, -1.0]))
    assert found[0] == 0.5
    assert np.isnan(found[1:]).all()
