"""The plain file formats through which external tools take and return media."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.codecs.y4m import read_y4m, write_y4m

__all__ = ["CLIP_FORMATS", "FileFormat", "file_suffix", "read_media", "write_media"]

FileFormat = Literal["png", "ppm", "y4m", "y4m-420", "rgb"]
"""``png`` and ``ppm`` hold one picture exactly, ``rgb`` frame after frame of interleaved 8-bit samples without a header,
``y4m`` (4:4:4) and ``y4m-420`` YUV4MPEG2 clips, see :mod:`pytest_lossy.codecs.y4m`."""

CLIP_FORMATS: tuple[FileFormat, ...] = ("y4m", "y4m-420", "rgb")
_PILLOW = {"png": "PNG", "ppm": "PPM"}


def file_suffix(form: FileFormat) -> str:
    """The suffix that files of a format usually have, by which tools tell them."""
    return f".{form.partition('-')[0]}"


def write_media(media: UInt8Array, form: FileFormat, *, fps: float) -> bytes:
    """Return a file of ``media``: (T, H, W, 3), uint8, RGB; one frame for ``png`` and ``ppm``."""
    if form == "rgb":
        return media.tobytes()
    if form in CLIP_FORMATS:
        return write_y4m(media, fps=fps, subsampled=form == "y4m-420")
    stream = io.BytesIO()
    options = {"compress_level": 1} if form == "png" else {}  # the file lives for one call: speed before size
    Image.fromarray(np.ascontiguousarray(media[0])).save(stream, format=_PILLOW[form], **options)
    return stream.getvalue()


def read_media(data: bytes, form: FileFormat, shape: tuple[int, ...]) -> UInt8Array:
    """Return what a tool wrote: ``shape``, (T, H, W, 3), uint8, RGB.

    Raises:
        ValueError: the data are no such file or hold another shape; the message says what they hold.
    """
    if form == "rgb":
        if len(data) != int(np.prod(shape)):
            raise ValueError(f"holds {len(data)} bytes, but {_size(shape)} take {int(np.prod(shape))}")
        return np.frombuffer(data, np.uint8).reshape(shape)
    if form in CLIP_FORMATS:
        clip = read_y4m(data)
        if clip.shape != shape:
            raise ValueError(f"holds {_size(clip.shape)} for a source of {_size(shape)}")
        return clip
    try:
        with Image.open(io.BytesIO(data), formats=(_PILLOW[form],)) as image:
            if (image.height, image.width) != shape[1:3]:
                raise ValueError(f"holds {image.width}x{image.height} pixels for a source of {_size(shape)}")
            if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "1"):
                raise ValueError(f"holds pixels of mode '{image.mode}'; write 8 bits a channel")
            return np.array(image.convert("RGB"))[None]
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"is no readable {form} file ({error})") from None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frame{'s' * (shape[0] != 1)} of {shape[2]}x{shape[1]} pixels"
