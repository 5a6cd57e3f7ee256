"""Samples of a run through the public command line: the same files whatever runs them, and what becomes of failures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jsonschema
import pytest

from pytest_lossy.cli import json_schema, main
from tests.plugin.conftest import results
from tests.plugin.tasks_suite import TASKS, write_suite

FIXED = ("-p", "no:randomly", "-p", "no:cacheprovider")
SHOWN = ("--lossy-codec=jpeg", "--lossy-gallery=3")


def files(folder: Path) -> dict[str, str]:
    """Name -> digest of every picture."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "gallery").glob("*")}


def test_pictures_are_the_same_whatever_runs_them(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess(*FIXED, *SHOWN, "--lossy-report=one").assert_outcomes(passed=4)
    suite.runpytest_subprocess("-n2", *FIXED, *SHOWN, "--lossy-report=two").assert_outcomes(passed=4)
    chosen = [f"model_specs/toy.yaml::toy::{name}" for name in ("jpeg-q5", "jpeg-q50", "clean", "jpeg-q90")]
    suite.runpytest_inprocess(*FIXED, *SHOWN, "--lossy-report=three", *chosen).assert_outcomes(passed=4)
    one = files(suite.path / "one")
    assert one == files(suite.path / "two") == files(suite.path / "three") != {}
    samples = results(suite, "one")["gallery"]
    assert samples == results(suite, "two")["gallery"] == results(suite, "three")["gallery"]
    assert {sample["level"] for sample in samples} == {50, 5}
    assert {path for sample in samples for path in sample["pictures"].values()} == {f"gallery/{name}" for name in one}
    jsonschema.validate(results(suite, "one"), json_schema("results"))
    page = (suite.path / "one" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == len(one)
    assert "picture is missing" not in page


def test_the_flag_says_how_many_and_none_leaves_nothing(suite: pytest.Pytester) -> None:
    def run(*arguments: str) -> pytest.RunResult:
        return suite.runpytest_inprocess(*FIXED, *arguments)

    run("--lossy-codec=jpeg", "--lossy-gallery=0").assert_outcomes(passed=4)
    assert results(suite)["gallery"] == []
    assert not (suite.path / "lossy-report" / "gallery").exists()
    run("--lossy-codec=jpeg", "--lossy-gallery=1", "--lossy-samples=5").assert_outcomes(passed=4)
    assert [(sample["level"], sample["kind"]) for sample in results(suite)["gallery"]] == [(50, "worst"), (5, "worst")]
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 2\n")
    run("--lossy-codec=jpeg").assert_outcomes(passed=4)
    kinds = [(sample["level"], sample["kind"]) for sample in results(suite)["gallery"]]
    assert kinds == [(50, "worst"), (50, "typical"), (5, "worst"), (5, "typical")]


def test_a_flag_that_is_no_number_is_explained(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*FIXED, "--lossy-codec=jpeg", "--lossy-gallery=few")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lossy-gallery: 'few' is not a whole number*"])


def test_the_report_is_rebuilt_with_its_pictures(suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite.runpytest_inprocess(*FIXED, *SHOWN).assert_outcomes(passed=4)
    folder = suite.path / "lossy-report"
    page = (folder / "index.html").read_bytes()
    assert main(["report", str(folder / "results.json")]) == 0
    assert (folder / "index.html").read_bytes() == page
    next((folder / "gallery").glob("*")).unlink()
    assert main(["report", str(folder / "results.json")]) == 0
    assert b"picture is missing" in (folder / "index.html").read_bytes()


BROKEN = """
from pytest_lossy.tasks.segmentation import SegmentationTask

class Inkless(SegmentationTask):
    def draw(self, image, prediction, target):
        raise ZeroDivisionError("no ink")
"""


def test_a_draw_that_raises_costs_no_case(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    write_suite(pytester.path)
    pytester.makepyfile(inkless=BROKEN)
    pytester.syspathinsert()
    spec = pytester.path / "model_specs" / "segmentation.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("task: segmentation\n", "task: inkless:Inkless\n"))
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    arguments = ("--lossy-codec=jpeg", "--lossy-level=jpeg:60,20,3", "--lossy-model=segmentation")
    pytester.runpytest_inprocess(*FIXED, *arguments).assert_outcomes(passed=4)
    rows = {row["id"].rpartition("::")[2]: row for row in results(pytester)["cases"]}
    told = {name: [note for note in row["notes"] if "no ink" in note] for name, row in rows.items()}
    assert {name: len(notes) for name, notes in told.items()} == {
        "clean": 0,
        "jpeg-q60": 0,
        "jpeg-q20": 1,
        "jpeg-q3": 1,
    }
    assert rows["jpeg-q3"]["metrics"]["miou"]["value"] is not None
    assert {tuple(one["pictures"]) for one in results(pytester)["gallery"]} == {("source", "compressed", "difference")}


@pytest.mark.parametrize("reference", ["labels", "clean"])
def test_every_task_shows_its_samples(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    write_suite(pytester.path)
    pytester.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 1\n")
    run = pytester.runpytest_inprocess(*FIXED, "--lossy-codec=jpeg", f"--lossy-reference={reference}")
    run.assert_outcomes(passed=3 * len(TASKS))
    document = results(pytester)
    assert not [note for row in document["cases"] for note in row["notes"] if "picture" in note or "drawn" in note]
    shown = {sample["model"]: set(sample["pictures"]) for sample in document["gallery"] if sample["level"] == 3}
    assert set(shown) == set(TASKS)
    scored = {"source", "compressed", "difference", "clean_prediction", "prediction"}
    for task, kinds in shown.items():
        labelled = reference == "labels" and task not in ("action", "classification")
        assert kinds == scored | ({"target"} if labelled else set())
