"""The difference of two arms: by hand, and how often its interval covers the truth with three seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_lossy.analysis.arms import ArmContrast, contrast
from pytest_lossy.analysis.bootstrap import resample_weights
from pytest_lossy.analysis.retained_area import Resampled

N = 100
WEIGHTS = resample_weights(np.arange(N), N, 200, 1).astype(float) / N


def drawn(values: np.ndarray) -> Resampled:
    return Resampled(float(values.mean()), WEIGHTS @ values)


def contrasted(first: list[Resampled], second: list[Resampled]) -> ArmContrast:
    return contrast(first, second, confidence=0.95, units=N)


def test_without_sampling_variance_it_is_the_interval_of_welch() -> None:
    first, second = [0.8, 0.83, 0.79], [0.7, 0.78, 0.75]
    found = contrasted(*([Resampled(x, np.full(200, x)) for x in arm] for arm in (first, second)))
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_it_changes_sign_with_the_arms() -> None:
    random = np.random.default_rng(3)
    first, second = ([drawn(random.normal(mean, 0.3, N)) for _ in range(3)] for mean in (0.1, 0.2))
    ahead, behind = contrasted(first, second), contrasted(second, first)
    assert ahead.difference == pytest.approx(-behind.difference)
    assert ahead.interval is not None
    assert behind.interval is not None
    assert ahead.interval == pytest.approx((-behind.interval[1], -behind.interval[0]))


def test_one_model_an_arm_leaves_the_seeds_unknown() -> None:
    random = np.random.default_rng(3)
    found = contrasted([drawn(random.normal(0, 1, N))], [drawn(random.normal(0, 1, N)) for _ in range(3)])
    assert found.interval is None
    assert found.sampling is not None


def test_nothing_resampled_or_nothing_varies() -> None:
    bare = [Resampled(x, np.zeros(0)) for x in (0.1, 0.2)]
    assert contrasted(bare, bare) == ArmContrast(0.0, None, None, None)
    same = [Resampled(1.0, np.ones(200))] * 3
    assert contrasted(same, same).interval == (0.0, 0.0)


def coverage(sigma: tuple[float, float], arm: float, own: float, *, skewed: bool = False) -> tuple[float, float]:
    """How often two equal arms are covered: by the interval over seeds and samples, and over samples alone.

    Args:
        sigma: standard deviation from seed to seed, of each arm.
        arm: of what a sample does to a whole arm.
        own: of what it does to one model alone.
        skewed: whether seeds draw from an exponential distribution instead of a normal one.
    """
    random, trials = np.random.default_rng(8), 400
    both = samples = 0
    for _ in range(trials):
        common = random.normal(size=N)
        arms = []
        for spread in sigma:
            of_arm = common + arm * random.normal(size=N)
            seeds = random.exponential(size=3) - 1 if skewed else random.normal(size=3)
            arms.append([drawn(of_arm + spread * seed + own * random.normal(size=N)) for seed in seeds])
        found = contrasted(*arms)
        assert found.interval is not None
        assert found.sampling is not None
        both += found.interval[0] <= 0 <= found.interval[1]
        samples += found.sampling[0] <= 0 <= found.sampling[1]
    return both / trials, samples / trials


@pytest.mark.parametrize(
    ("sigma", "arm", "own", "skewed", "expected"),
    [
        ((0, 0), 1, 1, False, 0.95),
        ((0.1, 0.1), 0.5, 0.5, False, 0.95),
        ((0.3, 0.3), 0.5, 0.5, False, 0.95),
        # With two degrees of freedom in one arm and next to no variance in the other, Satterthwaite's are too many.
        ((0.3, 0.03), 0.3, 0.3, False, 0.925),
        ((0.3, 0.3), 0.3, 0.3, True, 0.95),
    ],
)
def test_coverage_with_three_seeds(
    sigma: tuple[float, float], arm: float, own: float, skewed: bool, expected: float
) -> None:
    both, samples = coverage(sigma, arm, own, skewed=skewed)
    assert abs(both - expected) <= 0.035  # about three standard errors of 400 trials
    if min(sigma) >= 0.1:
        assert samples < 0.87  # the samples alone promise too much
