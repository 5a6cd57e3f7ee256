"""Crossings and knees by hand: what is resolved, what is not, what lies beyond."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.analysis.knee import LocatedKnee, locate_knee
from pytest_lossy.analysis.positions import Place, Scale, crossings, locate, place_interval
from pytest_lossy.analysis.retention import RetentionCurve, isotonic

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("curve", "place"),
    [
        ([1.0, 0.96, 0.94, 0.5], 1.5),
        ([1.0, 0.99, 0.90, 0.5], 1 + 0.04 / 0.09),
        ([1.0, 0.95, 0.90], 1.0),  # at the line is not below it
        ([1.0, 0.95, 0.95, 0.90], 2.0),
        ([0.94, 0.9], -INF),
        ([0.95, 0.9], 0.0),
        ([1.0, 0.95], INF),
        ([1.0, 1.0, 1.0], INF),
        ([0.9], -INF),
        ([1.0], INF),
        ([1.0, NAN, 0.9], 1.0),  # half way from the first level to the third
        ([NAN, 1.0, 0.9], 1.5),
        ([NAN, 0.9, 0.8], -INF),
        ([NAN, NAN], NAN),
    ],
)
def test_crossings(curve: list[float], place: float) -> None:
    assert crossings(np.array([curve]), 0.95)[0] == pytest.approx(place, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(
    rows=hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.floats(0, 1.5)),
    line=st.floats(0.1, 1.4),
)
def test_the_curve_is_at_the_line_where_it_crosses(rows: np.ndarray, line: float) -> None:
    fits = isotonic(rows)
    for fit, place in zip(fits, crossings(fits, line), strict=True):
        if place == INF:
            assert fit[-1] >= line
        elif place == -INF:
            assert fit[0] < line
        else:
            assert np.interp(place, np.arange(len(fit)), fit) == pytest.approx(line, abs=1e-9)
            assert (fit[: math.floor(place) + 1] >= line - 1e-12).all()


def test_censored_replicates_keep_their_rank() -> None:
    inside = np.linspace(2, 4, 101)
    open_end = np.concatenate([inside, np.full(5, INF)])
    found = place_interval(3.0, open_end, confidence=0.95, units=10**9)
    assert found is not None
    assert found.high == INF
    assert found.low == pytest.approx(2.05, abs=0.05)
    few = np.concatenate([inside, np.full(1, INF)])
    closed = place_interval(3.0, few, confidence=0.95, units=10**9)
    assert closed is not None
    assert closed.high < 4.0 + 1e-9
    dropped = place_interval(3.0, inside, confidence=0.9, units=10**9)
    kept = place_interval(3.0, np.concatenate([inside, np.full(4, INF)]), confidence=0.9, units=10**9)
    assert dropped is not None
    assert kept is not None
    assert kept.high > dropped.high


def test_undefined_replicates_leave_no_interval() -> None:
    assert place_interval(3.0, np.full(9, NAN), confidence=0.95, units=10) is None
    assert place_interval(INF, np.arange(9.0), confidence=0.95, units=10) is None


SCALE = Scale(np.array([95.0, 75.0, 50.0]), np.log([4.0, 2.0, 1.0]), np.log([400.0, NAN, 100.0]), math.log(4.0))


def test_places_in_every_unit() -> None:
    position = locate(Place(1.5, 0.5, INF), SCALE)
    assert (position.level.value, position.level.low, position.level.high) == (62.5, None, 85.0)
    assert position.bpp is not None
    assert position.byte_share is not None
    assert position.bpp.value == pytest.approx(math.sqrt(2.0))  # half way in log bits
    assert (position.bpp.low, position.bpp.high) == (None, pytest.approx(math.sqrt(8.0)))
    assert position.byte_share.value == pytest.approx(math.sqrt(2.0) / 4)
    assert position.kbps is None  # unknown at one of the two levels around it


def test_a_place_at_a_level_and_levels_that_rise() -> None:
    rising = Scale(np.array([23.0, 35.0, 45.0]), np.full(3, NAN), np.log([400.0, 200.0, 100.0]))
    position = locate(Place(1.0, 0.5, 2.0), rising)
    assert (position.level.value, position.level.low, position.level.high) == (35.0, 29.0, 45.0)
    assert (position.bpp, position.byte_share) == (None, None)
    assert position.kbps is not None
    assert position.kbps.low == pytest.approx(100.0)
    assert position.kbps.high == pytest.approx(math.sqrt(400.0 * 200.0))


def curve(point: list[float], spread: float = 0.005, replicates: int = 500, **fields: object) -> RetentionCurve:
    """A curve whose levels move together, as paired ones do, and a little apart."""
    random = np.random.default_rng(1)
    noise = 0.8 * random.normal(size=(replicates, 1)) + 0.6 * random.normal(size=(replicates, len(point)))
    levels = tuple(float(level) for level in (95, 75, 50, 30, 15, 10, 5)[: len(point)])
    values = {
        "levels": levels,
        "point": np.array(point),
        "replicates": np.array(point) + spread * noise,
        "log_bpp": np.linspace(1, -1, len(point)),
        "units": 1000,
    }
    return RetentionCurve(**{**values, **fields})  # type: ignore[arg-type]


def knee(of: RetentionCurve, tolerance: float = 0.05) -> LocatedKnee:
    return locate_knee(of, tolerance=tolerance, confidence=0.95)


FALLING = [1.0, 0.98, 0.93, 0.8, 0.6]


def test_a_knee_lies_where_the_isotonic_curve_crosses() -> None:
    found = knee(curve(FALLING))
    assert (found.status, found.reason) == ("resolved", "crossed")
    assert found.place is not None
    assert found.place.value == pytest.approx(1.6)
    assert 1.2 < found.place.low < 1.6 < found.place.high < 2.0
    assert (found.censored, found.censored_mild) == (0.0, 0.0)
    assert found.band_width == pytest.approx(0.005 * 2 * 2.4, rel=0.1)


def test_a_bump_is_pooled_before_the_crossing_is_looked_for() -> None:
    found = knee(curve([1.0, 0.94, 0.98, 0.8]))
    assert found.fit.tolist() == pytest.approx([1.0, 0.96, 0.96, 0.8])
    assert found.crossing == pytest.approx(2 + 0.01 / 0.16)


def test_a_wide_band_resolves_nothing_whatever_the_estimate() -> None:
    found = knee(curve(FALLING, spread=0.02))
    assert (found.status, found.reason, found.place) == ("not_resolved", "wide_band", None)
    assert found.crossing == pytest.approx(1.6)
    assert found.band_width > 0.05
    assert knee(curve(FALLING, spread=0.02), tolerance=0.15).status == "resolved"


def test_only_the_band_near_the_crossing_counts() -> None:
    spread = np.array([0.004, 0.004, 0.004, 0.05, 0.05])
    noisy = curve(FALLING, replicates=500)
    replicates = np.array(FALLING) + (noisy.replicates - np.array(FALLING)) / 0.005 * spread
    found = knee(RetentionCurve(noisy.levels, noisy.point, replicates, noisy.log_bpp, noisy.units))
    assert found.status == "resolved"
    assert found.band.width[-1] > 0.2


def test_beyond_the_severe_end_and_milder_than_the_range() -> None:
    flat = knee(curve([1.0, 1.001, 0.999, 0.998]))
    assert (flat.status, flat.reason, flat.censored) == ("beyond_range", "beyond_severe", 1.0)
    late = knee(curve([0.9, 0.8, 0.7]))
    assert (late.status, late.reason, late.censored_mild) == ("beyond_range", "milder_than_range", 1.0)
    assert late.crossing == -INF


def test_flat_and_wide_is_not_resolved_unless_the_band_is_above_the_line() -> None:
    assert knee(curve([1.0, 1.0, 1.0], spread=0.03)).reason == "wide_band"
    assert knee(curve([1.3, 1.3, 1.3], spread=0.03)).reason == "beyond_severe"


def test_a_knee_at_the_last_level_is_open_towards_severe() -> None:
    found = knee(curve([1.0, 0.99, 0.97, 0.947]))
    assert found.status == "resolved"
    assert found.place is not None
    assert found.place.high == INF
    assert found.censored is not None
    assert 0.1 < found.censored < 0.5


def test_one_unit_and_nothing_at_all() -> None:
    assert knee(curve(FALLING, replicates=0)).reason == "no_replicates"
    nothing = knee(curve([NAN, NAN]))
    assert (nothing.status, nothing.reason) == ("undefined", "no_retention")


def test_twelve_unchanged_samples_are_not_beyond_the_range() -> None:
    same = curve([1.0, 1.0, 1.0], spread=0.0, units=12, unseen=1.2)
    assert knee(same).status == "not_resolved"
    assert knee(curve([1.0, 1.0, 1.0], spread=0.0, units=100, unseen=1.2)).status == "beyond_range"


def test_a_level_that_the_data_lack_takes_no_part() -> None:
    whole, holed = curve([1.0, 0.98, 0.93, 0.8]), curve([1.0, 0.98, NAN, 0.8])
    found = knee(holed)
    assert found.crossing == pytest.approx(1 + 2 * 0.03 / 0.18)
    assert np.isnan(found.fit[2])
    holes = whole.replicates.copy()
    holes[::7, 2] = NAN
    assert knee(curve([1.0, 0.98, 0.93, 0.8], replicates=500)).place is not None
    some = knee(RetentionCurve(whole.levels, whole.point, holes, whole.log_bpp, whole.units))
    assert some.status == "resolved"
