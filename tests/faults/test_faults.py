"""Killed workers, Ctrl-C, a full or read-only disk: what finished is reported, and nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugin import toy
from tests.plugin.conftest import results, verdicts

TIMEOUT = 180


def with_codec(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, name: str) -> None:
    """A spec whose codec comes from a module of the user's."""
    (suite.path / "mycodec.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(suite.path))
    toy.write_spec(suite.path, codecs=f"bad: {{codec: 'mycodec:{name}', levels: [90, 50, 5]}}\njpeg: [90]")
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.5}}}")


@pytest.mark.parametrize(
    ("workers", "level"), [(1, 90), (2, 50), (4, 5)], ids=["first-of-1", "middle-of-2", "last-of-4"]
)
def test_a_killed_worker_costs_one_case(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: int, level: int
) -> None:
    """Every position with every number of workers is simulated in tests/unit/scheduling/test_scheduler.py."""
    with_codec(suite, monkeypatch, toy.KILLER.replace("level == 50", f"level == {level}"), "KillerCodec")
    result = suite.runpytest_subprocess("--lossy-codec=all", f"-n{workers}", "-p", "no:randomly", timeout=TIMEOUT)
    result.assert_outcomes(passed=4, failed=1)
    expected = dict.fromkeys(("jpeg-q90", "bad-q90", "bad-q50", "bad-q5"), "ungated")
    assert verdicts(suite) == {**expected, "clean": "passed", f"bad-q{level}": "crashed"}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_run_whose_cases_did_not_run_is_no_success(suite: pytest.Pytester) -> None:
    """As where another plugin runs the tests its own way, or not at all."""
    suite.makeconftest(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session):\n    return True\n"
    )
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(verdicts(suite).values()) == {"not_run"}
    assert results(suite)["run"]["status"] == "interrupted"


def test_collecting_alone_leaves_a_run_in_progress_as_it_is(suite: pytest.Pytester) -> None:
    folder = suite.path / "lossy-report" / ".run" / "evidence"
    folder.mkdir(parents=True)
    (folder / "toy@clean.npz").write_bytes(b"of a run that was killed, and may be resumed")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--collect-only", "-q")
    assert result.ret == pytest.ExitCode.OK
    assert [path.name for path in folder.iterdir()] == ["toy@clean.npz"]
    assert not (suite.path / "lossy-report" / "results.json").exists()


CRASHING_NET = """
import os, signal, torch
class Net(torch.nn.Module):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)
def build():
    return Net()
"""


def test_what_depends_on_a_crashed_clean_case_is_an_error(suite: pytest.Pytester) -> None:
    (suite.path / "model_specs" / "crash.py").write_text(CRASHING_NET, encoding="utf-8")
    toy.write_spec(suite.path, model="torch: ./crash.py:build", codecs="jpeg: [90]")
    result = suite.runpytest_subprocess("--lossy-codec=jpeg", "-n1", "-p", "no:randomly", timeout=TIMEOUT)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(suite) == {"clean": "crashed", "jpeg-q90": "crashed"}


def interrupted(suite: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    """Start a run, wait until its clean case is stored, send Ctrl-C as a terminal does, and return status and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--lossy-codec=all", "-p", "no:randomly", *arguments],
        cwd=suite.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(suite.path)},
    )
    rows = suite.path / "lossy-report" / ".run" / "rows"
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and not (rows / "toy@clean.json").exists():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, output


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["in-process", "two-workers"])
def test_ctrl_c_reports_what_finished(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    with_codec(suite, monkeypatch, toy.SLOW, "SlowCodec")
    status, output = interrupted(suite, *workers)
    assert status == pytest.ExitCode.INTERRUPTED, output
    assert "report: lossy-report/index.html" in output
    document = results(suite)
    assert document["run"]["status"] == "interrupted"
    found = verdicts(suite)
    assert found["clean"] == "passed"
    assert "not_run" in found.values()
    assert "crashed" not in found.values()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_report_folder(suite: pytest.Pytester) -> None:
    folder = suite.mkdir("lossy-report")
    folder.chmod(0o500)
    result = suite.runpytest_subprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot be written*"])


def test_a_report_folder_that_is_a_file(suite: pytest.Pytester) -> None:
    (suite.path / "lossy-report").write_text("in the way", encoding="utf-8")
    result = suite.runpytest_subprocess("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*lossy-report*cannot be written*"])


FULL_DISK = """
import errno, os, pytest
real = os.fsync
def fsync(descriptor):
    if os.environ.get("FULL") in os.readlink(f"/proc/self/fd/{descriptor}"):
        raise OSError(errno.ENOSPC, "No space left on device")
    return real(descriptor)
os.fsync = fsync
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see which file is written")
@pytest.mark.parametrize("where", ["evidence/", "rows/"])
def test_a_full_disk_fails_cases_in_one_line(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    suite.makeconftest(FULL_DISK)
    monkeypatch.setenv("FULL", where)
    result = suite.runpytest_subprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*cannot be written (No space left on device); free space or choose another*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see which file is written")
def test_a_full_disk_at_the_end_keeps_the_run_and_says_so(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makeconftest(FULL_DISK)
    monkeypatch.setenv("FULL", "results.json")
    result = suite.runpytest_subprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    result.stdout.fnmatch_lines(["*results.json: cannot be written*"])
    assert result.ret != 0
    assert len(list((suite.path / "lossy-report" / ".run" / "rows").iterdir())) == 4


def test_damaged_rows_become_errors(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        "def pytest_sessionfinish(session):\n"
        "    path = session.config.rootpath / 'lossy-report' / '.run' / 'rows' / 'toy@jpeg-q5.json'\n"
        "    if path.exists(): path.write_text('{')\n"
    )
    suite.runpytest_subprocess("--lossy-codec=jpeg", "-p", "no:randomly").assert_outcomes(passed=4)
    assert verdicts(suite)["jpeg-q5"] == "error"


def test_temporary_files_are_removed(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = suite.mkdir("scratch")
    monkeypatch.setenv("TMPDIR", str(folder))
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    abandoned = folder / f"pytest-lossy-spill-{finished.pid}-x"
    running = folder / f"pytest-lossy-spill-{os.getpid()}-x"
    for path in (abandoned, running):
        path.mkdir()
    suite.runpytest_subprocess("--lossy-codec=jpeg", "-n2").assert_outcomes(passed=4)
    assert [path.name for path in folder.iterdir() if path.name.startswith("pytest-lossy-")] == [running.name]
