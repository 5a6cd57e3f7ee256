"""Simultaneous bands by hand and by their joint coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_lossy.analysis.bands import simultaneous_band
from pytest_lossy.analysis.bootstrap import bounded_share, small_sample_quantile
from tests.unit.analysis.simulated_curves import GRID, Slope, draw

MANY = 10**9


def normal(point: np.ndarray, spread: np.ndarray, count: int = 20_000, shared: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    common = random.normal(size=(count, 1))
    noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * random.normal(size=(count, len(point)))
    return point + spread * noise


def band(point: np.ndarray, replicates: np.ndarray, units: int = MANY, unseen: float = 1.0):
    return simultaneous_band(point, replicates, confidence=0.95, units=units, unseen=unseen)


def test_one_level_has_the_normal_interval() -> None:
    point = np.array([0.9])
    found = band(point, normal(point, np.array([0.02])))
    assert found.low == pytest.approx(point - 1.96 * 0.02, abs=5e-4)
    assert found.high == pytest.approx(point + 1.96 * 0.02, abs=5e-4)


def test_independent_levels_have_sidaks_width_and_equal_ones_that_of_one() -> None:
    point, spread = np.array([1.0, 0.9, 0.8, 0.5]), np.array([0.01, 0.02, 0.01, 0.1])
    sidak = stats.norm.ppf((1 + 0.95**0.25) / 2)
    assert band(point, normal(point, spread)).width == pytest.approx(2 * sidak * spread, rel=0.02)
    assert band(point, normal(point, spread, shared=1.0)).width == pytest.approx(2 * 1.96 * spread, rel=0.02)


def test_bias_is_taken_off_and_the_estimate_stays_inside() -> None:
    point, spread = np.array([0.9, 0.8]), np.array([0.01, 0.01])
    low, _ = (band(point, normal(point, spread) - 0.005).low, None)
    centred = band(point, normal(point, spread))
    assert low == pytest.approx(centred.low + 0.005, abs=1e-9)
    far = band(point, normal(point, spread) - 0.2)  # all replicates below: the centre lies far above
    assert (far.low == point).all()


def test_few_units_widen_it() -> None:
    point, spread = np.array([0.9]), np.array([0.02])
    replicates = normal(point, spread)
    ratio = band(point, replicates, units=10).width / band(point, replicates).width
    assert ratio == pytest.approx(stats.t.ppf(0.975, 9) / 1.96 * np.sqrt(10 / 9), rel=0.02)


@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.9999])
@pytest.mark.parametrize("units", [2, 5, 30, 1000])
def test_small_sample_quantiles_are_students(probability: float, units: int) -> None:
    expected = stats.t.ppf(probability, units - 1) * np.sqrt(units / (units - 1))
    assert small_sample_quantile(stats.norm.ppf(probability), units) == pytest.approx(expected, rel=1e-6)
    assert small_sample_quantile(-stats.norm.ppf(probability), units) == pytest.approx(-expected, rel=1e-6)


def test_a_level_without_changes_takes_no_part_and_allows_for_unseen_units() -> None:
    point, spread = np.array([1.0, 0.9]), np.array([0.0, 0.02])
    replicates = normal(point, spread)
    found = band(point, replicates, units=12, unseen=1 / 0.8)
    alone = band(point[1:], replicates[:, 1:], units=12)
    assert found.width[1] == alone.width[0]
    share = 1 - 0.05 ** (1 / 12)  # of which twelve units show none, with 95 %
    assert bounded_share(12, 0.95) == pytest.approx(share)
    assert found.low[0] == pytest.approx(1 - share / 0.8)
    assert share == pytest.approx(0.2209, abs=1e-4)


def test_undefined_replicates_and_levels() -> None:
    point, spread = np.array([1.0, 0.9, np.nan, 0.7]), np.array([0.01, 0.02, 0.01, 0.01])
    replicates = normal(point, spread)
    replicates[: len(replicates) // 4, 1] = np.nan
    replicates[: 3 * len(replicates) // 4, 3] = np.nan
    found = band(point, replicates)
    assert np.isfinite(found.low).tolist() == [True, True, False, False]
    whole = band(point[:2], normal(point, spread)[:, :2])
    assert found.width[:2] == pytest.approx(whole.width, rel=0.03)


def test_nothing_to_band() -> None:
    found = band(np.array([1.0, 0.9]), np.zeros((0, 2)))
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_equal_inputs_give_equal_bits_in_any_memory_order() -> None:
    curve = draw(np.random.default_rng(3), 50, Slope(15.0), kind="overlap", levels=GRID).curve(200)
    first = band(curve.point, curve.replicates, curve.units)
    again = band(curve.point.copy(), np.asfortranarray(curve.replicates), curve.units)
    assert np.array_equal(first.low, again.low)
    assert np.array_equal(first.high, again.high)


def test_it_holds_at_all_levels_together() -> None:
    """Of 150 draws of 100 samples, about 95 % have the whole true curve inside."""
    random, truth = np.random.default_rng(5), Slope(15.0)
    line = np.array([truth(level) for level in GRID])
    held = 0
    for _ in range(150):
        curve = draw(random, 100, truth, kind="overlap", levels=GRID).curve(300)
        found = band(curve.point, curve.replicates, curve.units)
        held += bool(((found.low <= line) & (line <= found.high)).all())
    print("joint coverage", held / 150)
    assert 0.90 <= held / 150 <= 0.99
