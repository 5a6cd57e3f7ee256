"""What ``pytest-lossy cache info | clear | verify`` does: pure functions on a cache folder, and their texts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pytest_lossy.engine.cache_entries import DamagedEntryError, read_entry_file, read_header, unpack_entry
from pytest_lossy.engine.cache_folder import CacheFile, CacheFolder
from pytest_lossy.errors import LossyError

__all__ = ["CacheInfo", "ClearedCache", "VerifiedCache", "cache_info", "clear_cache", "verify_cache"]

UNREADABLE = "(damaged)"
"""Stands for the codec of entries whose header cannot be read."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds."""

    folder: Path
    limit_bytes: int
    entries: int
    size: int
    """Bytes of all entries."""
    codecs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Codec name -> entries and bytes."""
    oldest: float | None = None
    """When the least recently used entry was last used, in seconds since the epoch; None without entries."""
    newest: float | None = None

    def text(self) -> str:
        """Lines for a terminal."""
        lines = [
            f"folder   {self.folder}",
            f"entries  {self.entries}",
            f"size     {_megabytes(self.size)} of {_megabytes(self.limit_bytes)}",
        ]
        if self.oldest is not None and self.newest is not None:
            lines.append(f"last use {_date(self.oldest)} .. {_date(self.newest)}")
        width = max(map(len, self.codecs), default=0)
        lines += [
            f"  {name:{width}}  {count:7d} entries  {_megabytes(size)}" for name, (count, size) in self.codecs.items()
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ClearedCache:
    """What was removed, and what stays."""

    folder: Path
    removed: int
    removed_bytes: int
    kept: int

    def text(self) -> str:
        """One line for a terminal."""
        return f"{self.folder}: removed {self.removed} entries ({_megabytes(self.removed_bytes)}), kept {self.kept}"


@dataclass(frozen=True, slots=True)
class VerifiedCache:
    """What reading every entry showed."""

    folder: Path
    checked: int
    size: int
    damaged: tuple[tuple[Path, str], ...]
    """Each with its reason."""
    unreadable: tuple[tuple[Path, str], ...]
    """Files that could not be read at all, such as another user's."""
    removed: int
    """How many of the damaged entries are gone."""

    @property
    def sound(self) -> bool:
        """Whether every entry was read and whole; the command's exit status is 0 then, 1 otherwise."""
        return not self.damaged and not self.unreadable

    def text(self) -> str:
        """Lines for a terminal."""
        lines = [f"{path}: {reason}" for path, reason in (*self.damaged, *self.unreadable)]
        found = f"{len(self.damaged)} damaged, {self.removed} of them removed" if self.damaged else "none damaged"
        more = f", {len(self.unreadable)} unreadable" if self.unreadable else ""
        return "\n".join(
            [*lines, f"{self.folder}: read {self.checked} entries ({_megabytes(self.size)}), {found}{more}"]
        )


def cache_info(folder: Path, limit_bytes: int) -> CacheInfo:
    """Count a cache's entries by codec; reads the start of every entry.

    Args:
        folder: need not exist: an empty cache.
        limit_bytes: as configured, for the listing.

    Raises:
        LossyError: the folder is something else, or cannot be read.
    """
    files = CacheFolder(folder)
    codecs: dict[str, tuple[int, int]] = {}
    entries = _entries(files)
    for file in entries:
        name = _codec(files, file)
        if name is not None:
            count, size = codecs.get(name, (0, 0))
            codecs[name] = (count + 1, size + file.size)
    dates = [file.mtime_ns / 1e9 for file in entries if file.mtime_ns > 0]
    return CacheInfo(
        folder,
        limit_bytes,
        sum(count for count, _ in codecs.values()),
        sum(size for _, size in codecs.values()),
        dict(sorted(codecs.items())),
        min(dates, default=None),
        max(dates, default=None),
    )


def clear_cache(folder: Path, *, older_than_days: float | None = None, codec: str | None = None) -> ClearedCache:
    """Remove entries, all of them or those that meet every condition; safe while runs use the cache.

    Args:
        folder: need not exist.
        older_than_days: only entries that were last used longer ago.
        codec: only entries of this codec.

    Raises:
        LossyError: the folder is something else, or cannot be read; nothing was removed.
    """
    files = CacheFolder(folder)
    chosen: list[Callable[[CacheFile], bool]] = []
    if older_than_days is not None:
        before = (time.time() - 86_400 * older_than_days) * 1e9
        chosen.append(lambda file: file.mtime_ns < before)
    if codec is not None:
        chosen.append(lambda file: _codec(files, file) == codec)
    removed = size = kept = 0
    for file in _entries(files):
        if all(matches(file) for matches in chosen) and files.remove(file.name):
            removed, size = removed + 1, size + file.size
        else:
            kept += 1
    return ClearedCache(folder, removed, size, kept)


def verify_cache(folder: Path) -> VerifiedCache:
    """Read every entry in full, compare checksums and names, and remove what is damaged.

    Args:
        folder: need not exist.

    Raises:
        LossyError: the folder is something else, or cannot be read.
    """
    files = CacheFolder(folder)
    damaged, unreadable, removed, checked, size = [], [], 0, 0, 0
    for file in _entries(files):
        path = files.entry(file.name)
        try:
            content = read_entry_file(path)[0]
            checked, size = checked + 1, size + len(content)
            unpack_entry(content, file.name)
        except FileNotFoundError:
            continue  # evicted by a run meanwhile
        except DamagedEntryError as error:
            damaged.append((path, str(error)))
            removed += files.remove(file.name)
        except OSError as error:
            unreadable.append((path, error.strerror or str(error)))
    return VerifiedCache(folder, checked, size, tuple(damaged), tuple(unreadable), removed)


def _entries(files: CacheFolder) -> list[CacheFile]:
    try:
        return list(files.entries())
    except OSError as error:
        reason = error.strerror or str(error)
        raise LossyError(f"{files.path}: {reason}; nothing was changed, check the path") from None


def _codec(files: CacheFolder, file: CacheFile) -> str | None:
    """Name of an entry's codec; None where the entry has gone."""
    try:
        return read_header(files.entry(file.name)).codec
    except FileNotFoundError:
        return None
    except (DamagedEntryError, OSError):
        return UNREADABLE


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
