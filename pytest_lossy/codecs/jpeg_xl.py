"""Lossy JPEG XL through imagecodecs (libjxl); needs the extra ``jxl``."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.iso_boxes import boxes
from pytest_lossy.codecs.still import check_decoded, check_still, load_imagecodecs
from pytest_lossy.errors import CodecError

__all__ = ["JpegXlCodec", "JpegXlOptions", "codestream_bytes"]

CODESTREAM = b"\xff\x0a"
"""How a naked codestream begins (ISO/IEC 18181-1)."""

PART_INDEX_BYTES = 4
"""Each ``jxlp`` box begins with the number of its part (ISO/IEC 18181-2)."""


class JpegXlOptions(BaseModel):
    """What a spec may set for ``jxl`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effort: Annotated[int, Field(ge=1, le=9)] = 7
    """Effort, 1 (fastest) to 9 (smallest); libjxl's default is 7."""


class JpegXlCodec:
    """VarDCT JPEG XL; the level is the butteraugli distance, 0.1 (best) to 9.9 (worst), fractions allowed.

    A distance of 1 is meant to be just invisible at close view. libjxl goes to 25, but from 10 on (before libjxl 0.12 from
    20 on) it halves the resolution first and then encodes more finely, so that bytes grow with the level: a picture of
    512x512 took 12,738 bytes at 9.9 and 19,137 at 10. The scale ends before that, with every version of the library.

    Colour: the source is taken as sRGB and coded in XYB, a non-linear space of cone responses with the chroma at full
    resolution; no YCbCr matrix and no range. libjxl computes in floating point: other instruction sets may round a
    pixel or a coefficient otherwise.

    Rate: the naked codestream counts. A container, which libjxl adds where the image exceeds level 5 of the standard
    (262144 pixels a side, 2^28 in all), does not. Headers are bit-packed, some ten bytes and a table of sections, and
    are not told apart from the picture: the header share is 0.
    """

    Options = JpegXlOptions
    name = "jxl"
    parameter = "distance"
    levels = Levels(
        minimum=0.1, maximum=9.9, default=(0.5, 1, 2, 3, 5, 7, 9), higher_is_more_compressed=True, integral=False
    )
    media = Media.IMAGE

    def __init__(self, options: JpegXlOptions | None = None) -> None:
        self.options = options or JpegXlOptions()

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress one image, (H, W, 3), uint8, RGB, at butteraugli distance ``level``.

        Raises:
            CodecError: the level is out of range, or imagecodecs is absent or refused.
        """
        check_still(self, media, level)
        library = load_imagecodecs(self.name, "JPEGXL")
        try:
            data = bytes(
                library.jpegxl_encode(
                    np.ascontiguousarray(media),
                    lossless=False,
                    distance=float(level),
                    effort=self.options.effort,
                    usecontainer=False,
                    numthreads=1,
                )
            )
        except (RuntimeError, ValueError) as error:
            raise CodecError(f"jxl: cannot encode {media.shape[1]}x{media.shape[0]}: {error}") from error
        return Encoded(data=data, payload_bits=8 * codestream_bytes(data), shape=media.shape)

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (H, W, 3), uint8, RGB; one decoder thread.

        Raises:
            CodecError: the bytes are not what :meth:`encode` returned, or imagecodecs is absent.
        """
        library = load_imagecodecs(self.name, "JPEGXL")
        try:
            pixels: UInt8Array = library.jpegxl_decode(encoded.data, numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise CodecError(f"jxl: cannot decode {len(encoded.data)} bytes: {error}") from error
        return check_decoded(self.name, pixels, encoded)

    def fingerprint(self) -> str:
        """Library versions and every option."""
        library = load_imagecodecs(self.name, "JPEGXL")
        versions = f"imagecodecs={library.__version__},{library.jpegxl_version().replace(' ', '=')}"
        return f"{self.name}({versions},{describe_options(self.options)})"


def codestream_bytes(data: bytes) -> int:
    """Bytes of codestream in a JPEG XL file: all of a naked one, the ``jxlc`` and ``jxlp`` boxes of a container."""
    if data.startswith(CODESTREAM):
        return len(data)
    whole = sum(len(body) for kind, body in boxes(data) if kind == b"jxlc")
    return whole + sum(len(body) - PART_INDEX_BYTES for kind, body in boxes(data) if kind == b"jxlp")
