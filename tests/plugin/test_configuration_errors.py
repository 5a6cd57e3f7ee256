"""Bad configuration is exit code 4 from the controller, before a worker starts or a model loads; all problems at once."""

from __future__ import annotations

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run

FLAGS = [
    (["--lossy-codec=jpegg"], "*unknown codec 'jpegg'; did you mean 'jpeg'?*"),
    (["--lossy-codec=jpeg,all"], "*'all' stands alone*"),
    (["--lossy-codec="], "*names no codec*"),
    (["--lossy-codec=jpeg", "--lossy-level=jpeg:0,101"], "*level 0 is outside 1..100*"),
    (["--lossy-codec=jpeg", "--lossy-level=jpeg:12.5"], "*level 12.5 is not a whole number*"),
    (["--lossy-codec=jpeg", "--lossy-level=5"], "*'5' is not CODEC:LEVEL*"),
    (["--lossy-codec=jpeg", "--lossy-level=web:5"], "*--lossy-level: unknown codec 'web'*"),
    (["--lossy-codec=jpeg", "--lossy-model=tou"], "*'tou' matches no model; did you mean 'toy'?*"),
    (
        ["--lossy-codec=jpeg", "--lossy-task=segment"],
        "*unknown task 'segment'; did you mean 'segmentation'?*",
    ),
    (["--lossy-codec=jpeg", "--lossy-samples=0"], "*--lossy-samples: 0 is too small*"),
    (["--lossy-codec=jpeg", "--lossy-samples=ten"], "*'ten' is not a whole number*"),
    (["--lossy-codec=jpeg", "--lossy-device=tpu"], "*unknown device 'tpu'*"),
    (["--lossy-codec=jpeg", "--lossy-spill=much"], "*'much' is not a size*"),
    (["--lossy-codec=jpeg", "--lossy-replicates=5"], "*5 is too small*"),
    (["--lossy-codec=jpeg", "--lossy-specs=nowhere"], "*nowhere: no such folder of specs*"),
    (["--lossy-codec=jpeg", "--lossy-thresholds=none.yaml"], "*none.yaml*cannot be read*"),
]


@pytest.mark.parametrize(("flags", "message"), FLAGS, ids=[flags[-1] for flags, _ in FLAGS])
def test_bad_flags(suite: pytest.Pytester, flags: list[str], message: str) -> None:
    result = suite.runpytest_inprocess(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pytest-lossy cannot start:", message])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_several_flags_at_once(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-samples=x", "--lossy-device=tpu")
    result.stderr.fnmatch_lines(["*--lossy-samples*", "*--lossy-device*"])


def test_no_worker_starts(run: Run, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    log = suite.mkdir("log")
    monkeypatch.setenv("TOY_LOG", str(log))
    suite.makeconftest("def pytest_sessionstart(session):\n    print('SESSION STARTED')")
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {mIoU: {min: 0.1}}}}")
    result = run("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["thresholds.yaml:3: unknown metric 'mIoU'; did you mean 'miou'?"])
    result.stdout.no_fnmatch_line("*SESSION STARTED*")
    assert not list(log.iterdir())
    assert not (suite.path / "lossy-report").exists()


def test_every_problem_of_every_spec_with_its_line(run: Run, suite: pytest.Pytester) -> None:
    specs = suite.path / "model_specs"
    (specs / "a.yaml").write_text(
        "task: segmentaton\nmodel: {torch: ./net.py:build, wieghts: x.pt}\ndata: {name: camvid, kwargs: {rot: .}}\n"
        "codecs:\n  jpeg: [95, 0]\n",
        encoding="utf-8",
    )
    (specs / "b.yaml").write_text("task: segmentation\ntask: depth\n", encoding="utf-8")
    (specs / "c.yml").write_text("- a list\n", encoding="utf-8")
    result = run("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "model_specs/a.yaml:2: unknown key 'wieghts' in 'model'; did you mean 'weights'?",
            "model_specs/b.yaml:2: key 'task' is written twice; keep one of them",
            "model_specs/c.yml:1: a spec is a mapping*",
        ]
    )
    (specs / "b.yaml").unlink()
    (specs / "c.yml").unlink()
    text = (specs / "a.yaml").read_text(encoding="utf-8").replace("wieghts", "weights")
    (specs / "a.yaml").write_text(text, encoding="utf-8")
    result = run("--lossy-codec=jpeg")
    result.stderr.fnmatch_lines(
        [
            "model_specs/a.yaml:1: unknown task 'segmentaton'; did you mean 'segmentation'?",
            "model_specs/a.yaml:3: *'rot'*",
            "model_specs/a.yaml:5: jpeg: level 0 is outside 1..100*",
        ]
    )


def test_a_missing_default_folder_of_specs(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no such folder of specs*"])


def test_an_empty_folder_of_specs(pytester: pytest.Pytester) -> None:
    pytester.mkdir("model_specs")
    result = pytester.runpytest_inprocess("--lossy-codec=jpeg")
    result.stderr.fnmatch_lines(["*holds no spec*"])


def test_two_models_of_one_name(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other", extra="name: Toy")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.stderr.fnmatch_lines(["*model name 'toy' is also used by model_specs/other.yaml*"])


def test_rules_that_disagree_equally(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, 'to*: {jpeg: {5: {miou: {min: 0.1}}}}\n"*oy": {jpeg: {5: {miou: {min: 0.2}}}}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["thresholds.yaml:4: miou.min*also set by line 3*"])


def test_a_rule_that_matches_nothing_warns_and_fails_under_strict(run: Run, suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.1}}}\nsegnett: {clean: {miou: {min: 0.1}}}")
    result = run("--lossy-codec=jpeg")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*thresholds.yaml:4: matches no case*"])
    result = run("--lossy-codec=jpeg", "--lossy-strict")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["thresholds.yaml:4: matches no case*"])


def test_dead_rules_are_judged_before_narrowing(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other")
    toy.write_thresholds(suite.path, "other: {jpeg: {90: {miou: {min: 0.1}}}}\ntoy: {clean: {miou: {min: 0.1}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-model=toy", "--lossy-level=jpeg:5")
    result.stdout.no_fnmatch_line("*matches no case*")


def test_a_codec_in_thresholds_that_nothing_knows(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jepg: {5: {miou: {min: 0.1}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["thresholds.yaml:3: unknown codec 'jepg'; did you mean 'jpeg'?"])
