"""Bjontegaard differences against the field's package, and where curves are not monotone, flat, short or apart."""

from __future__ import annotations

import warnings

import bjontegaard
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from pytest_lossy.analysis import pchip
from pytest_lossy.analysis.bjontegaard import RateCurve, bd_metric, bd_rate, compare_rates, rate_curve

SEEDS = st.integers(0, 2**32 - 1)


def curve(rates: list[float] | np.ndarray, metric: list[float] | np.ndarray, *, higher: bool = True) -> RateCurve:
    return rate_curve(np.array(rates), np.array(metric), np.zeros((0, len(rates))), higher_is_better=higher)


@given(SEEDS, st.integers(2, 9))
def test_integrals_equal_those_of_scipy(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    x, y = np.cumsum(random.uniform(0.01, 1, size)), random.normal(size=size).round(1)
    low, high = np.sort(random.uniform(x[0], x[-1], 2))
    expected = PchipInterpolator(x, y)
    np.testing.assert_allclose(pchip.slopes(x, y), expected.derivative()(x), atol=1e-11)
    assert pchip.integrals(x, y, low, high) == pytest.approx(expected.integrate(low, high), abs=1e-12)


@given(SEEDS)
def test_monotone_curves_equal_the_reference_package(seed: int) -> None:
    random = np.random.default_rng(seed)
    curves = []
    for _ in range(2):
        size = random.integers(4, 9)
        rates = np.exp(np.cumsum(random.uniform(0.1, 0.8, size))) / 3
        curves.append((rates, 0.3 + np.cumsum(random.uniform(0.001, 0.1, size))))
    anchor, test = (curve(*entry) for entry in curves)
    options = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rate = bjontegaard.bd_rate(*curves[0], *curves[1], **options) / 100
        metric = bjontegaard.bd_psnr(*curves[0], *curves[1], **options)
    assert float(bd_rate(test, anchor)) == pytest.approx(rate, rel=1e-9, abs=1e-9, nan_ok=True)
    assert float(bd_metric(test, anchor)) == pytest.approx(metric, abs=1e-9, nan_ok=True)


RATES, SCORES = [0.1, 0.3, 0.7, 2.0, 4.0], [0.2, 0.5, 0.5, 0.55, 0.6]


@pytest.mark.parametrize("higher", [True, False])
def test_a_curve_at_four_fifths_of_the_bits(higher: bool) -> None:
    scores = SCORES if higher else [1 - score for score in SCORES]
    test, anchor = curve(np.array(RATES) * 0.8, scores, higher=higher), curve(RATES, scores, higher=higher)
    assert float(bd_rate(test, anchor)) == pytest.approx(-0.2)
    assert float(bd_rate(anchor, test)) == pytest.approx(0.25)
    assert float(bd_metric(test, anchor)) > 0
    assert float(bd_metric(curve(RATES, np.array(scores) + 0.01, higher=higher), anchor)) == pytest.approx(
        0.01 if higher else -0.01
    )


def test_a_plateau_costs_its_lowest_rate_up_to_its_value_and_its_highest_above() -> None:
    plateau = curve([1, 2, 4, 8], [0.2, 0.4, 0.4, 0.6])
    straight = curve([1, 8], [0.2, 0.6])
    # log rate is linear in the metric on both sides of the jump from 2 to 4
    expected = (np.log([1, 2]).mean() + np.log([4, 8]).mean()) / 2 - np.log([1, 8]).mean()
    assert float(bd_rate(plateau, straight)) == pytest.approx(np.expm1(expected))


def test_a_saturated_curve_is_not_charged_for_bits_that_buy_nothing() -> None:
    short, long = curve([1, 2, 4], [0.2, 0.4, 0.6]), curve([1, 2, 4, 8, 16], [0.2, 0.4, 0.6, 0.6, 0.6])
    assert float(bd_rate(long, short)) == pytest.approx(0)


def test_wiggles_are_fitted_before_anything_is_integrated() -> None:
    wiggling, pooled = curve([1, 2, 4, 8], [0.2, 0.5, 0.3, 0.6]), curve([1, 2, 4, 8], [0.2, 0.4, 0.4, 0.6])
    np.testing.assert_allclose(wiggling.point, pooled.point)
    assert float(bd_metric(wiggling, pooled)) == pytest.approx(0)
    assert float(bd_rate(wiggling, pooled)) == pytest.approx(0)


def test_order_does_not_matter_and_equal_rates_become_one() -> None:
    found = curve([8, 1, 2, 2], [0.6, 0.2, 0.3, 0.5])
    np.testing.assert_allclose(np.exp(found.log_rates), [1, 2, 8])
    np.testing.assert_allclose(found.point, [0.2, 0.4, 0.6])


@pytest.mark.parametrize(
    ("first", "second", "metric", "rate"),
    [
        (curve([1, 2], [0.5, 0.5]), curve([1, 2], [0.5, 0.5]), 0.0, np.nan),  # flat: there is no range of values
        (curve([1, 2], [0.5, 0.5]), curve([1, 2], [0.4, 0.6]), 0.0, np.nan),
        (curve([1, 2], [0.1, 0.2]), curve([4, 8], [0.1, 0.2]), np.nan, -0.75),  # no rate in common
        (curve([1, 2], [0.1, 0.2]), curve([1, 2], [0.3, 0.4]), -0.2, np.nan),  # no value in common
        (curve([2], [0.5]), curve([1, 4], [0.4, 0.6]), np.nan, np.nan),
    ],
)
def test_what_cannot_be_compared_is_nan(first: RateCurve, second: RateCurve, metric: float, rate: float) -> None:
    assert float(bd_metric(first, second)) == pytest.approx(metric, abs=1e-12, nan_ok=True)
    assert float(bd_rate(first, second)) == pytest.approx(rate, nan_ok=True)


@pytest.mark.parametrize("seed", range(15))
def test_a_replicate_is_what_its_own_curve_would_give(seed: int) -> None:
    random = np.random.default_rng(seed)
    rates = np.exp(np.linspace(-2, 1, 6))
    tables = [np.round(np.linspace(0.3, 0.6, 6) + random.normal(0, 0.05, (5, 6)), 2) for _ in range(2)]
    tables[0][2, 3] = np.nan
    test, anchor = (rate_curve(rates, table[0], table, higher_is_better=True) for table in tables)
    for name in (bd_metric, bd_rate):
        together = name(test, anchor, replicates=True)
        for row in range(5):
            if row == 2:
                assert np.isnan(together[row])
                continue
            alone = name(curve(rates, tables[0][row]), curve(rates, tables[1][row]))
            assert together[row] == pytest.approx(float(alone), rel=1e-9, abs=1e-12, nan_ok=True)


def test_intervals_are_paired_and_absent_where_curves_are_not() -> None:
    random = np.random.default_rng(2)
    shared = random.normal(0, 0.05, (300, 1)) + random.normal(0, 0.002, (2, 300, 5))
    test, anchor = (
        rate_curve(np.array(RATES), base, base + noise, higher_is_better=True)
        for base, noise in zip((np.array(SCORES) + 0.02, np.array(SCORES)), shared, strict=True)
    )
    found = compare_rates(test, anchor, higher_is_better=True, paired=True, units=100, confidence=0.95)
    assert found.metric is not None
    assert found.metric.low is not None
    assert found.metric.high is not None
    assert 0.015 < found.metric.low < 0.02 < found.metric.high < 0.025
    apart = compare_rates(test, anchor, higher_is_better=True, paired=False, units=100, confidence=0.95)
    assert apart.metric is not None
    assert apart.metric.low is None
    assert apart.rate is not None
    assert apart.rate.low is None
    assert (found.rate_overlap, apart.metric_overlap) == pytest.approx((1.0, 0.38 / 0.42))
