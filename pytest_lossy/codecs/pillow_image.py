"""Files of still images through Pillow, in memory."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

from pytest_lossy.codecs.base import Encoded, UInt8Array
from pytest_lossy.codecs.still import check_decoded
from pytest_lossy.errors import CodecError

__all__ = ["pillow_decode", "pillow_encode", "require_feature"]


def require_feature(name: str) -> None:
    """Check that Pillow was built with a format, named as in ``PIL.features``.

    Raises:
        CodecError: it was not.
    """
    if not features.check(name):
        raise CodecError(f"{name}: Pillow {PIL.__version__} was built without it; pip install --force-reinstall pillow")


def pillow_encode(name: str, media: UInt8Array, **parameters: Any) -> bytes:
    """Write one image, (H, W, 3), uint8, RGB, as a file of the format ``name``; ``parameters`` go to Pillow's ``save``.

    Raises:
        CodecError: the library refused.
    """
    stream = io.BytesIO()
    try:
        Image.fromarray(media).save(stream, format=name.upper(), **parameters)
    except (OSError, ValueError, RuntimeError) as error:
        raise CodecError(f"{name}: cannot encode {media.shape[1]}x{media.shape[0]}: {error}") from error
    return stream.getvalue()


def pillow_decode(name: str, encoded: Encoded, opening: AbstractContextManager[None] | None = None) -> UInt8Array:
    """Read what :func:`pillow_encode` wrote: (H, W, 3), uint8, RGB.

    Args:
        name: of the format.
        encoded: the file.
        opening: held while Pillow reads the header and makes the decoder, but not while that decodes.

    Raises:
        CodecError: the bytes are damaged, of another format, or hold an image of another size.
    """
    try:
        with opening or nullcontext():
            image = Image.open(io.BytesIO(encoded.data), formats=(name.upper(),))
        with image:
            pixels = np.asarray(image)
    except (OSError, ValueError, RuntimeError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise CodecError(f"{name}: cannot decode {len(encoded.data)} bytes: {error}") from error
    return check_decoded(name, pixels, encoded)
