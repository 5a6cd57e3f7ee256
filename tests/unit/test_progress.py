"""Progress: what a process notes, and what the terminal or the log shows of it."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lossy import progress
from pytest_lossy.cases import Case
from pytest_lossy.progress import ProgressWriter, StatusLine

CASE = Case("net", "segmentation", "jpeg", "jpeg", "q", 15)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows").mkdir()
    for name in ("a", "b"):
        (tmp_path / "rows" / f"{name}.json").write_text("{}", encoding="utf-8")
    return tmp_path


def status(folder: Path, stream: io.StringIO, *, terminal: bool, used: int = 20) -> StatusLine:
    run: Any = SimpleNamespace(store=SimpleNamespace(folder=folder), expected=lambda: 8)
    reporter: Any = SimpleNamespace(_tw=SimpleNamespace(fullwidth=80, width_of_current_line=used))
    return StatusLine(stream, reporter, run, terminal=terminal)


class Unclosed(io.StringIO):
    def close(self) -> None:
        """Keep what was written."""


def test_a_process_notes_its_case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_WRITE_SECONDS", 0.0)
    writer = ProgressWriter(folder / "progress", "gw1")
    writer.update(CASE, 8, 100)
    writer.update(CASE, 16, 100)
    assert (folder / "progress" / "gw1").read_text() == "net::jpeg-q15 16/100"


def test_writes_are_few(folder: Path) -> None:
    writer = ProgressWriter(folder / "progress", "gw1")
    for done in range(1000):
        writer.update(CASE, done, 1000)
    assert (folder / "progress" / "gw1").read_text() == "net::jpeg-q15 0/1000"


def test_an_unwritable_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ProgressWriter(tmp_path / "file", "gw1").update(CASE, 1, 2)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_status_names_every_process(folder: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_SECONDS", 0.02)
    monkeypatch.setattr(progress, "_LOG_SECONDS", 0.02)
    ProgressWriter(folder / "progress", "gw0").update(CASE, 40, 100)
    stream = Unclosed()
    line = status(folder, stream, terminal=terminal)
    line._thread.start()
    time.sleep(0.3)
    line.stop()
    line.stop()
    text = stream.getvalue()
    assert "2/8 cases; net::jpeg-q15 40/100" in text
    assert ("\x1b7" in text) is terminal
    if terminal:
        assert text.endswith("\x1b[K")


def test_no_room_on_the_line_means_no_status(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_SECONDS", 0.02)
    ProgressWriter(folder / "progress", "gw0").update(CASE, 40, 100)
    stream = Unclosed()
    line = status(folder, stream, terminal=True, used=70)
    line._thread.start()
    time.sleep(0.2)
    line.stop()
    assert not stream.getvalue()
