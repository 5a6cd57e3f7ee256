"""Gates from measurements: what changes, what must not, and that the run which set them passes them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_lossy.cases import CLEAN, Case
from pytest_lossy.codecs.base import Levels
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.results.document import Knee, MetricValue
from pytest_lossy.thresholds.decisions import decisions
from pytest_lossy.thresholds.knees import KneeLevels
from pytest_lossy.thresholds.limits import MeasuredKnee, passes, value_of
from pytest_lossy.thresholds.reader import LocatedThresholds, parse_thresholds
from pytest_lossy.thresholds.rules import Gate, Thresholds
from pytest_lossy.thresholds.updating import GateUpdate, IndexedCase, MeasuredCase, update_gates

METRICS = {"miou": True, "fw_iou": True, "abs_rel": False}
QUALITY = Levels(1, 100, (95, 5), higher_is_more_compressed=False)
MODELS, LABELS, LEVELS = ("net", "net-two"), ("jpeg", "jpeg-444"), (50.0, 15.0, 5.0)


def parse(text: str) -> LocatedThresholds:
    return parse_thresholds(text.encode(), Path("thresholds.yaml"), metrics={*METRICS, "primary"}, labels=set(LABELS))


def case(model: str, label: str = CLEAN, level: float | None = None, *, knee: bool = False) -> Case:
    if label == CLEAN:
        return Case(model, "segmentation", CLEAN)
    return Case(model, "segmentation", label, "jpeg", "q", level, knee=knee)


EVERYTHING = [
    IndexedCase(one, "miou", METRICS)
    for model in MODELS
    for one in (
        case(model),
        *(case(model, label, level) for label in LABELS for level in LEVELS),
        *(case(model, label, knee=True) for label in LABELS),
    )
]


def measured(low: float, *, drop: float = 0.1, knee: float = 20.0) -> MeasuredCase:
    """``low`` is the lower end of every metric, ``drop`` what may be lost at most."""
    value = MetricValue(
        value=low + 0.05,
        low=low,
        high=low + 0.1,
        retention=1 - drop + 0.02,
        retention_low=1 - drop,
        retention_high=1 - drop + 0.04,
        loss=drop - 0.02,
        loss_low=drop - 0.04,
        loss_high=drop,
    )
    found = Knee(metric="miou", status="resolved", tolerance=0.05)
    place = MeasuredKnee(found, KneeLevels(knee - 2, knee, knee - 4), (50.0, 5.0), QUALITY)
    return MeasuredCase(dict.fromkeys(METRICS, value), place)


def update(text: str, ran: dict[Case, MeasuredCase], *, margin: float = 0.02, new_only: bool = False) -> GateUpdate:
    located = parse(text)
    return update_gates(
        located, text, EVERYTHING, ran, lambda new: parse(new).thresholds, margin=margin, new_only=new_only
    )


def body(found: GateUpdate) -> str:
    return found.text.partition("models:\n")[2]


CLEAN_AND_15 = {case("net"): measured(0.7), case("net", "jpeg", 15.0): measured(0.5)}


def test_new_gates_are_on_the_primary_metric() -> None:
    found = update("version: 1\n", CLEAN_AND_15)
    assert found.text == (
        "version: 1\nmodels:\n  net:\n    clean: {miou: {min: 0.686}}\n    jpeg:\n      15: {miou: {max_drop: 11.8%}}\n"
    )
    assert (found.changed, found.added, found.kept, found.refused) == (0, 2, 0, ())


def test_a_rule_whose_cases_all_ran_takes_the_loosest_limit_that_they_need() -> None:
    text = 'version: 1\nmodels:\n  net:\n    jpeg: {">=15": {miou: {max_drop: 1%, min: 0.9}}}\n'
    ran = {case("net", "jpeg", 50.0): measured(0.6, drop=0.05), case("net", "jpeg", 15.0): measured(0.5, drop=0.1)}
    found = update(text, ran)
    assert body(found) == '  net:\n    jpeg: {">=15": {miou: {max_drop: 11.8%, min: 0.49}}}\n'
    assert (found.changed, found.added) == (2, 0)


def test_a_rule_for_cases_that_did_not_run_stays_and_others_get_their_own() -> None:
    text = 'version: 1\nmodels:\n  net:\n    jpeg: {">=15": {miou: {max_drop: 1%}}}\n'
    found = update(text, {case("net", "jpeg", 50.0): measured(0.6, drop=0.05)})
    assert body(found) == '  net:\n    jpeg: {">=15": {miou: {max_drop: 1%}}, 50: {miou: {max_drop: 6.9%}}}\n'
    assert (found.changed, found.added) == (0, 1)


def test_a_pattern_for_models_stays_since_it_speaks_of_models_to_come() -> None:
    text = 'version: 1\nmodels:\n  "*":\n    "*": {"*": {primary: {max_drop: 50%}}}  # a policy\n'
    every = {one.case: measured(0.5) for one in EVERYTHING if one.case.level is not None}
    found = update(text, every)
    assert found.text.startswith(text)
    assert found.added == len(every)
    limits = {gate.limit for one in every for gate in found.thresholds.gates_for(one, "miou", METRICS)}
    assert limits == {value_of("11.8%")}


def test_every_bound_of_every_metric_is_set_and_keeps_its_spelling() -> None:
    text = (
        "version: 1\nmodels:\n  net:\n    jpeg:\n      15:  # fifteen\n        miou: {min: 90%, max_loss: 0.01}\n"
        '        fw_iou: {max_drop: 0.01}   # a number\n        abs_rel: {max: "0.1"}\n'
    )
    found = update(text.replace('"0.1"', "0.1"), {case("net", "jpeg", 15.0): measured(0.5)})
    assert body(found) == (
        "  net:\n    jpeg:\n      15:  # fifteen\n        miou: {min: 49%, max_loss: 0.111}\n"
        "        fw_iou: {max_drop: 0.118}   # a number\n        abs_rel: {max: 0.612}\n"
    )


def test_references_are_kept_apart() -> None:
    text = "version: 1\nmodels:\n  net:\n    jpeg: {15: {miou: {min: 0.3}}}\n"
    free = replace(case("net", "jpeg", 15.0), reference="clean")
    located = parse(text)
    indexed = [IndexedCase(free, "miou", METRICS)]
    found = update_gates(located, text, indexed, {free: measured(0.5)}, lambda new: parse(new).thresholds, margin=0)
    assert body(found) == "  net:\n    jpeg: {15: {miou: [{min: 0.3}, {reference: clean, min: 0.5}]}}\n"
    again = update_gates(
        parse(found.text), found.text, indexed, {free: measured(0.4)}, lambda new: parse(new).thresholds, margin=0
    )
    assert body(again) == "  net:\n    jpeg: {15: {miou: [{min: 0.3}, {reference: clean, min: 0.4}]}}\n"


def test_new_only_leaves_cases_with_a_gate_alone() -> None:
    text = "version: 1\nmodels:\n  net:\n    clean: {fw_iou: {min: 0.99}}\n"
    found = update(text, CLEAN_AND_15, new_only=True)
    assert body(found) == "  net:\n    clean: {fw_iou: {min: 0.99}}\n    jpeg:\n      15: {miou: {max_drop: 11.8%}}\n"
    assert (found.added, found.kept) == (1, 1)


def test_knees_are_gated_by_their_mild_end() -> None:
    text = "version: 1\nmodels:\n  net:\n    jpeg:\n      knee: {no_milder_than: 5}\n"
    knees = {case("net", label, knee=True): measured(0.5, knee=20.0) for label in LABELS}
    found = update(text, knees)
    # 20 + .02 x 99, rounded to milder; the second is new
    assert body(found) == (
        "  net:\n    jpeg:\n      knee: {no_milder_than: 22}\n    jpeg-444:\n      knee: {no_milder_than: 22}\n"
    )


def test_mixes_are_gated_like_cases() -> None:
    text = "version: 1\nmix: {fleet: {jpeg: {50: 0.5, 15: 0.5}}}\nmodels:\n  net*: {mix: {fleet: {miou: {max_drop: 1%}}}}\n"
    mix = Case("net", "segmentation", "mix", mix="fleet")
    every = [*EVERYTHING, *(IndexedCase(replace(mix, model=name), "miou", METRICS) for name in MODELS)]
    found = update_gates(parse(text), text, every, {mix: measured(0.5)}, lambda new: parse(new).thresholds, margin=0.02)
    assert found.text == text + "  net:\n    mix:\n      fleet: {miou: {max_drop: 11.8%}}\n"


def test_what_cannot_be_written_is_named() -> None:
    text = "version: 1\nmodels:\n  net:\n    jpeg: {15: {miou: {min: 0.9}, fw_iou: {min: 0.9}}}\n"
    no_interval = MeasuredCase({"miou": MetricValue(value=0.5), "fw_iou": measured(0.5).metrics["fw_iou"]})
    ran = {
        case("net"): MeasuredCase(problem="crashed: the process died"),
        case("net", "jpeg", 15.0): no_interval,
        case("net", "jpeg", 5.0): MeasuredCase({"miou": MetricValue(value=0.01, low=0.0, high=0.1)}),
    }
    found = update(text, ran)
    assert body(found) == "  net:\n    jpeg: {15: {miou: {min: 0.9}, fw_iou: {min: 0.49}}}\n"
    assert found.refused == (
        "net::clean: crashed: the process died",
        "net::jpeg-q15 miou.min: its value has no interval",
        "net::jpeg-q5 miou: its interval reaches 0: a gate there could never fail",
    )


def test_gates_behind_an_alias_are_named_and_stay() -> None:
    text = (
        "version: 1\nmodels:\n  net: &net\n    jpeg: {15: {miou: {min: 0.9}}}\n  net-two: *net\n"
        "  other: {clean: {miou: {min: 0.1}}}\n"
    )
    found = update(text, CLEAN_AND_15)
    assert found.text == text
    assert [line.partition(": ")[0] for line in found.refused] == ["net::clean miou.min", "net::jpeg-q15 miou.min"]
    assert all("alias" in line for line in found.refused)


def test_equally_specific_rules_that_agree_change_together_or_not() -> None:
    twins = 'version: 1\nmodels:\n  net:\n    jpeg: {15: {miou: {min: 0.9}}, "15": {miou: {min: 0.9}}}\n'
    found = update(twins, CLEAN_AND_15)
    assert body(found).startswith('  net:\n    jpeg: {15: {miou: {min: 0.49}}, "15": {miou: {min: 0.49}}}\n')
    globs = 'version: 1\nmodels:\n  net:\n    jpeg: {"1?": {miou: {min: 0.9}}, "?5": {miou: {min: 0.9}}}\n'
    found = update(globs, {case("net", "jpeg", 15.0): measured(0.5)})
    assert set(limits_of(found.thresholds, case("net", "jpeg", 15.0))) == {("miou", "min", 0.49)}


def test_the_diff_is_that_of_the_file() -> None:
    text = "version: 1\nmodels:\n  net:\n    clean: {miou: {min: 0.9}}\n"
    found = update(text, {case("net"): measured(0.5)})
    assert found.diff[:2] == ("--- thresholds.yaml", "+++ thresholds.yaml")
    assert found.diff[-2:] == ("-    clean: {miou: {min: 0.9}}", "+    clean: {miou: {min: 0.49}}")


# ---------------------------------------------------------------------------------------------------------------------
# Random files and random runs


def limits_of(thresholds: Thresholds, of: Case) -> list[tuple[str, str, float]]:
    return [(gate.metric, gate.bound, gate.limit) for gate in thresholds.gates_for(of, "miou", METRICS)]


limits = st.sampled_from(["0.5", "0.25", "30%", "5%", '"12%"', "0"])
bounds = st.dictionaries(st.sampled_from(["min", "max", "max_drop", "max_loss"]), limits, min_size=1, max_size=2)
clean_bounds = st.dictionaries(st.sampled_from(["min", "max"]), limits, min_size=1, max_size=2)
names = st.sampled_from(["miou", "fw_iou", "primary", "abs_rel"])
level_keys = st.sampled_from(["15", "50", '"5"', '">=20"', '"<20"', '"*"', '"1*"', '"?5"'])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A thresholds file, every mapping of which may be written in a block or in flow style, with comments."""

    def write(tree: object, indent: int, flow: bool) -> str:
        if isinstance(tree, str):
            return f" {tree}"
        assert isinstance(tree, dict)
        if flow or not tree:
            inner = ", ".join(f"{key}:{write(value, 0, True)}" for key, value in tree.items())
            return f" {{{inner}}}"
        lines = []
        for key, value in tree.items():
            note = draw(st.sampled_from(["", "", "   # note"]))
            text = write(value, indent + 2, draw(st.booleans()))
            head, newline, rest = text.partition("\n")
            lines.append(f"{' ' * indent}{key}:{head}{note}{newline}{rest}")
            if draw(st.integers(0, 5)) == 0:
                lines.append(f"{' ' * indent}# own line")
        return "\n" + "\n".join(lines)

    metrics = st.dictionaries(names, bounds, min_size=1, max_size=2)
    levels = st.dictionaries(level_keys, metrics, min_size=1, max_size=3)
    codecs = st.dictionaries(st.sampled_from(["jpeg", "jpeg-444", '"j*"', '"*"']), levels, max_size=2)
    models = {}
    for name in draw(
        st.lists(st.sampled_from(["net", "net-two", '"net*"', '"*"']), unique=True, min_size=1, max_size=3)
    ):
        tree: dict[str, object] = dict(draw(codecs))
        if draw(st.booleans()):
            tree["clean"] = draw(st.dictionaries(names, clean_bounds, min_size=1, max_size=2))
        models[name] = tree
    return (
        "# first line\nversion: 1\nmodels:"
        + write(models, 2, False)
        + draw(st.sampled_from(["\n", "", "\n\n# last\n"]))
    )


