import pytest
from documents import gate
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.report import formatting as f


@pytest.mark.parametrize(
    ("form", "number", "text"),
    [
        (f.metric, 0.61249, "0.612"),
        (f.metric, -0.00001, "-1.00e-05"),
        (f.metric, 0.0, "0.000"),
        (f.metric, -0.0, "0.000"),
        (f.metric, 12.5, "12.500"),
        (f.metric, 1.2345e8, "1.23e+08"),
        (f.percent, 0.9731, "97.3%"),
        (f.percent, 1.006, "100.6%"),
        (f.percent, -0.0001, "0.0%"),
        (f.bits_per_pixel, 0.05963, "0.0596"),
        (f.bits_per_pixel, 0.2134, "0.213"),
        (f.bits_per_pixel, 4.213, "4.21"),
        (f.bits_per_pixel, 24.0, "24.0"),
        (f.bits_per_pixel, 312.4, "312"),
        (f.bits_per_pixel, 0, "0"),
        (f.decibels, 34.251, "34.3"),
        (f.signed, 0.05, "+0.050"),
        (f.signed, -0.05, "-0.050"),
        (f.level, 15.0, "15"),
        (f.level, 0.5, "0.5"),
        (f.duration, 3.24, "3.2 s"),
        (f.duration, 59.7, "1 min"),
        (f.duration, 754, "12 min 34 s"),
        (f.duration, 3725, "1 h 2 min"),
        (f.moment, "2025-03-02T10:30:00+01:00", "2025-03-02 09:30 UTC"),
        (f.moment, "yesterday", "yesterday"),
    ],
)
def test_numbers_print_as_readers_expect(form, number, text):
    assert form(number) == text


@pytest.mark.parametrize("form", [f.metric, f.percent, f.bits_per_pixel, f.decibels, f.signed, f.level, f.duration])
def test_an_undefined_number_is_a_dash(form):
    assert form(None) == f.ABSENT


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_finite_number_prints_long_or_raises(number):
    for form in (f.metric, f.percent, f.bits_per_pixel, f.signed, f.level):
        assert 0 < len(form(number)) < 20


def test_intervals():
    assert f.with_interval(0.5, 0.4, 0.6) == "0.500 [0.400, 0.600]"
    assert f.with_interval(0.5, None, None) == "0.500"
    assert f.with_interval(0.5, 0.4, None) == f"0.500 [0.400, {f.ABSENT}]"


def test_gates_print_in_the_units_they_compare():
    drop = gate(limit=0.02, required=0.98)
    assert f.gate_requirement(drop) == "miou retention ≥ 98.0%"
    assert f.gate_limit(drop) == "max_drop: 2%"
    assert f.gate_observed(drop) == "80.0% [77.0%, 83.0%]"
    least = gate(bound="min", quantity="value", limit=0.5, required=0.5, observed=0.41, low=None, high=None)
    assert f.gate_requirement(least, ascii_only=True) == "miou >= 0.500"
    assert f.gate_limit(least) == "min: 0.5"
    assert f.gate_observed(least) == "0.410"


def test_counts_agree_with_their_noun():
    assert f.count(1, "class", "classes") == "1 class"
    assert f.count(1200, "case") == "1,200 cases"
