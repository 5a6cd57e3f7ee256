"""AVIF through Pillow (libavif, encoded by libaom): a still as one AV1 intra frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import PIL
from PIL import AvifImagePlugin, features
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.iso_boxes import boxes
from pytest_lossy.codecs.pillow_image import pillow_decode, pillow_encode, require_feature
from pytest_lossy.codecs.still import check_still
from pytest_lossy.errors import CodecError

__all__ = ["AvifCodec", "AvifOptions", "frame_bytes", "item_data"]

MAX_SIDE = 32_768
MAX_PIXELS = 16_384 * 16_384
"""libavif's limits for decoding; its encoder writes larger files that nothing built on it opens."""

ENCODER = "aom"
"""Pinned, since ``auto`` means another encoder, hence other bytes, in other builds; the one of Pillow's own wheels."""

OBU_TILE_GROUP, OBU_FRAME = 4, 6

_opening = threading.Lock()


class AvifOptions(BaseModel):
    """What a spec may set for ``avif`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speed: Annotated[int, Field(ge=0, le=10)] = 6
    """Effort, 0 (slowest, smallest) to 10 (fastest); Pillow's and libavif's default is 6."""
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"
    """Chroma subsampling."""


class AvifCodec:
    """One AV1 intra frame; the level is libavif's quality q, 0 (worst) to 100 (best), which is not JPEG's scale.

    Colour: YCbCr of BT.601 (matrix coefficients 6), full range, 8 bits; primaries BT.709 and transfer sRGB, as the
    file's ``nclx`` box says. q100 is a lossless frame of these rounded, subsampled planes, hence not of the RGB source.

    One encoder thread and one tile: more tiles, which libavif chooses by the number of threads, give other bytes.

    Rate: the AV1 data (the body of ``mdat``) count, the boxes around them (``ftyp``, ``meta``: some 275 bytes) do not.
    The header share is what lies outside AV1's frames: temporal delimiter, sequence header and the frames' OBU
    headers. The frame header proper is bit-packed with the tiles and counts as picture.
    """

    Options = AvifOptions
    name = "avif"
    parameter = "q"
    levels = Levels(minimum=0, maximum=100, default=(90, 70, 50, 35, 20, 10, 0), higher_is_more_compressed=False)
    media = Media.IMAGE

    def __init__(self, options: AvifOptions | None = None) -> None:
        self.options = options or AvifOptions()

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress one image, (H, W, 3), uint8, RGB, at quality ``level``.

        Raises:
            CodecError: the level is out of range, the image is larger than libavif decodes, or Pillow has no AVIF.
        """
        check_still(self, media, level, max_side=MAX_SIDE)
        if media.shape[0] * media.shape[1] > MAX_PIXELS:
            raise CodecError(f"avif: {media.shape[1]}x{media.shape[0]} is more than {MAX_PIXELS} pixels")
        require_feature(self.name)
        data = pillow_encode(
            self.name,
            media,
            quality=int(level),
            speed=self.options.speed,
            subsampling=self.options.subsampling,
            codec=ENCODER,
            range="full",
            max_threads=1,
            autotiling=False,
        )
        coded = item_data(data)
        bits = 8 * len(coded)
        return Encoded(data=data, payload_bits=bits, shape=media.shape, header_bits=bits - 8 * frame_bytes(coded))

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (H, W, 3), uint8, RGB; one decoder thread.

        Raises:
            CodecError: the bytes are not what :meth:`encode` returned, or Pillow has no AVIF.
        """
        require_feature(self.name)
        return pillow_decode(self.name, encoded, _one_decoder_thread())

    def fingerprint(self) -> str:
        """Versions of Pillow, libavif, the AV1 encoder and decoder, and every option."""
        require_feature(self.name)
        coders = ",".join(f"{coder}={AvifImagePlugin.get_codec_version(coder)}" for coder in (ENCODER, "dav1d"))
        versions = f"pillow={PIL.__version__},libavif={features.version('avif')},{coders}"
        return f"{self.name}({versions},{describe_options(self.options)})"


def item_data(data: bytes) -> bytes:
    """The coded data of an AVIF file: the bodies of its ``mdat`` boxes, which hold the one AV1 item of a plain still."""
    return b"".join(body for kind, body in boxes(data) if kind == b"mdat")


def frame_bytes(coded: bytes) -> int:
    """Bytes of AV1 data that are frames: the payloads of frame and tile-group OBUs.

    Follows the OBU syntax of the AV1 bitstream specification, sections 5.3 and 4.10.5 (leb128).
    """
    position, total = 0, 0
    while position < len(coded):
        header = coded[position]
        position += 2 if header & 0b100 else 1  # an extension byte follows where this flag is set
        size = len(coded) - position
        if header & 0b10:  # has_size: else the OBU reaches to the end
            size, position = _leb128(coded, position)
        if (header >> 3) & 0b1111 in (OBU_FRAME, OBU_TILE_GROUP):
            total += size
        position += size
    return total


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Read seven bits a byte, least significant first; return the number and the position after it."""
    value, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position


@contextmanager
def _one_decoder_thread() -> Iterator[None]:
    """Let Pillow make a decoder with one thread.

    The number is a global of Pillow's plugin, read when the decoder is made; by default a decoder takes every core,
    which many decoding threads and workers would then fight over. The pixels do not depend on it.
    """
    with _opening:
        before = AvifImagePlugin.DEFAULT_MAX_THREADS
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        try:
            yield
        finally:
            AvifImagePlugin.DEFAULT_MAX_THREADS = before
