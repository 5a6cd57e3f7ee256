"""``thresholds check``: what rules alone, and rules beside numbers, give away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gate_files import METRICS, case
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.cases import Case
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.results.document import CaseRow, MetricValue
from pytest_lossy.thresholds.checking import check_rules, decide
from pytest_lossy.thresholds.decisions import decisions
from pytest_lossy.thresholds.measured_checks import check_measured
from pytest_lossy.thresholds.reader import parse_thresholds
from pytest_lossy.thresholds.rules import Rule, Thresholds
from pytest_lossy.thresholds.update_plan import IndexedCase

KNOWN = {**METRICS, "abs_rel": False}
LEVELS = [
    case(level=None),
    *(case(level=level) for level in (75.0, 50.0, 15.0, 5.0)),
    case(label="jpeg-444", level=15.0),
]
OTHER = [replace(one, model="other-net") for one in LEVELS[:3]]


def indexed(cases: list[Case]) -> list[IndexedCase]:
    return [IndexedCase(one, "miou", KNOWN) for one in cases]


def read(text: str) -> Thresholds:
    return parse_thresholds(text.encode(), Path("t.yaml"), metrics=None, labels={"jpeg", "jpeg-444"}).thresholds


def check(models: str, cases: list[Case] | None = None, head: str = "") -> list[str]:
    thresholds = read(f"version: 1\n{head}models:\n{models}")
    found = check_rules(thresholds, decide(thresholds, indexed(cases or [*LEVELS, *OTHER])), {"miou", "fw_iou"})
    return [str(one) for one in found]


def net(levels: str) -> str:
    return f"  segnet-mini:\n    jpeg: {levels}\n"


def test_sound_gates_are_no_findings() -> None:
    text = (
        "  segnet-mini:\n    clean: {miou: {min: 0.6}}\n    jpeg:\n      '>=50': {miou: {max_drop: 5%}}\n"
        "      15: {miou: {max_drop: 20%, min: 0.4}}\n      '<15': {primary: {max_drop: 50%}, abs_rel: {max: 0.5}}\n"
        "  '*': {'*': {'*': {primary: {max_loss: 0.4}}}}\n"
    )
    assert check(text) == []


@pytest.mark.parametrize(
    ("models", "line", "words"),
    [
        (
            "  segnet-mni: {clean: {miou: {min: 0.1}}}\n",
            3,
            "no spec declares a model 'segnet-mni'; did you mean 'segnet-mini'?",
        ),
        (net("{12: {miou: {min: 0.1}}}"), 4, "no spec of segnet-mini lists level 12 of jpeg; list it"),
        (
            "  other-net: {jpeg-444: {15: {miou: {min: 0.1}}}}\n",
            3,
            "no spec of other-net lists codec 'jpeg-444' (but clean, jpeg)",
        ),
        (
            net("{15: {miuo: {min: 0.1}}}"),
            4,
            "task 'segmentation' of segnet-mini has no metric 'miuo' here; did you mean 'miou'?",
        ),
        (
            "  'seg*': {jpeg: {15: {miuo: {min: 0.1}}}}\n",
            3,
            "no model that it matches has a metric 'miuo'; did you mean 'miou'?",
        ),
        (
            net("{'>=50': {miou: {min: 0.3}}, 75: {miou: {min: 0.4}}, 50: {miou: {min: 0.3}}}"),
            4,
            "miou.min never decides: line 4 takes precedence in every case that it matches; remove it",
        ),
        (
            net("{15: {miou: {min: 0.6, max: 0.5}}}"),
            4,
            "no miou is at least 0.6 and at most 0.5 (line 4), as segnet-mini::jpeg-q15",
        ),
        (
            net("{15: {miou: {min: 50}}}"),
            4,
            "miou.min: 50 can never be met, since miou lies between 0 and 1; write 0.5 or 50%",
        ),
        (net("{15: {primary: {min: 50}}}"), 4, "miou.min: 50 can never be met"),
        (net("{15: {miou: {min: 0}}}"), 4, "miou.min: 0 can never be missed"),
        (net("{15: {miou: {max_loss: 1.5}}}"), 4, "miou.max_loss: 1.5 can never be missed"),
        (
            "  'seg*': {clean: {miou: {min: 0.1}}}\n  '*ini': {clean: {miou: {min: 0.2}}}\n",
            4,
            "miou.min of segnet-mini::clean is also set by line 3, whose patterns are as specific",
        ),
    ],
)
def test_findings(models: str, line: int, words: str) -> None:
    found = check(models)
    assert len(found) == 1, found
    assert found[0].startswith(f"t.yaml:{line}: ")
    assert words in found[0]


def test_every_finding_at_once_by_line() -> None:
    text = "  gone: {clean: {miou: {min: 0.1}}}\n" + net("{12: {miou: {min: 0.1}}, 15: {miou: {min: 2}}}")
    assert [line.split(":")[1] for line in check(text)] == ["3", "5", "5"]


def test_a_fallback_for_models_to_come_is_a_hint() -> None:
    text = net("{75: {miou: {min: 0.3}}}") + "  '*': {jpeg: {75: {miou: {min: 0.1}}}}\n"
    [found] = check(text, LEVELS)
    assert found.startswith("t.yaml:5: hint: miou.min never decides: line 4 takes precedence")
    assert check(text) == [], "it decides for the other model"


def test_a_severe_level_held_to_more_than_a_milder_one_is_a_hint() -> None:
    [found] = check(net("\n      75: {miou: {max_drop: 20%}}\n      15: {miou: {max_drop: 5%}}"))
    assert found.startswith(
        "t.yaml:6: hint: miou.max_drop 0.05 asks for more at jpeg-q15 than line 5 does at the milder jpeg-q75"
    )
    [found] = check("  segnet-mini:\n    clean: {abs_rel: {max: 0.5}}\n    jpeg: {15: {abs_rel: {max: 0.4}}}\n")
    assert "asks for more at jpeg-q15 than line 4 does at the milder clean" in found
    assert check(net("\n      75: {miou: {max_drop: 5%}}\n      15: {miou: {max_drop: 5%}}")) == []


def test_references() -> None:
    free = [replace(one, reference="clean") for one in LEVELS]
    both = [*LEVELS, *free]
    text = net("{15: {miou: [{min: 0.5}, {reference: clean, min: 0.8}]}}")
    assert check(text, both) == []
    [found] = check(text, free)
    assert "miou.min is for 'labels', which segnet-mini cannot be scored against" in found
    [found] = check(net("{15: {abs_rel: {reference: clean, max_drop: 5%}}}"), both)
    assert "abs_rel is an error and has no drop in label-free mode; gate it with 'max'" in found


def test_a_mix_that_nothing_gates() -> None:
    head = "mix: {fleet: {jpeg: {75: 1}}, idle: {jpeg: {5: 1}}}\n"
    [found] = check(
        "  segnet-mini: {mix: {fleet: {miou: {min: 0.1}}}}\n",
        [*LEVELS, Case("segnet-mini", "s", "mix", mix="fleet")],
        head,
    )
    assert found.startswith("t.yaml:2: mix 'idle' is gated by no rule")


# ---------------------------------------------------------------------------------------------------------------------
# Beside numbers


def row(of: Case, low: float, high: float, retention: tuple[float, float] | None = None) -> CaseRow:
    kept = (
        {"retention": sum(retention) / 2, "retention_low": retention[0], "retention_high": retention[1]}
        if retention
        else {}
    )
    value = MetricValue(value=(low + high) / 2, low=low, high=high, **kept)
    return CaseRow(
        id=f"specs/{of.model}.yaml::{of.model}::{of.name}",
        model=of.model,
        task=of.task,
        codec=of.label,
        codec_name=of.codec_name,
        parameter=of.parameter,
        level=of.level,
        verdict="ungated",
        outcome="passed",
        primary="miou",
        metrics={"miou": value, "abs_rel": value},
    )


ROWS = [
    row(LEVELS[0], 0.68, 0.72),
    row(LEVELS[1], 0.66, 0.70, (0.96, 0.98)),
    row(LEVELS[3], 0.48, 0.52, (0.68, 0.74)),
    row(LEVELS[4], 0.18, 0.22, (0.26, 0.31)),
]


def beside(models: str) -> list[str]:
    thresholds = read(f"version: 1\nmodels:\n{models}")
    return [str(one) for one in check_measured(decide(thresholds, indexed(LEVELS)), ROWS)]


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        # clean is 0.7: a drop of at most 10 % means at least 0.63
        (
            "{15: {miou: {max_drop: 10%, max: 0.6}}}",
            "t.yaml:4: miou of segnet-mini::jpeg-q15 cannot be at least 0.63 and at most 0.6",
        ),
        (
            "{15: {abs_rel: {max_loss: 0.1, min: 0.9}}}",
            "t.yaml:4: abs_rel of segnet-mini::jpeg-q15 cannot be at least 0.9 and at most 0.8",
        ),
        (
            "{15: {miou: {min: 0.75}}}",
            "t.yaml:4: miou.min 0.75 at jpeg-q15 asks segnet-mini for more than it reaches on clean samples",
        ),
        (
            "{15: {miou: {min: 0.5}}}",
            "lies inside the value's interval [0.48, 0.52]: inconclusive, and failed under --lossy-strict",
        ),
        (
            "{15: {miou: {min: 0.479}}}",
            "lies at the end of the value's interval [0.48, 0.52]: of equally good models half would miss it",
        ),
        ("{15: {miou: {max_drop: 32%}}}", "lies at the end of the retention's interval [0.68, 0.74]"),
        (
            "{75: {miou: {min: 0.1}}}",
            "miou.min 0.1 at jpeg-q75 of segnet-mini is met even at jpeg 5 (value 0.2): it can hardly fail",
        ),
    ],
)
def test_numbers_tell(levels: str, words: str) -> None:
    found = beside(net(levels))
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    "levels",
    [
        "{15: {miou: {min: 0.46, max_drop: 36%}}}",
        "{75: {miou: {max_drop: 6%}}, 5: {miou: {max_drop: 76%}}}",
        "{'*': {miou: {min: 0.17}}}",  # it has to suit q 5
        "{50: {miou: {min: 0.99}}}",  # was not measured
        "{knee: {no_milder_than: 20}}",
    ],
)
def test_numbers_that_tell_nothing(levels: str) -> None:
    assert beside(net(levels)) == []


# ---------------------------------------------------------------------------------------------------------------------
# Decisions are the choice that gates are made by

patterns = {
    "model": st.sampled_from(["segnet-mini", "segnet-*", "*", "other-net"]),
    "codec": st.sampled_from(["jpeg", "jp*", "*", "clean"]),
    "level": st.sampled_from(["15", ">=50", "<50", "1*", "*"]),
}


@given(
    st.lists(
        st.builds(
            Rule,
            **patterns,
            metric=st.sampled_from(["miou", "fw_iou", "primary", "unknown"]),
            bound=st.sampled_from(["min", "max", "max_drop"]),
            limit=st.sampled_from([0.1, 0.2]),
            file=st.just("t.yaml"),
            line=st.integers(1, 99),
            reference=st.sampled_from(["labels", "clean"]),
        ),
        max_size=8,
    )
)
def test_decisions_are_those_of_gates(rules: list[Rule]) -> None:
    thresholds = Thresholds(tuple(rule for rule in rules if rule.codec != "clean" or rule.bound != "max_drop"))
    for one in LEVELS[:4]:
        found = decisions(thresholds, one, "miou", METRICS)
        for decision in found.values():
            assert all(one_rule.rank(one) is not None for one_rule in (*decision.winners, *decision.losers))
        conflict = any(len({rule.limit for rule in decision.winners}) > 1 for decision in found.values())
        unknown = any(
            rule.metric == "unknown" and rule.model == one.model and rule.reference == one.reference and rule.rank(one)
            for rule in thresholds.rules
        )
        if conflict or unknown:
            with pytest.raises(ConfigurationError):
                thresholds.gates_for(one, "miou", METRICS)
            continue
        gates = thresholds.gates_for(one, "miou", METRICS)
        assert {(gate.metric, gate.bound): gate.limit for gate in gates} == {
            key: decision.winners[0].limit for key, decision in found.items()
        }
