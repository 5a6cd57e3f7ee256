"""Score intervals against scipy, published values, their own definition, and by exact coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar

from pytest_lossy.analysis.comparison import compare, measure
from pytest_lossy.analysis.proportions import Paired, outcomes_of, paired, paired_ratio, tango, wilson

Z = stats.norm.ppf(0.975)
tables = st.builds(Paired, *(st.integers(0, 12) for _ in range(4))).filter(lambda table: table.count > 0)


@settings(max_examples=80, deadline=None)
@given(count=st.integers(1, 300), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_is_scipys(count: int, share: float, confidence: float) -> None:
    successes = round(share * count)
    expected = stats.binomtest(successes, count).proportion_ci(confidence, method="wilson")
    assert wilson(successes, count, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(successes: int, count: int, low: float, high: float) -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert wilson(successes, count, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_paired_intervals_as_published() -> None:
    """Fagerland, Lydersen & Laake 2014: airway reactivity before and after transplantation."""
    table = Paired(1, 1, 7, 12)
    assert tango(table, 0.95) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert paired_ratio(table, 0.95) == pytest.approx((0.065, 0.907), abs=5e-4)


def likelihood(table: Paired, cells: tuple[float, float, float]) -> float:
    """Of both, first alone, second alone; neither is what is left."""
    chances = (*cells, 1 - sum(cells))
    counts = (table.both, table.first, table.second, table.neither)
    if any(chance < -1e-12 for chance in chances):
        return -math.inf
    return sum(k * math.log(max(p, 1e-300)) for k, p in zip(counts, chances, strict=True) if k)


@pytest.mark.parametrize("table", [Paired(20, 5, 2, 3), Paired(8, 0, 3, 1), Paired(4, 6, 6, 0), Paired(30, 1, 0, 9)])
def test_differences_end_where_the_score_test_rejects(table: Paired) -> None:
    """The variance is that of the likeliest table with the hypothesised difference, found here by search."""
    for end in tango(table, 0.95):
        if abs(end) == 1:
            continue

        def off(second: float, end: float = end) -> float:
            discordant = 2 * second + end
            rest = 1 - discordant
            known = table.both + table.neither
            shares = (rest * table.both / known, second + end, second) if known else (0.0, second + end, second)
            return -likelihood(table, shares)

        low, high = max(0.0, -end), (1 - end) / 2
        second = minimize_scalar(off, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
        variance = table.count * (2 * second + end - end * end)
        found = (table.first - table.second - table.count * end) ** 2 / variance
        assert found == pytest.approx(Z**2, rel=2e-3)


@pytest.mark.parametrize("table", [Paired(20, 5, 2, 3), Paired(8, 1, 3, 1), Paired(30, 1, 2, 9), Paired(40, 0, 3, 20)])
def test_ratios_end_where_the_score_test_rejects(table: Paired) -> None:
    """The likeliest table with the hypothesised ratio, by search over the share of ``second`` that is ``both``."""
    ends = paired_ratio(table, 0.95)
    assert ends is not None
    discordant_or_both = table.both + table.first + table.second
    for ratio in ends:

        def cells(share: float, ratio: float = ratio) -> tuple[float, float, float]:
            second = discordant_or_both / table.count / (1 + ratio - share)  # the likeliest for this share
            return second * share, second * (ratio - share), second * (1 - share)

        top = min(1.0, ratio)
        share = minimize_scalar(
            lambda share, of=cells: -likelihood(table, of(share)),
            bounds=(1e-12, top - 1e-12),
            method="bounded",
            options={"xatol": 1e-13},
        ).x
        both, first, second = cells(share)
        variance = table.count * ratio * (first + second)
        difference = table.both + table.first - ratio * (table.both + table.second)
        assert difference**2 / variance == pytest.approx(Z**2, rel=2e-3)
        assert (both + first) / (both + second) == pytest.approx(ratio)


@settings(max_examples=150, deadline=None)
@given(table=tables, confidence=st.sampled_from([0.8, 0.9, 0.95]))
def test_paired_intervals_hold_their_estimate_mirror_and_grow(table: Paired, confidence: float) -> None:
    n = table.count
    estimate = (table.first - table.second) / n
    low, high = tango(table, confidence)
    assert -1 <= low <= estimate <= high <= 1
    mirrored = tango(Paired(table.both, table.second, table.first, table.neither), confidence)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)
    wide = tango(table, 0.99)
    assert wide[0] <= low + 1e-9
    assert wide[1] >= high - 1e-9
    assert high > low
    ratio = paired_ratio(table, confidence)
    second = table.both + table.second
    assert (ratio is None) == (second == 0) or ratio is None
    if ratio is not None:
        assert 0 <= ratio[0] <= (table.both + table.first) / second <= ratio[1]


def test_without_discordances_the_ratio_is_wilsons() -> None:
    """Of ``a`` samples that both get right, none was lost: the lower end is Wilson's for a of a."""
    for right in (1, 8, 70):
        ends = paired_ratio(Paired(right, 0, 0, 3), 0.9)
        assert ends is not None
        assert ends[0] == pytest.approx(wilson(right, right, 0.9)[0])
        assert tango(Paired(right, 0, 0, 3), 0.9)[0] < 0 < tango(Paired(right, 0, 0, 3), 0.9)[1]


