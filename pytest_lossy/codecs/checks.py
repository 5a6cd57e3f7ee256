"""What every codec refuses: a level out of range, media of another shape or type."""

from __future__ import annotations

import numpy as np

from pytest_lossy.codecs.base import Codec, Media, UInt8Array
from pytest_lossy.errors import CodecError

__all__ = ["require"]


def require(codec: Codec, media: UInt8Array, level: float) -> None:
    """Refuse what ``codec`` cannot encode.

    Raises:
        CodecError: the level is out of range, or ``media`` is not uint8 of shape (H, W, 3) for an image codec,
            (T, H, W, 3) for a clip codec, or is empty.
    """
    problem = codec.levels.problem(level)
    if problem:
        raise CodecError(f"{codec.name}: {problem}")
    dimensions, shape = (4, "(T, H, W, 3)") if codec.media is Media.CLIP else (3, "(H, W, 3)")
    if media.ndim != dimensions or media.shape[-1] != 3 or media.dtype != np.uint8 or 0 in media.shape:
        raise CodecError(f"{codec.name}: needs uint8 {shape}, got {media.dtype} {media.shape}")
