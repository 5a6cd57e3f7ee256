"""The cache of encoded media: what one run, worker or model encoded, the next ones read.

Content-addressed: the key is a hash of the source's pixels, the codec's fingerprint (library versions and every option)
and the level, so that an entry is never out of date. Every entry is verified on every read; a damaged one is removed and
encoded again. Nothing here changes a result: a cache that cannot be used is no cache.

Whoever may write to the folder decides what is decoded: the checksum finds accidents, not forgeries. Share a cache only
among people who may change each other's results anyway.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_lossy.codecs.base import Codec, Encoded
from pytest_lossy.engine.cache_entries import (
    DamagedEntryError,
    EntryKey,
    entry_key,
    pack_entry,
    read_entry_file,
    unpack_entry,
)
from pytest_lossy.engine.cache_folder import CacheFolder, ForeignFolderError

__all__ = [
    "DEFAULT_LIMIT_BYTES",
    "CacheStatistics",
    "EncodedMedia",
    "MediaCache",
    "merge_statistics",
    "worth_caching",
]

DEFAULT_LIMIT_BYTES = 10 * 1024**3

TOUCH_SECONDS = 1_800
"""A hit renews an entry's date at most this often: reading a cache should not write to it all the time."""
CHECK_SHARE = 64
"""How full the folder is gets checked after every 64th of the limit that a process writes: with n processes the cache
stays under (1 + n / 64) times its limit."""
MAX_FINGERPRINTS = 64

_warned: set[Path] = set()
_warned_lock = threading.Lock()


@dataclass(slots=True)
class CacheStatistics:
    """What one cache object did."""

    hits: int = 0
    misses: int = 0
    """Looked up and not there; damaged entries included."""
    damaged: int = 0
    """Truncated, altered or foreign entries, removed and encoded again."""
    stored: int = 0
    evicted: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_evicted: int = 0
    disabled: str | None = None
    """Why nothing is stored any more, or None."""


class EncodedMedia(Protocol):
    """Where encoded media may come from."""

    def get_or_make(
        self, codec: Codec, digest: str, level: float, fps: float | None, make: Callable[[], Sequence[Encoded]]
    ) -> Sequence[Encoded]:
        """What ``make`` returns, from wherever it is to be had."""


