"""Every task through the public command line: the same bits whatever the workers and the order, and sound numbers."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import results
from tests.plugin.tasks_suite import TASKS, write_suite
from tests.plugin.test_results import comparable


@pytest.fixture
def tasks(pytester: pytest.Pytester) -> pytest.Pytester:
    write_suite(pytester.path)
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    return pytester


def test_same_bits_for_every_task(tasks: pytest.Pytester) -> None:
    documents, evidence = [], []
    for arguments in (["-p", "no:randomly"], ["--randomly-seed=3"], ["-n2", "--randomly-seed=4"]):
        run = tasks.runpytest_subprocess if "-n2" in arguments else tasks.runpytest_inprocess
        run("--lossy-codec=jpeg", *arguments).assert_outcomes(passed=3 * len(TASKS))
        documents.append({**comparable(results(tasks)), "environment": None})
        folder = tasks.path / "lossy-report" / "evidence"
        evidence.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(evidence[0]) == 3 * len(TASKS)
    for other, files in zip(documents[1:], evidence[1:], strict=True):
        assert other == documents[0]
        assert files == evidence[0]


def test_levels_run_apart_equal_levels_run_together(tasks: pytest.Pytester) -> None:
    """Cases that other machines would run: each row and each file of evidence, bit for bit."""
    tasks.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    together = {row["id"]: row for row in comparable(results(tasks))["cases"]}
    folder = tasks.path / "lossy-report" / "evidence"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    apart, files = {}, {}
    names = sorted({key.rpartition("::")[2] for key in together})
    assert len(names) == 3
    for name in names:
        ids = [key for key in together if key.endswith(f"::{name}")]
        assert len(ids) == len(TASKS)
        tasks.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly", *ids).assert_outcomes(passed=len(TASKS))
        apart |= {row["id"]: row for row in comparable(results(tasks))["cases"] if row["role"] == "case"}
        files |= {path.name: path.read_bytes() for path in folder.iterdir() if f"@{name}." in path.name}
    assert apart == together
    assert files == whole


def test_spilled_samples_score_like_fresh_ones(tasks: pytest.Pytester) -> None:
    tasks.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly", "--lossy-spill=0")
    fresh = comparable(results(tasks))["cases"]
    tasks.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    assert comparable(results(tasks))["cases"] == fresh


@pytest.mark.parametrize("task", TASKS)
def test_compression_costs_something_and_errors_run_the_other_way(tasks: pytest.Pytester, task: str) -> None:
    tasks.runpytest_inprocess("--lossy-codec=jpeg", f"--lossy-task={task}").assert_outcomes(passed=3)
    document = results(tasks)
    rows = {row["level"]: row for row in document["cases"]}
    primary = rows[None]["primary"]
    better = {metric["name"]: metric["higher_is_better"] for metric in document["models"][0]["metrics"]}[primary]
    clean, severe = (rows[level]["metrics"][primary] for level in (None, 3))
    assert clean["low"] <= clean["value"] <= clean["high"]
    if task != "action":  # its drawn labels mean nothing, so only the plumbing is tested
        assert (severe["value"] < clean["value"]) is better
        assert severe["loss"] > 0
        assert severe["retention"] is None or severe["retention"] < 1
    page = (tasks.path / "lossy-report" / "index.html").read_text(encoding="utf-8")
    assert primary in page
