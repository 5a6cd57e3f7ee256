"""What a budget buys: parsing, automatic budgets, choices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.analysis.budget import Budget, budgets_for, choices, parse_budgets
from pytest_lossy.results.document import Curve, CurvePoint, Limit, MetricValue


def curve(codec: str, *points: tuple[float, float, float], limit: float | None = None, spread: float = 0.02) -> Curve:
    """Points of level, bits per pixel and value, mild to severe."""
    return Curve(
        model="net",
        codec=codec,
        metric="m",
        points=[
            CurvePoint(
                level=level,
                case=f"{codec}-{level}",
                bpp=bpp,
                kbps=1000 * bpp,
                verdict="passed",
                metric=MetricValue(value=value, low=value - spread, high=value + spread),
            )
            for level, bpp, value in points
        ],
        limit=None if limit is None else Limit(metric="m", status="found", requirement="", gated=False, level=limit),
    )


JPEG = curve("jpeg", (90, 2.0, 0.70), (50, 0.9, 0.68), (10, 0.3, 0.40), limit=50)
WEBP = curve("webp", (90, 1.1, 0.69), (50, 0.4, 0.60))


def best(budget: Budget, *, higher: bool = True) -> list[tuple[str, float, bool | None]]:
    found = choices([JPEG, WEBP], budget, higher_is_better=higher, severity=lambda _, level: -level)
    return [(choice.curve.codec, choice.point.level, choice.safe) for choice in found]


def test_the_best_level_of_each_codec_the_best_codec_first() -> None:
    assert best(Budget("bpp", 1.0)) == [("jpeg", 50, True), ("webp", 50, None)]
    assert best(Budget("bpp", 0.5)) == [("webp", 50, None), ("jpeg", 10, False)]
    assert best(Budget("kbps", 300)) == [("jpeg", 10, False)]
    assert best(Budget("bpp", 0.1)) == []


def test_errors_are_better_where_they_are_smaller() -> None:
    assert best(Budget("bpp", 5), higher=False) == [("jpeg", 10, False), ("webp", 50, None)]


def test_the_worse_end_of_the_interval_decides_and_then_the_bits() -> None:
    noisy = curve("noisy", (90, 0.5, 0.72), spread=0.2)
    twin = curve("twin", (90, 0.8, 0.68))
    found = choices([noisy, JPEG, twin], Budget("bpp", 1), higher_is_better=True, severity=lambda _, level: -level)
    assert [choice.curve.codec for choice in found] == ["twin", "jpeg", "noisy"]


@given(st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=12))
def test_automatic_budgets_are_few_round_and_within_the_rates(rates: list[float]) -> None:
    found = budgets_for([curve("jpeg", *((index, rate, 0.5) for index, rate in enumerate(rates)))])
    for unit, factor, most in (("bpp", 1, 4), ("kbps", 1000, 3)):
        values = [budget.value for budget in found if budget.unit == unit]
        assert 1 <= len(values) <= most
        assert values == sorted(set(values))
        if len(values) > 1:
            assert min(rates) * factor <= values[0]
            assert values[-1] <= max(rates) * factor
        assert any(rate * factor <= values[-1] for rate in rates)


def test_no_rates_no_budgets() -> None:
    bare = JPEG.model_copy(
        update={"points": [point.model_copy(update={"bpp": None, "kbps": None}) for point in JPEG.points]}
    )
    assert budgets_for([bare]) == ()
    assert budgets_for([]) == ()


def test_budgets_are_read() -> None:
    assert parse_budgets("0.5bpp, 300kbps,.25 BPP,300 kbit/s") == (
        Budget("bpp", 0.5),
        Budget("kbps", 300),
        Budget("bpp", 0.25),
    )


@pytest.mark.parametrize(
    "text", ["", "0.5", "0bpp", "-1bpp", "infbpp", "1e3bpp", "0.5bpp,,", "0.5 mbps", "1" * 400 + "bpp"]
)
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 0\.5bpp or 300kbps"):
        parse_budgets(text)
