"""The search for knee and limit on curves whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_lossy.analysis.retention import isotonic
from pytest_lossy.analysis.search import LevelScale, Reading, search

LINE = 0.95
JPEG = LevelScale((95, 75, 50, 30, 15, 10, 5), integral=True)
JXL = LevelScale((0.5, 1, 2, 4, 8, 12, 18), integral=False)
RATES = LevelScale((4000, 2000, 1000, 500, 250, 125), integral=True)
CRF = LevelScale((23, 50), integral=True)
SCALES = (JPEG, JXL, RATES, CRF, LevelScale((0.75, 0.125), integral=False))


def reader(
    retention: Callable[[float], float], *, margin: float = 0.0, half_width: Callable[[float], float] | None = None
) -> Callable[[tuple[float, ...]], Reading]:
    """Reads a curve without replicates: safe where retention exceeds the line by ``margin``."""

    def evaluate(levels: tuple[float, ...]) -> Reading:
        values = np.array([retention(level) for level in levels])
        fit = isotonic(values[None])[0]
        safe = np.minimum.accumulate(values >= LINE + margin)
        interval = None
        if half_width is not None and fit[0] >= LINE > fit[-1]:
            sure_above = [level for level, value in zip(levels, fit, strict=True) if value - half_width(level) >= LINE]
            sure_below = [level for level, value in zip(levels, fit, strict=True) if value + half_width(level) < LINE]
            interval = (
                sure_above[-1] if sure_above else -math.inf,
                sure_below[0] if sure_below else math.inf,
            )
        return Reading([bool(value >= LINE) for value in fit], [bool(value) for value in safe], interval)

    return evaluate


def falling(scale: LevelScale, knee: float) -> Callable[[float], float]:
    """1 at the mild end, crossing the line at the fractional index ``knee``."""
    return lambda level: LINE + (knee - scale.place(level)) * 0.02


@pytest.mark.parametrize("scale", SCALES)
@given(share=st.floats(0.001, 0.999))
def test_a_falling_curve_is_bracketed_in_logarithmically_many_evaluations(scale: LevelScale, share: float) -> None:
    whole = len(scale.levels) - 1
    knee = share * whole
    tried = search(reader(falling(scale, knee)), scale)  # the limit is where the knee is
    assume(all(abs(scale.place(level) - knee) > 1e-9 for level in tried))  # rounding decides on which side those are
    span = min(abs(scale.levels[-1] - scale.levels[0]), 100) if scale.integral else 100
    # Rounding to levels that can be written in few digits halves a little off the middle.
    assert len(tried) <= math.ceil(math.log2(span)) + 2 + (0 if len(scale.levels) == 2 and scale.integral else 1)
    assert len(set(tried)) == len(tried)
    places = sorted(map(scale.place, tried))
    mild = max(place for place in places if place <= knee)
    severe = min(place for place in places if place > knee)
    gap = abs(scale.level(severe) - scale.level(mild))
    assert severe - mild <= whole / 100 * (1 + 1e-6) or (scale.integral and gap <= 1 + 1e-9)


@given(mild=st.integers(1, 99), width=st.integers(1, 98), inside=st.integers(0, 97), sign=st.sampled_from((1, -1)))
def test_two_whole_levels_are_halved_by_their_difference(mild: int, width: int, inside: int, sign: int) -> None:
    first, last = sign * mild, sign * (mild + width)
    scale = LevelScale((first, last), integral=True)
    knee = first + sign * (inside % width + 0.5)
    tried = search(reader(lambda level: LINE + 0.001 * sign * (knee - level)), scale)
    assert len(tried) <= math.ceil(math.log2(abs(last - first))) + 2
    assert all(level == int(level) for level in tried)
    reached = [level for level in tried if sign * level <= sign * knee]
    beyond = [level for level in tried if sign * level > sign * knee]
    assert min(sign * level for level in beyond) - max(sign * level for level in reached) == 1


@given(st.data())
def test_noise_ends_too(data: st.DataObject) -> None:
    scale = data.draw(st.sampled_from(SCALES))
    values: dict[float, float] = {}

    def noisy(level: float) -> float:
        if level not in values:
            values[level] = data.draw(st.floats(0.8, 1.1))
        return values[level]

    tried = search(reader(noisy, margin=0.01), scale)
    assert len(tried) <= 16
    assert len(set(tried)) == len(tried)
    assert all(scale.levels[0] <= level <= scale.levels[-1] for level in tried) or scale.levels[0] > scale.levels[-1]


@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_curve_needs_its_ends_alone(scale: LevelScale) -> None:
    assert search(reader(lambda _: 0.99), scale) == (scale.levels[0], scale.levels[-1])
    assert search(reader(lambda _: 0.90), scale) == (scale.levels[0], scale.levels[-1])


def test_a_flat_curve_that_is_not_shown_to_be_safe_is_searched_for_its_limit() -> None:
    curve = falling(JPEG, 7.0)  # 0.95 + 0.02 at the severe end
    tried = search(reader(curve, margin=0.05), JPEG)
    assert 2 < len(tried) <= 9
    safe = [level for level in tried if curve(level) >= LINE + 0.05]
    assert JPEG.place(min(safe)) == pytest.approx(7.0 - 2.5, abs=0.25)


def test_the_limit_is_milder_than_the_knee_and_shares_its_levels() -> None:
    curve = falling(JPEG, 4.0)
    alone = search(reader(curve), JPEG)
    both = search(reader(curve, margin=0.02), JPEG)
    assert both[: len(alone)] == alone
    assert len(both) < 2 * len(alone)
    unsafe = max(level for level in both if curve(level) < LINE + 0.02)
    safe = min(level for level in both if curve(level) >= LINE + 0.02)
    assert (safe, unsafe) == (30, 29)  # the limit lies one index milder, at q30


def test_levels_that_the_data_cannot_tell_apart_are_not_halved() -> None:
    curve = falling(JPEG, 4.5)
    exact = search(reader(curve, margin=1), JPEG)  # no level is safe: only the knee is searched
    rough = search(reader(curve, margin=1, half_width=lambda _: 0.015), JPEG)
    assert len(rough) < len(exact)
    assert rough == exact[: len(rough)]


def test_an_undefined_level_ends_the_search_instead_of_repeating_it() -> None:
    def evaluate(levels: tuple[float, ...]) -> Reading:
        above = [None if 20 < level < 80 else level >= 50 for level in levels]
        return Reading(above, [False] * len(levels))

    assert search(evaluate, JPEG) == (95, 5, 30)


@pytest.mark.parametrize(
    ("scale", "mild", "severe", "expected"),
    [
        (JPEG, 95, 5, 30),
        (JPEG, 30, 15, 22),
        (JPEG, 11, 10, None),
        (RATES, 4000, 125, 750),
        (RATES, 1000, 500, 750),
        (RATES, 510, 500, None),
        (JXL, 0.5, 18, 4),
        (JXL, 0.5, 1, 0.75),
        (JXL, 4, 4.1, None),
        (CRF, 23, 50, 36),
        (CRF, 23, 25, 24),
    ],
)
def test_halfway_is_along_the_list_of_levels(
    scale: LevelScale, mild: float, severe: float, expected: float | None
) -> None:
    assert scale.between(mild, severe) == expected
