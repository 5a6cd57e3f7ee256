"""Fleet mixes through the public command line: the expected metric of a distribution over levels, gated."""

from __future__ import annotations

import math
from typing import Any

import jsonschema
import pytest

from pytest_lossy.cli import json_schema
from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts

FIXED = ("-p", "no:randomly")
MIX = "{fleet: {jpeg: {90: 0.5, 50: 0.3, 5: 0.2}}}"
GATES = "toy: {mix: {fleet: {miou: {min: 0.2, max_drop: 60%}}}}"


def write(suite: pytest.Pytester, models: str, mix: str = MIX, defaults: str = "{}") -> None:
    """thresholds.yaml whose ``mix:`` is line 3 and whose ``models:`` begin in line 5."""
    (suite.path / "thresholds.yaml").write_text(
        f"version: 1\ndefaults: {defaults}\nmix: {mix}\nmodels:\n  {models}\n", encoding="utf-8"
    )


def rows(suite: pytest.Pytester) -> dict[str, dict[str, Any]]:
    return {row["id"].rpartition("::")[2]: row for row in results(suite)["cases"]}


def test_a_mix_is_the_weighted_sum_of_its_levels(run: Run, suite: pytest.Pytester) -> None:
    write(suite, GATES)
    run("--lossy-codec=jpeg").assert_outcomes(passed=5)
    document, found = results(suite), rows(suite)
    jsonschema.validate(document, json_schema("results"))
    assert list(found) == ["clean", "jpeg-q90", "jpeg-q50", "jpeg-q5", "mix-fleet"]
    mix, clean = found["mix-fleet"], found["clean"]
    shares = {"jpeg-q90": 0.5, "jpeg-q50": 0.3, "jpeg-q5": 0.2}
    assert mix["shares"] == pytest.approx(shares)
    assert (mix["codec"], mix["level"], mix["mix"], mix["verdict"]) == ("mix", None, "fleet", "passed")
    assert (mix["samples"], mix["units"]) == (12, 12)
    for name, value in mix["metrics"].items():
        expected = sum(share * found[level]["metrics"][name]["value"] for level, share in shares.items())
        assert value["value"] == pytest.approx(expected, rel=1e-12)
        assert value["retention"] == pytest.approx(expected / clean["metrics"][name]["value"], rel=1e-12)
        assert value["loss"] == pytest.approx(clean["metrics"][name]["value"] - expected, rel=1e-9)
        assert value["low"] <= value["value"] <= value["high"]
        # The levels share their resampled samples: the mix cannot vary more than its levels do together.
        width = sum(
            share * (found[level]["metrics"][name]["high"] - found[level]["metrics"][name]["low"])
            for level, share in shares.items()
        )
        assert 0 < value["high"] - value["low"] < 1.25 * width
    assert mix["bpp"] == pytest.approx(sum(share * found[level]["bpp"] for level, share in shares.items()))
    assert [(gate["bound"], gate["line"]) for gate in mix["gates"]] == [("min", 5), ("max_drop", 5)]
    assert {curve["codec"] for curve in document["curves"]} == {"jpeg"}


def test_the_clean_share_counts(suite: pytest.Pytester) -> None:
    write(suite, 'toy: {mix: {"*": {miou: {min: 0.2}}}}', "{half: {jpeg: {5: 0.5}, clean: 0.5}, all: {clean: 1}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=6)
    found = rows(suite)
    clean, worst = (found[name]["metrics"]["miou"]["value"] for name in ("clean", "jpeg-q5"))
    half, everything = found["mix-half"], found["mix-all"]
    assert half["metrics"]["miou"]["value"] == pytest.approx((clean + worst) / 2, rel=1e-12)
    assert half["bpp"] is None
    assert half["shares"] == {"jpeg-q5": 0.5, "clean": 0.5}
    value = everything["metrics"]["miou"]
    assert (value["value"], value["low"], value["high"]) == tuple(
        found["clean"]["metrics"]["miou"][key] for key in ("value", "low", "high")
    )
    assert (value["retention"], value["loss"]) == (1, 0)


def test_thirds_are_scaled_to_one(suite: pytest.Pytester) -> None:
    write(suite, GATES, "{fleet: {jpeg: {90: 0.333, 50: 0.333, 5: 0.333}}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=5)
    assert math.fsum(rows(suite)["mix-fleet"]["shares"].values()) == pytest.approx(1, abs=1e-15)


def test_a_missed_gate_fails_the_mix_and_every_report_shows_it(suite: pytest.Pytester) -> None:
    write(suite, "toy: {mix: {fleet: {miou: {min: 0.99}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*toy at mix-fleet: miou value 0.* < 0.99 (thresholds.yaml:5)",
            "*miou.min*value >= 0.99*failed*thresholds.yaml:5",
            "toy, mix: miou",
            "*fleet*FAILED*",
            "FAILED model_specs/toy.yaml::toy::mix-fleet*",
        ]
    )
    folder = suite.path / "lossy-report"
    rerun = "pytest --lossy-codec=all model_specs/toy.yaml::toy::mix-fleet"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert rerun in page
    assert "50.0% jpeg-q90, 30.0% jpeg-q50, 20.0% jpeg-q5" in page
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert any("fleet" in line and "thresholds.yaml:5" in line for line in summary.splitlines())


def test_gates_match_by_name_then_glob(suite: pytest.Pytester) -> None:
    write(
        suite,
        'toy: {mix: {fleet-a: {miou: {min: 0.1}}, "fleet-*": {miou: {min: 0.99}}, "*": {pixel_accuracy: {min: 0.1}}}}',
        "{fleet-a: {jpeg: {90: 1}}, fleet-b: {jpeg: {90: 1}}, other: {jpeg: {90: 1}}}",
    )
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=6, failed=1)
    limits = {
        name: {gate["metric"]: gate["limit"] for gate in row["gates"]}
        for name, row in rows(suite).items()
        if row["mix"]
    }
    assert limits == {
        "mix-fleet-a": {"miou": 0.1, "pixel_accuracy": 0.1},
        "mix-fleet-b": {"miou": 0.99, "pixel_accuracy": 0.1},
        "mix-other": {"pixel_accuracy": 0.1},
    }


