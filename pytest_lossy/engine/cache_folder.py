"""The folder of cached media: which files are ours, how many bytes they hold, and which have to go.

::

    CACHEDIR.TAG            marks the folder as ours, and as a cache for backup programs (https://bford.info/cachedir/)
    .evict.lock             held by the one process that removes old entries
    3f/3fa0....media        an entry, named by its key
    3f/3fa0....7-1b2c.tmp   an entry that a process is writing

Nothing is ever removed from a folder without our mark, nor a file that is not named like one of ours: a mistyped path
costs no one a file.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

__all__ = ["CacheFile", "CacheFolder", "ForeignFolderError"]

_TAG = "CACHEDIR.TAG"
_TAG_TEXT = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder holds encoded media of pytest-lossy. It may be removed at any time.
"""
_LOCK = ".evict.lock"
_SHARD = re.compile(r"[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{64}\.media")
_TEMPORARY = re.compile(r"[0-9a-f]{64}\.[0-9]+-[0-9a-f]{8}\.tmp")
_TAG_TEMPORARY = re.compile(r"CACHEDIR\.TAG\.[0-9]+-[0-9a-f]{8}\.tmp")

SHARDS = 256
KEEP = 0.9
"""Eviction ends as soon as no more than this share of the limit remains."""
ABANDONED_SECONDS = 3_600
"""A temporary file of this age has no writer any more: writing one takes milliseconds."""
_FUTURE_SECONDS = 86_400
"""A file from further in the future was dated by a wrong clock."""


class ForeignFolderError(OSError):
    """A folder with files of others, without our mark."""


class CacheFile(NamedTuple):
    """One of our files; sorts by age, oldest first."""

    mtime_ns: int
    """When it was last used, as far as the eviction order is concerned: 0 where its clock was wrong."""
    size: int
    name: str


class CacheFolder:
    """Files of one cache folder. Every method may be called from any thread or process.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entry(self, name: str) -> Path:
        """The file of an entry, present or not."""
        return self.path / name[:2] / f"{name}.media"

    def is_marked(self) -> bool:
        """Whether the folder exists and is a cache of ours.

        Raises:
            ForeignFolderError: it holds files and is not.
            OSError: it is no folder, or cannot be read.
        """
        if self._has_tag():
            return True
        try:
            names = sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return False
        # lost+found: the root of a freshly made file system; temporary tags: others are marking it right now.
        foreign = [name for name in names if name != "lost+found" and not _TAG_TEMPORARY.fullmatch(name)]
        if foreign and self._has_tag():
            return True  # another process has marked it since we looked
        if foreign:
            raise ForeignFolderError(f"is no cache of pytest-lossy and holds other files, such as '{foreign[0]}'")
        return False

    def _has_tag(self) -> bool:
        try:
            with (self.path / _TAG).open("rb") as tag:
                return tag.read(len(_TAG_TEXT)) == _TAG_TEXT
        except (FileNotFoundError, IsADirectoryError):
            return False

    def prepare(self) -> None:
        """Make and mark the folder.

        Raises:
            OSError: it holds files of others, or cannot be made.
        """
        if self.is_marked():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / _TAG, _TAG_TEXT)

    def store(self, name: str, content: bytes) -> None:
        """Write an entry, so that readers see all of it or nothing.

        Not flushed to the device: after a power cut an entry may be damaged, which its checksum shows.

        Raises:
            OSError: the disk is full, read-only, ...
        """
        target = self.entry(name)
        try:
            write_whole(target, content)
        except FileNotFoundError:  # the first entry of its shard, or someone removed the cache
            self.prepare()
            target.parent.mkdir(exist_ok=True)
            write_whole(target, content)

    def remove(self, name: str) -> bool:
        """Remove an entry; False where it is gone already or may not be removed."""
        try:
            self.entry(name).unlink()
        except OSError:
            return False
        return True

    def entries(self) -> Iterator[CacheFile]:
        """Every entry; none where the folder is not there.

        Raises:
            OSError: the folder is not ours, or cannot be read.
        """
        if not self.is_marked():
            return
        # A link could lead out of the cache: shards are real folders.
        with os.scandir(self.path) as found:
            shards = sorted(
                one.name for one in found if _SHARD.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
            )
        for shard in shards:
            yield from self.shard_entries(shard)

    def shard_entries(self, shard: str) -> Iterator[CacheFile]:
        """Entries of one sub-folder; temporary files that lost their writer are removed in passing."""
        now = time.time()
        try:
            with os.scandir(self.path / shard) as found:
                for file in found:
                    if _ENTRY.fullmatch(file.name):
                        with contextlib.suppress(FileNotFoundError):
                            status = file.stat(follow_symlinks=False)
                            wrong_clock = status.st_mtime > now + _FUTURE_SECONDS
                            yield CacheFile(0 if wrong_clock else status.st_mtime_ns, status.st_size, file.name[:64])
                    elif _TEMPORARY.fullmatch(file.name):
                        with contextlib.suppress(OSError):
                            # A file from the future is judged like one from the past: some clock was wrong.
                            if abs(now - file.stat(follow_symlinks=False).st_mtime) > ABANDONED_SECONDS:
                                os.unlink(file.path)  # noqa: PTH108  one of very many, as a string already
        except FileNotFoundError:
            return

    def nearly_full(self, shard: str, limit: int) -> bool:
        """Whether the cache may hold more than three quarters of ``limit`` bytes, judged from one of its sub-folders.

        Keys are hashes, so every sub-folder holds about the same; reading one of 256 costs a fraction of a millisecond.
        """
        return SHARDS * sum(file.size for file in self.shard_entries(shard)) > 0.75 * limit

    def evict(self, limit: int) -> tuple[int, int]:
        """Where the entries exceed ``limit`` bytes, remove the least recently used until 90 % of it remain.

        Does nothing while another process is at it.

        Returns:
            Entries and bytes removed.

        Raises:
            OSError: the folder is not ours, or cannot be read.
        """
        if not self.is_marked():
            return 0, 0
        try:
            with FileLock(self.path / _LOCK, timeout=0):
                return self._evict(limit)
        except (Timeout, NotImplementedError):  # another process evicts; a file system without locks
            return 0, 0

    def _evict(self, limit: int) -> tuple[int, int]:
        files = sorted(self.entries())
        total = sum(file.size for file in files)
        count = removed = 0
        if total > limit:
            for file in files:
                if total - removed <= KEEP * limit:
                    break
                if self.remove(file.name):
                    count, removed = count + 1, removed + file.size
        return count, removed


def write_whole(path: Path, content: bytes) -> None:
    """Write beside ``path`` and rename; the temporary file goes whatever happens short of a kill.

    Not tempfile: its files are private to one user, and a cache may be shared by several.
    """
    temporary = path.with_name(
        f"{path.stem if path.suffix == '.media' else path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    )
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
        os.replace(temporary, path)  # noqa: PTH105  its failures are tested by replacing this very function
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
