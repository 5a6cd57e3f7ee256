"""A run's folder on one machine of the cluster: the shipped repository and decoded sources, shared by its workers there.

Each worker holds a lock that the operating system releases when it dies; whoever comes or goes removes the folders that
nobody holds any more, so that killed workers leave nothing for long.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from pytest_lossy.cluster.shipping import unpack_repository
from pytest_lossy.errors import ResultsError

__all__ = ["NodeFolder"]


class NodeFolder:
    """Made by the first worker of a run on a machine, removed by the last.

    Args:
        run: unique name of the run.
        archive: of the repository.
        base: where folders of runs lie; default: one per user in the temporary folder.

    Raises:
        ResultsError: the machine's disk refuses.
    """

    def __init__(self, run: str, archive: bytes, base: Path | None = None) -> None:
        self._base = base or Path(tempfile.gettempdir()) / f"pytest-lossy-ray-{os.getuid()}"
        self.path = self._base / run
        self.repository = self.path / "repository"
        self.spill = self.path / "spill"
        self._held = -1
        try:
            self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._base.stat().st_uid != os.getuid():
                raise PermissionError("belongs to another user")
            with FileLock(self._base / ".lock"):
                self._remove_abandoned()
                self.path.mkdir(exist_ok=True)
                self._held = os.open(self.path / ".held", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._held, fcntl.LOCK_SH)
                if not (self.path / ".complete").exists():
                    shutil.rmtree(self.repository, ignore_errors=True)
                    unpack_repository(archive, self.repository)
                    self.spill.mkdir(exist_ok=True)
                    (self.path / ".complete").touch()
        except OSError as error:
            raise ResultsError(f"{self.path}: cannot be written ({error.strerror or error}); free space") from error

    def leave(self) -> None:
        """Let go; the last worker of the run removes the folder. Safe to call twice."""
        if self._held < 0:
            return
        with contextlib.suppress(OSError), FileLock(self._base / ".lock"):
            os.close(self._held)
            self._held = -1
            self._remove_abandoned()

    def _remove_abandoned(self) -> None:
        """Remove the folders that no process holds; called under the lock of all folders."""
        for folder in self._base.iterdir():
            if not folder.is_dir():
                continue
            try:
                descriptor = os.open(folder / ".held", os.O_RDWR)
            except FileNotFoundError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)
