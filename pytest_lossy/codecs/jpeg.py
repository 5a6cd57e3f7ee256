"""JPEG through Pillow (libjpeg-turbo), or through another library where that gives the same bytes and pixels."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Annotated, Literal

import numpy as np
import PIL
from PIL import Image, ImageFile, features
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.jpeg_tables import Tables, checked_tables, named_tables, tables_digest
from pytest_lossy.codecs.libjpeg import faster_library
from pytest_lossy.codecs.nvjpeg import nvjpeg_decode, nvjpeg_encode, nvjpeg_versions
from pytest_lossy.codecs.still import check_still
from pytest_lossy.errors import CodecError

__all__ = ["JpegCodec", "JpegOptions", "entropy_coded_bytes"]

MAX_SIDE = 65_500
"""libjpeg's JPEG_MAX_DIMENSION, in pixels."""

START_OF_SCAN = 0xDA
# A marker that ends entropy-coded data: not a stuffed zero, not a restart marker, not a fill byte.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class JpegOptions(BaseModel):
    """What a spec may set for ``jpeg`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"
    """Chroma subsampling; cameras and Pillow default to 4:2:0."""
    progressive: bool = False
    """Several scans of increasing detail instead of one; the decoded pixels stay the same."""
    optimize: bool = False
    """Huffman tables fitted to the image: fewer bytes, the same pixels."""
    qtables: Annotated[str | Tables | None, BeforeValidator(checked_tables)] = None
    """Quantisation tables at q50 instead of the IJG's: the name of one of Pillow's presets (``web_high``; its tables
    alone, not its subsampling), or one or two tables (luma, chroma) of 64 whole numbers 1..255, row by row, each row
    from low to high horizontal frequency (not JPEG's zigzag). One table serves all components."""
    backend: Annotated[
        Literal["libjpeg", "nvjpeg"],
        Field(description="nvjpeg: other bytes and pixels, on an NVIDIA GPU; needs subsampling 4:4:4"),
    ] = "libjpeg"

    @model_validator(mode="after")
    def _nvjpeg_can(self) -> JpegOptions:
        plain = not self.progressive and not self.optimize and self.qtables is None
        if self.backend == "nvjpeg" and not (plain and self.subsampling == "4:4:4"):
            raise ValueError(
                "backend nvjpeg writes baseline files with 4:4:4 alone; write 'subsampling: \"4:4:4\"' beside it and remove "
                "'progressive', 'optimize' and 'qtables'"
            )
        return self

    @property
    def is_default(self) -> bool:
        """Whether files are baseline, 4:2:0, with the IJG's tables, as every JPEG library writes by default."""
        return self == JpegOptions()


class JpegCodec:
    """Baseline or progressive JPEG; the level is the quality q, 1 (worst) to 100 (best), of the IJG scale.

    Custom tables are scaled by the level as libjpeg scales its own (``jpeg_quality_scaling``): an entry becomes
    (entry * percentage + 50) // 100 within 1..255, where the percentage is 5000 // q below 50 and 200 - 2 q from there
    on. So q50 uses them as given, and at q100 every entry is 1.

    Colour: YCbCr of BT.601, full range (JFIF), 8 bits.
    """

    Options = JpegOptions
    name = "jpeg"
    parameter = "q"
    levels = Levels(minimum=1, maximum=100, default=(95, 75, 50, 30, 15, 10, 5), higher_is_more_compressed=False)
    media = Media.IMAGE
    cached = False
    """Encoding takes half a millisecond a picture, and a cache entry would push out those that took a second."""

    def __init__(self, options: JpegOptions | None = None) -> None:
        self.options = options or JpegOptions()
        self._is_default = self.options.is_default

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress one image, (H, W, 3), uint8, RGB, at quality ``level``.

        Raises:
            CodecError: the level is out of range or a side is longer than JPEG can store.
        """
        check_still(self, media, level, max_side=MAX_SIDE)
        data = self._data(media, int(level))
        bits = 8 * len(data)
        return Encoded(
            data=data,
            payload_bits=bits,
            shape=media.shape,
            header_bits=bits - 8 * entropy_coded_bytes(data),
        )

    def _data(self, media: UInt8Array, quality: int) -> bytes:
        if self.options.backend == "nvjpeg":
            return nvjpeg_encode(media, quality)
        library = faster_library() if self._is_default else None
        if library is not None and media.flags.c_contiguous:
            with contextlib.suppress(Exception):  # whatever it cannot do, Pillow does or explains
                return library.encode(media, quality)
        try:
            return self._file(media, quality)
        except OSError:
            # Progressive and optimized files need one buffer for the whole file, and Pillow's is too small for
            # noise (python-pillow/Pillow#148). A larger one changes no byte.
            ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 65_536 + 2 * media.size)
            try:
                return self._file(media, quality)
            except OSError as error:
                raise CodecError(f"jpeg: {media.shape[1]}x{media.shape[0]} at q{quality}: {error}") from None

    def _file(self, media: UInt8Array, quality: int) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(media).save(
            stream,
            format="JPEG",
            quality=quality,
            qtables=None if self.options.qtables is None else named_tables(self.options.qtables),
            subsampling=self.options.subsampling,
            progressive=self.options.progressive,
            optimize=self.options.optimize,
        )
        return stream.getvalue()

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (H, W, 3), uint8, RGB: libjpeg's default islow DCT and fancy chroma upsampling."""
        if self.options.backend == "nvjpeg":
            return nvjpeg_decode(encoded.data)
        library = faster_library()
        if library is not None:
            with contextlib.suppress(Exception):  # damaged data: Pillow says in what way
                pixels = library.decode(encoded.data)
                pixels.flags.writeable = False  # as Pillow's
                return pixels
        with Image.open(io.BytesIO(encoded.data), formats=("JPEG",)) as image:
            return np.asarray(image)

    def fingerprint(self) -> str:
        """Library versions and every option."""
        if self.options.backend == "nvjpeg":
            return f"jpeg({nvjpeg_versions()},{describe_options(self.options)})"
        turbo = features.version("libjpeg_turbo") or features.version("jpg")
        options = self.options
        if options.qtables is not None:
            options = options.model_copy(update={"qtables": tables_digest(options.qtables)})
        return f"jpeg(pillow={PIL.__version__},libjpeg-turbo={turbo},{describe_options(options)})"


def entropy_coded_bytes(data: bytes) -> int:
    """Bytes of picture data in a JPEG file: what lies in its scans, markers and tables left out.

    Follows the marker syntax of ITU-T T.81, annex B.
    """
    position, total = 2, 0
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte before a marker
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length
        if marker == START_OF_SCAN:
            end = _MARKER_AFTER_SCAN.search(data, position)
            stop = end.start() if end else len(data)
            total += stop - position
            position = stop
    return total
