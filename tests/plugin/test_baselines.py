"""--lossy-save, --lossy-compare, --lossy-compare-fail and ``pytest-lossy compare``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lossy.cli import main
from tests.plugin.conftest import Run, results

HTML = Path("lossy-report") / "index.html"


def worsen(pytester: pytest.Pytester) -> None:
    """A commit that hurts the model: one colour's weights are off."""
    net = pytester.path / "model_specs" / "net.py"
    text = net.read_text(encoding="utf-8")
    net.write_text(
        text.replace("return self.conv(x)", "return self.conv(x) + torch.tensor([0.0, 0.004, 0.0])[:, None, None]")
    )


def test_a_saved_baseline_shows_a_regression(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-save=main").assert_outcomes(passed=4)
    assert (suite.path / ".lossy-baselines" / "main" / "replicates").is_dir()
    same = run("--lossy-codec=jpeg", "--lossy-compare=main", "--lossy-compare-fail=miou drop > 1%")
    assert same.ret == 0
    assert {change["verdict"] for change in results(suite)["comparison"]["changes"]} == {"unchanged"}
    worsen(suite)
    result = run("--lossy-codec=jpeg", "--lossy-compare=main", "--lossy-compare-fail=miou drop > 1%")
    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    comparison = results(suite)["comparison"]
    clean = next(change for change in comparison["changes"] if change["codec"] == "clean")
    assert clean["verdict"] == "worse"
    assert clean["failed"]
    assert clean["paired"]
    assert clean["change"]["high"] < 0
    assert clean["relative"] < -0.01
    assert clean["p_adjusted"] >= clean["p"]
    result.stdout.fnmatch_lines(["*baseline main: 4 cases compared:*", "*worse, fails: toy, clean: miou*"])
    assert "Against the baseline" in (suite.path / HTML).read_text(encoding="utf-8")
    assert "Against the baseline" in (suite.path / "lossy-report" / "summary.md").read_text(encoding="utf-8")


def test_last_is_what_the_run_replaces(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    before = next(row for row in results(suite)["cases"] if row["codec"] == "clean")["metrics"]["miou"]["value"]
    worsen(suite)
    # a second process: Python keeps the module that it imported
    assert suite.runpytest_subprocess("--lossy-codec=jpeg", "--lossy-compare=last").ret == 0, "no rule, no failure"
    comparison = results(suite)["comparison"]
    clean = next(change for change in comparison["changes"] if change["codec"] == "clean")
    assert clean["before"] == before
    assert clean["verdict"] == "worse"
    assert not clean["failed"]


def test_the_command_compares_folders(suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-report=one")
    worsen(suite)
    suite.runpytest_subprocess("--lossy-codec=jpeg", "--lossy-report=two")
    one, two = (str(suite.path / name) for name in ("one", "two"))
    assert main(["compare", one, one]) == 0
    assert main(["compare", one, two]) == 1
    output = capsys.readouterr().out
    assert "worse: toy, clean: miou" in output
    assert "independent samples needed" in output
    assert main(["compare", one, two, "--fail", "miou drop > 99%"]) == 0
    assert main(["compare", two, f"{one}/results.json"]) == 0, "better is no failure"
    assert main(["compare", one, str(suite.path / "nowhere")]) == 1
    assert "no baseline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--lossy-compare=nothing"],
            "no baseline 'nothing': it is no folder*has none yet; keep one with --lossy-save",
        ),
        (["--lossy-compare=last"], "*results.json: cannot be read*"),
        (["--lossy-save=a/b"], "--lossy-save: 'a/b' is no name"),
        (["--lossy-save=last"], "--lossy-save: 'last' is no name"),
        (["--lossy-save=x", "--lossy-samples=3"], "a smoke run (--lossy-samples) makes no baseline"),
        (["--lossy-compare-fail=miou drop > 1%"], "compares with nothing; add --lossy-compare=NAME"),
        (["--lossy-compare=x", "--lossy-compare-fail=miou falls"], "'miou falls' is no rule; write 'miou drop > 1%'"),
    ],
)
def test_mistakes_are_usage_errors(suite: pytest.Pytester, arguments: list[str], words: str) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words.replace('[', '[[]')}*"])


def test_other_samples_are_said_to_be_others(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-report=one")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-samples=9", "--lossy-compare=one")
    comparison = results(suite)["comparison"]
    assert not any(change["paired"] for change in comparison["changes"])
    assert any(text.startswith("samples_limit") for text in comparison["differences"])
