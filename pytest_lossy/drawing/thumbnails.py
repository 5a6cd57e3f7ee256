"""Small pictures for a page: a cut-out at the source's resolution, what a codec changed in it, and their encoding."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["amplified_difference", "busiest_window", "encode_drawings", "encode_pixels"]

UInt8Array = npt.NDArray[np.uint8]

_GAINS = (32, 16, 8, 4, 2)
_COVERED = 99.0
"""Percentile of the differences that must stay below white."""
_STEP = 8
_DRAWING_STEPS = ((48, 1), (24, 1), (32, 2), (16, 4))
"""Colours, and how many times smaller."""


def amplified_difference(source: UInt8Array, compressed: UInt8Array) -> tuple[UInt8Array, int]:
    """Largest absolute difference of the three channels, as grey, and the power of two that it was multiplied by.

    Args:
        source: (H, W, 3).
        compressed: (H, W, 3).

    Returns:
        (H, W, 3), black where the pictures are equal, white from 255 / gain on; gain.
    """
    difference = np.abs(source.astype(np.int16) - compressed.astype(np.int16)).max(axis=2, keepdims=True)
    most = float(np.percentile(difference, _COVERED))
    gain = next((gain for gain in _GAINS if most * gain <= 255), 1)
    return np.repeat(np.minimum(difference * gain, 255).astype(np.uint8), 3, axis=2), gain


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


def encode_pixels(picture: UInt8Array, quality: int) -> bytes:
    """A lossy WebP file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()


def encode_drawings(pictures: Sequence[UInt8Array], limit: int) -> list[bytes]:
    """Lossless WebP files of drawings in a few colours, as many as fit ``limit`` bytes together, else half as large."""
    encoded: list[bytes] = []
    for colours, shrink in _DRAWING_STEPS:
        encoded = [_encode_drawing(picture, colours, shrink) for picture in pictures]
        if sum(map(len, encoded)) <= limit:
            break
    return encoded


def _encode_drawing(picture: UInt8Array, colours: int, shrink: int) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(picture))
    if shrink > 1:
        image = image.reduce(shrink)
    # Lossless: what is wrong is drawn in thin lines and patterns, which a lossy file would blur at twice the size.
    reduced = image.quantize(colours, dither=Image.Dither.NONE).convert("RGB")
    stream = io.BytesIO()
    reduced.save(stream, "WEBP", lossless=True, quality=50, method=4)
    return stream.getvalue()


def _starts(length: int, part: int) -> npt.NDArray[np.intp]:
    return np.unique(np.append(np.arange(0, length - part + 1, _STEP), length - part))
