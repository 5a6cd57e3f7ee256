import math
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_lossy.report import svg
from pytest_lossy.results.document import Verdict

numbers = st.floats(-1e9, 1e9, allow_nan=False)
positive = st.floats(1e-6, 1e6)


@given(numbers, numbers)
def test_linear_ticks_rise_inside_the_range(low, high):
    ticks = svg.linear_ticks(low, high)
    assert ticks
    assert ticks == sorted(set(ticks))
    if low < high:
        assert all(low <= tick <= high for tick in ticks)
        assert len(ticks) <= 12


@given(positive, positive)
def test_log_ticks_rise_inside_the_range(low, high):
    ticks = svg.log_ticks(low, high)
    assert ticks == sorted(set(ticks))
    if low < high:
        assert all(low <= tick <= high for tick in ticks)
        assert 1 <= len(ticks) <= 12


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.3, 0.7, [0.3, 0.4, 0.5, 0.6, 0.7]),
        (-3, 12, [0.0, 5.0, 10.0]),
        (5, 5, [5]),
    ],
)
def test_linear_ticks_are_round_numbers(low, high, expected):
    assert svg.linear_ticks(low, high) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.05, 3, [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]),
        (1e-4, 1e3, [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0]),
        (0.21, 0.29, [0.25]),
    ],
)
def test_log_ticks_are_round_numbers(low, high, expected):
    found = svg.log_ticks(low, high)
    assert found == expected or (low == 0.21 and all(low <= tick <= high for tick in found))


@given(st.lists(numbers, min_size=1, max_size=20))
def test_a_nice_domain_holds_every_value_and_is_never_empty(values):
    low, high = svg.nice_domain(values)
    assert low < high
    assert low <= min(values)
    assert high >= max(values)
    svg.LinearScale(low, high, 0, 100)


def test_a_nice_domain_of_nothing():
    assert svg.nice_domain([]) == (0.0, 1.0)


def test_a_nice_domain_takes_zero_in_when_it_is_near_and_leaves_it_when_it_is_far():
    assert svg.nice_domain([0.1, 0.9])[0] == 0.0
    assert svg.nice_domain([0.7, 0.75])[0] >= 0.65


@given(numbers, numbers, st.lists(numbers, min_size=2, max_size=10, unique=True), st.booleans())
def test_linear_positions_are_monotone_and_exact_at_the_ends(low, high, values, falls):
    assume(low / 2 < high / 2 and high - low > 1e-6 * max(abs(low), abs(high)))
    start, end = (300.0, 10.0) if falls else (10.0, 300.0)
    scale = svg.LinearScale(low, high, start, end)
    assert scale(low) == pytest.approx(start)
    assert scale(high) == pytest.approx(end)
    placed = [scale(value) for value in sorted(values)]
    assert placed == sorted(placed, reverse=falls)


@given(positive, positive, st.lists(positive, min_size=2, max_size=10, unique=True))
def test_log_positions_are_monotone_and_equal_ratios_are_equal_steps(low, high, values):
    assume(low * 1.001 < high)
    scale = svg.LogScale(low, high, 0.0, 100.0)
    placed = [scale(value) for value in sorted(values)]
    assert placed == sorted(placed)
    assert scale(math.sqrt(low * high)) == pytest.approx(50.0, abs=1e-6)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (float("nan"), 1)])
def test_an_empty_scale_is_refused(limits):
    with pytest.raises(ValueError, match="low < high"):
        svg.LinearScale(*limits, 0, 1)


@pytest.mark.parametrize("limits", [(0, 1), (-1, 1), (2, 1)])
def test_a_log_scale_without_positive_ends_is_refused(limits):
    with pytest.raises(ValueError, match="0 < low < high"):
        svg.LogScale(*limits, 0, 1)


@given(st.lists(st.floats(0, 400), max_size=30).map(sorted), st.floats(1, 60))
def test_thinned_labels_keep_their_distance_and_both_ends(positions, gap):
    kept = svg.thinned(positions, gap)
    assert kept == sorted(set(kept))
    assert all(positions[b] - positions[a] >= gap for a, b in pairwise(kept))
    if positions:
        assert kept[0] == 0
        if positions[-1] - positions[0] >= gap:
            assert kept[-1] == len(positions) - 1


@given(st.lists(st.one_of(st.none(), st.integers()), max_size=30))
def test_runs_keep_every_item_and_join_only_neighbours(items):
    found = svg.runs(items, lambda item: item is not None)
    assert [item for run in found for item in run] == [item for item in items if item is not None]
    assert all(found)
    gaps = sum(1 for a, b in zip([None, *items], items, strict=False) if a is None and b is not None)
    assert len(found) == gaps


def test_paths():
    assert svg.polyline([(0, 1), (2.5, 3.128)]) == "M0 1L2.5 3.13"
    assert svg.polyline([(0, 1)]) == ""
    assert svg.area([(0, 1), (1, 1)], [(0, 2), (1, 2)]) == "M0 1L1 1L1 2L0 2Z"
    assert svg.area([(0, 1)], [(0, 2)]) == ""
    assert svg.coordinate(-0.001) == "0"


def test_every_verdict_has_its_own_shape():
    assert set(svg.MARKERS) == set(get_args(Verdict))
    shapes = [path for verdict, path in svg.MARKERS.items() if verdict not in ("passed", "ungated")]
    assert len(set(shapes)) == len(shapes)
