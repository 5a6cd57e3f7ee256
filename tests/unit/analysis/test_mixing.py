"""The expected metric of a mix of levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.analysis.comparison import Replicates, compare, measure
from pytest_lossy.analysis.mixing import mix_replicates

SAMPLES = hnp.arrays(np.float64, (3, 40), elements=st.floats(0.25, 1))


def measured(values: np.ndarray, replicates: int = 100) -> Replicates:
    """A mean over samples, so that the mix of levels is the mean of each sample's mixed value."""
    return measure(lambda weights: {"m": weights @ values / weights.sum(axis=1)}, [None] * values.shape[-1], replicates)


@given(SAMPLES, st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_a_mix_of_means_is_the_mean_of_the_mix(values: np.ndarray, raw: list[float]) -> None:
    """Expectation and resampling commute: the same sample weights are used on every level."""
    shares = [share / sum(raw) for share in raw]
    mixed = mix_replicates([(measured(row), share) for row, share in zip(values, shares, strict=True)])
    direct = measured(np.average(values, axis=0, weights=shares))
    assert mixed.point["m"] == pytest.approx(direct.point["m"], rel=1e-12)
    np.testing.assert_allclose(mixed.replicates["m"], direct.replicates["m"], rtol=1e-12)
    assert mixed.units == 40
    clean = measured(np.ones(40))
    found = compare(mixed, clean, higher_is_better={"m": True}, confidence=0.95)["m"]
    expected = compare(direct, clean, higher_is_better={"m": True}, confidence=0.95)["m"]
    for name in ("value", "retention", "loss"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-12)


@given(SAMPLES)
@settings(max_examples=10, deadline=None)
def test_one_level_alone_is_itself(values: np.ndarray) -> None:
    one = measured(values[0])
    mixed = mix_replicates([(one, 1.0)])
    assert mixed.point == one.point
    assert np.array_equal(mixed.replicates["m"], one.replicates["m"])


def test_a_metric_that_a_level_lacks_is_left_out() -> None:
    both = Replicates({"m": 1.0, "n": 0.5}, {"m": np.ones(3), "n": np.ones(3)}, 4)
    one = Replicates({"m": 0.0}, {"m": np.zeros(3)}, 4)
    for parts in ([(both, 0.5), (one, 0.5)], [(one, 0.5), (both, 0.5)]):
        mixed = mix_replicates(parts)
        assert mixed.point == {"m": 0.5}
        assert mixed.replicates["m"].tolist() == [0.5] * 3


def test_without_replicates_there_is_no_interval() -> None:
    one = Replicates({"m": 1.0}, {}, 1)
    mixed = mix_replicates([(one, 0.25), (Replicates({"m": 0.0}, {}, 1), 0.75)])
    assert (mixed.point, mixed.replicates, mixed.units) == ({"m": 0.25}, {}, 1)


def test_what_is_undefined_on_a_level_is_undefined_of_the_mix() -> None:
    one = Replicates({"m": float("nan")}, {"m": np.full(100, np.nan)}, 9)
    other = Replicates({"m": 1.0}, {"m": np.ones(100)}, 9)
    found = compare(mix_replicates([(one, 0.5), (other, 0.5)]), other, higher_is_better={"m": True}, confidence=0.95)
    assert (found["m"].value, found["m"].low, found["m"].loss, found["m"].retention) == (None, None, None, None)
