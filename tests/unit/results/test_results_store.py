"""The report folder: marks, locks, crashes, and files that are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from result_rows import evidence, info, row

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.files import read_json, write_atomically, write_json
from pytest_lossy.results.report_folder import ReportFolder
from pytest_lossy.results.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / ".run")


def test_rows_round_trip(store: RunStore) -> None:
    assert store.read_row("net--jpeg-q15") is None
    store.write_row("net--jpeg-q15", row())
    assert store.read_row("net--jpeg-q15") == row()
    assert store.read_row("net--jpeg-q15", "references") is None
    store.write_reference("net--clean", row(level=None))
    assert store.read_row("net--clean", "references") == row(level=None)


def test_models_round_trip(store: RunStore) -> None:
    assert store.read_model("net") is None
    store.write_model("net", info())
    assert store.read_model("net") == info()


def test_evidence_round_trips_and_withdraws_the_failure(store: RunStore) -> None:
    store.write_failure("a", "no such image")
    assert (store.has_evidence("a"), store.read_failure("a")) == (False, "no such image")
    store.save_evidence("a", evidence())
    assert (store.has_evidence("a"), store.read_failure("a")) == (True, None)
    assert store.load_evidence("a").ids == evidence().ids


def test_starting_again_withdraws_the_row(store: RunStore) -> None:
    assert not store.was_started("a")
    store.start("a")
    store.write_row("a", row())
    assert store.was_started("a")
    store.start("a")
    assert store.read_row("a") is None
    assert store.was_started("a")


def test_marks_of_computing(store: RunStore) -> None:
    with store.computing("a"):
        assert not store.crashed("a")
        store.mark_computing("a")
        store.unmark_computing("a")
        assert not store.crashed("a")
        store.unmark_computing("a")


@pytest.mark.parametrize("kind", ["rows", "models"])
@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"model": 3}', "\udcff"])
def test_damaged_files_are_named(store: RunStore, kind: str, content: str) -> None:
    path = store.folder / kind / "a.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ResultsError, match=r"a\.json: is damaged .*run"):
        store.read_row("a") if kind == "rows" else store.read_model("a")


CHILD = """
import sys, time
from pathlib import Path
from pytest_lossy.results.store import RunStore
store = RunStore(Path(sys.argv[1]))
with store.computing("a"):
    store.mark_computing("a")
    print("inside", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def child(store: RunStore) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_process_is_seen_as_a_crash(store: RunStore, child: subprocess.Popen[str]) -> None:
    lock = FileLock(store.folder / "locks" / "a.lock")
    with pytest.raises(TimeoutError):
        lock.acquire(timeout=0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    started = time.perf_counter()
    with store.computing("a"):
        assert time.perf_counter() - started < 5
        assert store.crashed("a")
        assert not store.has_evidence("a")


def test_other_cases_are_not_locked(store: RunStore, child: subprocess.Popen[str]) -> None:
    with store.computing("b"):
        assert not store.crashed("b")


# The folder


def test_the_folder_is_locked_by_one_run(tmp_path: Path) -> None:
    first, second = ReportFolder(tmp_path / "report"), ReportFolder(tmp_path / "report")
    first.open()
    with pytest.raises(ResultsError, match="another run writes here; wait for it, or choose another --lossy-report"):
        second.open()
    first.close()
    second.open()
    second.close()
    second.close()


def test_a_new_run_clears_the_last_ones_leftovers_and_keeps_its_results(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path)
    folder.open()
    folder.store.start("a")
    folder.close()
    write_atomically(tmp_path / "results.json", b"{}")
    folder.open()
    assert not folder.store.was_started("a")
    assert (tmp_path / "results.json").read_bytes() == b"{}"
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    folder.close()


def test_publishing_replaces_results_and_evidence(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path)
    for slug in ("old", "new"):
        folder.open()
        folder.store.save_evidence(slug, evidence())
        folder.publish("results.json", slug.encode())
        folder.close()
    assert (tmp_path / "results.json").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["new.npz"]
    assert not (tmp_path / ".run").exists()


def test_publishing_without_evidence_removes_the_old(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path)
    folder.open()
    folder.store.save_evidence("old", evidence())
    folder.publish("results.json", b"1")
    folder.publish("results.json", b"2")
    folder.close()
    assert not (tmp_path / "evidence").exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    with pytest.raises(ResultsError, match=r"report: cannot be written .*choose another --lossy-report"):
        ReportFolder(tmp_path / "report").open()


def test_a_folder_that_cannot_be_written_is_not_left_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = ReportFolder(tmp_path), ReportFolder(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        folder.open()
    monkeypatch.undo()
    other.open()
    other.close()


# Files


def test_written_files_are_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(ResultsError, match=rf"a.txt: cannot be written \({os.strerror(code)}\); free space or choose"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResultsError, match="Permission denied"):
            write_atomically(tmp_path / "a.txt", b"")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        write_atomically(tmp_path / "a" / "b.txt", b"")


def test_json_is_text_and_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1.5, None, True]})
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"ü": [1.5, None, True]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"ü": [1.5, None, True]}


def test_file_names_that_are_no_utf8_can_be_written(store: RunStore) -> None:
    name = os.fsdecode(b"\xff.png")
    write_json(store.folder / "a.json", {"error": name})
    assert json.loads((store.folder / "a.json").read_text(encoding="utf-8")) == {"error": name}
    store.write_failure("a", f"{name}: is damaged")
    assert (store.read_failure("a") or "").endswith(".png: is damaged")


def test_unreadable_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"a.json: cannot be read \(No such file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff{")
    with pytest.raises(ResultsError, match=r"a.json: is damaged"):
        read_json(tmp_path / "a.json")
