"""Retained area: what it must be whatever the curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.analysis.retained_area import Resampled, mean_of, normalised_area, retained_areas
from pytest_lossy.analysis.retention import RetentionCurve

SHARES = st.floats(0, 1.5)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Retention and a rising axis of 2 to 8 levels."""
    size = draw(st.integers(2, 8))
    retention = np.array(draw(st.lists(SHARES, min_size=size, max_size=size)))
    steps = draw(st.lists(st.floats(0.01, 50), min_size=size, max_size=size))
    return retention, np.cumsum(steps)


@given(curves())
def test_it_lies_between_nothing_and_the_best_level(curve: tuple[np.ndarray, np.ndarray]) -> None:
    retention, axis = curve
    assert -1e-12 <= normalised_area(retention, axis) <= retention.max() + 1e-12


@given(curves(), st.floats(0, 1))
def test_more_retention_is_never_less_area(curve: tuple[np.ndarray, np.ndarray], more: float) -> None:
    retention, axis = curve
    for level in range(len(axis)):
        better = retention.copy()
        better[level] += more
        assert normalised_area(better, axis) >= normalised_area(retention, axis) - 1e-12


@given(curves(), st.floats(0.1, 3), st.floats(-9, 9))
def test_the_unit_and_the_direction_of_the_axis_do_not_matter(
    curve: tuple[np.ndarray, np.ndarray], scale: float, shift: float
) -> None:
    retention, axis = curve
    area = normalised_area(retention, axis)
    assert normalised_area(retention, -axis) == pytest.approx(area)
    assert normalised_area(retention, scale * axis + shift) == pytest.approx(area, rel=1e-6, abs=1e-9)


@given(curves(), SHARES)
def test_the_area_of_a_constant_is_that_constant(curve: tuple[np.ndarray, np.ndarray], share: float) -> None:
    assert normalised_area(np.full(len(curve[1]), share), curve[1]) == pytest.approx(share)


def test_by_hand() -> None:
    # levels 100, 50, 0: trapezia of 1 to 0.8 and 0.8 to 0.4
    assert normalised_area(np.array([1, 0.8, 0.4]), np.array([100, 50, 0])) == pytest.approx((0.9 + 0.6) / 2)
    # the second and third violate the order and are pooled to 0.7
    assert normalised_area(np.array([1, 0.6, 0.8]), np.array([0.0, 1.0, 3.0])) == pytest.approx((0.85 + 2 * 0.7) / 3)


def curve(levels: list[float], point: list[float], log_bpp: list[float]) -> RetentionCurve:
    return RetentionCurve(tuple(levels), np.array(point), np.array([point, point]), np.array(log_bpp), 20)


def test_over_both_axes() -> None:
    found = retained_areas(curve([95, 50, 5], [1, 0.8, 0.4], [2.0, 1.0, 0.0]))
    assert found.over_level is not None
    assert found.over_level.point == pytest.approx((45 * 0.9 + 45 * 0.6) / 90)
    np.testing.assert_allclose(found.over_level.replicates, found.over_level.point)
    assert found.over_log_bpp is not None
    assert found.over_log_bpp.point == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("log_bpp", "why"),
    [
        ([1.0, 1.0, 1.0], "packets are lost at a constant rate"),
        ([1.0, np.nan, 0.0], "unknown"),
        ([1, 0, 2], "not falling"),
    ],
)
def test_no_area_over_a_rate_that_does_not_follow_the_level(log_bpp: list[float], why: str) -> None:
    found = retained_areas(curve([95, 50, 5], [1, 0.8, 0.4], log_bpp))
    assert found.over_level is not None, why
    assert found.over_log_bpp is None, why


def test_one_level_or_an_undefined_one_has_no_area() -> None:
    assert retained_areas(curve([95], [1.0], [1.0])).over_level is None
    assert retained_areas(curve([95, 50], [1.0, np.nan], [1.0, 0.0])).over_level is None
    assert retained_areas(curve([], [], [])).over_level is None


def test_a_replicate_that_is_undefined_somewhere_stays_undefined() -> None:
    areas = normalised_area(np.array([[1, 0.5], [np.nan, 0.5]]), np.array([0.0, 1.0]))
    np.testing.assert_array_equal(areas, [0.75, np.nan])


def test_a_mean_is_paired_and_without_replicates_where_one_has_none() -> None:
    pair = [Resampled(1.0, np.array([1.0, 2.0])), Resampled(0.0, np.array([3.0, 0.0]))]
    assert mean_of(pair).point == 0.5
    np.testing.assert_array_equal(mean_of(pair).replicates, [2.0, 1.0])
    assert mean_of([pair[0], Resampled(0.0, np.zeros(0))]).replicates.shape == (0,)
