"""The two-segment break against a dense search by least squares, and its restraint where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_lossy.analysis.breakpoint import two_segment_break
from tests.unit.analysis.simulated_curves import LEVELS, Shoulder, draw, flat

X = np.array(LEVELS)


def replicates(point: np.ndarray, spread: float = 0.01) -> np.ndarray:
    return point + spread * np.random.default_rng(0).normal(size=(400, len(point)))


def found(point: np.ndarray, spread: float = 0.01, levels: np.ndarray = X):
    return two_segment_break(levels, point, replicates(point, spread), confidence=0.95, units=1000)


def by_search(levels: np.ndarray, point: np.ndarray) -> float:
    """The break of least squared error, by fitting every candidate on a dense grid."""
    grid = np.linspace(levels[1:-1].min(), levels[1:-1].max(), 4001)
    errors = []
    for at in grid:
        hinge = np.maximum(0.0, at - levels) if levels[0] > levels[-1] else np.maximum(0.0, levels - at)
        design = np.stack([np.ones_like(levels), levels, hinge], axis=1)
        errors.append(np.linalg.lstsq(design, point, rcond=None)[1].sum())
    return float(grid[int(np.argmin(errors))])


@pytest.mark.parametrize("edge", [25.0, 40.0, 52.3, 70.0])
def test_an_exact_break_is_found(edge: float) -> None:
    point = np.array([Shoulder(edge)(level) for level in LEVELS])
    answer = found(point)
    assert answer is not None
    assert answer.level == pytest.approx(edge, abs=10 / 32)
    assert answer.low <= answer.level <= answer.high


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_least_squares_fit(seed: int) -> None:
    random = np.random.default_rng(seed)
    point = np.array([Shoulder(40.0)(level) for level in LEVELS]) + 0.02 * random.normal(size=len(X))
    answer = found(point)
    assert answer is not None
    assert answer.level == pytest.approx(by_search(X, point), abs=10 / 32)


def test_levels_may_rise() -> None:
    levels = np.array([23.0, 30, 35, 40, 45, 50])
    point = 1 - 0.05 * np.maximum(0.0, levels - 38)
    answer = found(point, levels=levels)
    assert answer is not None
    assert answer.level == pytest.approx(38, abs=5 / 32)
    assert answer.low <= answer.level <= answer.high


def test_a_straight_line_and_a_plateau_after_the_fall_have_none() -> None:
    assert found(0.5 + X / 200) is None
    assert found(np.full(len(X), 1.0)) is None
    assert found(0.9 + 0.01 * np.maximum(0.0, X - 50)) is None


def test_few_levels_or_no_replicates_have_none() -> None:
    point = np.array([Shoulder(40.0)(level) for level in LEVELS])
    assert two_segment_break(X, point, np.zeros((0, len(X))), confidence=0.95, units=1) is None
    assert found(point[::3], levels=X[::3]) is None
    holes = point.copy()
    holes[2] = np.nan
    answer = two_segment_break(X, holes, replicates(point), confidence=0.95, units=100)
    assert answer is not None
    assert answer.level == pytest.approx(40, abs=0.5)


def test_noise_around_a_line_rarely_breaks() -> None:
    random, count = np.random.default_rng(4), 0
    for _ in range(100):
        curve = draw(random, 100, flat, kind="overlap").curve(200)
        count += two_segment_break(X, curve.point, curve.replicates, confidence=0.95, units=100) is not None
    assert count <= 12  # 5 expected
