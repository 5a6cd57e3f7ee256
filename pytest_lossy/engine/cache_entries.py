r"""One entry of the cache of encoded media: what names it, and its bytes.

::

    b"pytest-lossy media 1\n"    magic and format version
    32 bytes                    SHA-256 of everything that follows
    4 bytes                     length of the header, little-endian
    header                      JSON: the parts of the key, and the size and shape of each encoded medium
    data                        the encoded media, one after the other

SHA-256 because processors compute it: 1.8 GB/s against 0.9 for BLAKE2b; a CRC (4.3 GB/s) would save 6 us of an entry of
20 kB and let one damaged entry in four thousand million pass as good pixels.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import operator
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_lossy.codecs.base import Codec, Encoded

__all__ = ["DamagedEntryError", "EntryKey", "entry_key", "pack_entry", "read_entry_file", "read_header", "unpack_entry"]

MAGIC = b"pytest-lossy media 1\n"
FORMAT = 1
"""Part of every key: entries of another format are other entries."""

_DIGEST_END = len(MAGIC) + 32
_HEADER_START = _DIGEST_END + 4

MAX_HEADER_BYTES = 4 << 20
"""Room for the frames of an hour of motion JPEG; a longer header is damage, or an attack."""
MAX_ENTRY_BYTES = 1 << 30
"""Larger media are not cached, and a larger file is not read into memory."""
MAX_SIDE = 1 << 20


class DamagedEntryError(Exception):
    """A file is no whole entry. Never reaches a user: the entry is removed and its media are encoded again."""


@dataclass(frozen=True, slots=True)
class EntryKey:
    """Everything that decides the bytes of encoded media; build it with :func:`entry_key`."""

    codec: str
    """The codec's name, for listings; its fingerprint decides."""
    fingerprint: str
    level: str
    """``repr`` of the level as a float: exact, and the same for 15 and 15.0."""
    fps: str
    """``repr`` of the frame rate as a float; empty where unknown."""
    source: str
    """Digest of the source's pixels and shape."""

    @property
    def name(self) -> str:
        """SHA-256 of all parts and the format's version, 64 hexadecimal digits: the entry's file name."""
        parts = [FORMAT, self.codec, self.fingerprint, self.level, self.fps, self.source]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def entry_key(
    codec: Codec, source: str, level: float, fps: float | None = None, *, fingerprint: str | None = None
) -> EntryKey:
    """The key of one sample's encoding.

    Args:
        codec: asked for its name and fingerprint.
        source: digest of the source's pixels and shape (:func:`pytest_lossy.results.evidence.pixel_digest`).
        level: value of the codec's quality parameter.
        fps: frames per second, where the codec is told.
        fingerprint: the codec's, where it is known already.
    """
    rate = "" if fps is None else repr(float(fps))
    return EntryKey(
        str(codec.name),
        str(codec.fingerprint() if fingerprint is None else fingerprint),
        repr(float(level)),
        rate,
        source,
    )


def pack_entry(key: EntryKey, parts: Sequence[Encoded]) -> bytes | None:
    """The file of an entry; None where the media cannot be restored exactly from one, or are too large.

    Args:
        key: names the entry.
        parts: the encoded media: one, or one per frame.
    """
    if any(type(part) is not Encoded or type(part.data) is not bytes for part in parts):
        return None  # a subclass may carry more than the header says
    try:
        rows = [
            [
                len(part.data),
                *map(operator.index, (part.payload_bits, part.header_bits)),
                *map(operator.index, part.shape),
            ]
            for part in parts
        ]
    except TypeError:
        return None
    header = json.dumps({**asdict(key), "parts": rows}, separators=(",", ":")).encode()
    body = b"".join([len(header).to_bytes(4, "little"), header, *(part.data for part in parts)])
    if len(header) > MAX_HEADER_BYTES or len(MAGIC) + 32 + len(body) > MAX_ENTRY_BYTES or _parts_problem(rows):
        return None
    return MAGIC + hashlib.sha256(body).digest() + body


