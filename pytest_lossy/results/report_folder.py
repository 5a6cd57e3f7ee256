"""The report folder: locked by one run at a time, whose results replace those of the run before when it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.files import write_atomically
from pytest_lossy.results.store import RunStore

__all__ = ["ReportFolder"]

_PUBLISHED = ("evidence", "replicates", "gallery")
"""Folders that stay beside ``results.json``."""


class ReportFolder:
    """``--lossy-report``: locked by one run at a time.

    Args:
        root: the folder; made on :meth:`open`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = RunStore(root / ".run")
        self._lock: FileLock | None = None

    @property
    def is_open(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock is not None

    def open(self, *, resume: bool = False) -> int:
        """Lock the folder and begin a new run; results of earlier runs stay until this one ends.

        Args:
            resume: take over the evidence of the run before, whether it was interrupted and published or killed.

        Returns:
            how many cases' evidence was taken over.

        Raises:
            ResultsError: another run holds the folder, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise ResultsError(
                f"{self.root}: another run writes here; wait for it, or choose another --lossy-report"
            ) from None
        except OSError as error:
            raise ResultsError(
                f"{self.root}: cannot be written ({error.strerror or error}); choose another --lossy-report"
            ) from error
        self._lock = lock
        restored = 0
        try:
            self._clear(keep_evidence=resume)
            self.store.folder.mkdir(parents=True, exist_ok=True)
            if resume:
                restored = self.store.restore(self.root / ".earlier") + self.store.restore(self.root / "evidence")
                shutil.rmtree(self.root / ".earlier", ignore_errors=True)
            # Reports are build products: whoever runs `git add .` should not commit them.
            write_atomically(self.root / ".gitignore", b"*\n")
        except OSError as error:
            self.close()
            raise ResultsError(f"{self.root}: cannot be written ({error.strerror or error})") from error
        except ResultsError:
            self.close()
            raise
        return restored

    def _clear(self, *, keep_evidence: bool) -> None:
        """Forget a killed run, but for its evidence where that is to be kept: then it moves to ``.earlier``.

        A run that is killed while it resumes another leaves both folders; what it had computed itself counts.
        """
        earlier, evidence = self.root / ".earlier", self.store.folder / "evidence"
        if not keep_evidence:
            shutil.rmtree(earlier, ignore_errors=True)
        elif evidence.is_dir():
            earlier.mkdir(exist_ok=True)
            for path in evidence.glob("*.npz"):
                path.replace(earlier / path.name)
        shutil.rmtree(self.store.folder, ignore_errors=True)

    def publish(self, name: str, results: bytes) -> None:
        """Replace the results and evidence of earlier runs by this run's.

        Args:
            name: file name of the results.
            results: their content.

        Raises:
            ResultsError: the folder cannot be written; this run's files stay in ``.run``.
        """
        write_atomically(self.root / name, results)
        self.store.forget_unused()
        for kind in _PUBLISHED:
            fresh, old = self.store.folder / kind, self.root / kind
            try:
                shutil.rmtree(old, ignore_errors=True)
                if fresh.exists():
                    fresh.replace(old)
            except OSError as error:
                raise ResultsError(f"{old}: cannot be replaced ({error.strerror}); remove it by hand") from error
        shutil.rmtree(self.store.folder, ignore_errors=True)
        shutil.rmtree(self.root / ".earlier", ignore_errors=True)

    def discard(self) -> None:
        """Forget the run in progress; results of earlier runs stay."""
        shutil.rmtree(self.store.folder, ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """Write one page of the report."""
        write_atomically(self.root / name, content)

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
