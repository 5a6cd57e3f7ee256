"""What is collected, in which order, and how pytest's own options narrow it."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts

ALL = ["clean", "jpeg-q90", "jpeg-q50", "jpeg-q5"]


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("model_specs/") and "::" in line]


def test_node_ids_and_tree(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", "-p", "no:randomly")
    assert ids(result) == [f"model_specs/toy.yaml::toy::{name}" for name in ALL]
    tree = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-p", "no:randomly")
    tree.stdout.fnmatch_lines(["*<LossyFile toy.yaml>", "*<ModelCollector toy>", "*<LossyItem clean>"])


def test_collecting_imports_neither_user_code_nor_torch_and_writes_nothing(suite: pytest.Pytester) -> None:
    (suite.path / "model_specs" / "net.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    probe = suite.makepyfile(
        probe="import sys, pytest\n"
        "code = pytest.main(['--lossy-codec=jpeg', '--collect-only', '-q'])\n"
        "print('TORCH', 'torch' in sys.modules)\nsys.exit(code)\n"
    )
    result = suite.run(sys.executable, str(probe))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["TORCH False"])
    assert not (suite.path / "lossy-report").exists()


def test_a_plain_run_passes(run: Run, suite: pytest.Pytester) -> None:
    result = run("--lossy-codec=jpeg")
    result.assert_outcomes(passed=4)
    assert verdicts(suite) == dict.fromkeys(ALL, "passed")


def test_keyword(run: Run, suite: pytest.Pytester) -> None:
    outcomes = run("--lossy-codec=jpeg", "-k", "q50").parseoutcomes()
    outcomes.pop("deselected", None)  # xdist's controller collects nothing and so counts none
    assert outcomes == {"passed": 1}
    rows = {row["id"].rpartition("::")[2]: row for row in results(suite)["cases"]}
    assert set(rows) == {"clean", "jpeg-q50"}
    assert rows["clean"]["role"] == "reference"
    assert rows["jpeg-q50"]["metrics"]["miou"]["retention"] is not None


def test_marker_expression(suite: pytest.Pytester) -> None:
    base = ("--lossy-codec=jpeg", "--collect-only", "-q")
    assert len(ids(suite.runpytest_inprocess(*base, "-m", 'lossy(codec="jpeg")'))) == 3
    assert ids(suite.runpytest_inprocess(*base, "-m", 'lossy(codec="jpeg", level=5)')) == [
        "model_specs/toy.yaml::toy::jpeg-q5"
    ]
    assert len(ids(suite.runpytest_inprocess(*base, "-m", 'lossy(model="toy", task="segmentation")'))) == 4
    assert ids(suite.runpytest_inprocess(*base, "-m", 'lossy(codec="clean")')) == ["model_specs/toy.yaml::toy::clean"]


def test_single_node_id(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "model_specs/toy.yaml::toy::jpeg-q5").assert_outcomes(passed=1)
    assert set(verdicts(suite)) == {"clean", "jpeg-q5"}


def test_one_spec_as_a_path(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", "model_specs/other.yaml")
    assert {line.split("::")[1] for line in ids(result)} == {"other"}


def test_works_whatever_testpaths_says_and_without_test_files(suite: pytest.Pytester) -> None:
    (suite.path / "tests").mkdir()
    suite.makeini("[pytest]\ntestpaths = tests\n")
    assert len(ids(suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q"))) == 4


def test_works_from_a_subfolder(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = suite.mkdir("deep")
    monkeypatch.chdir(folder)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*toy.yaml::toy::clean"])


def test_other_tests_are_deselected_without_paths_and_run_with_them(run: Run, suite: pytest.Pytester) -> None:
    suite.makepyfile(test_mixed="import pytest\ndef test_plain(): pass\n@pytest.mark.lossy\ndef test_ours(): pass\n")
    outcomes = run("--lossy-codec=jpeg").parseoutcomes()
    assert outcomes.pop("deselected", 1) == 1  # xdist's controller collects nothing and so counts none
    assert outcomes == {"passed": 5}
    run("--lossy-codec=jpeg", "test_mixed.py").assert_outcomes(passed=2)
    run("--lossy-codec=jpeg", "test_mixed.py", "model_specs").assert_outcomes(passed=6)


def test_specs_folder_is_not_recursive(suite: pytest.Pytester) -> None:
    full = suite.path / "model_specs" / "full"
    full.mkdir()
    (full / "huge.yaml").write_text("not: a spec", encoding="utf-8")
    assert suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q").ret == 0


def test_last_failed(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.99}}}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=3, failed=1)
    again = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lf")
    again.assert_outcomes(failed=1, deselected=3)


def test_exit_first_lists_the_rest_as_not_run(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.999}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-x", "-p", "no:randomly")
    result.assert_outcomes(failed=1)
    assert verdicts(suite) == {"clean": "failed", **dict.fromkeys(ALL[1:], "not_run")}
    assert results(suite)["run"]["status"] == "interrupted"


def test_junit_has_flat_properties(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--junitxml=junit.xml")
    tree = ElementTree.parse(suite.path / "junit.xml")
    case = next(node for node in tree.iter("testcase") if node.get("name") == "jpeg-q5")
    properties = {node.get("name"): node.get("value") for node in case.iter("property")}
    assert properties["lossy_verdict"] == "passed"
    assert 0 < float(str(properties["lossy_miou"])) < 1
    assert float(str(properties["lossy_bpp"])) > 0


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_shuffling_keeps_models_together_and_clean_first(suite: pytest.Pytester, seed: str) -> None:
    toy.write_spec(suite.path, "other")
    suite.makepyfile("import pytest\n@pytest.mark.lossy\ndef test_ours(): pass\n")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q", f"--randomly-seed={seed}")
    lines = ids(result)
    models = [line.split("::")[1] for line in lines]
    assert len(lines) == 8
    assert models in (["toy"] * 4 + ["other"] * 4, ["other"] * 4 + ["toy"] * 4)
    assert lines[0].endswith("::clean")
    assert lines[4].endswith("::clean")


def test_a_model_is_built_once_per_worker(run: Run, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    log = suite.mkdir("log")
    monkeypatch.setenv("TOY_LOG", str(log))
    run("--lossy-codec=jpeg").assert_outcomes(passed=4)
    builds = sorted(log.glob("build-*"))
    assert 1 <= len(builds) <= 2
    assert all(path.read_text() == "1" for path in builds)


def test_ordinary_tests_between_do_not_reload_the_model(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = suite.mkdir("log")
    monkeypatch.setenv("TOY_LOG", str(log))
    suite.makepyfile(
        "import pytest\n@pytest.mark.lossy\n@pytest.mark.parametrize('i', range(6))\ndef test_ours(i): pass\n"
    )
    for seed in ("4", "5"):
        suite.runpytest_inprocess("--lossy-codec=jpeg", f"--randomly-seed={seed}")
    assert [path.read_text() for path in log.glob("build-*")] == ["2"]  # once per run
