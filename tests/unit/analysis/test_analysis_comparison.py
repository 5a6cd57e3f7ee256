"""Retention and loss: directions, undefined references, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_lossy.analysis.comparison import Replicates, compare
from pytest_lossy.results.document import MetricValue


def one(
    value: float, clean: float | None, *, higher: bool = True, spread: float = 0.01, name: str = "m"
) -> MetricValue:
    """``value`` against ``clean``, with paired replicates of normal spread."""
    noise = np.random.default_rng(0).normal(size=400)

    def arm(point: float) -> Replicates:
        return Replicates({name: point}, {name: point + spread * noise}, 400)

    return compare(arm(value), None if clean is None else arm(clean), higher_is_better={"m": higher}, confidence=0.95)[
        name
    ]


def test_clean_has_no_retention() -> None:
    row = one(0.6, None)
    assert row.value == 0.6
    assert row.low < 0.6 < row.high
    assert (row.retention, row.loss, row.retention_low, row.loss_low) == (None, None, None, None)


def test_higher_is_better() -> None:
    row = one(0.4, 0.5)
    assert row.retention == pytest.approx(0.8)
    assert row.loss == pytest.approx(0.1)
    assert row.retention_low <= row.retention <= row.retention_high
    assert row.loss_low <= row.loss <= row.loss_high


def test_lower_is_better() -> None:
    row = one(2.0, 1.0, higher=False)
    assert row.retention == pytest.approx(0.5)  # a doubled error is a drop of 50 %
    assert 0.4 < row.retention_low < 0.5 < row.retention_high < 0.6
    assert row.loss == pytest.approx(1.0)


@pytest.mark.parametrize(("higher", "value"), [(True, 0.55), (False, 0.45)])
def test_better_than_clean_is_a_negative_loss(higher: bool, value: float) -> None:
    row = one(value, 0.5, higher=higher)
    assert row.retention > 1
    assert row.loss == pytest.approx(-0.05)


def test_the_interval_of_the_loss_is_paired() -> None:
    row = one(0.4, 0.5, spread=0.05)  # the same noise in both arms
    assert row.loss_low == pytest.approx(0.1)
    assert row.loss_high == pytest.approx(0.1)
    assert row.high - row.low > 0.1


def test_the_interval_of_the_retention_is_that_of_the_replicates_ratio() -> None:
    noise = np.random.default_rng(0).normal(size=2001)
    case = Replicates({"m": 0.4}, {"m": 0.4 + 0.02 * noise}, 9)
    clean = Replicates({"m": 0.5}, {"m": np.full(2001, 0.5)}, 9)
    row = compare(case, clean, higher_is_better={"m": True}, confidence=0.9)["m"]
    assert row.retention_low == pytest.approx(row.low / 0.5)
    assert row.retention_high == pytest.approx(row.high / 0.5)
    assert row.loss_low == pytest.approx(0.5 - row.high, abs=1e-3)
    assert row.loss_high == pytest.approx(0.5 - row.low, abs=1e-3)


def test_identical_arms_keep_everything() -> None:
    row = one(0.5, 0.5)
    assert (row.retention, row.retention_low, row.retention_high) == (1, 1, 1)
    assert (row.loss, row.loss_low, row.loss_high) == (0, 0, 0)


@pytest.mark.parametrize("higher", [True, False])
def test_a_clean_of_zero_has_a_loss_and_no_retention(higher: bool) -> None:
    row = one(0.2, 0.0, higher=higher, spread=0.0)
    assert (row.retention, row.retention_low, row.retention_high) == (None, None, None)
    assert row.loss == pytest.approx(-0.2 if higher else 0.2)
    assert row.loss_low is not None


def test_an_error_of_zero_has_no_retention() -> None:
    assert one(0.0, 0.2, higher=False, spread=0.0).retention is None


def test_a_total_loss_is_a_retention_of_zero() -> None:
    row = one(0.0, 0.5, spread=0.0)
    assert (row.retention, row.retention_low, row.retention_high) == (0, 0, 0)


def test_a_clean_interval_that_contains_zero_has_no_retention() -> None:
    row = one(0.01, 0.02, spread=0.05)
    assert (row.retention, row.retention_low, row.retention_high) == (None, None, None)
    assert row.loss == pytest.approx(0.01)


@pytest.mark.parametrize(("value", "clean"), [(np.nan, 0.5), (0.5, np.nan), (np.nan, np.nan)])
def test_undefined_metrics_are_null_everywhere(value: float, clean: float) -> None:
    row = one(value, clean)
    assert (row.retention, row.loss, row.retention_low, row.loss_high) == (None, None, None, None)
    assert row.value == (None if np.isnan(value) else value)


def test_without_replicates_there_are_points_and_no_intervals() -> None:
    row = compare(
        Replicates({"m": 0.4}, {}, 1),
        Replicates({"m": 0.5}, {}, 1),
        higher_is_better={"m": True},
        confidence=0.95,
    )["m"]
    assert (row.value, row.retention, row.loss) == (0.4, pytest.approx(0.8), pytest.approx(0.1))
    assert {row.low, row.high, row.retention_low, row.loss_low} == {None}


def test_mostly_undefined_replicates_give_no_interval() -> None:
    holes = np.full(100, np.nan)
    holes[:40] = 0.5
    row = compare(Replicates({"m": 0.5}, {"m": holes}, 9), None, higher_is_better={"m": True}, confidence=0.95)["m"]
    assert (row.value, row.low, row.high) == (0.5, None, None)


@pytest.mark.parametrize("name", ["m[road]", "m{night}"])
def test_slices_follow_their_metrics_direction(name: str) -> None:
    assert one(2.0, 1.0, higher=False, name=name).retention == pytest.approx(0.5)


def test_a_slice_that_clean_lacks_has_no_loss() -> None:
    case = Replicates({"m": 0.4, "m[road]": 0.3}, {"m": np.full(9, 0.4), "m[road]": np.full(9, 0.3)}, 9)
    clean = Replicates({"m": 0.5}, {"m": np.full(9, 0.5)}, 9)
    row = compare(case, clean, higher_is_better={"m": True}, confidence=0.95)["m[road]"]
    assert (row.value, row.loss, row.retention) == (0.3, None, None)
