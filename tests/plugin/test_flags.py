"""One test per flag, each with and without workers, and its ini twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts


def test_codec_all_runs_what_the_spec_lists(run: Run, suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs='jpeg: [50]\njpeg-444: {codec: jpeg, subsampling: "4:4:4", levels: [50]}')
    run("--lossy-codec=all").assert_outcomes(passed=3)
    rows = {row["codec"]: row for row in results(suite)["cases"]}
    assert set(rows) == {"clean", "jpeg", "jpeg-444"}
    assert rows["jpeg-444"]["bpp"] > rows["jpeg"]["bpp"]
    assert "4:4:4" in rows["jpeg-444"]["fingerprint"]


def test_codec_by_label_repeated_and_listed(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs='jpeg: [50]\nfine: {codec: jpeg, subsampling: "4:4:4", levels: [50]}')
    base = ("--collect-only", "-q", "-p", "no:randomly")
    one = suite.runpytest_inprocess("--lossy-codec=fine", *base)
    one.stdout.fnmatch_lines(["*::clean", "*::fine-q50"])
    one.stdout.no_fnmatch_line("*jpeg-q50")
    for flags in (("--lossy-codec=jpeg,fine",), ("--lossy-codec=jpeg", "--lossy-codec=fine")):
        suite.runpytest_inprocess(*flags, *base).stdout.fnmatch_lines(["*::jpeg-q50", "*::fine-q50"])


def test_a_codec_that_the_spec_lacks_runs_on_its_default_grid(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs='fine: {codec: jpeg, subsampling: "4:4:4", levels: [50]}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", "-p", "no:randomly")
    names = [line.rpartition("::")[2] for line in result.outlines if "::" in line]
    assert names == ["clean", *(f"jpeg-q{level}" for level in (95, 75, 50, 30, 15, 10, 5))]


def test_level(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-level=jpeg:7,80").assert_outcomes(passed=3)
    assert list(verdicts(suite)) == ["clean", "jpeg-q80", "jpeg-q7"]


def test_model_and_task(run: Run, suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other")
    run("--lossy-codec=jpeg", "--lossy-model=oth*", "--lossy-task=segmentation").assert_outcomes(passed=4)
    assert {row["model"] for row in results(suite)["cases"]} == {"other"}


def test_specs(run: Run, suite: pytest.Pytester) -> None:
    (suite.path / "model_specs").rename(suite.path / "elsewhere")
    run("--lossy-codec=jpeg", "--lossy-specs=elsewhere").assert_outcomes(passed=4)
    run("--lossy-codec=jpeg", "--lossy-specs=elsewhere/toy.yaml").assert_outcomes(passed=4)


def test_thresholds(run: Run, suite: pytest.Pytester) -> None:
    strict = suite.path / "strict.yaml"
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.999}}}}").rename(strict)
    result = run("--lossy-codec=jpeg", "--lossy-thresholds=strict.yaml")
    result.assert_outcomes(passed=3, failed=1)
    assert results(suite)["run"]["thresholds"] == "strict.yaml"


def test_samples_marks_every_output_as_a_smoke_run(run: Run, suite: pytest.Pytester) -> None:
    result = run("--lossy-codec=jpeg", "--lossy-samples=7")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*smoke run of 7 samples*", "*Smoke run*"])
    document = results(suite)
    assert document["run"]["samples_limit"] == 7
    assert {row["samples"] for row in document["cases"]} == {7}
    for name in ("index.html", "summary.md"):
        assert "smoke run" in (suite.path / "lossy-report" / name).read_text(encoding="utf-8").lower()


def test_samples_are_nested_and_fixed(suite: pytest.Pytester) -> None:
    from pytest_lossy.results.evidence import load_evidence

    chosen = []
    for count in (3, 6, 6):
        suite.runpytest_inprocess("--lossy-codec=jpeg", f"--lossy-samples={count}", "-k", "clean")
        chosen.append(load_evidence(suite.path / "lossy-report" / "evidence" / "toy@clean.npz").ids)
    assert set(chosen[0]) < set(chosen[1])
    assert chosen[1] == chosen[2]


def test_device_cpu_and_one_that_is_missing(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-device=cpu").assert_outcomes(passed=4)
    assert results(suite)["models"][0]["details"]["device"] == "cpu"
    result = run("--lossy-codec=jpeg", "--lossy-device=cuda:99")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*--lossy-device=cuda:99*CUDA devices*"])


def test_report(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-report=out/here").assert_outcomes(passed=4)
    assert results(suite, "out/here")["run"]["status"] == "complete"
    assert (suite.path / "out" / "here" / "index.html").exists()
    assert not (suite.path / "lossy-report").exists()


def test_replicates(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-replicates=150").assert_outcomes(passed=4)
    assert results(suite)["run"]["replicates"] == 150


@pytest.mark.parametrize("size", ["0", "1KiB", "1GiB"])
def test_spill_changes_no_number(suite: pytest.Pytester, size: str) -> None:
    def numbers() -> list[dict[str, object]]:
        return [{**row, "seconds": 0} for row in results(suite)["cases"]]

    suite.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly").assert_outcomes(passed=4)
    before = numbers()
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly", f"--lossy-spill={size}").assert_outcomes(
        passed=4
    )
    assert numbers() == before


def test_strict(run: Run, suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, 'toy: {jpeg: {"*": {miou: {min: 0.05}}}}')
    run("--lossy-codec=jpeg").assert_outcomes(passed=4)
    result = run("--lossy-codec=jpeg", "--lossy-strict")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*no gate matches this case*--lossy-strict*"])


def test_ini_twins(suite: pytest.Pytester) -> None:
    (suite.path / "model_specs").rename(suite.path / "nets")
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.5}}}").rename(suite.path / "gates.yaml")
    suite.makeini(
        "[pytest]\nlossy_specs = nets\nlossy_thresholds = gates.yaml\nlossy_report = out\nlossy_device = cpu\n"
        "lossy_replicates = 120\nlossy_spill = 10MiB\nlossy_strict = true\n"
    )
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=1, failed=3)
    document = results(suite, "out")
    assert document["run"]["replicates"] == 120
    assert document["run"]["strict"] is True


def test_a_flag_overrides_its_ini_twin(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nlossy_report = wrong\nlossy_replicates = 100\n")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-report=right").assert_outcomes(passed=4)
    assert Path(suite.path, "right").exists()
    assert not Path(suite.path, "wrong").exists()
