"""What lies in a repository: names only, bounded in time however large its data are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Folder", "Tree", "read_tree"]

MAX_FOLDERS, MAX_DEPTH, MAX_NAMES = 5000, 7, 2000
"""Beyond these a data set is large, and the rest of it looks like what was seen."""

_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "lossy-report", "venv", "env"})
"""Folders that hold neither the user's models nor data to evaluate on."""
_SKIPPED_AT_TOP = frozenset({"test", "tests"})
"""Below the top ``test`` is the name of a split."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The names in one folder, sorted."""

    path: PurePosixPath
    """Relative to the root; ``.`` for the root itself."""
    folders: tuple[str, ...]
    files: tuple[str, ...]

    def with_suffix(self, *suffixes: str) -> tuple[str, ...]:
        """Names of files that end so, whatever their case."""
        return tuple(name for name in self.files if PurePosixPath(name).suffix.lower() in suffixes)


@dataclass(frozen=True, slots=True)
class Tree:
    """Folders below a root, breadth first and by name: what lies near the top is found first."""

    root: Path
    folders: dict[PurePosixPath, Folder]
    complete: bool
    """False where the repository is larger than what was read."""

    def __iter__(self) -> Iterator[Folder]:
        return iter(self.folders.values())

    def get(self, path: PurePosixPath) -> Folder | None:
        """One folder; None where it is not there or was not read."""
        return self.folders.get(path)


def read_tree(root: Path) -> Tree:
    """List a repository; links to folders are followed, and each folder is read once.

    Hidden folders, virtual environments, build outputs and caches are left out, unreadable folders too.
    """
    folders: dict[PurePosixPath, Folder] = {}
    waiting = [PurePosixPath()]
    seen: set[tuple[int, int]] = set()
    complete = True
    while waiting:
        if len(folders) >= MAX_FOLDERS:
            complete = False
            break
        path = waiting.pop(0)
        try:
            status = (root / path).stat()
            with os.scandir(root / path) as entries:
                names = sorted((entry.name, entry.is_dir()) for entry in entries if _is_shown(entry.name))
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen or ("pyvenv.cfg", False) in names:
            continue
        seen.add((status.st_dev, status.st_ino))
        skipped = _SKIPPED if path.parts else _SKIPPED | _SKIPPED_AT_TOP
        inner = [name for name, is_folder in names if is_folder and name.lower() not in skipped]
        files = [name for name, is_folder in names if not is_folder]
        complete = complete and len(inner) <= MAX_NAMES and len(files) <= MAX_NAMES
        folders[path] = Folder(path, tuple(inner[:MAX_NAMES]), tuple(files[:MAX_NAMES]))
        if len(path.parts) < MAX_DEPTH:
            waiting += [path / name for name in inner[:MAX_NAMES]]
    return Tree(root, folders, complete)


def _is_shown(name: str) -> bool:
    """Neither hidden, nor a name that cannot be written into a text file on one line."""
    return not name.startswith(".") and name.isprintable()
