"""Small pictures for a page: a cut-out at the source's resolution, what a codec changed in it, and their encoding."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["amplified_difference", "busiest_window", "encode"]

UInt8Array = npt.NDArray[np.uint8]

_GAINS = (32, 16, 8, 4, 2)
_COVERED = 99.0
"""Percentile of the differences that must stay below white."""
_STEP = 8


def amplified_difference(source: UInt8Array, compressed: UInt8Array) -> tuple[UInt8Array, int]:
    """Absolute difference of two pictures, black where they are equal, and the power of two that it was multiplied by."""
    difference = np.abs(source.astype(np.int16) - compressed.astype(np.int16))
    most = float(np.percentile(difference, _COVERED))
    gain = next((gain for gain in _GAINS if most * gain <= 255), 1)
    return np.minimum(difference * gain, 255).astype(np.uint8), gain


def busiest_window(source: UInt8Array, compressed: UInt8Array, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture, of at most this size, that a codec changed most.

    Args:
        source: (H, W, 3).
        compressed: (H, W, 3).
        width: in pixels.
        height: in pixels.

    Returns:
        Left, top, width, height; the squared difference summed over it is the largest on a grid of eight pixels, and of
        equal ones the first.
    """
    rows, columns = source.shape[:2]
    width, height = min(width, columns), min(height, rows)
    if (width, height) == (columns, rows):
        return 0, 0, width, height
    squares = ((source.astype(np.int64) - compressed.astype(np.int64)) ** 2).sum(axis=2)
    table = np.zeros((rows + 1, columns + 1), dtype=np.int64)
    table[1:, 1:] = squares.cumsum(axis=0).cumsum(axis=1)
    top = _starts(rows, height)[:, None]
    left = _starts(columns, width)[None, :]
    inside = table[top + height, left + width] - table[top, left + width] - table[top + height, left] + table[top, left]
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(left[0, column]), int(top[row, 0]), width, height


def encode(picture: UInt8Array, qualities: Sequence[int], limit: int) -> bytes:
    """A WebP file: of the first quality that stays within ``limit`` bytes, else of the last."""
    content = b""
    for quality in qualities:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=4)
        content = stream.getvalue()
        if len(content) <= limit:
            break
    return content


def _starts(length: int, part: int) -> npt.NDArray[np.intp]:
    return np.unique(np.append(np.arange(0, length - part + 1, _STEP), length - part))
