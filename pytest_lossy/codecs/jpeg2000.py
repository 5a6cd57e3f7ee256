"""Lossy JPEG 2000 through imagecodecs (OpenJPEG); needs the extra ``jxl``."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.still import check_decoded, check_still, load_imagecodecs
from pytest_lossy.errors import CodecError

__all__ = ["Jpeg2000Codec", "Jpeg2000Options", "packet_bytes"]

START_OF_TILE_PART, START_OF_DATA, END_OF_CODESTREAM = 0xFF90, 0xFF93, 0xFFD9


class Jpeg2000Options(BaseModel):
    """What a spec may set for ``jpeg2000`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resolutions: Annotated[int, Field(ge=1, le=33)] = 6
    """Resolutions of the wavelet pyramid, one more than its levels of decomposition; OpenJPEG's default is 6. The
    library takes fewer for images under 256 pixels a side, so that the coarsest keeps 8 to 15."""


class Jpeg2000Codec:
    """Single-tile JPEG 2000, one quality layer; the level is a target PSNR in dB, 20 (worst) to 50 (best).

    The format has no quality factor. Encoders are steered by a compression ratio or by a quality. A ratio spends the
    same bits on a blank wall and on a crowd, so that at one level the wall is untouched and the crowd is ruined: the
    level would say little about the damage. With a target PSNR all images of a level are damaged alike and the rate
    follows the content, as with the quality of JPEG, WebP and AVIF, and the level has a unit. OpenJPEG estimates the
    error from the wavelet coefficients it drops. On photographs the PSNR achieved lay within 0.8 dB of the target from
    22 to 44 dB and within 1.4 dB at 20; above, the fixed quantiser ends the curve near 51 dB (target 50 gave 48).
    Below 20 dB little but grey is left. Flat thumbnails can miss the target by far: black of 30x19 pixels came back as
    14 at 50 dB.

    Colour: RGB as it is in the file; the irreversible component transform of ITU-T T.800, annex G.3 (the BT.601
    matrix, full range, in floating point), chroma at full resolution, then the irreversible 9/7 wavelet.

    Rate: a raw codestream without JP2's boxes, all of which counts. The header share is the main header, the
    tile-part headers and the end marker; packet headers lie among the data and count as picture.
    """

    Options = Jpeg2000Options
    name = "jpeg2000"
    parameter = "psnr"
    levels = Levels(
        minimum=20, maximum=50, default=(42, 36, 33, 30, 27, 24, 21), higher_is_more_compressed=False, integral=False
    )
    media = Media.IMAGE

    def __init__(self, options: Jpeg2000Options | None = None) -> None:
        self.options = options or Jpeg2000Options()

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress one image, (H, W, 3), uint8, RGB, to a PSNR of about ``level`` dB.

        Raises:
            CodecError: the level is out of range, or imagecodecs is absent or refused.
        """
        check_still(self, media, level)
        library = load_imagecodecs(self.name, "JPEG2K")
        try:
            data = bytes(
                library.jpeg2k_encode(
                    np.ascontiguousarray(media),
                    level=float(level),
                    codecformat=library.JPEG2K.CODEC.J2K,
                    colorspace=library.JPEG2K.CLRSPC.SRGB,
                    planar=False,
                    resolutions=self.options.resolutions,
                    reversible=False,
                    mct=True,
                    numthreads=1,
                )
            )
        except (RuntimeError, ValueError) as error:
            raise CodecError(f"jpeg2000: cannot encode {media.shape[1]}x{media.shape[0]}: {error}") from error
        bits = 8 * len(data)
        return Encoded(data=data, payload_bits=bits, shape=media.shape, header_bits=bits - 8 * packet_bytes(data))

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (H, W, 3), uint8, RGB; one decoder thread.

        Raises:
            CodecError: the bytes are not what :meth:`encode` returned, or imagecodecs is absent.
        """
        library = load_imagecodecs(self.name, "JPEG2K")
        try:
            pixels: UInt8Array = library.jpeg2k_decode(encoded.data, planar=False, numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise CodecError(f"jpeg2000: cannot decode {len(encoded.data)} bytes: {error}") from error
        return check_decoded(self.name, pixels, encoded)

    def fingerprint(self) -> str:
        """Library versions and every option."""
        library = load_imagecodecs(self.name, "JPEG2K")
        versions = f"imagecodecs={library.__version__},{library.jpeg2k_version().replace(' ', '=')}"
        return f"{self.name}({versions},{describe_options(self.options)})"


def packet_bytes(codestream: bytes) -> int:
    """Bytes of packets (coded picture data and packet headers) in a raw JPEG 2000 codestream.

    Follows the marker syntax of ITU-T T.800, annex A.
    """
    position, total, part_end = 2, 0, len(codestream)
    while position + 2 <= len(codestream):
        marker = int.from_bytes(codestream[position : position + 2], "big")
        if marker == END_OF_CODESTREAM:
            break
        if marker == START_OF_DATA:
            total += part_end - (position + 2)
            position = part_end
            continue
        if marker == START_OF_TILE_PART:
            part = int.from_bytes(codestream[position + 6 : position + 10], "big")
            # 0: the last tile part, which reaches to the end marker.
            part_end = position + part if part else len(codestream) - 2
        position += 2 + int.from_bytes(codestream[position + 2 : position + 4], "big")
    return total
