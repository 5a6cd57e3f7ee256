"""What all codecs of stills check alike, and the optional library behind two of them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pytest_lossy.codecs.base import Codec, Encoded, UInt8Array
from pytest_lossy.codecs.checks import require
from pytest_lossy.errors import CodecError

__all__ = ["check_decoded", "check_still", "load_imagecodecs"]


def check_still(codec: Codec, media: UInt8Array, level: float, *, max_side: int | None = None) -> None:
    """Refuse what a codec of stills cannot take, before its library sees it.

    Args:
        codec: the codec.
        media: what should be (H, W, 3), uint8, with no side 0.
        level: value of the quality parameter.
        max_side: the longest side that the format or its library takes, in pixels.

    Raises:
        CodecError: the level, shape, type or size does not fit.
    """
    require(codec, media, level)
    if max_side is not None and max(media.shape[:2]) > max_side:
        raise CodecError(f"{codec.name}: {media.shape[1]}x{media.shape[0]} is larger than {max_side} pixels a side")


def check_decoded(name: str, pixels: UInt8Array, encoded: Encoded) -> UInt8Array:
    """Return ``pixels`` where they have the shape and type of the source.

    Raises:
        CodecError: they have not: the bytes are not what this codec wrote for that source.
    """
    if pixels.shape != encoded.shape or pixels.dtype != np.uint8:
        raise CodecError(
            f"{name}: decoded {pixels.dtype} {pixels.shape} instead of uint8 {encoded.shape}; encode again"
        )
    return pixels


def load_imagecodecs(name: str, family: str) -> Any:
    """Import imagecodecs for codec ``name``; ``family`` is its class for the format, ``JPEGXL`` for example.

    Nothing is imported before a codec encodes, decodes or describes itself: specs that name the codec can be read
    without the extra.

    Raises:
        CodecError: it is not installed, cannot be imported, or was built without the format.
    """
    try:
        library = importlib.import_module("imagecodecs")
    except ImportError as error:
        raise CodecError(f"{name}: needs imagecodecs; pip install 'pytest-lossy[jxl]' ({error})") from None
    if not getattr(library, family).available:
        raise CodecError(
            f"{name}: imagecodecs {library.__version__} was built without {family}; pip install imagecodecs"
        )
    return library