class MediaCache:
    """Encoded media on disk, shared by threads, processes and machines.

    Args:
        folder: of the cache alone; made on the first write. A folder that holds other files is refused.
        limit_bytes: of all entries together; the least recently used make room. 0 stores nothing.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._files = CacheFolder(folder)
        self._lock = threading.Lock()
        self._statistics = CacheStatistics()
        self._readable = False
        """The folder was seen and is ours."""
        self._refused = False
        """The folder cannot be used at all."""
        self._fingerprints: dict[int, tuple[Codec, str]] = {}
        """By the codec's id; the codec is kept too, so that no other gets its id."""
        self._until_check = 0
        """Bytes that may be written before the next look at how full the folder is."""

    @property
    def statistics(self) -> dict[str, int | str | None]:
        """The counters of :class:`CacheStatistics` as builtins, as of now."""
        with self._lock:
            return asdict(self._statistics)

    def get_or_make(
        self, codec: Codec, digest: str, level: float, fps: float | None, make: Callable[[], Sequence[Encoded]]
    ) -> Sequence[Encoded]:
        """What ``make`` returns, from the cache where possible: one entry for all frames of a clip.

        Args:
            codec: named in the key; a codec that is not worth caching goes straight to ``make``.
            digest: of the source's pixels and shape.
            level: value of the codec's quality parameter.
            fps: frames per second of a clip, where known.
            make: encodes; must depend on nothing but the arguments above. What it raises passes through.
        """
        if self._refused or self.limit_bytes <= 0 or not worth_caching(codec):
            return make()
        key = entry_key(codec, digest, level, fps, fingerprint=self._fingerprint(codec))
        found = self.get(key)
        if found is not None:
            return found
        made = make()
        self.put(key, made)
        return made

    def uncounted(self) -> EncodedMedia:
        """The same entries for what is no part of a run's work: nothing is stored, and the statistics do not move."""
        return _Uncounted(self)

    def peek(self, codec: Codec, digest: str, level: float, fps: float | None) -> tuple[Encoded, ...] | None:
        """The media of an entry, uncounted; None wherever they cannot be had."""
        if self._refused or self.limit_bytes <= 0 or not worth_caching(codec) or not self._usable():
            return None
        name = entry_key(codec, digest, level, fps, fingerprint=self._fingerprint(codec)).name
        try:
            return unpack_entry(read_entry_file(self._files.entry(name))[0], name)[1]
        except (DamagedEntryError, OSError):
            return None

    def get(self, key: EntryKey) -> tuple[Encoded, ...] | None:
        """The media of an entry; None where it is absent, damaged (then it is removed) or unreadable."""
        if not self._usable():
            self._count(misses=1)
            return None
        name = key.name
        path = self._files.entry(name)
        try:
            content, modified = read_entry_file(path)
            parts = unpack_entry(content, name)[1]
        except DamagedEntryError:
            self._files.remove(name)
            self._count(misses=1, damaged=1)
            return None
        except OSError:  # absent, evicted a moment ago, another user's
            self._count(misses=1)
            return None
        if not 0 <= time.time() - modified < TOUCH_SECONDS:
            with contextlib.suppress(OSError):  # read-only, another user's, or just evicted
                os.utime(path)
        self._count(hits=1, bytes_read=len(content))
        return parts

    def put(self, key: EntryKey, parts: Sequence[Encoded]) -> None:
        """Store the media of an entry; where that is impossible the caller has them anyway.

        A disk that refuses ends storing with one warning; what is stored goes on being read.
        """
        with self._lock:
            if self._refused or self._statistics.disabled is not None:
                return
        content = pack_entry(key, parts)
        if content is None or len(content) > self.limit_bytes // 2:
            return
        try:
            if not self._usable():
                if self._refused:
                    return
                self._files.prepare()
            self._files.store(key.name, content)
        except IsADirectoryError:
            return  # someone's folder lies where the entry belongs: the others can still be stored
        except OSError as error:
            self._disable(error)
            return
        self._count(stored=1, bytes_written=len(content))
        with self._lock:
            self._until_check -= len(content)
            due = self._until_check <= 0
            if due:
                self._until_check = self.limit_bytes // CHECK_SHARE
        if due:
            self._make_room(key.name[:2])

    def _fingerprint(self, codec: Codec) -> str:
        """Asked once per codec, which is immutable: an external tool is started to tell its version."""
        known = self._fingerprints.get(id(codec))
        if known is None:
            known = (codec, codec.fingerprint())
            if len(self._fingerprints) >= MAX_FINGERPRINTS:
                self._fingerprints.clear()
            self._fingerprints[id(codec)] = known
        return known[1]

    def _usable(self) -> bool:
        """Whether the folder is there and ours; a folder that others use is refused for good."""
        if self._readable or self._refused:
            return self._readable
        try:
            self._readable = self._files.is_marked()
        except OSError as error:
            self._refused = True
            self._disable(error)
        return self._readable

    def _make_room(self, shard: str) -> None:
        with contextlib.suppress(OSError):  # a folder that cannot be listed has nothing to evict
            if self._files.nearly_full(shard, self.limit_bytes):
                count, size = self._files.evict(self.limit_bytes)
                self._count(evicted=count, bytes_evicted=size)

    def _disable(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        with self._lock:
            if self._statistics.disabled is None:
                self._statistics.disabled = reason
        with _warned_lock:
            if self.folder in _warned:
                return
            _warned.add(self.folder)
        advice = "; name an empty folder" if isinstance(error, ForeignFolderError) else ""
        with contextlib.suppress(RuntimeWarning):  # raised under `filterwarnings = error`: a cache fails no run
            warnings.warn(
                f"encoded media are not cached: {self.folder} {'' if advice else 'cannot be written: '}{reason}{advice}; "
                "the run is slower but complete",
                RuntimeWarning,
                stacklevel=2,
            )

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, value in more.items():
                setattr(self._statistics, name, getattr(self._statistics, name) + value)


class _Uncounted:
    """See :meth:`MediaCache.uncounted`."""

    def __init__(self, cache: MediaCache) -> None:
        self._cache = cache

    def get_or_make(
        self, codec: Codec, digest: str, level: float, fps: float | None, make: Callable[[], Sequence[Encoded]]
    ) -> Sequence[Encoded]:
        found = self._cache.peek(codec, digest, level, fps)
        return make() if found is None else found


def worth_caching(codec: Codec) -> bool:
    """Whether a codec's media may be kept, and reading them back beats encoding them again.

    A codec says no with ``cached = False``; ``benchmarks/media_cache.py`` measures who should. Steps that do not compress
    (``compresses = False``) keep raw pixels, which are as quick to make as to read. Media of a codec with ``versioned =
    False`` would outlive the encoder that made them.
    """
    return bool(getattr(codec, "versioned", True) and getattr(codec, "cached", getattr(codec, "compresses", True)))


def merge_statistics(several: Iterable[Mapping[str, Any]]) -> dict[str, int | str | None]:
    """Sum :attr:`MediaCache.statistics` of several caches or processes; different reasons are joined by ``"; "``."""
    total: dict[str, int | str | None] = asdict(CacheStatistics())
    reasons: dict[str, None] = {}
    for one in several:
        for name, value in total.items():
            if name == "disabled":
                if one[name] is not None:
                    reasons[str(one[name])] = None
            else:
                total[name] = int(value or 0) + int(one[name])
    total["disabled"] = "; ".join(reasons) or None
    return total