def test_only_gated_models_have_one_and_rules_of_levels_do_not_count(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other")
    write(suite, 'toy: {mix: {fleet: {miou: {min: 0.1}}}}\n  "*": {"*": {"*": {primary: {min: 0.01}}}}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", *FIXED)
    mixes = [line for line in result.outlines if "mix-" in line]
    assert mixes == ["model_specs/toy.yaml::toy::mix-fleet"]


def test_gates_of_the_other_reference_collect_no_mix(suite: pytest.Pytester) -> None:
    write(suite, "toy: {mix: {fleet: {miou: {min: 0.1, reference: clean}}}}")
    flags = ("--lossy-codec=jpeg", "--lossy-level=jpeg:90,50,5", *FIXED)
    suite.runpytest_inprocess(*flags).assert_outcomes(passed=4)
    assert "mix-fleet" not in rows(suite)
    assert not [line for line in results(suite)["run"]["warnings"] if "matches no case" in line]
    suite.runpytest_inprocess(*flags, "--lossy-reference=clean").assert_outcomes(passed=5)
    mix = rows(suite)["mix-fleet"]
    assert (mix["verdict"], mix["reference"]) == ("passed", "clean")
    value = mix["metrics"]["miou"]
    assert value["retention"] is None
    assert value["loss"] == pytest.approx(1 - value["value"])


def test_a_pattern_for_metrics_of_another_task_collects_no_mix(suite: pytest.Pytester) -> None:
    write(suite, '"*": {mix: {"*": {abs_rel: {max: 0.1}}}}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", *FIXED)
    assert not [line for line in result.outlines if "mix-" in line]


def test_a_mix_of_levels_that_are_not_run_is_not_collected(suite: pytest.Pytester) -> None:
    write(suite, GATES)
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:90,50", *FIXED).assert_outcomes(passed=3)
    assert list(verdicts(suite)) == ["clean", "jpeg-q90", "jpeg-q50"]
    assert not [line for line in results(suite)["run"]["warnings"] if "matches no case" in line]


def test_a_mix_that_no_model_can_have_is_a_dead_rule(suite: pytest.Pytester) -> None:
    write(suite, GATES, "{fleet: {jpeg: {90: 0.5, 33: 0.5}}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=4)
    (warning,) = [line for line in results(suite)["run"]["warnings"] if "matches no case" in line]
    assert warning.startswith("thresholds.yaml:5: ")
    assert "every level of the mix" in warning
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*thresholds.yaml:5: matches no case*"])


def test_alone_a_mix_computes_its_levels(run: Run, suite: pytest.Pytester) -> None:
    write(suite, GATES)
    run("--lossy-codec=jpeg").assert_outcomes(passed=5)
    together = rows(suite)["mix-fleet"]
    run("--lossy-codec=jpeg", "model_specs/toy.yaml::toy::mix-fleet").assert_outcomes(passed=1)
    alone = rows(suite)
    assert set(alone) == {"mix-fleet", "clean"}
    assert alone["clean"]["role"] == "reference"
    same = ("metrics", "gates", "shares", "bpp", "samples", "units", "notes", "verdict")
    assert {key: alone["mix-fleet"][key] for key in same} == {key: together[key] for key in same}


def test_the_marker_and_several_codecs(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs='jpeg: [50]\nfine: {codec: jpeg, subsampling: "4:4:4", levels: [50]}')
    write(suite, "toy: {mix: {fleet: {primary: {min: 0.2}}}}", "{fleet: {jpeg: {50: 0.25}, fine: {50: 0.75}}}")
    suite.runpytest_inprocess("--lossy-codec=all", "-m", "lossy(codec='mix')", *FIXED).assert_outcomes(
        passed=1, deselected=3
    )
    assert rows(suite)["mix-fleet"]["shares"] == {"jpeg-q50": 0.25, "fine-q50": 0.75}
    suite.runpytest_inprocess("--lossy-codec=fine", *FIXED).assert_outcomes(passed=2)


def test_errors_are_mixed_like_scores(pytester: pytest.Pytester) -> None:
    from tests.plugin.tasks_suite import write_suite

    write_suite(pytester.path)
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    write(pytester, "depth: {mix: {fleet: {abs_rel: {max: 10}}}}", "{fleet: {jpeg: {60: 0.5, 3: 0.5}}}")
    pytester.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-task=depth", *FIXED).assert_outcomes(passed=4)
    found = rows(pytester)
    clean, mild, severe, mix = (
        found[name]["metrics"]["abs_rel"] for name in ("clean", "jpeg-q60", "jpeg-q3", "mix-fleet")
    )
    assert mix["value"] == pytest.approx((mild["value"] + severe["value"]) / 2, rel=1e-12)
    assert mix["retention"] == pytest.approx(clean["value"] / mix["value"], rel=1e-12)
    assert mix["loss"] == pytest.approx(mix["value"] - clean["value"], rel=1e-12)


def test_a_level_that_fails_makes_the_mix_an_error(run: Run, suite: pytest.Pytester) -> None:
    (suite.path / "model_specs" / "picky.py").write_text(
        "from pytest_lossy.codecs.jpeg import JpegCodec\n"
        "class PickyCodec(JpegCodec):\n"
        "    name = 'picky'\n"
        "    def encode(self, media, level, *, fps=None):\n"
        "        if level == 5:\n"
        "            raise RuntimeError('the encoder is out of order')\n"
        "        return super().encode(media, level, fps=fps)\n",
        encoding="utf-8",
    )
    suite.makeini("[pytest]\nlossy_replicates = 100\npythonpath = model_specs\n")
    toy.write_spec(suite.path, codecs="jpeg: {codec: 'picky:PickyCodec', levels: [90, 5]}")
    write(suite, "toy: {mix: {fleet: {miou: {min: 0.2}}}}", "{fleet: {jpeg: {90: 0.5, 5: 0.5}}}")
    run("--lossy-codec=jpeg").assert_outcomes(passed=2, failed=2)
    found = rows(suite)
    assert {name: row["verdict"] for name, row in found.items()} == {
        "clean": "ungated",
        "jpeg-q90": "ungated",
        "jpeg-q5": "error",
        "mix-fleet": "error",
    }
    assert "the encoder is out of order" in found["mix-fleet"]["error"]
    assert "toy::jpeg-q5" in found["mix-fleet"]["error"]
    assert found["mix-fleet"]["mix"] == "fleet"
    run("--lossy-codec=jpeg", "model_specs/toy.yaml::toy::mix-fleet").assert_outcomes(failed=1)
    error = rows(suite)["mix-fleet"]["error"]
    assert "the encoder is out of order" in error
    assert "toy::jpeg-q5" in error, "a reader must learn which level failed"


@pytest.mark.parametrize(
    ("mix", "models", "message"),
    [
        (
            "{fleet: {jpeg: {90: 0.5, 50: 0.3}}}",
            GATES,
            "thresholds.yaml:3: the shares of 'fleet' sum to 0.8; make them 1",
        ),
        ("{fleet: {jpg: {90: 1}}}", GATES, "thresholds.yaml:3: unknown codec 'jpg'; did you mean 'jpeg'?"),
        (
            MIX,
            "toy: {mix: {flet: {miou: {min: 0.1}}}}",
            "thresholds.yaml:5: no mix is called 'flet'; did you mean 'fleet'?",
        ),
        ("{}", GATES, "thresholds.yaml:5: no mix is called 'fleet'; add it below 'mix:' at the top"),
        (MIX, "toy: {mix: {fleet: {mio: {min: 0.1}}}}", "thresholds.yaml:5: unknown metric 'mio'*"),
    ],
)
def test_mistakes_are_told_with_their_line(suite: pytest.Pytester, mix: str, models: str, message: str) -> None:
    write(suite, models, mix)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message.replace("[", "[[]")])


def test_mix_is_no_label_of_a_codec(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="mix: {codec: jpeg, levels: [50]}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*toy.yaml:*label 'mix' names the cases that judge a fleet's mix of levels*"])
