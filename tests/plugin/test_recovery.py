"""Recovery through the public command line: in results, in gates, and what a gate without a control or parent is told."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from pytest_lossy.cli import json_schema
from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts

FIXED = ("-p", "no:randomly")

ARMS = """
import importlib.util, os, signal
from pathlib import Path
import torch

spec = importlib.util.spec_from_file_location("toy_net", Path(__file__).with_name("net.py"))
net = importlib.util.module_from_spec(spec)
spec.loader.exec_module(net)

class Arm(torch.nn.Module):
    def __init__(self, shift):
        super().__init__()
        self.net = net.Nearest()
        with torch.no_grad():
            self.net.conv.bias[0] += shift

    def forward(self, x):
        return self.net(x)

def build(shift):
    return Arm(shift)

class Deadly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)

    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)

def build_deadly():
    return Deadly()
"""
RECORD = "retrained: {{parent: toy, {0}iterations: {1}, seed: {2}, seconds: 1.5}}"
RETRAINED = "toy.jpeg-mix"
GATED = f"{RETRAINED}: {{jpeg: {{5: {{recovery: {{min: -50%}}, retraining_gain: {{min: -0.5}}}}}}}}"


def record(control: str = "toy.control", *, iterations: int = 10, seed: int = 1) -> str:
    """A ``retrained`` section; the control's own where ``control`` is empty."""
    return RECORD.format(f"control: {control}, codec: jpeg, levels: [5], " if control else "", iterations, seed)


def arm(shift: float = 0.0) -> str:
    """The toy, the further from its best the larger the shift."""
    return f"torch: ./arms.py:build\nkwargs: {{shift: {shift}}}"


@pytest.fixture
def family(suite: pytest.Pytester) -> pytest.Pytester:
    """A parent, its control and a model that loses less than both."""
    toy.write_spec(suite.path, model=arm(0.006))
    (suite.path / "model_specs" / "arms.py").write_text(ARMS, encoding="utf-8")
    toy.write_spec(suite.path, "toy.control", model=arm(0.01), extra=record(""))
    toy.write_spec(suite.path, RETRAINED, model=arm(), extra=record())
    toy.write_thresholds(suite.path, '"*": {jpeg: {"*": {miou: {min: 0.01}}}}')
    return suite


def found(suite: pytest.Pytester, metric: str = "miou") -> dict[float, dict[str, Any]]:
    """Level -> recovery of one metric."""
    return {entry["level"]: entry for entry in results(suite)["recovery"] if entry["metric"] == metric}


def row(suite: pytest.Pytester, case: str, model: str = RETRAINED) -> dict[str, Any]:
    return next(row for row in results(suite)["cases"] if row["id"].endswith(f"::{model}::{case}"))


def test_every_retrained_model_of_a_run_is_compared(family: pytest.Pytester) -> None:
    """In one process; the next test's two workers must come to the same numbers."""
    family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=12)
    document = results(family)
    jsonschema.validate(document, json_schema("results"))

    def value(model: str, case: str) -> float:
        return float(row(family, case, model)["metrics"]["miou"]["value"])

    assert list(found(family)) == [90, 50, 5]
    assert {entry["model"] for entry in document["recovery"]} == {RETRAINED}
    severe = found(family)[5]
    retrained, control, parent = (value(model, "jpeg-q5") for model in (RETRAINED, "toy.control", "toy"))
    control_clean, parent_clean = value("toy.control", "clean"), value("toy", "clean")
    assert severe["recovery"]["value"] == pytest.approx((retrained - control) / (control_clean - control))
    assert severe["naive"]["value"] == pytest.approx((retrained - parent) / (parent_clean - parent))
    assert severe["gain"]["value"] == pytest.approx(retrained - control)
    assert severe["clean_cost"]["value"] == pytest.approx(control_clean - value(RETRAINED, "clean"))
    for name in ("recovery", "naive", "gain", "clean_cost"):
        assert severe[name]["low"] <= severe[name]["value"] <= severe[name]["high"]
    assert (severe["trained_on"], found(family)[50]["trained_on"]) == (True, False)
    assert set(found(family, "pixel_accuracy")) == {90, 50, 5}
    assert "recovery" not in row(family, "jpeg-q5")["metrics"], "no gate asked"
    assert document["recovery_summary"] == []


