"""Which rule wins: exact, range, glob, ``*``; model before codec before level; per metric and bound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gate_files import case, gates, limits, read
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.thresholds.rules import LevelRange, Rule, Thresholds, aggregate


def rule(model: str, codec: str, level: str, limit: float, metric: str = "miou", bound: str = "min") -> Rule:
    return Rule(model, codec, level, metric, bound, limit, "thresholds.yaml", int(limit * 1000))  # type: ignore[arg-type]


def winner(*rules: Rule) -> float:
    """The same winner in either order of the file."""
    forth = limits(Thresholds(rules), case())
    back = limits(Thresholds(rules[::-1]), case())
    assert forth == back
    return forth["miou.min"]


LEVELS = ["15", ">=10", "1*", "*"]
NAMES = {"model": ["segnet-mini", "segnet-*", "*"], "codec": ["jpeg", "jp*", "*"]}


@pytest.mark.parametrize("better", range(3))
def test_levels_exact_range_glob_any(better: int) -> None:
    for worse in range(better + 1, 4):
        assert winner(rule("*", "*", LEVELS[better], 0.9), rule("*", "*", LEVELS[worse], 0.1)) == 0.9


@pytest.mark.parametrize("better", range(2))
def test_models_exact_glob_any(better: int) -> None:
    for worse in range(better + 1, 3):
        assert winner(rule(NAMES["model"][better], "*", "*", 0.9), rule(NAMES["model"][worse], "*", "*", 0.1)) == 0.9


@pytest.mark.parametrize("better", range(2))
def test_codecs_exact_glob_any(better: int) -> None:
    for worse in range(better + 1, 3):
        assert winner(rule("*", NAMES["codec"][better], "*", 0.9), rule("*", NAMES["codec"][worse], "*", 0.1)) == 0.9


def test_model_counts_before_codec_before_level() -> None:
    assert winner(rule("segnet-*", "*", "*", 0.9), rule("*", "jpeg", "15", 0.1)) == 0.9
    assert winner(rule("*", "jp*", "*", 0.9), rule("*", "*", "15", 0.1)) == 0.9
    assert winner(rule("segnet-mini", "*", "*", 0.9), rule("segnet-*", "jpeg", "15", 0.1)) == 0.9


def test_a_longer_glob_is_more_specific() -> None:
    assert winner(rule("segnet-*", "*", "*", 0.9), rule("s*", "*", "*", 0.1)) == 0.9
    assert winner(rule("*", "*", "15*", 0.9), rule("*", "*", "1*", 0.1)) == 0.9


def test_each_bound_and_metric_has_its_own_winner(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path,
        """
version: 1
models:
  segnet-mini:
    jpeg:
      15: {miou: {min: 0.5}}
  "*":
    "*":
      "*": {miou: {min: 0.1, max_drop: 50%}, fw_iou: {min: 0.2}}
""",
    )
    assert limits(thresholds, case()) == {"miou.min": 0.5, "miou.max_drop": 0.5, "fw_iou.min": 0.2}
    assert limits(thresholds, case(level=10)) == {"miou.min": 0.1, "miou.max_drop": 0.5, "fw_iou.min": 0.2}


def test_primary_stands_for_the_tasks_primary_metric(tmp_path: Path) -> None:
    thresholds = read(tmp_path, 'version: 1\nmodels: {"*": {"*": {"*": {primary: {max_drop: 50%}}}}}')
    assert limits(thresholds, case()) == {"miou.max_drop": 0.5}
    assert {gate.metric for gate in thresholds.gates_for(case(), "fw_iou", {"miou": True, "fw_iou": True})} == {
        "fw_iou"
    }


def test_a_named_metric_beats_primary_at_equal_patterns_only() -> None:
    assert winner(rule("*", "*", "*", 0.9), rule("*", "*", "*", 0.1, metric="primary")) == 0.9
    assert winner(rule("*", "*", "15", 0.9, metric="primary"), rule("*", "*", "*", 0.1)) == 0.9


def test_slices_are_gated_beside_their_metric(tmp_path: Path) -> None:
    thresholds = read(tmp_path, 'version: 1\nmodels: {"*": {jpeg: {15: {miou: {min: 0.5}, "miou[road]": {min: 0.8}}}}}')
    assert limits(thresholds, case()) == {"miou.min": 0.5, "miou[road].min": 0.8}


def test_slices_of_primary_are_slices_of_the_primary_metric(tmp_path: Path) -> None:
    thresholds = read(tmp_path, 'version: 1\nmodels: {"*": {"*": {"*": {"primary[road]": {min: 0.8}}}}}')
    assert limits(thresholds, case()) == {"miou[road].min": 0.8}


def test_primary_comes_first_and_bounds_keep_their_order() -> None:
    rules = [
        rule("*", "*", "*", 0.1, metric=metric, bound=bound)
        for metric in ("pixel_accuracy", "miou", "fw_iou")
        for bound in ("max_loss", "min")
    ]
    order = [(gate.metric, gate.bound) for gate in gates(Thresholds(tuple(rules)), case())]
    assert order == [
        (metric, bound) for metric in ("miou", "fw_iou", "pixel_accuracy") for bound in ("min", "max_loss")
    ]


def test_clean_rules_meet_the_clean_case_alone(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path,
        """
version: 1
models:
  "*":
    clean: {miou: {min: 0.6}}
    "*": {"*": {miou: {min: 0.1}}}
