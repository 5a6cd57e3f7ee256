"""``reference:`` of gates and of the whole file, and what gates mean in label-free mode."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gate_files import METRICS, case, read
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.results.document import MetricValue
from pytest_lossy.thresholds.rules import Gate, Thresholds
from pytest_lossy.thresholds.verdicts import judge

LABELS = case()
FREE = replace(LABELS, reference="clean")


def limits(thresholds: Thresholds, reference: str) -> dict[str, float]:
    of = FREE if reference == "clean" else LABELS
    return {f"{gate.metric}.{gate.bound}": gate.limit for gate in thresholds.gates_for(of, "miou", METRICS)}


def document(bounds: str, defaults: str = "{}") -> str:
    return f"version: 1\ndefaults: {defaults}\nmodels: {{segnet-mini: {{jpeg: {{15: {{miou: {bounds}}}}}}}}}\n"


@pytest.mark.parametrize(
    ("bounds", "defaults", "labels", "clean"),
    [
        ("{min: 0.5}", "{}", {"miou.min": 0.5}, {}),
        ("{min: 0.5, reference: labels}", "{}", {"miou.min": 0.5}, {}),
        ("{min: 0.5, reference: clean}", "{}", {}, {"miou.min": 0.5}),
        ("{min: 0.5}", "{reference: clean}", {}, {"miou.min": 0.5}),
        ("{min: 0.5, reference: labels}", "{reference: clean}", {"miou.min": 0.5}, {}),
        (
            "[{min: 0.5}, {min: 0.9, max_drop: 5%, reference: clean}]",
            "{}",
            {"miou.min": 0.5},
            {"miou.min": 0.9, "miou.max_drop": 0.05},
        ),
        ("[{min: 0.5}, {max_loss: 0.1}]", "{}", {"miou.min": 0.5, "miou.max_loss": 0.1}, {}),
        ("[]", "{}", {}, {}),
    ],
)
def test_gates_apply_to_their_own_reference(
    tmp_path: Path, bounds: str, defaults: str, labels: dict[str, float], clean: dict[str, float]
) -> None:
    thresholds = read(tmp_path, document(bounds, defaults))
    assert limits(thresholds, "labels") == labels
    assert limits(thresholds, "clean") == clean
    assert thresholds.unmatched([LABELS]) == thresholds.unmatched([FREE]) == []
    assert Thresholds.deserialise(json.loads(json.dumps(thresholds.serialise()))) == thresholds


def test_an_unknown_reference(tmp_path: Path) -> None:
    for text, line in (
        (
            "version: 1\nmodels:\n  m:\n    jpeg:\n      15:\n        miou:\n          reference: cleen\n",
            7,
        ),
        ("version: 1\ndefaults:\n  reference: cleen\nmodels: {}\n", 3),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path, text)
        (problem,) = caught.value.problems
        assert problem.line == line
        assert "'cleen'" in problem.message
        assert "clean" in problem.message.replace("cleen", "")


@pytest.mark.parametrize("wrong", ["[3]", "[[{min: 0.5}]]", "[null]"])
def test_entries_of_a_list_are_bounds(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"thresholds.yaml:3: .*must be a mapping of bounds"):
        read(tmp_path, document(wrong))


def test_a_list_may_not_contradict_itself(tmp_path: Path) -> None:
    thresholds = read(tmp_path, document("[{min: 0.5}, {min: 0.6}]"))
    with pytest.raises(ConfigurationError, match="also set by line 3"):
        limits(thresholds, "labels")
    both = read(tmp_path, document("[{min: 0.5}, {min: 0.6, reference: clean}]"))
    assert (limits(both, "labels"), limits(both, "clean")) == ({"miou.min": 0.5}, {"miou.min": 0.6})


def test_ranges_overlap_only_within_a_reference(tmp_path: Path) -> None:
    text = (
        "version: 1\nmodels:\n  segnet-mini:\n    jpeg:\n"
        '      ">=5": {{miou: {{min: 0.5}}}}\n      "<=50": {{miou: {{min: 0.6, reference: {other}}}}}\n'
    )
    thresholds = read(tmp_path, text.format(other="clean"))
    assert (limits(thresholds, "labels"), limits(thresholds, "clean")) == ({"miou.min": 0.5}, {"miou.min": 0.6})
    with pytest.raises(ConfigurationError, match=r"range '<=50' overlaps '>=5' for miou\.min"):
        read(tmp_path, text.format(other="labels"))


def test_precedence_is_within_a_reference(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path,
        'version: 1\nmodels:\n  "*": {"*": {"*": {primary: {min: 0.3, reference: clean}}}}\n'
        "  segnet-mini: {jpeg: {15: {miou: {min: 0.9}}}}\n",
    )
    assert (limits(thresholds, "labels"), limits(thresholds, "clean")) == ({"miou.min": 0.9}, {"miou.min": 0.3})


def test_an_error_has_no_drop_without_labels(tmp_path: Path) -> None:
    text = "version: 1\nmodels:\n  segnet-mini:\n    jpeg:\n      15:\n        abs_rel:\n          max_drop: 5%\n"
    thresholds = read(tmp_path, text)
    directions = {"abs_rel": False}
    assert thresholds.gates_for(LABELS, "abs_rel", directions)[0].limit == 0.05
    assert thresholds.gates_for(FREE, "abs_rel", directions) == []
    free = read(tmp_path, text + "          reference: clean\n")
    assert free.gates_for(LABELS, "abs_rel", directions) == []
    with pytest.raises(ConfigurationError) as caught:
        free.gates_for(FREE, "abs_rel", directions)
    assert str(caught.value) == (
        "thresholds.yaml:7: abs_rel is an error and has no drop in label-free mode; gate it with 'max'"
    )


@given(value=st.floats(0, 1), limit=st.floats(0, 0.99))
def test_max_drop_bounds_the_disagreement(value: float, limit: float) -> None:
    """Of a proportion that is 1 for clean, the loss is the absolute disagreement."""
    metric = MetricValue(value=value, loss=1 - value, loss_low=1 - value, loss_high=1 - value, low=value, high=value)
    found = judge(Gate("miou", "max_drop", limit, "thresholds.yaml", 3), metric, reference="clean")
    assert (found.quantity, found.required, found.comparison) == ("loss", limit, "<=")
    assert found.met is (1 - value <= limit)
    assert found.verdict == ("passed" if found.met else "failed")


def test_the_other_bounds_mean_the_same_in_both_modes() -> None:
    metric = MetricValue(value=0.8, low=0.7, high=0.9, loss=0.2, loss_low=0.1, loss_high=0.3)
    for bound, limit in (("min", 0.75), ("max", 0.75), ("max_loss", 0.2)):
        gate = Gate("miou", bound, limit, "thresholds.yaml", 3)  # type: ignore[arg-type]
        assert judge(gate, metric, reference="clean") == judge(gate, metric)
