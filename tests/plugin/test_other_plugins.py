"""Beside plugins that users have: reruns, and pytest's own strictness."""

from __future__ import annotations

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, verdicts


def test_reruns_judge_again_and_report_once(run: Run, suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.999}}}}")
    result = run("--lossy-codec=jpeg", "--reruns", "1")
    assert result.parseoutcomes() == {"passed": 3, "failed": 1, "rerun": 1}
    assert verdicts(suite)["jpeg-q5"] == "failed"


FLAKY = """
import os, torch
from pathlib import Path
import net

class Flaky(net.Nearest):
    def forward(self, x):
        flag = Path(os.environ["FLAKY"])
        if not flag.exists():
            flag.write_text("")
            raise RuntimeError("first time")
        return super().forward(x)

def build():
    return Flaky()
"""


def test_a_case_that_failed_to_evaluate_is_evaluated_again(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = suite.path / "model_specs"
    (folder / "flaky.py").write_text(FLAKY, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("FLAKY", str(suite.path / "flag"))
    toy.write_spec(suite.path, model="torch: ./flaky.py:build", extra="batch_size: 100")
    text = (folder / "toy.yaml").read_text(encoding="utf-8").replace("batch_size: 5\n", "")
    (folder / "toy.yaml").write_text(text, encoding="utf-8")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--reruns", "1", "-p", "no:randomly")
    assert result.parseoutcomes() == {"passed": 4, "rerun": 1}
    assert set(verdicts(suite).values()) == {"passed"}


def test_warnings_as_errors(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-W", "error").assert_outcomes(passed=4)
