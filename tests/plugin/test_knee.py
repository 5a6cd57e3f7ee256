"""Knees through the public command line: gates on them, and the search that needs few levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_lossy.cli import json_schema
from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts
from tests.plugin.test_clips import write_spec as write_clips
from tests.plugin.test_results import comparable

FIXED = ("-p", "no:randomly")
LEVELS = ("jpeg-q95", "jpeg-q70", "jpeg-q50", "jpeg-q5")


def gate(suite: pytest.Pytester, knee: str, extra: str = "") -> None:
    """The toy, which leaves 95 % of clean between q95 and q70, with a gate on its knee in line 3."""
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 0\n")
    toy.write_spec(suite.path, codecs="jpeg: [95, 70, 50, 5]")
    toy.write_thresholds(suite.path, f"toy: {{jpeg: {{knee: {knee}}}}}\n{extra}")


def rows(suite: pytest.Pytester) -> dict[str, dict[str, Any]]:
    return {row["id"].rpartition("::")[2]: row for row in results(suite)["cases"]}


def test_a_missed_gate_fails_with_one_table(run: Run, suite: pytest.Pytester) -> None:
    gate(suite, "{no_milder_than: 60}")
    result = run("--lossy-codec=jpeg")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*toy at jpeg-knee: the knee of miou at 8*.* is milder than 60 (thresholds.yaml:3)",
            "*knee.no_milder_than*knee <= 60*8*..*failed*thresholds.yaml:3",
            "*miou falls below 95% of clean between q95 and q70. 12 samples",
            "*knee *q8*FAILED*",
            "thresholds.yaml:3: toy, jpeg knee: knee of miou <= 60, observed 8*",
            "FAILED model_specs/toy.yaml::toy::jpeg-knee*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    document, found = results(suite), rows(suite)
    jsonschema.validate(document, json_schema("results"))
    assert list(found) == ["clean", *LEVELS, "jpeg-knee"]
    knee = found["jpeg-knee"]
    assert (knee["codec"], knee["level"], knee["primary"], knee["metrics"]) == ("jpeg", None, "miou", {})
    assert (knee["samples"], knee["units"], knee["verdict"], knee["outcome"]) == (12, 12, "failed", "failed")
    (curve,) = document["curves"]
    assert knee["knee"] == curve["knee"]
    position = knee["knee"]["position"]["level"]
    (judged,) = knee["gates"]
    assert (judged["metric"], judged["bound"], judged["quantity"]) == ("miou", "no_milder_than", "knee")
    assert (judged["required"], judged["comparison"], judged["line"]) == (60, "<=", 3)
    assert judged["observed"] == pytest.approx(position["value"])
    assert (judged["low"], judged["high"]) == pytest.approx((position["low"], position["high"]))
    assert 60 < judged["low"] < judged["observed"] < judged["high"] < 95
    assert [point["role"] for point in curve["points"]] == ["case"] * 4
    assert document["run"]["counts"] == {"ungated": 5, "failed": 1}


@pytest.mark.parametrize(
    ("required", "flags", "outcomes", "verdict"),
    [
        (88, (), {"passed": 6}, "inconclusive"),  # the point decides
        (5, ("--lossy-tolerance=90%",), {"passed": 6}, "passed"),  # beyond q5, the best there is
        (4, ("--lossy-tolerance=90%",), {"passed": 5, "failed": 1}, "inconclusive"),
    ],
)
def test_verdicts(
    suite: pytest.Pytester, required: float, flags: tuple[str, ...], outcomes: dict[str, int], verdict: str
) -> None:
    gate(suite, f"{{no_milder_than: {required}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *flags, *FIXED)
    result.assert_outcomes(**outcomes)
    knee = rows(suite)["jpeg-knee"]
    assert knee["verdict"] == verdict
    if required == 4:
        result.stdout.fnmatch_lines(
            [
                "*the knee of miou is not shown to be no milder than 4*",
                "*the knee lies beyond level 5, and nothing more severe was tried; try 4 as well",
                "*nothing shows on which side of the gate it lies; decided by the point estimate",
            ]
        )
    if required == 5:
        page = (suite.path / "lossy-report" / "index.html").read_text(encoding="utf-8")
        assert "observed beyond the levels tried" in page


def test_one_unit_resolves_no_knee_and_a_dead_gate_is_told(suite: pytest.Pytester) -> None:
    gate(suite, "{no_milder_than: 95}", "other: {webp: {knee: {no_milder_than: 20}}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-samples=1", "-k", "knee", *FIXED)
    knee = rows(suite)["jpeg-knee"]
    assert (knee["verdict"], knee["knee"]["status"]) == ("inconclusive", "not_resolved")
    assert knee["gates"][0]["reason"] == knee["knee"]["explanation"]
    (warning,) = [line for line in results(suite)["run"]["warnings"] if "matches no case" in line]
    assert warning == "thresholds.yaml:4: matches no case: no other / webp / knee; remove the rule or correct it"


def test_alone_a_knee_measures_its_levels(suite: pytest.Pytester) -> None:
    gate(suite, "{no_milder_than: 95}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=6)
    together = results(suite)
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-m", "lossy(level='knee')", *FIXED).assert_outcomes(
        passed=1, deselected=5
    )
    alone = results(suite)
    assert alone["run"]["counts"] == {"passed": 1}
    assert {row["id"].rpartition("::")[2]: row["role"] for row in alone["cases"]} == {
        "clean": "reference",
        "jpeg-knee": "case",
        **dict.fromkeys(LEVELS, "probe"),
    }
    assert alone["curves"][0]["knee"] == together["curves"][0]["knee"]
    mine, theirs = (
        next(row for row in document["cases"] if row["knee"]) | {"seconds": 0, "worker": None}
        for document in (alone, together)
    )
    assert mine == theirs
    suite.runpytest_subprocess("-n2", "--lossy-codec=jpeg", "-k", "knee or q50", *FIXED).assert_outcomes(passed=2)
    some = results(suite)
    assert {row["id"].rpartition("::")[2]: row["role"] for row in some["cases"]}["jpeg-q50"] == "case"
    assert [(point["level"], point["role"]) for point in some["curves"][0]["points"]] == [
        (95, "probe"),
        (70, "probe"),
        (50, "case"),
        (5, "probe"),
    ]
    assert some["curves"][0]["knee"] == together["curves"][0]["knee"]


def test_only_gated_curves_have_one_and_it_comes_last(suite: pytest.Pytester) -> None:
    codecs = 'jpeg: [90, 50]\nfine: {codec: jpeg, subsampling: "4:4:4", levels: [90, 50]}'
    toy.write_spec(suite.path, codecs=codecs)
    toy.write_spec(suite.path, "other", codecs=codecs)
    (suite.path / "thresholds.yaml").write_text(
        "version: 1\nmix: {fleet: {jpeg: {90: 1}}}\nmodels:\n"
        '  toy: {"*": {knee: {no_milder_than: 95}}, mix: {fleet: {miou: {min: 0.1}}}}\n'
        "  other: {fine: {knee: {no_milder_than: 95}}}\n",
        encoding="utf-8",
    )
    (suite.path / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n    items.reverse()\n", encoding="utf-8"
    )
    result = suite.runpytest_inprocess("--lossy-codec=all", "--collect-only", "-q", *FIXED)
    names = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert {name for name in names if name.endswith("-knee")} == {
        "toy::jpeg-knee",
        "toy::fine-knee",
        "other::fine-knee",
    }
    for model, count in (("toy", 2), ("other", 1)):
        mine = [name.partition("::")[2] for name in names if name.startswith(model)]
        assert mine[0] == "clean"
        assert all("knee" not in name and "mix" not in name for name in mine[1:5])
        assert all(name.endswith("-knee") for name in mine[5 : 5 + count])
        assert mine[5 + count :] == (["mix-fleet"] if model == "toy" else [])


def test_a_level_in_error_is_named(suite: pytest.Pytester) -> None:
    (suite.path / "killer_codec.py").write_text(toy.KILLER.replace("os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"))
    suite.syspathinsert()
    toy.write_spec(suite.path, codecs='killer: {codec: "killer_codec:KillerCodec", levels: [90, 50, 5]}')
    toy.write_thresholds(suite.path, "toy: {killer: {knee: {no_milder_than: 20}}}")
    result = suite.runpytest_inprocess("--lossy-codec=killer", *FIXED)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["*toy killer-knee: toy::killer-q50 could not be evaluated: *"])
    assert verdicts(suite)["killer-knee"] == "error"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("toy: {jpeg: {knee: {no_milder_than: 120}}}", "level 120 is outside 1..100 of jpeg; choose from 1..100"),
        ("toy: {jpeg: {knee: {max_drop: 5%}}}", "unknown bound 'max_drop' of a knee"),
        ('"*": {"j*": {knee: {no_milder_than: 1}}, "*g": {knee: {no_milder_than: 2}}}', "is also set by line 3"),
    ],
)
def test_wrong_gates_stop_the_run_before_it_begins(suite: pytest.Pytester, rule: str, message: str) -> None:
    toy.write_thresholds(suite.path, rule)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*thresholds.yaml:3: *{message}*"])


def test_label_free_mode_has_no_knee(suite: pytest.Pytester) -> None:
    gate(suite, "{no_milder_than: 60}")
    flags = ("--lossy-codec=jpeg", "--lossy-reference=clean", "--collect-only", "-q", *FIXED)
    assert not [line for line in suite.runpytest_inprocess(*flags).outlines if "knee" in line]
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-reference=clean", "--lossy-knee", *FIXED)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: toy is label-free: it has no retention, and --lossy-knee searches*"])
    toy.write_spec(suite.path, codecs="jpeg: [95, 5]", extra="reference: clean")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*thresholds.yaml:3: toy is scored against its own clean predictions and has no knee; *"]
    )


def test_the_search_needs_few_levels(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="jpeg: [95, 70, 50, 30, 5]")
    (suite.path / "thresholds.yaml").unlink()
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-knee", *FIXED)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*q95*ungated (probe)*", "*knee*q8*ungated*", "*Knee at q8*; operating limit q9*"])
    document, found = results(suite), rows(suite)
    jsonschema.validate(document, json_schema("results"))
    assert document["run"]["counts"] == {"ungated": 2}
    probes = {row["level"]: row for row in found.values() if row["role"] == "probe"}
    assert {95, 5} < set(probes)
    assert len(probes) <= 11
    knee = found["jpeg-knee"]
    assert f"Bisection evaluated {len(probes)} levels between q95 and q5." in knee["knee"]["explanation"]
    assert (found["clean"]["role"], knee["knee"]["evaluations"]) == ("case", len(probes))
    (curve,) = document["curves"]
    assert [point["level"] for point in curve["points"]] == sorted(probes, reverse=True)
    assert {point["role"] for point in curve["points"]} == {"probe"}
    assert curve["knee"]["position"] == knee["knee"]["position"]
    retention = {level: row["metrics"]["miou"]["retention"] for level, row in probes.items()}
    place = knee["knee"]["position"]["level"]["value"]
    mild, severe = min(level for level in probes if level >= place), max(level for level in probes if level < place)
    assert retention[mild] >= 0.95 > retention[severe]
    assert mild - severe <= 3
    limit = curve["limit"]
    assert (limit["status"], limit["gated"]) == ("found", False)
    assert limit["level"] - limit["ended_by"] <= 1
    assert place < limit["level"] < 95
    folder = suite.path / "lossy-report"
    assert {path.name for path in (folder / "evidence").iterdir()} == {
        f"toy@{name}.npz" for name in ("clean", *(f"jpeg-q{level:g}" for level in probes))
    }
    again = f"pytest --lossy-codec=jpeg --lossy-level=jpeg:{mild:g} model_specs/toy.yaml::toy::jpeg-q{mild:g}"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert again in page
    assert "pytest --lossy-codec=jpeg --lossy-knee model_specs/toy.yaml::toy::jpeg-knee" in page
    # The levels searched say the same, evaluated as cases.
    levels = ",".join(f"{level:g}" for level in probes)
    dense_run = suite.runpytest_inprocess("--lossy-codec=jpeg", f"--lossy-level=jpeg:{levels}", *FIXED)
    dense_run.assert_outcomes(passed=len(probes) + 1)
    (dense,) = results(suite)["curves"]
    assert dense["knee"] == curve["knee"]
    # A level that the search chose by what it had seen must show more than one that was listed before.
    assert limit["requirement"] == "miou retention at least 95%, shown at one-sided 99.29%"
    assert dense["limit"]["requirement"].endswith("at one-sided 95%")
    assert dense["limit"]["level"] <= limit["level"]


def test_searches_are_the_same_whatever_runs_them(suite: pytest.Pytester) -> None:
    gate(suite, "{no_milder_than: 60}")
    toy.write_spec(suite.path, "other", codecs="jpeg: [90, 40]")
    flags = ("--lossy-codec=jpeg", "--lossy-knee", *FIXED)
    suite.runpytest_inprocess(*flags).assert_outcomes(passed=3, failed=1)
    one = comparable(results(suite))
    suite.runpytest_subprocess("-n2", *flags).assert_outcomes(passed=3, failed=1)
    assert comparable(results(suite)) == one
    assert {row["level"] for row in one["cases"] if row["role"] == "probe" and row["model"] == "other"} >= {90, 40}


def test_the_ends_of_a_search(suite: pytest.Pytester) -> None:
    flags = ("--lossy-codec=jpeg", "--lossy-knee", *FIXED)
    suite.runpytest_inprocess(*flags, "--lossy-level=jpeg:40,60").assert_outcomes(passed=2)
    found = rows(suite)
    # The toy is below 95 % at q60 already: nothing lies between.
    assert [row["level"] for row in found.values() if row["role"] == "probe"] == [60, 40]
    assert found["jpeg-knee"]["knee"]["status"] == "beyond_range"
    result = suite.runpytest_inprocess(*flags, "--lossy-level=jpeg:40")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--lossy-knee: toy has only level 40 of jpeg; name the two ends of the search with --lossy-level=jpeg:95,5"]
    )


def test_fractional_levels_are_searched(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="resize: [1, 0.5, 0.25]")
    suite.runpytest_inprocess("--lossy-codec=resize", "--lossy-knee", *FIXED).assert_outcomes(passed=2)
    found = rows(suite)
    probes = sorted((row["level"], row["metrics"]["miou"]["retention"]) for row in found.values() if row["level"])
    assert 4 < len(probes) <= 16
    knee = found["resize-knee"]["knee"]
    assert knee["status"] == "resolved"
    above = min(level for level, kept in probes if kept >= 0.95)
    below = max(level for level, kept in probes if kept < 0.95)
    assert below <= knee["position"]["level"]["value"] <= above
    assert all(f"resize-scale{level:g}" in found for level, _ in probes)


def test_a_stream_of_clips_is_searched_and_gated(pytester: pytest.Pytester) -> None:
    """Where a higher level compresses more, and a clip is the independent unit."""
    write_clips(Path(pytester.path), "list", "list", codecs="h264: [20, 50]")
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    toy.write_thresholds(pytester.path, "list: {h264: {knee: {no_milder_than: 51}}}")
    result = pytester.runpytest_inprocess(
        "--lossy-codec=h264", "--lossy-knee", "--lossy-tolerance=10%", "--lossy-no-cache", *FIXED
    )
    found = rows(pytester)
    knee = found["h264-knee"]
    levels = [row["level"] for row in found.values() if row["role"] == "probe"]
    assert levels == sorted(levels)
    assert {20, 50} <= set(levels)
    assert len(levels) <= 16
    (judged,) = knee["gates"]
    assert (judged["comparison"], judged["verdict"] in ("failed", "inconclusive")) == (">=", True)
    result.assert_outcomes(passed=1, failed=1)
    (curve,) = results(pytester)["curves"]
    assert [point["level"] for point in curve["points"]] == levels
    assert all(point["kbps"] for point in curve["points"])
