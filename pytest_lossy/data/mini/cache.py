"""Rendered frames on disk: one checksummed file per frame, safe to share between processes and threads.

A file holds a magic number, the SHA-256 of the payload and the payload: a PNG whose colour channels are the
image and whose alpha channel is the label map. Nothing here raises: a cache that cannot be used is no
cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
from PIL import Image

from pytest_lossy.data.mini import GENERATOR_VERSION

__all__ = ["CACHE_VARIABLE", "FrameCache"]

UInt8 = npt.NDArray[np.uint8]

CACHE_VARIABLE = "PYTEST_LOSSY_CACHE"
"""Environment variable that names the cache's root folder instead of the platform's user cache."""

_MAGIC = b"pytest-lossy frame 1\n"
_DIGEST_BYTES = 32


class FrameCache:
    """Images and label maps by (split, index)."""

    def __init__(self, root: Path | None = None) -> None:
        """``root``: None for ``PYTEST_LOSSY_CACHE`` or, without it, the platform's user cache folder."""
        if root is None:
            named = os.environ.get(CACHE_VARIABLE)
            root = Path(named) if named else Path(platformdirs.user_cache_dir("pytest-lossy"))
        self.folder = root / "mini" / GENERATOR_VERSION
        """Where the frames of this generator version live; made on the first write."""

    def path(self, split: str, index: int) -> Path:
        """The file of one frame, present or not."""
        return self.folder / split / f"{index:04d}.frame"

    def read(self, split: str, index: int, size: tuple[int, int]) -> tuple[UInt8, UInt8] | None:
        """Image (H, W, 3) and labels (H, W); None if absent, damaged or not of ``size`` (width, height)."""
        try:
            content = self.path(split, index).read_bytes()
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST_BYTES
        payload = content[start:]
        if content[:start] != _MAGIC + hashlib.sha256(payload).digest():
            return None
        with Image.open(io.BytesIO(payload)) as picture:
            if picture.size != size or picture.mode != "RGBA":
                return None
            channels = np.asarray(picture)
        return np.ascontiguousarray(channels[..., :3]), np.ascontiguousarray(channels[..., 3])

    def write(self, split: str, index: int, image: UInt8, labels: UInt8) -> bool:
        """Store a frame; False if the disk refuses. Readers see the old file or the new one, never half."""
        buffer = io.BytesIO()
        # Level 1: sensor noise hardly compresses, and higher levels cost more time than rendering.
        Image.fromarray(np.dstack([image, labels]), "RGBA").save(buffer, "PNG", compress_level=1)
        payload = buffer.getvalue()
        target = self.path(split, index)
        # Not tempfile: its files are private to one user, and a cache may be shared by several.
        temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
            temporary.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        return True