""",
    )
    assert limits(thresholds, case(level=None)) == {"miou.min": 0.6}
    assert limits(thresholds, case()) == {"miou.min": 0.1}


def test_a_codec_glob_does_not_mean_clean() -> None:
    assert limits(Thresholds((rule("*", "c*", "*", 0.5), rule("*", "*", "*", 0.4))), case(level=None)) == {}


def test_labels_are_not_prefixes() -> None:
    thresholds = Thresholds((rule("*", "jpeg", "*", 0.5),))
    assert limits(thresholds, case(label="jpeg-444")) == {}
    assert limits(thresholds, case()) == {"miou.min": 0.5}


def test_names_are_compared_with_case() -> None:
    assert limits(Thresholds((rule("Segnet-*", "*", "*", 0.5),)), case()) == {}


def test_equally_specific_rules_that_disagree_are_refused() -> None:
    thresholds = Thresholds((rule("seg*", "*", "*", 0.5), rule("*ini", "*", "*", 0.6)))
    with pytest.raises(ConfigurationError, match=r"thresholds.yaml:600: miou.min of segnet-mini::jpeg-q15 .* line 500"):
        gates(thresholds, case())


def test_equally_specific_rules_that_agree_are_fine() -> None:
    thresholds = Thresholds((rule("seg*", "*", "*", 0.5), rule("*ini", "*", "*", 0.5)))
    assert limits(thresholds, case()) == {"miou.min": 0.5}


def test_a_more_specific_rule_settles_a_disagreement_wherever_it_stands() -> None:
    rules = [rule("seg*", "*", "*", 0.5), rule("*ini", "*", "*", 0.6), rule("segnet-mini", "*", "*", 0.7)]
    for order in (rules, rules[::-1], [rules[0], rules[2], rules[1]]):
        assert limits(Thresholds(tuple(order)), case()) == {"miou.min": 0.7}


def test_disagreement_about_cases_outside_both_does_not_matter() -> None:
    thresholds = Thresholds((rule("seg*", "*", "*", 0.5), rule("*big", "*", "*", 0.6)))
    assert limits(thresholds, case()) == {"miou.min": 0.5}


def test_a_named_model_without_the_metric_is_told_and_a_pattern_is_silent() -> None:
    metric = rule("segnet-mini", "*", "*", 0.5, metric="map")
    with pytest.raises(ConfigurationError, match="task 'segmentation' of segnet-mini has no metric 'map'"):
        gates(Thresholds((metric,)), case())
    assert gates(Thresholds((rule("seg*", "*", "*", 0.5, metric="map"),)), case()) == []


def test_unmatched_rules_are_found_once_per_line() -> None:
    rules = (
        Rule("segnet-mini", "jpeg", "15", "miou", "min", 0.1, "t", 3),
        Rule("segnet-mini", "jpeg", "16", "miou", "min", 0.1, "t", 4),
        Rule("segnet-mini", "jpeg", "16", "miou", "max_loss", 0.1, "t", 4),
        Rule("other", "*", "*", "miou", "min", 0.1, "t", 5),
        Rule("*", "clean", "", "miou", "min", 0.1, "t", 6),
    )
    cases = [case(), case(level=5), case(level=None)]
    assert [found.line for found in Thresholds(rules).unmatched(iter(cases))] == [4, 5]
    assert [found.line for found in Thresholds(rules).unmatched([])] == [3, 4, 5, 6]


RANGES = [LevelRange(operator, edge) for operator in (">", ">=", "<", "<=") for edge in (10.0, 20.0, 30.0)]


@pytest.mark.parametrize("first", RANGES, ids=str)
def test_overlap_means_a_common_level(first: LevelRange) -> None:
    levels = [number / 2 for number in range(-10, 100)]
    for second in RANGES:
        common = any(first.contains(level) and second.contains(level) for level in levels)
        assert first.overlaps(second) == second.overlaps(first) == common


@given(
    edge=st.integers(-100, 100),
    level=st.integers(-100, 100),
    operator=st.sampled_from([">", ">=", "<", "<="]),
)
def test_ranges_contain_what_they_say(edge: int, level: int, operator: str) -> None:
    parsed = LevelRange.parse(f"{operator} {edge}")
    assert parsed is not None
    assert parsed.contains(level) == eval(f"{level} {operator} {edge}")


@pytest.mark.parametrize("text", ["15", "*", "=15", ">=", ">= x", "=>15", ">15<20"])
def test_other_patterns_are_no_ranges(text: str) -> None:
    assert LevelRange.parse(text) is None


@pytest.mark.parametrize(
    ("metric", "of"),
    [
        ("miou", "miou"),
        ("miou[road]", "miou"),
        ("miou{night}", "miou"),
        ("miou[", "miou["),
        ("miou[]", "miou[]"),
    ],
)
def test_aggregate_of_a_slice(metric: str, of: str) -> None:
    assert aggregate(metric) == of


texts = st.text(st.characters(codec="utf-8"), max_size=8)
rules = st.builds(
    Rule,
    model=texts,
    codec=texts,
    level=texts,
    metric=texts,
    bound=st.sampled_from(["min", "max", "max_drop", "max_loss"]),
    limit=st.floats(allow_nan=False, allow_infinity=False),
    file=texts,
    line=st.integers(1, 10**6),
)


@given(found=st.lists(rules, max_size=5), file=st.none() | texts)
def test_thresholds_cross_a_process(found: list[Rule], file: str | None) -> None:
    thresholds = Thresholds(tuple(found), file=file)
    sent = json.loads(json.dumps(thresholds.serialise()))
    assert Thresholds.deserialise(sent) == thresholds


def test_what_crosses_a_process_is_builtin(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path,
        'version: 1\ndefaults: {confidence: 0.9}\nmodels: {"*": {"*": {"*": {miou: {min: 1, max: 5%}}}}}',
    )

    def check(value: object) -> None:
        assert type(value) in (dict, list, str, int, float, type(None))
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for child in children:
            check(child)

    check(thresholds.serialise())
    assert Thresholds.deserialise(thresholds.serialise()) == thresholds
