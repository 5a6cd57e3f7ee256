"""How far beyond what was measured a gate lies, and how it is spelled."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.codecs.base import Levels
from pytest_lossy.results.document import Knee, MetricValue
from pytest_lossy.thresholds.knees import KneeLevels
from pytest_lossy.thresholds.limits import (
    MeasuredKnee,
    NoLimit,
    knee_limit,
    limit_text,
    metric_limit,
    new_bound,
    passes,
    value_of,
)
from pytest_lossy.thresholds.rules import BOUNDS, Gate

MEASURED = MetricValue(
    value=0.8,
    low=0.75,
    high=0.84,
    retention=0.91,
    retention_low=0.9,
    retention_high=0.95,
    loss=0.08,
    loss_low=0.05,
    loss_high=0.1,
)


@pytest.mark.parametrize(
    ("bound", "margin", "reference", "text"),
    [
        ("min", 0.02, "labels", "0.735"),  # .75 x .98
        ("min", 0, "labels", "0.75"),
        ("min", 0.033, "labels", "0.725"),  # .72525, rounded down
        ("max", 0.02, "labels", "0.857"),  # .84 x 1.02 = .8568, rounded up
        ("max_drop", 0.02, "labels", "11.8%"),  # 1 - .9 x .98
        ("max_drop", 0, "labels", "10%"),
        ("max_loss", 0.02, "labels", "0.116"),  # .1 + .02 x .8
        ("max_drop", 0.02, "clean", "11.6%"),  # label-free: of the loss
        ("min", 0.02, "clean", "0.735"),
    ],
)
def test_limits(bound: str, margin: float, reference: str, text: str) -> None:
    limit = metric_limit(bound, MEASURED, margin, reference)  # type: ignore[arg-type]
    assert limit_text(limit, bound) == text  # type: ignore[arg-type]


def test_three_digits_wherever_the_point_is() -> None:
    for value, down, up in (
        (123456.0, "123000", "124000"),
        (0.00012345, "0.000123", "0.000124"),
        (-0.5004, "-0.501", "-0.5"),
    ):
        metric = MetricValue(value=value, low=value, high=value)
        assert limit_text(metric_limit("min", metric, 0, "labels"), "min") == down
        assert limit_text(metric_limit("max", metric, 0, "labels"), "max") == up


def test_margins_of_negative_numbers_lie_outside_too() -> None:
    metric = MetricValue(value=-0.5, low=-1.0, high=-0.25)
    assert metric_limit("min", metric, 0.1, "labels") == Decimal("-1.10")
    assert metric_limit("max", metric, 0.1, "labels") == Decimal("-0.225")


@pytest.mark.parametrize(
    ("bound", "metric", "reason"),
    [
        ("min", None, "its value is undefined"),
        ("min", MetricValue(value=None), "its value is undefined"),
        ("max", MetricValue(value=0.5), "its value has no interval"),
        ("max_drop", MetricValue(value=0.5, low=0.4, high=0.6), "its retention is undefined"),
        ("max_drop", MetricValue(value=0.5, retention=0.1, retention_low=0, retention_high=1), "a drop of 100%"),
        ("max_drop", MetricValue(value=0.5, retention=0.1, retention_low=-0.1, retention_high=1), "a drop of 100%"),
        ("max_loss", MetricValue(value=0.5, loss=0.1), "its loss has no interval"),
    ],
)
def test_what_has_no_limit(bound: str, metric: MetricValue | None, reason: str) -> None:
    with pytest.raises(NoLimit, match=reason):
        metric_limit(bound, metric, 0.02, "labels")  # type: ignore[arg-type]


def test_drops_stay_within_what_may_be_written() -> None:
    better = MetricValue(value=0.9, retention=1.2, retention_low=1.1, retention_high=1.3)
    assert limit_text(metric_limit("max_drop", better, 0.02, "labels"), "max_drop") == "0%"
    nothing = MetricValue(value=0.9, retention=0.01, retention_low=0.0002, retention_high=0.03)
    assert limit_text(metric_limit("max_drop", nothing, 0.02, "labels"), "max_drop") == "99.99%"


numbers = st.floats(-10, 10, allow_nan=False).map(lambda number: 0.0 if abs(number) < 1e-6 else number)
triples = st.tuples(numbers, numbers, numbers).map(sorted)
margins = st.one_of(st.just(0.0), st.floats(0, 0.5), st.sampled_from([0.01, 0.02, 0.1]))


def metric_of(value: list[float], retention: list[float], loss: list[float]) -> MetricValue:
    names = ("", "retention", "loss")
    fields = {}
    for name, (low, middle, high) in zip(names, (value, retention, loss), strict=True):
        prefix = f"{name}_" if name else ""
        fields |= {name or "value": middle, f"{prefix}low": low, f"{prefix}high": high}
    return MetricValue(**fields)


@given(
    bound=st.sampled_from(BOUNDS),
    value=triples,
    retention=triples,
    loss=triples,
    margin=margins,
    reference=st.sampled_from(["labels", "clean"]),
    like=st.sampled_from([None, "0.5", "5%"]),
)
def test_what_was_measured_passes_the_gate_it_sets(
    bound: str,
    value: list[float],
    retention: list[float],
    loss: list[float],
    margin: float,
    reference: str,
    like: str | None,
) -> None:
    metric = metric_of(value, retention, loss)
    try:
        limit = metric_limit(bound, metric, margin, reference)  # type: ignore[arg-type]
    except NoLimit:
        assert bound == "max_drop"
        return
    if bound == "max_drop":
        assert 0 <= limit < 1
    text = limit_text(limit, bound, like)  # type: ignore[arg-type]
    assert text.endswith("%") == (like == "5%" or (like is None and bound == "max_drop"))
    assert Decimal(text.rstrip("%")) / (100 if text.endswith("%") else 1) == limit
    # A percentage is divided in binary, which may cost the last bit; the caller widens the limit then.
    slack = 1e-12 * (1 if bound == "min" else -1)
    assert passes(Gate("m", bound, value_of(text) - slack, "", 0), metric, reference)  # type: ignore[arg-type]
    if bound == "max_loss" or reference == "clean":
        return
    tighter = metric_limit(bound, metric, 0, reference)  # type: ignore[arg-type]
    assert limit <= tighter if bound == "min" else limit >= tighter


def test_a_new_gate_bounds_the_drop_where_it_can() -> None:
    absolute = MetricValue(value=0.5, low=0.4, high=0.6)
    drop = {"clean": False, "higher": True}
    assert new_bound(MEASURED, 0.02, "labels", **drop) == "max_drop"
    assert new_bound(MEASURED, 0.02, "labels", clean=False, higher=False) == "max_drop"
    assert new_bound(MEASURED, 0.02, "labels", clean=True, higher=True) == "min"
    assert new_bound(MEASURED, 0.02, "labels", clean=True, higher=False) == "max"
    assert new_bound(MEASURED, 0.02, "clean", **drop) == "min"
    assert new_bound(absolute, 0.02, "labels", **drop) == "min"
    with pytest.raises(NoLimit, match="could never fail"):
        new_bound(MetricValue(value=0.1, low=0.0, high=0.2), 0.02, "labels", **drop)
    with pytest.raises(NoLimit, match="no interval"):
        new_bound(MetricValue(value=0.1), 0.02, "labels", **drop)


QUALITY = Levels(1, 100, (95, 5), higher_is_more_compressed=False)
CRF = Levels(0, 51, (23, 50), higher_is_more_compressed=True)
FINE = Levels(0, 3, (1, 2), higher_is_more_compressed=True, integral=False)


@pytest.mark.parametrize(
    ("grid", "mild", "severe", "tried", "margin", "text"),
    [
        (QUALITY, 21.3, 15, (95, 5), 0.0, "22"),
        (QUALITY, 21.3, 15, (95, 5), 0.02, "24"),  # 21.3 + .02 x 99
        (QUALITY, 99.5, 15, (100, 5), 0.02, "100"),
        (QUALITY, math.inf, math.inf, (95, 5), 0.02, "7"),  # beyond q 5
        (CRF, 30.4, 35, (23, 50), 0.0, "30"),
        (CRF, 30.4, 35, (23, 50), 0.02, "29"),  # 30.4 - 1.02
        (CRF, 0.4, 35, (0, 50), 0.1, "0"),
        (FINE, 1.2345, 2, (1, 2), 0.0, "1.23"),
    ],
)
def test_knees(grid: Levels, mild: float, severe: float, tried: tuple[float, ...], margin: float, text: str) -> None:
    status = "beyond_range" if mild == math.inf else "resolved"
    knee = Knee(metric="miou", status=status, tolerance=0.05)  # type: ignore[arg-type]
    found = MeasuredKnee(knee, KneeLevels(mild, mild, severe), tried, grid)
    limit = knee_limit(found, margin)
    assert limit_text(limit, "no_milder_than") == text
    assert passes(Gate("miou", "no_milder_than", float(limit), "", 0), found, "labels")


@pytest.mark.parametrize(("status", "mild"), [("not_resolved", 20.0), ("undefined", math.nan), ("resolved", -math.inf)])
def test_knees_without_a_place(status: str, mild: float) -> None:
    knee = Knee(metric="miou", status=status, tolerance=0.05)  # type: ignore[arg-type]
    with pytest.raises(NoLimit, match="knee"):
        knee_limit(MeasuredKnee(knee, KneeLevels(mild, mild, mild), (95, 5), QUALITY), 0.02)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.5), (0.02, 0.0786), (0.04, 0.0023)])
def test_a_margin_is_room_for_equally_good_retrainings(margin: float, expected: float) -> None:
    """docs/thresholds.md: trainings whose interval's end scatters by 1 % of itself, gated by one of them."""
    ends = np.random.default_rng(3).normal(0.8, 0.008, (2, 4000))
    missed = [
        second < float(metric_limit("min", MetricValue(value=0.9, low=first, high=1.0), margin, "labels"))
        for first, second in ends.T.tolist()
    ]
    # Rounding outward, by up to .001, leaves a little more room.
    assert expected - 0.06 < np.mean(missed) <= expected + 0.02