def test_a_gate_reads_the_same_numbers_whatever_runs_beside_it(run: Run, family: pytest.Pytester) -> None:
    toy.write_thresholds(family.path, GATED)
    run("--lossy-codec=jpeg").assert_outcomes(passed=12)
    gated = row(family, "jpeg-q5")
    assert {gate["metric"]: gate["verdict"] for gate in gated["gates"]} == {
        "recovery": "passed",
        "retraining_gain": "passed",
    }
    entry = found(family)[5]
    for metric, name in (("recovery", "recovery"), ("retraining_gain", "gain"), ("naive_recovery", "naive")):
        measured = gated["metrics"][metric]
        assert {key: measured[key] for key in ("value", "low", "high")} == entry[name]
    assert "recovery" not in row(family, "jpeg-q50")["metrics"]
    run("--lossy-codec=jpeg", f"--lossy-model={RETRAINED}").assert_outcomes(passed=4)
    assert set(verdicts(family)) == {"clean", "jpeg-q90", "jpeg-q50", "jpeg-q5"}
    assert {row["model"] for row in results(family)["cases"]} == {RETRAINED}
    assert row(family, "jpeg-q5")["metrics"] == gated["metrics"]
    assert found(family) == {5: entry}
    alone = f"model_specs/{RETRAINED}.yaml::{RETRAINED}::jpeg-q5"
    run("--lossy-codec=jpeg", alone, workers=False).assert_outcomes(passed=1)
    assert row(family, "jpeg-q5")["metrics"] == gated["metrics"]


def test_a_missed_gate_fails_with_its_line(family: pytest.Pytester) -> None:
    toy.write_thresholds(family.path, f"{RETRAINED}: {{jpeg: {{5: {{recovery: {{min: 300%}}}}}}}}")
    result = family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines([f"*{RETRAINED} at jpeg q=5: recovery value * < 3 (thresholds.yaml:3)"])


def test_where_nothing_is_lost_the_gate_says_so(family: pytest.Pytester) -> None:
    toy.write_spec(family.path, "toy.control", model=arm(5), extra=record(""))  # one answer, whatever it sees
    toy.write_thresholds(family.path, f"{RETRAINED}: {{jpeg: {{5: {{recovery: {{min: 1%}}}}}}}}")
    family.runpytest_inprocess("--lossy-codec=jpeg", f"--lossy-model={RETRAINED}", *FIXED).assert_outcomes(
        passed=3, failed=1
    )
    (gate,) = row(family, "jpeg-q5")["gates"]
    assert (gate["verdict"], gate["observed"]) == ("inconclusive", None)
    assert gate["reason"].startswith("nothing to recover")
    assert "gate retraining_gain" in gate["reason"]
    assert found(family)[5]["recovery"]["value"] is None
    assert found(family)[5]["note"].startswith("nothing to recover")
    assert found(family)[5]["gain"]["value"] is not None


@pytest.mark.parametrize("name", ["toy", "toy.control"])
def test_a_model_that_cannot_be_loaded_is_named(family: pytest.Pytester, name: str) -> None:
    extra = "" if name == "toy" else record("")
    toy.write_spec(family.path, name, model="torch: ./net.py:build_raises", extra=extra)
    toy.write_thresholds(family.path, GATED)
    family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=7, failed=1, errors=4)
    failed = row(family, "jpeg-q5")
    assert failed["verdict"] == "error"
    assert f"recovery is measured against '{name}', which failed" in failed["error"]
    assert "no such checkpoint in the bucket" in failed["error"]
    assert row(family, "jpeg-q50")["verdict"] == "ungated"
    assert results(family)["recovery"] == []


def test_a_parent_whose_process_died_is_an_error(family: pytest.Pytester) -> None:
    toy.write_spec(family.path, model="torch: ./arms.py:build_deadly", codecs="jpeg: [5]")
    for name, model, extra in (("toy.control", arm(0.01), record("")), (RETRAINED, arm(), record())):
        toy.write_spec(family.path, name, model=model, extra=extra, codecs="jpeg: [5]")
    toy.write_thresholds(family.path, GATED)
    family.runpytest_subprocess("-n1", "--lossy-codec=jpeg", "--maxfail=9", *FIXED)
    found = {(row["model"], row["codec"]): row["verdict"] for row in results(family)["cases"]}
    assert found["toy", "clean"] == "crashed"
    assert found[RETRAINED, "jpeg"] == "error"
    assert "a worker died while it computed toy::clean" in row(family, "jpeg-q5")["error"]


def test_other_samples_are_never_compared(family: pytest.Pytester) -> None:
    path = family.path / "model_specs" / "toy.yaml"
    (family.path / "few").mkdir()
    for source in sorted((family.path / "images").iterdir())[:6]:
        (family.path / "few" / source.name).symlink_to(source)
    path.write_text(path.read_text(encoding="utf-8").replace("images: ../images", "images: ../few"), encoding="utf-8")
    toy.write_thresholds(family.path, GATED)
    family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=11, failed=1)
    assert "toy::clean has other samples than toy.jpeg-mix" in row(family, "jpeg-q5")["error"]


