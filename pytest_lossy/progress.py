"""Progress of long cases: each process notes how far it is, the controller shows it.

On a terminal a status stands behind pytest's own line and is redrawn twice a second; in a log a line appears every minute.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pytest_lossy.cases import Case

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.run import Run

__all__ = ["ProgressWriter", "StatusLine"]

_WRITE_SECONDS = 0.3
_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 60.0
_STALE_SECONDS = 600.0

_SAVE, _RESTORE, _CLEAR = "\x1b7", "\x1b8", "\x1b[K"


class ProgressWriter:
    """Notes this process's progress in a small file of the run's folder."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._path, self._last = folder / worker, 0.0

    def update(self, case: Case, done: int, total: int, purpose: str = "") -> None:
        """Called from the evaluating thread whenever a batch is done; ``purpose`` is what needs the case, if not itself."""
        now = time.monotonic()
        if now - self._last < _WRITE_SECONDS:
            return
        self._last = now
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            name = f"{purpose}: {case.name}" if purpose else case.name
            self._path.write_text(f"{case.model}::{name} {done}/{total}", encoding="utf-8")
        except OSError:
            return  # progress is a courtesy: a full disk is reported by whoever writes results


class StatusLine:
    """A thread of the controller that shows the notes of all processes."""

    def __init__(self, stream: TextIO, reporter: pytest.TerminalReporter, run: Run, *, terminal: bool) -> None:
        self._stream, self._reporter, self._run, self._terminal = stream, reporter, run, terminal
        self._stop = threading.Event()
        self._drawn = False
        self._finished, self._count_again = 0, 0.0
        self._thread = threading.Thread(target=self._loop, name="lossy-status", daemon=True)

    @classmethod
    def start(cls, config: pytest.Config, run: Run) -> StatusLine | None:
        """Begin to show progress; None where pytest has no terminal reporter or is told to be quiet."""
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or config.get_verbosity() < 0:
            return None
        try:
            # A descriptor of our own: pytest redirects descriptor 1 while a test runs.
            stream = os.fdopen(os.dup(reporter._tw._file.fileno()), "w", encoding="utf-8", errors="replace")
        except (OSError, ValueError, AttributeError):
            return None
        status = cls(stream, reporter, run, terminal=reporter.isatty and os.environ.get("TERM") != "dumb")
        status._thread.start()
        return status

    def clear(self) -> None:
        """Wipe the status before pytest writes its own text."""
        if self._drawn:
            self._drawn = False
            self._write(_CLEAR)

    def stop(self) -> None:
        """End the thread; safe to call twice."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(timeout=2)
            self.clear()
            self._stream.close()

    def _loop(self) -> None:
        interval = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS
        while not self._stop.wait(interval):
            text = self._text()
            if not text:
                continue
            if not self._terminal:
                self._write(f"\nlossy: {text}\n")
                continue
            room = self._reporter._tw.fullwidth - self._reporter._tw.width_of_current_line - 4
            if room >= 20:
                self._drawn = True
                self._write(f"{_SAVE}  {text[:room]}{_CLEAR}{_RESTORE}")

    def _text(self) -> str:
        folder = self._run.store.folder
        finished = self._count(folder / "rows")
        notes = []
        try:
            for entry in sorted(os.scandir(folder / "progress"), key=lambda entry: entry.name):
                if time.time() - entry.stat().st_mtime < _STALE_SECONDS:
                    notes.append(Path(entry.path).read_text(encoding="utf-8"))
        except OSError:
            pass
        if not notes:
            return ""
        return f"{finished}/{self._run.expected()} cases; {'; '.join(notes)}"

    def _count(self, rows: Path) -> int:
        """Cases that have a row, counted as often as takes a hundredth of the time: there may be a hundred thousand."""
        started = time.monotonic()
        if started >= self._count_again:
            try:
                self._finished = sum(1 for entry in os.scandir(rows) if entry.name.endswith(".json"))
            except OSError:
                self._finished = 0
            self._count_again = started + 100 * (time.monotonic() - started)
        return self._finished

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stop.set()  # the terminal went away
