"""judge, case_verdict and outcome as tables."""

from __future__ import annotations

import itertools

import pytest

from pytest_lossy.results.document import GateResult, MetricValue
from pytest_lossy.thresholds.rules import Gate
from pytest_lossy.thresholds.verdicts import case_verdict, judge, outcome


def gate(bound: str, limit: float) -> Gate:
    return Gate("miou", bound, limit, "thresholds.yaml", 7)  # type: ignore[arg-type]


def metric(quantity: str, low: float | None, point: float | None, high: float | None) -> MetricValue:
    prefix = "" if quantity == "value" else f"{quantity}_"
    fields: dict[str, float | None] = {"value": 99.0, "low": 99.0, "high": 99.0}
    return MetricValue(**{**fields, quantity: point, f"{prefix}low": low, f"{prefix}high": high})


TABLE = [
    # bound, limit, low, point, high, verdict, met
    ("min", 0.5, 0.6, 0.7, 0.8, "passed", True),
    ("min", 0.5, 0.5, 0.5, 0.5, "passed", True),
    ("min", 0.5, 0.5, 0.6, 0.7, "passed", True),
    ("min", 0.5, 0.4, 0.6, 0.7, "inconclusive", True),
    ("min", 0.5, 0.3, 0.4, 0.5, "inconclusive", False),
    ("min", 0.5, 0.2, 0.3, 0.4, "failed", False),
    ("max", 0.5, 0.2, 0.3, 0.4, "passed", True),
    ("max", 0.5, 0.5, 0.5, 0.5, "passed", True),
    ("max", 0.5, 0.4, 0.45, 0.6, "inconclusive", True),
    ("max", 0.5, 0.5, 0.6, 0.7, "inconclusive", False),
    ("max", 0.5, 0.51, 0.6, 0.7, "failed", False),
    ("max_drop", 0.1, 0.95, 0.97, 1.0, "passed", True),
    ("max_drop", 0.1, 0.9, 0.9, 0.9, "passed", True),
    ("max_drop", 0.1, 0.85, 0.92, 0.95, "inconclusive", True),
    ("max_drop", 0.1, 0.85, 0.89, 0.95, "inconclusive", False),
    ("max_drop", 0.1, 0.7, 0.8, 0.89, "failed", False),
    ("max_drop", 0.0, 1.0, 1.0, 1.0, "passed", True),
    ("max_drop", 0.0, 1.0, 1.01, 1.02, "passed", True),
    ("max_loss", 0.05, 0.0, 0.01, 0.05, "passed", True),
    ("max_loss", 0.05, -0.1, -0.05, -0.02, "passed", True),
    ("max_loss", 0.05, 0.05, 0.05, 0.05, "passed", True),
    ("max_loss", 0.05, 0.04, 0.06, 0.08, "inconclusive", False),
    ("max_loss", 0.05, 0.06, 0.07, 0.08, "failed", False),
    ("max_loss", -0.05, -0.08, -0.07, -0.06, "passed", True),
]
QUANTITIES = {"min": "value", "max": "value", "max_drop": "retention", "max_loss": "loss"}


@pytest.mark.parametrize(("bound", "limit", "low", "point", "high", "verdict", "met"), TABLE)
def test_judge(bound: str, limit: float, low: float, point: float, high: float, verdict: str, met: bool) -> None:
    result = judge(gate(bound, limit), metric(QUANTITIES[bound], low, point, high))
    assert (result.verdict, result.met) == (verdict, met)
    assert (result.low, result.observed, result.high) == (low, point, high)
    assert result.quantity == QUANTITIES[bound]
    assert result.comparison == (">=" if bound in ("min", "max_drop") else "<=")
    assert (result.metric, result.bound, result.limit, result.line) == ("miou", bound, limit, 7)
    assert result.reason == ""


@pytest.mark.parametrize("percent", range(100))
def test_a_retention_at_its_own_gate_meets_it(percent: int) -> None:
    retention = (100 - percent) / 100  # as a reader writes it: 90 % retained under max_drop: 10%
    result = judge(gate("max_drop", percent / 100), metric("retention", retention, retention, retention))
    assert result.verdict == "passed"


@pytest.mark.parametrize("bound", QUANTITIES)
def test_without_an_interval_the_point_decides_alone(bound: str) -> None:
    good, bad = (0.9, 0.1) if bound in ("min", "max_drop") else (0.1, 0.9)
    for point, met in ((good, True), (bad, False)):
        result = judge(gate(bound, 0.5), metric(QUANTITIES[bound], None, point, None))
        assert (result.verdict, result.met) == ("inconclusive", met)
        assert "no interval" in result.reason


@pytest.mark.parametrize("bound", QUANTITIES)
@pytest.mark.parametrize("missing", [True, False])
def test_undefined_quantities_are_inconclusive_and_unmet(bound: str, missing: bool) -> None:
    value = None if missing else metric(QUANTITIES[bound], None, None, None)
    result = judge(gate(bound, 0.5), value)
    assert (result.verdict, result.met, result.observed) == ("inconclusive", False, None)
    assert f"{QUANTITIES[bound]} of miou is undefined" in result.reason


def judged(verdict: str, met: bool) -> GateResult:
    low, point, high = {
        ("passed", True): (0.6, 0.7, 0.8),
        ("failed", False): (0.1, 0.2, 0.3),
        ("inconclusive", True): (0.4, 0.6, 0.7),
        ("inconclusive", False): (0.3, 0.4, 0.7),
    }[verdict, met]
    result = judge(gate("min", 0.5), metric("value", low, point, high))
    assert (result.verdict, result.met) == (verdict, met)
    return result


PASSED, FAILED = judged("passed", True), judged("failed", False)
LIKELY, UNLIKELY = judged("inconclusive", True), judged("inconclusive", False)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_worst_gate_is_the_cases_verdict(count: int) -> None:
    severity = ["passed", "inconclusive", "failed"]
    for gates in itertools.product([PASSED, FAILED, LIKELY, UNLIKELY], repeat=count):
        assert case_verdict(gates) == max((one.verdict for one in gates), key=severity.index)


def test_no_gate_is_ungated() -> None:
    assert case_verdict([]) == "ungated"


@pytest.mark.parametrize(
    ("gates", "point", "passing", "failing", "strict"),
    [
        ([], "passed", "passed", "passed", "failed"),
        ([PASSED], "passed", "passed", "passed", "passed"),
        ([FAILED], "failed", "failed", "failed", "failed"),
        ([PASSED, FAILED], "failed", "failed", "failed", "failed"),
        ([LIKELY], "passed", "passed", "failed", "failed"),
        ([UNLIKELY], "failed", "passed", "failed", "failed"),
        ([PASSED, LIKELY], "passed", "passed", "failed", "failed"),
        ([LIKELY, UNLIKELY], "failed", "passed", "failed", "failed"),
        ([FAILED, LIKELY], "failed", "failed", "failed", "failed"),
    ],
)
def test_outcome(gates: list[GateResult], point: str, passing: str, failing: str, strict: str) -> None:
    assert outcome(gates, "point", strict=False) == point
    assert outcome(gates, "pass", strict=False) == passing
    assert outcome(gates, "fail", strict=False) == failing
    for setting in ("point", "pass", "fail"):
        assert outcome(gates, setting, strict=True) == strict  # type: ignore[arg-type]


def test_the_setting_does_not_change_the_verdict() -> None:
    assert case_verdict([LIKELY]) == "inconclusive"