def unpack_entry(content: bytes, name: str) -> tuple[EntryKey, tuple[Encoded, ...]]:
    """Check a whole file and restore its media.

    Args:
        content: of the file.
        name: the key that the entry must have: a good entry under another's name is damage too.

    Raises:
        DamagedEntryError: with the reason.
    """
    _check_magic(content)
    if hashlib.sha256(memoryview(content)[_DIGEST_END:]).digest() != content[len(MAGIC) : _DIGEST_END]:
        raise DamagedEntryError("checksum differs")
    key, rows, position = _parse(content, name)
    if sum(row[0] for row in rows) != len(content) - position:
        raise DamagedEntryError("sizes do not add up")
    parts = []
    for size, payload_bits, header_bits, *shape in rows:
        parts.append(Encoded(content[position : position + size], payload_bits, tuple(shape), header_bits))
        position += size
    return key, tuple(parts)


def read_header(path: Path) -> EntryKey:
    """What an entry holds, without reading its data or comparing its checksum: for listings.

    Raises:
        DamagedEntryError: the file is no entry.
        OSError: it cannot be read.
    """
    start = read_entry_file(path, at_most=16_384)[0]
    _check_magic(start)
    size = int.from_bytes(start[_DIGEST_END:_HEADER_START], "little")
    if size > MAX_HEADER_BYTES:
        raise DamagedEntryError("header is too long")
    if _HEADER_START + size > len(start):
        start = read_entry_file(path, at_most=_HEADER_START + size)[0]
    return _parse(start, path.stem)[0]


def read_entry_file(path: Path, at_most: int | None = None) -> tuple[bytes, float]:
    """Content and modification time (seconds) of a regular file; never follows a link or waits for a pipe.

    Args:
        path: the file.
        at_most: bytes to read; None for all.

    Raises:
        DamagedEntryError: not a regular file, or larger than any entry.
        OSError: missing or unreadable.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DamagedEntryError("is a link") from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedEntryError("is no regular file")
        if status.st_size > MAX_ENTRY_BYTES:
            raise DamagedEntryError("is larger than any entry")
        size = status.st_size if at_most is None else min(at_most, status.st_size)
        content = os.read(descriptor, size)
        while len(content) < size and (more := os.read(descriptor, size - len(content))):
            content += more
    finally:
        os.close(descriptor)
    return content, status.st_mtime


def _check_magic(content: bytes) -> None:
    if content[: len(MAGIC)] != MAGIC or len(content) < _HEADER_START:
        raise DamagedEntryError("is no entry of this cache")


def _parse(content: bytes, name: str) -> tuple[EntryKey, list[list[int]], int]:
    """Key, one row per medium, and where the data starts."""
    end = _HEADER_START + int.from_bytes(content[_DIGEST_END:_HEADER_START], "little")
    if end - _HEADER_START > MAX_HEADER_BYTES or end > len(content):
        raise DamagedEntryError("header is cut")
    try:
        header = json.loads(content[_HEADER_START:end])
        fields = [header[field] for field in ("codec", "fingerprint", "level", "fps", "source")]
        rows: Any = header["parts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedEntryError("header cannot be read") from None
    if not all(type(field) is str for field in fields) or _parts_problem(rows):
        raise DamagedEntryError("header is invalid")
    key = EntryKey(*fields)
    if key.name != name:
        raise DamagedEntryError("belongs under another name")
    return key, rows, end


def _parts_problem(rows: Any) -> bool:
    """Whether rows of a header are not [bytes, payload bits, header bits, (T,) H, W, 3]."""
    if type(rows) is not list or not rows:
        return True
    for row in rows:
        if type(row) is not list or len(row) not in (6, 7) or any(type(value) is not int for value in row):
            return True
        size, payload_bits, header_bits, *shape = row
        if not 0 <= size <= MAX_ENTRY_BYTES or not 0 <= header_bits <= payload_bits <= 8 * MAX_ENTRY_BYTES:
            return True
        if shape[-1] != 3 or any(not 0 < side <= MAX_SIDE for side in shape) or math.prod(shape) > 1 << 40:
            return True
    return False
