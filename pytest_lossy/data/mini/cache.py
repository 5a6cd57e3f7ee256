"""Rendered samples on disk: one checksummed file each, safe to share between processes and threads.

A file holds a magic number, the SHA-256 of the payload and the payload. Of a frame that is a PNG whose colour
channels are the image and whose alpha channel is the label map; of any other sample an npz archive, in which the
pictures are a PNG too. Nothing here raises: a cache that cannot be used is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from PIL import Image

from pytest_lossy.data.mini import GENERATOR_VERSION

__all__ = ["CACHE_VARIABLE", "FrameCache", "Record", "RecordCache"]

UInt8 = npt.NDArray[np.uint8]

CACHE_VARIABLE = "PYTEST_LOSSY_CACHE"
"""Environment variable that names the cache's root folder instead of the platform's user cache."""

Record = dict[str, npt.NDArray[Any]]
"""A sample's arrays by name; ``media`` is (H, W, 3) or (T, H, W, 3), uint8."""

_MAGIC = b"pytest-lossy frame 1\n"
_RECORD_MAGIC = b"pytest-lossy record 1\n"
_DIGEST_BYTES = 32


def _root(root: Path | None) -> Path:
    """The folder of this generator version below ``root``, the environment's or the user's cache folder."""
    if root is None:
        named = os.environ.get(CACHE_VARIABLE)
        root = Path(named) if named else Path(platformdirs.user_cache_dir("pytest-lossy"))
    return root / "mini" / GENERATOR_VERSION


def _read(path: Path, magic: bytes) -> bytes | None:
    """A file's payload; None if it is absent or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    start = len(magic) + _DIGEST_BYTES
    payload = content[start:]
    return payload if content[:start] == magic + hashlib.sha256(payload).digest() else None


def _write(target: Path, magic: bytes, payload: bytes) -> bool:
    """Store a file; False if the disk refuses. Readers see the old file or the new one, never half."""
    # Not tempfile: its files are private to one user, and a cache may be shared by several.
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(magic + hashlib.sha256(payload).digest() + payload)
        temporary.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True


def _png(picture: UInt8, mode: str) -> bytes:
    buffer = io.BytesIO()
    # Level 1: sensor noise hardly compresses, and higher levels cost more time than rendering.
    Image.fromarray(picture, mode).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class FrameCache:
    """Images and label maps by (split, index)."""

    def __init__(self, root: Path | None = None) -> None:
        """``root``: None for ``PYTEST_LOSSY_CACHE`` or, without it, the platform's user cache folder."""
        self.folder = _root(root)
        """Where the frames of this generator version live; made on the first write."""

    def path(self, split: str, index: int) -> Path:
        """The file of one frame, present or not."""
        return self.folder / split / f"{index:04d}.frame"

    def read(self, split: str, index: int, size: tuple[int, int]) -> tuple[UInt8, UInt8] | None:
        """Image (H, W, 3) and labels (H, W); None if absent, damaged or not of ``size`` (width, height)."""
        payload = _read(self.path(split, index), _MAGIC)
        if payload is None:
            return None
        with Image.open(io.BytesIO(payload)) as picture:
            if picture.size != size or picture.mode != "RGBA":
                return None
            channels = np.asarray(picture)
        return np.ascontiguousarray(channels[..., :3]), np.ascontiguousarray(channels[..., 3])

    def write(self, split: str, index: int, image: UInt8, labels: UInt8) -> bool:
        """Store a frame; False if the disk refuses. Readers see the old file or the new one, never half."""
        return _write(self.path(split, index), _MAGIC, _png(np.dstack([image, labels]), "RGBA"))


class RecordCache:
    """Samples of one data set, in one size, by (split, index)."""

    def __init__(self, root: Path | None, name: str) -> None:
        """``root`` as of :class:`FrameCache`; ``name``: a folder for the data set and whatever changes its samples."""
        self.folder = _root(root) / name

    def path(self, split: str, index: int) -> Path:
        """The file of one sample, present or not."""
        return self.folder / split / f"{index:04d}.record"

    def read(self, split: str, index: int) -> Record | None:
        """A sample's arrays; None if absent or damaged."""
        payload = _read(self.path(split, index), _RECORD_MAGIC)
        if payload is None:
            return None
        try:
            with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
                record = {name: archive[name] for name in archive.files}
            shape = tuple(record.pop("shape").tolist())
            with Image.open(io.BytesIO(record["media"].tobytes())) as picture:
                record["media"] = np.ascontiguousarray(np.asarray(picture).reshape(shape))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return record

    def write(self, split: str, index: int, record: Mapping[str, npt.NDArray[Any]]) -> bool:
        """Store a sample; False if the disk refuses."""
        media = record["media"]
        # The frames of a clip one below the other: one picture, one PNG.
        strip = _png(media.reshape(-1, *media.shape[-2:]), "RGB")
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {
            **record,
            "media": np.frombuffer(strip, np.uint8),
            "shape": np.array(media.shape, np.int64),
        }
        np.savez_compressed(buffer, **arrays)
        return _write(self.path(split, index), _RECORD_MAGIC, buffer.getvalue())
