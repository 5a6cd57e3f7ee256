"""``mix:`` of thresholds.yaml: what is read, refused and matched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gate_files import METRICS, case, read

from pytest_lossy.cases import CLEAN, Case
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.thresholds.rules import Thresholds

GOOD = """version: 1
mix:
  fleet:
    jpeg: {75: 0.6, 30: 0.3}
    clean: 0.1
  thirds:
    jpeg: {75: 0.333, 30: 0.333}
    jpeg-444: {15: 0.333}
models:
  segnet-mini:
    mix:
      fleet: {miou: {min: 0.5, max_drop: 5%}}
      "thi*": {primary: {max_loss: 0.1}}
"""
LEVELS = [case(level=None), case(level=75), case(level=30), case(label="jpeg-444", level=15)]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    return [str(problem) for problem in caught.value.problems]


def mixed(mix: str, **fields: str) -> str:
    return f"version: 1\nmix:\n  fleet: {mix}\nmodels: {fields.get('models', '{}')}\n"


def test_shares_are_scaled_to_one(tmp_path: Path) -> None:
    fleet, thirds = read(tmp_path, GOOD).mixes
    assert (fleet.name, fleet.line) == ("fleet", 3)
    assert fleet.shares == (("jpeg", 75.0, 0.6), ("jpeg", 30.0, 0.3), (CLEAN, None, 0.1))
    assert [share for *_, share in thirds.shares] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("mix", "place", "message"),
    [
        ("{jpeg: {75: 0.6, 30: 0.3}}", 3, "the shares of 'fleet' sum to 0.9; make them 1"),
        ("{jpeg: {75: 0.6, 30: 0.402}}", 3, "sum to 1.002"),
        ("{}", 3, "the shares of 'fleet' sum to 0"),
        ("{jpg: {75: 1}}", 3, "unknown codec 'jpg'; did you mean 'jpeg'?"),
        ("{klean: 1}", 3, "unknown codec 'klean'; did you mean 'clean'?"),
        ("{mix: {75: 1}}", 3, "unknown codec 'mix'"),
        ("{jpeg: 1}", 3, "'jpeg' must be a mapping of levels to shares, got 1"),
        ("{jpeg: [75]}", 3, "'jpeg' must be a mapping of levels to shares"),
        ("{jpeg: {q75: 1}}", 3, "'q75' is no level; write a number"),
        ("{jpeg: {true: 1}}", 3, "True is no level; write a number"),
        ("{jpeg: {75: 0, 30: 1}}", 3, "0 is no share of the fleet"),
        ("{jpeg: {75: 60%, 30: 40%}}", 3, "'60%' is no share of the fleet; write a number above 0, at most 1"),
        ("{jpeg: {75: 1.5}}", 3, "1.5 is no share of the fleet"),
        ("{jpeg: {75: true}}", 3, "True is no share of the fleet"),
        ("{jpeg: {75: .nan}}", 3, "nan is not a finite number"),
        ("{clean: -1}", 3, "-1 is no share of the fleet"),
        ("{jpeg: {75: 0.5, 75: 0.5}}", 3, "75"),
    ],
)
def test_mistakes(tmp_path: Path, mix: str, place: int, message: str) -> None:
    found = problems(tmp_path, mixed(mix))
    assert any(line.startswith(f"thresholds.yaml:{place}: ") and message in line for line in found), found


def test_all_mistakes_at_once_each_on_its_line(tmp_path: Path) -> None:
    text = """version: 1
mix:
  a b: {clean: 1}
  fleet:
    jpeg:
      75: 2
      x: 0.5
    jpg: {5: 1}
models:
  segnet-mini:
    mix:
      flet: {miou: {min: 0.1}}
      fleet: {miou: {minimum: 0.1}}
"""
    found = problems(tmp_path, text)
    assert [int(line.split(":")[1]) for line in found] == [3, 6, 7, 8, 12, 13]


@pytest.mark.parametrize("mix", ["3", "[fleet]", "{fleet: 3}", "{fleet: null}"])
def test_what_is_no_mix_at_all(tmp_path: Path, mix: str) -> None:
    assert problems(tmp_path, f"version: 1\nmix: {mix}\nmodels: {{}}\n")[0].startswith("thresholds.yaml:2: ")


def test_only_complete_mixes_that_a_rule_names_become_cases(tmp_path: Path) -> None:
    thresholds = read(tmp_path, GOOD)
    assert [found.name for found in thresholds.mix_cases(LEVELS)] == ["mix-fleet", "mix-thirds"]
    assert [found.name for found in thresholds.mix_cases(LEVELS[:3])] == ["mix-fleet"]
    assert thresholds.mix_cases(LEVELS[:2]) == []
    assert thresholds.mix_cases([]) == []
    others = [replace(one, model="other") for one in LEVELS]
    assert thresholds.mix_cases(others) == []
    (fleet, _) = thresholds.mix_cases(LEVELS)
    assert fleet == Case("segnet-mini", "segmentation", "mix", mix="fleet")
    assert (fleet.slug, fleet.is_clean) == ("segnet-mini@mix-fleet", False)
    clean_free = [replace(one, reference="clean") for one in LEVELS]
    assert thresholds.mix_cases(clean_free)[0].reference == "clean"


def test_parts_are_the_cases_in_the_written_order(tmp_path: Path) -> None:
    fleet = read(tmp_path, GOOD).mix("fleet")
    parts = fleet.parts(LEVELS)
    assert parts is not None
    assert [(part.name, share) for part, share in parts] == [("jpeg-q75", 0.6), ("jpeg-q30", 0.3), ("clean", 0.1)]


def test_rules_of_codecs_and_mixes_do_not_meet(tmp_path: Path) -> None:
    text = GOOD.replace(
        "models:\n",
        'models:\n  "*":\n    "*": {"*": {primary: {min: 0.9}}}\n'
        '    mix: {"*": {primary: {min: 0.2}}, fleet: {primary: {max: 1}}}\n',
    )
    thresholds = read(tmp_path, text)
    fleet, thirds = thresholds.mix_cases(LEVELS)
    limits = {
        (one.mix, gate.bound): gate.limit
        for one in (fleet, thirds)
        for gate in thresholds.gates_for(one, "miou", METRICS)
    }
    assert limits == {
        ("fleet", "min"): 0.5,
        ("fleet", "max"): 1,
        ("fleet", "max_drop"): 0.05,
        ("thirds", "min"): 0.2,
        ("thirds", "max_loss"): 0.1,
    }
    assert [gate.limit for gate in thresholds.gates_for(LEVELS[1], "miou", METRICS)] == [0.9]
    assert thresholds.gates_for(LEVELS[0], "miou", METRICS) == []


def test_dead_rules_of_mixes(tmp_path: Path) -> None:
    thresholds = read(tmp_path, GOOD)
    complete = [*LEVELS, *thresholds.mix_cases(LEVELS)]
    assert thresholds.unmatched(complete) == []
    partial = [*LEVELS[:3], *thresholds.mix_cases(LEVELS[:3])]
    assert [rule.line for rule in thresholds.unmatched(partial)] == [13]


def test_mixes_cross_processes(tmp_path: Path) -> None:
    thresholds = read(tmp_path, GOOD)
    assert Thresholds.deserialise(json.loads(json.dumps(thresholds.serialise()))) == thresholds
