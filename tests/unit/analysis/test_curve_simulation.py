"""What DESIGN promises of knees and limits, where the truth is known; benchmarks/analysis_simulation.py has more runs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from kneed import KneeLocator

from pytest_lossy.analysis.knee import locate_knee
from pytest_lossy.analysis.positions import crossings
from tests.unit.analysis.simulated_curves import GRID, LEVELS, Cliff, Kind, Slope, draw, flat, limit_of


@pytest.mark.parametrize(("kind", "count"), [("overlap", 40), ("overlap", 200), ("binary", 200)])
def test_flat_noisy_curves_have_no_knee(kind: Kind, count: int) -> None:
    random, answers = np.random.default_rng(1), []
    for _ in range(200):
        curve = draw(random, count, flat, kind=kind, levels=GRID).curve(300)
        answers.append(locate_knee(curve, tolerance=0.05, confidence=0.95).status)
    assert set(answers) <= {"resolved", "beyond_range", "not_resolved"}
    assert answers.count("resolved") <= 10


def test_a_known_knee_is_inside_its_interval_and_nearer_than_an_elbow() -> None:
    random = np.random.default_rng(2)
    held, errors, elbows = [], [], []
    for _ in range(100):
        truth = Slope(float(random.uniform(8, 22)))
        curve = draw(random, 200, truth, kind="overlap", correlation=0.97).curve(300)
        found = locate_knee(curve, tolerance=0.05, confidence=0.95)
        line = crossings(np.array([[truth(level) for level in LEVELS]]), 0.95)[0]
        if found.place is not None:
            held.append(found.place.low <= line <= found.place.high)
        place = min(found.crossing, len(LEVELS) - 1.0)
        errors.append(abs(np.interp(place, np.arange(len(LEVELS)), LEVELS) - truth.crossing(0.05)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            elbow = KneeLocator(-np.array(LEVELS), curve.point, curve="concave", direction="decreasing").knee
        if elbow is not None:
            elbows.append(abs(-elbow - truth.crossing(0.05)))
    print(f"resolved {len(held)}, coverage {np.mean(held)}, error {np.mean(errors)}, elbow {np.mean(elbows)}")
    assert len(held) >= 90
    assert 0.88 <= np.mean(held) <= 1.0
    assert np.mean(errors) < np.mean(elbows)


@pytest.mark.parametrize(("kind", "count"), [("overlap", 100), ("binary", 300)])
def test_the_limit_is_rarely_unsafe_at_the_hardest_curve(kind: Kind, count: int) -> None:
    """From q50 on the truth is 94.9 % of clean: at most 5 % of the runs may go there, 400 times give 3.3 % more or less."""
    random, truth = np.random.default_rng(3), Cliff(50, 0.949)
    limits = [
        limit_of(draw(random, count, truth, kind=kind, levels=GRID, correlation=0.97), 0.05, 0.95, 400)
        for _ in range(400)
    ]
    unsafe = np.mean([level is not None and level <= 50 for level in limits])
    print("unsafe", unsafe)
    assert unsafe <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert any(level == 75 for level in limits)


def test_equal_draws_give_equal_knees() -> None:
    first, second = (
        locate_knee(
            draw(np.random.default_rng(7), 100, Slope(15.0), kind="overlap").curve(300), tolerance=0.05, confidence=0.95
        )
        for _ in range(2)
    )
    assert first.place == second.place
    assert (first.band.low == second.band.low).all()