measurements = st.builds(
    measured,
    low=st.floats(-0.2, 0.95).map(lambda number: round(number, 3)),
    drop=st.floats(-0.1, 1.05).map(lambda number: round(number, 3)),
    knee=st.sampled_from([8.0, 20.5, 99.0]),
)
"""Some have no limit that may be written."""


@given(text=files(), data=st.data(), margin=st.sampled_from([0.0, 0.02, 0.1]), new_only=st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_file_and_any_run(text: str, data: st.DataObject, margin: float, new_only: bool) -> None:
    try:
        before = parse(text).thresholds
        known = {one.case: limits_of(before, one.case) for one in EVERYTHING}
    except ConfigurationError:
        assume(False)
    cases = [one.case for one in EVERYTHING]
    one_model = st.sampled_from(MODELS).map(lambda name: [one for one in cases if one.model == name])
    chosen = data.draw(st.one_of(st.lists(st.sampled_from(cases), unique=True, max_size=12), one_model, st.just(cases)))
    ran = {one: data.draw(measurements) for one in chosen}
    found = update(text, ran, margin=margin, new_only=new_only)
    after = parse(found.text).thresholds
    refused = {line.partition(": ")[0] for line in found.refused}
    for one in EVERYTHING:
        gates = limits_of(after, one.case)
        if one.case not in ran or (new_only and known[one.case]):
            assert gates == known[one.case], "what did not run is judged as before"
            continue
        assert {gate[:2] for gate in known[one.case]} <= {gate[:2] for gate in gates}, "no gate is lost"
        for decision in decisions(after, one.case, "miou", METRICS).values():
            name = f"{one.case.model}::{one.case.name} {decision.metric}.{decision.bound}"
            what = ran[one.case].of(decision.metric, decision.bound)
            for rule in decision.winners:
                gate = Gate(decision.metric, decision.bound, rule.limit, "", 0)
                assert name in refused or passes(gate, what, "labels"), (name, found.text)
        if not gates:
            subject = f"{one.case.model}::{one.case.name} miou"
            assert subject in refused or f"{subject}.min" in refused, "a case without a gate is named"
    assert comments(text) == comments(found.text)
    assert bool(found.diff) == (found.text != text) == bool(found.changed or found.added)
    again = update(found.text, ran, margin=margin, new_only=new_only)
    assert again.text == found.text, "the same numbers change nothing"
    assert (again.changed, again.added, again.diff) == (0, 0, ())


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)
