"""Lossy WebP through Pillow (libwebp)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import PIL
from PIL import features
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.pillow_image import pillow_decode, pillow_encode, require_feature
from pytest_lossy.codecs.still import check_still

__all__ = ["FRAME_HEADER_BYTES", "WebpCodec", "WebpOptions", "bitstream_bytes"]

MAX_SIDE = 16_383
"""VP8 stores width and height in 14 bits each (RFC 6386, 9.1)."""

FRAME_HEADER_BYTES = 10
"""A VP8 key frame's uncompressed header: frame tag, start code and size (RFC 6386, 9.1)."""


class WebpOptions(BaseModel):
    """What a spec may set for ``webp`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Annotated[int, Field(ge=0, le=6)] = 4
    """Effort, 0 (fastest) to 6 (smallest); libwebp's default is 4."""


class WebpCodec:
    """A VP8 key frame; the level is libwebp's quality q, 0 (worst) to 100 (best), which is not JPEG's scale.

    Colour: YCbCr of BT.601, limited range (16..235), always 4:2:0, 8 bits, as VP8 prescribes; libwebp's default
    chroma averaging (no "sharp YUV") and fancy upsampling. Even q100 therefore loses fine colour detail.

    Rate: the VP8 bitstream counts, the RIFF container (20 bytes) does not. The header share is the ten bytes of the
    uncompressed frame header; the rest of VP8's header is arithmetic-coded together with the block modes and counts
    as picture.
    """

    Options = WebpOptions
    name = "webp"
    parameter = "q"
    levels = Levels(minimum=0, maximum=100, default=(95, 75, 50, 30, 15, 5, 0), higher_is_more_compressed=False)
    media = Media.IMAGE

    def __init__(self, options: WebpOptions | None = None) -> None:
        self.options = options or WebpOptions()

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress one image, (H, W, 3), uint8, RGB, at quality ``level``.

        Raises:
            CodecError: the level is out of range, a side is longer than 16383 pixels, or Pillow has no WebP.
        """
        check_still(self, media, level, max_side=MAX_SIDE)
        require_feature(self.name)
        data = pillow_encode(self.name, media, lossless=False, quality=int(level), method=self.options.method)
        return Encoded(
            data=data,
            payload_bits=8 * bitstream_bytes(data),
            shape=media.shape,
            header_bits=8 * FRAME_HEADER_BYTES,
        )

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (H, W, 3), uint8, RGB.

        Raises:
            CodecError: the bytes are not what :meth:`encode` returned, or Pillow has no WebP.
        """
        require_feature(self.name)
        return pillow_decode(self.name, encoded)

    def fingerprint(self) -> str:
        """Library versions and every option."""
        require_feature(self.name)
        versions = f"pillow={PIL.__version__},libwebp={features.version('webp')}"
        return f"{self.name}({versions},{describe_options(self.options)})"


def bitstream_bytes(data: bytes) -> int:
    """Bytes of VP8 bitstream in a lossy WebP file: its ``VP8 `` chunks without their headers and padding.

    Follows the RIFF syntax of the WebP container specification (RFC 9649, section 2).
    """
    return sum(length for kind, length in _chunks(data) if kind == b"VP8 ")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    position = 12  # after "RIFF", the file's length and "WEBP"
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], length
        position += 8 + length + length % 2