def test_a_ratio_to_nothing_has_no_interval() -> None:
    assert paired_ratio(Paired(0, 3, 0, 5), 0.95) is None


def exact_coverage(count: int, chances: tuple[float, float, float, float], confidence: float = 0.95) -> list[float]:
    """Share of all tables of ``count`` samples, by their multinomial weight, whose intervals hold the truth."""
    both, first, second, _ = chances
    difference, ratio = first - second, (both + first) / (both + second)
    held = [0.0, 0.0]
    for a, b, c in itertools.product(range(count + 1), repeat=3):
        if a + b + c > count:
            continue
        table = Paired(a, b, c, count - a - b - c)
        weight = stats.multinomial.pmf([a, b, c, table.neither], count, chances)
        if weight < 1e-7:
            continue
        low, high = tango(table, confidence)
        held[0] += weight * (low <= difference <= high)
        ends = paired_ratio(table, confidence)
        held[1] += weight * (ends is None or ends[0] <= ratio <= ends[1])
    return held


@pytest.mark.parametrize("chances", [(0.7, 0.02, 0.06, 0.22), (0.6, 0.0, 0.05, 0.35), (0.9, 0.02, 0.02, 0.06)])
def test_coverage_with_few_discordances(chances: tuple[float, float, float, float]) -> None:
    """One discordance or two in 30 samples: more than 95 %, since tables are few, and never much less."""
    coverage = exact_coverage(30, chances)
    print(coverage)
    assert all(0.94 <= share <= 1 for share in coverage)


# Outcomes


def reduce(weights: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, a class of it, and a mean that is no proportion."""
    right, member = np.array([1.0, 1, 0, 1, 0]), np.array([1.0, 0, 1, 0, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "acc": weights @ right / weights.sum(axis=1),
            "acc[cat]": weights @ (right * member) / (weights @ member),
            "score": weights @ np.array([0.5, 1, 0, 1, 0]) / weights.sum(axis=1),
        }


def test_outcomes_of_each_sample() -> None:
    point = {"acc": 0.6, "acc[cat]": 0.5, "score": 0.5}
    found = outcomes_of(reduce, 5, {"acc", "score"}, point)
    assert sorted(found) == ["acc", "acc[cat]"]
    assert found["acc"].tolist() == [1, 1, 0, 1, 0]
    assert np.array_equal(found["acc[cat]"], [1, np.nan, 0, np.nan, np.nan], equal_nan=True)
    assert outcomes_of(reduce, 5, {"acc"}, {"acc": 0.7}) == {}
    assert outcomes_of(reduce, 5, (), point) == {}


def test_tables_of_outcomes() -> None:
    nan = math.nan
    assert paired(np.array([1, 1, 0, 0, nan]), np.array([1, 0, 1, 0, nan])) == Paired(1, 1, 1, 1)
    assert paired(np.array([1, nan]), np.array([1.0, 1])) is None
    assert paired(np.array([nan]), np.array([nan])) is None


def accuracy(right: np.ndarray):
    return lambda weights: {"acc": weights @ right / weights.sum(axis=1)}


def test_rows_of_proportions_do_not_collapse() -> None:
    right = np.array([1.0] * 11 + [0.0])
    same = measure(accuracy(right), [None] * 12, 200, proportions={"acc"})
    row = compare(same, same, higher_is_better={"acc": True}, confidence=0.95)["acc"]
    assert (row.low, row.high) == pytest.approx(wilson(11, 12, 0.95))
    assert (row.loss_low, row.loss_high) == pytest.approx(tango(Paired(11, 0, 0, 1), 0.95))
    assert (row.retention_low, row.retention_high) == pytest.approx(paired_ratio(Paired(11, 0, 0, 1), 0.95))
    assert row.loss_low < 0 < row.loss_high


def test_losses_are_clean_minus_case() -> None:
    clean, case = np.array([1.0] * 18 + [0.0] * 2), np.array([1.0] * 12 + [0.0] * 7 + [1.0])
    arms = [measure(accuracy(right), [None] * 20, 200, proportions={"acc"}) for right in (case, clean)]
    row = compare(*arms, higher_is_better={"acc": True}, confidence=0.95)["acc"]
    assert row.loss == pytest.approx(5 / 20)
    assert (row.loss_low, row.loss_high) == pytest.approx(tango(Paired(12, 6, 1, 1), 0.95))
    assert (row.retention_low, row.retention_high) == pytest.approx(paired_ratio(Paired(12, 1, 6, 1), 0.95))
    flipped = compare(*arms, higher_is_better={"acc": False}, confidence=0.95)["acc"]
    assert (flipped.loss_low, flipped.loss_high) == pytest.approx((-row.loss_high, -row.loss_low))
    assert (flipped.retention_low, flipped.retention_high) == pytest.approx(
        (1 / row.retention_high, 1 / row.retention_low)
    )


def test_groups_and_undeclared_metrics_keep_the_bootstrap() -> None:
    right = np.array([1.0] * 10 + [0.0] * 10)
    grouped = measure(accuracy(right), [str(index // 2) for index in range(20)], 200, proportions={"acc"})
    assert grouped.outcomes == {}
    assert measure(accuracy(right), [None] * 20, 200).outcomes == {}