def test_label_free_runs_have_no_recovery(family: pytest.Pytester) -> None:
    toy.write_thresholds(family.path, GATED)
    family.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-reference=clean", *FIXED).assert_outcomes(passed=12)
    assert results(family)["recovery"] == []
    assert verdicts(family)["jpeg-q5"] == "ungated"


def test_seeds_are_summarised(family: pytest.Pytester) -> None:
    toy.write_spec(family.path, "toy.control.s2", model=arm(0.012), extra=record("", seed=2))
    toy.write_spec(family.path, f"{RETRAINED}.s2", model=arm(0.002), extra=record("toy.control.s2", seed=2))
    family.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:5", *FIXED)
    document = results(family)
    jsonschema.validate(document, json_schema("results"))
    values = [entry["recovery"]["value"] for entry in document["recovery"] if entry["metric"] == "miou"]
    (summary,) = [entry for entry in document["recovery_summary"] if entry["metric"] == "miou"]
    assert summary["seeds"] == len(values) == 2
    assert summary["recovery"] == pytest.approx({"value": sum(values) / 2, "low": min(values), "high": max(values)})
    assert summary["models"] == [RETRAINED, f"{RETRAINED}.s2"]


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            "toy: {jpeg: {5: {recovery: {min: 30%}}}}",
            "toy has no recovery: * no 'retrained' section; run 'pytest-lossy",
        ),
        ("toy.control: {jpeg: {5: {recovery: {min: 30%}}}}", "toy.control has no recovery: it is the control"),
        (
            f"{RETRAINED}: {{jpeg: {{5: {{recovery: {{max_drop: 5%}}}}}}}}",
            "recovery is a comparison already *'max_drop'",
        ),
        (f"{RETRAINED}: {{clean: {{recovery: {{min: 0.1}}}}}}", "clean has no recovery; gate it at the levels"),
        (
            f"{RETRAINED}: {{jpeg: {{5: {{'recovery[[]red]': {{min: 0.1}}}}}}}}",
            "'recovery*red*': recovery is of the primary metric",
        ),
        (
            f"{RETRAINED}: {{jpeg: {{5: {{recovery: {{min: 0.1, reference: clean}}}}}}}}",
            "label-free mode has no recovery",
        ),
    ],
)
def test_gates_that_nobody_can_meet_are_usage_errors(family: pytest.Pytester, gate: str, message: str) -> None:
    toy.write_thresholds(family.path, gate.replace("[[]", "["))
    result = family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*thresholds.yaml:3: {message}*"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "parent",
            "toy.jpeg-mix is compared with its parent 'toy', which no spec of this run declares; put*",
        ),
        ("control", "toy.jpeg-mix is compared with its control 'toy.control', which no spec*"),
        ("length", "'toy.control' is no control of toy.jpeg-mix: * trained from 'toy' for 10 iterations*"),
        ("codec", "codec 'jpeg' of toy.jpeg-mix is missing or set up otherwise in the spec of its control*"),
    ],
)
def test_missing_and_unequal_twins_are_usage_errors(family: pytest.Pytester, change: str, message: str) -> None:
    toy.write_thresholds(family.path, GATED)
    if change in ("parent", "control"):
        (family.path / "model_specs" / ("toy.yaml" if change == "parent" else "toy.control.yaml")).unlink()
    elif change == "length":
        toy.write_spec(family.path, "toy.control", model=arm(0.01), extra=record("", iterations=9))
    else:
        codecs = 'jpeg: {levels: [90, 50, 5], subsampling: "4:4:4"}'
        toy.write_spec(family.path, "toy.control", model=arm(0.01), extra=record(""), codecs=codecs)
    result = family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*thresholds.yaml:3: {message}"])


def test_a_pattern_is_silent_about_other_models_but_not_where_no_model_was_retrained(family: pytest.Pytester) -> None:
    toy.write_thresholds(family.path, '"*": {jpeg: {5: {recovery: {min: -900%}}}}')
    family.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=12)
    gated = [(row["model"], row["codec"]) for row in results(family)["cases"] if row["gates"]]
    assert gated == [(RETRAINED, "jpeg")]
    (family.path / "model_specs" / f"{RETRAINED}.yaml").unlink()
    result = family.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*thresholds.yaml:3: recovery: matches no retrained model; write one with*"])
