"""Gates on the knee: reading them, which of them wins, and judging where a knee lies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from gate_files import METRICS, gates, read
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pytest_lossy.cases import Case
from pytest_lossy.codecs.base import Levels
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.results.document import Knee
from pytest_lossy.thresholds.knee_checks import knee_problems
from pytest_lossy.thresholds.knees import KneeLevels, judge_knee
from pytest_lossy.thresholds.reader import thresholds_json_schema
from pytest_lossy.thresholds.rules import Gate, Thresholds

JPEG = build_codec("jpeg").levels
INF = math.inf


def knee_case(model: str = "segnet-mini", label: str = "jpeg", *, label_free: bool = False) -> Case:
    reference = "clean" if label_free else "labels"
    return Case(model, "segmentation", label, "jpeg", "q", None, reference, knee=True)


def document(rules: str) -> str:
    return f"version: 1\nmodels:\n  {rules}\n"


def refused(folder: Path, rules: str, head: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, f"version: 1\n{head}models:\n  {rules}\n")
    return str(caught.value)


def required(thresholds: Thresholds, case: Case) -> list[tuple[str, str, float, int]]:
    return [(gate.metric, gate.bound, gate.limit, gate.line) for gate in gates(thresholds, case)]


def test_a_knee_gate_is_for_the_knee_alone(tmp_path: Path) -> None:
    text = document("segnet-mini: {jpeg: {knee: {no_milder_than: 20}, 20: {miou: {min: 0.3}}}}")
    thresholds = read(tmp_path, text)
    assert required(thresholds, knee_case()) == [("miou", "no_milder_than", 20, 3)]
    level = Case("segnet-mini", "segmentation", "jpeg", "jpeg", "q", 20)
    clean = Case("segnet-mini", "segmentation", "clean")
    mix = Case("segnet-mini", "segmentation", "mix", mix="knee")
    assert required(thresholds, level) == [("miou", "min", 0.3, 3)]
    assert required(thresholds, clean) == required(thresholds, mix) == []
    assert required(thresholds, knee_case("other")) == required(thresholds, knee_case(label="jpeg-444")) == []
    assert required(thresholds, knee_case(label_free=True)) == []


def test_rules_of_levels_do_not_gate_the_knee(tmp_path: Path) -> None:
    thresholds = read(tmp_path, document('"*": {"*": {"*": {primary: {min: 0.3}}, ">=1": {primary: {max: 1}}}}'))
    assert required(thresholds, knee_case()) == []


@pytest.mark.parametrize(
    ("rules", "limit"),
    [
        ('{segnet-mini: {jpeg: {knee: {no_milder_than: 1}}}, "seg*": {jpeg: {knee: {no_milder_than: 2}}}}', 1),
        ('{"*": {jpeg: {knee: {no_milder_than: 1}}}, "seg*": {"*": {knee: {no_milder_than: 2}}}}', 2),
        ('{"*": {"jp*": {knee: {no_milder_than: 1}}, "*": {knee: {no_milder_than: 2}}}}', 1),
        ('{"*": {"jp*": {knee: {no_milder_than: 1}}, jpeg: {knee: {no_milder_than: 2}}}}', 2),
    ],
)
def test_the_most_specific_rule_wins(tmp_path: Path, rules: str, limit: float) -> None:
    thresholds = read(tmp_path, f"version: 1\nmodels: {rules}\n")
    assert [gate.limit for gate in gates(thresholds, knee_case())] == [limit]
    back = Thresholds(thresholds.rules[::-1])
    assert [gate.limit for gate in gates(back, knee_case())] == [limit]


def test_rules_that_are_as_specific_and_disagree_are_refused(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path, document('"*": {"*eg": {knee: {no_milder_than: 1}}, "jp*": {knee: {no_milder_than: 2}}}')
    )
    with pytest.raises(ConfigurationError, match="is also set by line 3, whose patterns are as specific"):
        thresholds.gates_for(knee_case(), "miou", METRICS)


def test_rules_cross_processes(tmp_path: Path) -> None:
    thresholds = read(tmp_path, document("a: {jpeg: {knee: {no_milder_than: 20}}}"))
    assert Thresholds.deserialise(json.loads(json.dumps(thresholds.serialise()))) == thresholds


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("a: {jpeg: {knee: 20}}", "'knee' must be a mapping of bounds (no_milder_than), got 20"),
        ("a: {jpeg: {knee: {no_milder: 20}}}", "unknown bound 'no_milder' of a knee; did you mean 'no_milder_than'?"),
        ("a: {jpeg: {knee: {min: 0.2}}}", "unknown bound 'min' of a knee; gate metrics at levels"),
        ("a: {jpeg: {knee: {no_milder_than: low}}}", "no_milder_than: 'low' is no level; write a number such as 20"),
        ("a: {jpeg: {knee: {no_milder_than: true}}}", "no_milder_than: True is no level; write a number such as 20"),
        ("a: {jpeg: {knee: {no_milder_than: .inf}}}", "inf is not a finite number; write a number"),
        (
            "a: {jpeg: {knee: {no_milder_than: 20, reference: clean}}}",
            "a knee is a place of retention, which label-free mode does not have; gate levels there, or write "
            "'reference: labels'",
        ),
        ("a: {clean: {knee: {no_milder_than: 20}}}", "clean is no curve and has no knee; gate the knee of a codec"),
        ("a: {mix: {knee: {no_milder_than: 20}}}", "a mix is no curve and has no knee; gate the knee of a codec"),
        ("a: {mix: {m: {knee: {no_milder_than: 20}}}}", "a mix is no curve and has no knee; gate the knee of a codec"),
        ("a: {jpeg: {20: {miou: {no_milder_than: 20}}}}", "unknown bound 'no_milder_than'; "),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, rules: str, message: str) -> None:
    found = refused(tmp_path, rules, "mix: {m: {jpeg: {20: 1}}}\n" if "m:" in rules else "")
    assert found.startswith(f"thresholds.yaml:{4 if 'm:' in rules else 3}: {message}")


def test_a_file_for_label_free_runs_says_so_of_its_knees(tmp_path: Path) -> None:
    rules = "a: {jpeg: {knee: {no_milder_than: 20}}}"
    assert "which label-free mode does not have" in refused(tmp_path, rules, "defaults: {reference: clean}\n")
    labelled = "a: {jpeg: {knee: {no_milder_than: 20, reference: labels}}}"
    read(tmp_path, f"version: 1\ndefaults: {{reference: clean}}\nmodels:\n  {labelled}\n")


@pytest.mark.parametrize(
    ("bounds", "valid"),
    [
        ("{no_milder_than: 20}", True),
        ("{no_milder_than: 20, reference: labels}", True),
        ("{no_milder_than: low}", False),
        ("{no_milder_than: 20, reference: clean}", False),
        ("{min: 0.5}", False),
    ],
)
def test_the_schema_agrees(bounds: str, valid: bool) -> None:
    content = YAML(typ="safe").load(document(f"a: {{jpeg: {{knee: {bounds}, '15': {{miou: {{min: 0.5}}}}}}}}"))
    errors = list(jsonschema.Draft202012Validator(thresholds_json_schema()).iter_errors(content))
    assert not errors if valid else errors


def problems(folder: Path, rules: str, curves: list[tuple[Case, Levels, bool]]) -> list[str]:
    return [str(problem) for problem in knee_problems(curves, read(folder, document(rules)))]


def test_levels_out_of_the_codecs_range_are_refused(tmp_path: Path) -> None:
    curve = (knee_case(), JPEG, False)
    (found,) = problems(tmp_path, "segnet-mini: {jpeg: {knee: {no_milder_than: 120}}}", [curve])
    assert found == ("thresholds.yaml:3: no_milder_than: level 120 is outside 1..100 of jpeg; choose from 1..100")
    (found,) = problems(tmp_path, '"*": {"*": {knee: {no_milder_than: 0.5}}}', [curve])
    assert found.endswith("choose from 1..100, or write a rule for jpeg alone")
    # The wider rule is never judged, and a fractional level is one: knees lie between levels.
    rules = '"*": {"*": {knee: {no_milder_than: 0.5}}, jpeg: {knee: {no_milder_than: 17.5}}}'
    assert problems(tmp_path, rules, [curve]) == []
    # Nothing runs jpeg here, but what it can do is known.
    assert len(problems(tmp_path, "nobody: {jpeg: {knee: {no_milder_than: 120}}}", [curve])) == 1


def test_a_model_without_labels_has_no_knee(tmp_path: Path) -> None:
    own, flagged = (knee_case(label_free=True), JPEG, True), (knee_case(label_free=True), JPEG, False)
    rules = "segnet-mini: {jpeg: {knee: {no_milder_than: 20}}}"
    (found,) = problems(tmp_path, rules, [own])
    assert found.startswith(
        "thresholds.yaml:3: segnet-mini is scored against its own clean predictions and has no knee; "
    )
    assert problems(tmp_path, rules, [flagged]) == []
    assert problems(tmp_path, '"*": {jpeg: {knee: {no_milder_than: 20}}}', [own]) == []


def verdict_of(
    limit: float,
    found: tuple[float, float, float],
    *,
    tried: tuple[float, ...] = (95, 50, 30, 10, 5),
    status: str = "resolved",
    explanation: str = "",
) -> tuple[str, bool]:
    """``found`` is mild end, place, severe end."""
    rises = tried[-1] > tried[0]
    knee = Knee(metric="miou", status=status, tolerance=0.05, explanation=explanation)  # type: ignore[arg-type]
    gate = Gate("miou", "no_milder_than", limit, "thresholds.yaml", 7)
    levels = KneeLevels(found[1], found[0], found[2])
    result = judge_knee(gate, knee, levels, tried=tried, higher_is_more_compressed=rises)
    assert (result.quantity, result.required, result.comparison) == ("knee", limit, ">=" if rises else "<=")
    known = [end for end in (found[0], found[2]) if math.isfinite(end)]
    assert sorted(end for end in (result.low, result.high) if end is not None) == sorted(known)
    assert result.observed == (found[1] if math.isfinite(found[1]) else None)
    return result.verdict, result.met


CRF = (23, 30, 35, 40, 45, 50)


@pytest.mark.parametrize(
    ("limit", "found", "options", "expected"),
    [
        (20, (18, 15, 12), {}, ("passed", True)),
        (20, (20, 15, 12), {}, ("passed", True)),  # met at equality
        (20, (25, 15, 12), {}, ("inconclusive", True)),
        (20, (40, 25, 15), {}, ("inconclusive", False)),
        (20, (40, 30, 25), {}, ("failed", False)),
        (20, (18, 9, INF), {}, ("passed", True)),  # its severe end is beyond q5
        (20, (60, 30, INF), {}, ("inconclusive", False)),
        (20, (-INF, 30, 25), {}, ("failed", False)),
        (20, (-INF, 15, 12), {}, ("inconclusive", True)),
        # beyond the levels tried
        (20, (INF, INF, INF), {"status": "beyond_range"}, ("passed", True)),
        (20, (18, INF, INF), {"status": "beyond_range"}, ("passed", True)),
        (20, (28, INF, INF), {"status": "beyond_range"}, ("inconclusive", True)),
        (20, (INF, INF, INF), {"status": "beyond_range", "tried": (95, 50, 30)}, ("inconclusive", False)),
        (20, (INF, INF, INF), {"status": "beyond_range", "tried": (95, 50, 20)}, ("passed", True)),
        (20, (-INF, -INF, -INF), {"status": "beyond_range"}, ("failed", False)),
        (20, (-INF, -INF, 15), {"status": "beyond_range"}, ("inconclusive", False)),
        (20, (-INF, -INF, -INF), {"status": "beyond_range", "tried": (15, 10, 5)}, ("inconclusive", False)),
        # not resolved: the interval is not to be trusted, the place may decide the test's outcome
        (20, (-INF, 15, INF), {"status": "not_resolved"}, ("inconclusive", True)),
        (20, (18, 15, 12), {"status": "not_resolved"}, ("inconclusive", True)),
        (20, (-INF, 25, INF), {"status": "not_resolved"}, ("inconclusive", False)),
        (20, (-INF, math.nan, INF), {"status": "undefined"}, ("inconclusive", False)),
        # the level runs the other way
        (20, (31, 33, 36), {"tried": CRF}, ("passed", True)),
        (40, (38, 41, 44), {"tried": CRF}, ("inconclusive", True)),
        (40, (41, 42, 44), {"tried": CRF}, ("passed", True)),
        (40, (33, 36, 39), {"tried": CRF}, ("failed", False)),
        (40, (INF, INF, INF), {"tried": CRF, "status": "beyond_range"}, ("passed", True)),
        (51, (INF, INF, INF), {"tried": CRF, "status": "beyond_range"}, ("inconclusive", False)),
    ],
)
def test_verdicts(limit: float, found: tuple[float, float, float], options: dict, expected: tuple[str, bool]) -> None:
    assert verdict_of(limit, found, **options) == expected


def test_reasons_say_what_to_do() -> None:
    gate = Gate("miou", "no_milder_than", 20, "thresholds.yaml", 7)
    levels = KneeLevels(INF, INF, INF)
    beyond = Knee(metric="miou", status="beyond_range", tolerance=0.05)
    found = judge_knee(gate, beyond, levels, tried=(95, 30), higher_is_more_compressed=False)
    assert found.reason == "the knee lies beyond level 30, and nothing more severe was tried; try 20 as well"
    unresolved = Knee(metric="miou", status="not_resolved", tolerance=0.05, explanation="The band is wide.")
    found = judge_knee(gate, unresolved, levels, tried=(95, 5), higher_is_more_compressed=False)
    assert found.reason == "The band is wide."


@given(
    limit=st.integers(1, 100),
    ends=st.tuples(*[st.integers(1, 100)] * 3).map(sorted),
    rises=st.booleans(),
)
def test_mirrored_scales_give_mirrored_verdicts(limit: int, ends: list[int], rises: bool) -> None:
    tried = (1, 50, 100)
    here = verdict_of(limit, tuple(ends), tried=tried)  # type: ignore[arg-type]
    mirrored = [101 - end for end in ends]
    there = verdict_of(101 - limit, tuple(mirrored), tried=tuple(101 - one for one in tried))  # type: ignore[arg-type]
    assert here == there
    verdict, met = here
    assert met or verdict != "passed"
    assert not met or verdict != "failed"
