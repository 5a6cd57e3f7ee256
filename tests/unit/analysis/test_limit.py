"""One-sided bounds, and the walk that stops at the first level that cannot be shown to be safe."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_lossy.analysis.limit import Bounded, Requirement, Step, bound_of, walk

NORMAL = np.random.default_rng(0).normal(size=20_000)
MANY = 10**9


def bounded(point: float, spread: float = 0.01, units: int = MANY, unseen: float = 0.0) -> Bounded:
    return Bounded(point, point + spread * NORMAL, units, unseen)


def requirement(quantity: Bounded | None, required: float = 0.95, *, at_least: bool = True) -> Requirement:
    return Requirement("it holds", required, at_least, quantity)


def step(*points: float, level: float = 50.0, **fields: float) -> Step:
    return Step(level, [requirement(bounded(point, **fields)) for point in points])  # type: ignore[arg-type]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_bounds_are_one_sided(confidence: float) -> None:
    reach = stats.norm.ppf(confidence) * 0.01
    assert bound_of(bounded(0.9), at_least=True, confidence=confidence) == pytest.approx(0.9 - reach, abs=6e-4)
    assert bound_of(bounded(0.9), at_least=False, confidence=confidence) == pytest.approx(0.9 + reach, abs=6e-4)


def test_without_changes_unseen_units_bound_it() -> None:
    share = 1 - 0.05 ** (1 / 20)
    still = Bounded(1.0, np.ones(100), 20, unseen=1.25)
    assert bound_of(still, at_least=True, confidence=0.95) == pytest.approx(1 - 1.25 * share)
    assert bound_of(still, at_least=False, confidence=0.95) == pytest.approx(1 + 1.25 * share)
    # Of a proportion at 1 that is the exact binomial bound (Clopper & Pearson 1934).
    exact = stats.binomtest(20, 20, alternative="greater").proportion_ci(0.95, method="exact").low
    assert bound_of(Bounded(1.0, np.ones(100), 20, 1.0), at_least=True, confidence=0.95) == pytest.approx(exact)


def test_no_bound_without_replicates() -> None:
    assert bound_of(Bounded(1.0, np.zeros(0), 1), at_least=True, confidence=0.95) is None
    assert bound_of(Bounded(1.0, np.full(9, np.nan), 5), at_least=True, confidence=0.95) is None
    assert bound_of(Bounded(np.nan, np.ones(9), 5), at_least=True, confidence=0.95) is None


def test_the_walk_stops_at_the_first_level_not_shown() -> None:
    found = walk([step(1.0), step(0.98), step(0.955), step(0.99)], confidence=0.95)
    assert (found.status, found.last, found.ended) == ("found", 1, 2)
    assert found.bound == pytest.approx(0.955 - 0.01645, abs=6e-4)
    assert found.missing is not None


def test_every_requirement_of_a_level_must_be_shown() -> None:
    assert walk([step(1.0, 1.0), step(1.0, 0.955)], confidence=0.95).last == 0
    upper = Requirement("", 0.1, False, bounded(0.09))
    assert walk([Step(50.0, [requirement(bounded(1.0)), upper])], confidence=0.95).status == "none"
    low = Requirement("", 0.1, False, bounded(0.08))
    assert walk([Step(50.0, [requirement(bounded(1.0)), low])], confidence=0.95).status == "found"


def test_equality_meets_it() -> None:
    exact = Bounded(0.95, np.full(100, 0.95), MANY)
    assert walk([Step(50.0, [requirement(exact)])], confidence=0.95).last == 0


def test_none_all_and_undefined() -> None:
    nowhere = walk([step(0.9), step(1.0)], confidence=0.95)
    assert (nowhere.status, nowhere.last, nowhere.ended) == ("none", None, 0)
    everything = walk([step(1.0), step(0.99)], confidence=0.95)
    assert (everything.status, everything.last, everything.ended) == ("found", 1, None)
    assert walk([Step(1.0, [requirement(None)]), Step(2.0, ())], confidence=0.95).status == "undefined"
    assert walk([], confidence=0.95).status == "undefined"


def test_a_level_that_was_not_measured_ends_the_walk() -> None:
    found = walk([step(1.0), Step(30.0, ()), step(1.0)], confidence=0.95)
    assert (found.last, found.ended, found.missing) == (0, 1, None)
    undefined = walk([step(1.0), Step(30.0, [requirement(None)]), step(1.0)], confidence=0.95)
    assert (undefined.last, undefined.ended, undefined.bound) == (0, 1, None)
