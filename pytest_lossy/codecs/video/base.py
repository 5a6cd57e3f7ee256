"""What the video codecs share: from RGB to a stream of bytes and back.

Sides are padded to what subsampling and encoder need by repeating the last row and column, and cropped after decoding; the
rate counts the unpadded picture. An encoder runs in one thread. What is not under this package's control is an encoder's
choice of vector instructions: x264 is told to ignore the processor (``cpu-independent``), x265, SVT-AV1 and libvpx promise
the same bits from each of their code paths and have no such option.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.video.bitstream import Bitstream
from pytest_lossy.codecs.video.colour import CONVERSION, ColourFormat, Matrix, Planes, Range, to_rgb, to_yuv
from pytest_lossy.codecs.video.decoder import Decoder, decoded_frames
from pytest_lossy.codecs.video.encoder import EncoderSetup, encode_packets
from pytest_lossy.codecs.video.payload import Share
from pytest_lossy.codecs.video.versions import encoder_version, library_versions
from pytest_lossy.errors import CodecError

__all__ = ["DEFAULT_FPS", "ColourOptions", "DecoderOptions", "GopOptions", "RateOptions", "VideoCodec", "VideoOptions"]

DEFAULT_FPS = 25.0
"""Frames per second of a clip whose rate is unknown: the PAL rate, which most cameras offer."""
MAX_SIDE = 16_384
"""Pixels; the smallest limit among the encoders."""
MAX_FPS = 240.0


class ColourOptions(BaseModel):
    """How RGB becomes Y'CbCr. The stream says so, and other decoders follow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matrix: Annotated[
        Matrix, Field(description="bt709: high definition and most cameras; bt601: standard definition")
    ] = "bt709"
    range: Annotated[Range, Field(description="limited: luma 16..235, as video is; full: 0..255, as JPEG is")] = (
        "limited"
    )


class GopOptions(BaseModel):
    """Options of a stream: all but the codecs of one intra frame have them."""

    gop: Annotated[
        int,
        Field(ge=1, le=9_999, description="frames from one key frame to the next; 50 is 2 s at 25 frames per second"),
    ] = 50


class DecoderOptions(BaseModel):
    """Options of a stream that a GPU can decode, too."""

    decoder: Annotated[
        Decoder,
        Field(description="nvdec: an NVIDIA GPU's, which gives the same samples; an error where it does not open"),
    ] = "software"


class RateOptions(BaseModel):
    """Options of a constant bit rate."""

    buffer: Annotated[
        float,
        Field(ge=0.1, le=10, description="seconds of the bit rate by which the encoder may run ahead of the channel"),
    ] = 1.0


class VideoOptions(ColourOptions):
    """What :class:`VideoCodec` needs to know of any codec's options."""

    @property
    def colour(self) -> ColourFormat:
        """Pixel format, matrix and range; ``pix_fmt`` is 4:2:0 where a codec offers no other."""
        return ColourFormat(getattr(self, "pix_fmt", "yuv420p"), self.matrix, self.range)

    @property
    def decoding(self) -> Decoder:
        """By what streams are decoded; software where a codec has no :class:`DecoderOptions`."""
        decoder: Decoder = getattr(self, "decoder", "software")
        return decoder


OptionsT = TypeVar("OptionsT", bound=VideoOptions)


class VideoCodec(ABC, Generic[OptionsT]):
    """A codec of PyAV; a subclass names its encoder and says how a level becomes the encoder's options."""

    Options: ClassVar[type[VideoOptions]]
    name: ClassVar[str]
    parameter: ClassVar[str] = "crf"
    levels: ClassVar[Levels]
    media: ClassVar[Media] = Media.CLIP
    intra: ClassVar[str | None] = None
    """Registry name of the codec that encodes a still as this one would encode a single intra frame."""
    encoder: ClassVar[str]
    """FFmpeg's name."""
    bitstream: ClassVar[Bitstream]
    minimum: ClassVar[tuple[int, int]] = (2, 2)
    """Smallest width and height that the encoder takes; smaller pictures are padded."""

    options: OptionsT

    def __init__(self, options: OptionsT | None = None) -> None:
        self.options = options if options is not None else self.Options()  # type: ignore[assignment]

    @abstractmethod
    def encoder_options(self, level: float) -> dict[str, str]:
        """FFmpeg's options for ``level``: everything that would otherwise be left to a default of the encoder."""

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress a clip, (T, H, W, 3), or for a codec of stills one image, (H, W, 3); uint8, RGB.

        Args:
            media: what to compress; a rate-controlled codec needs the whole source clip.
            level: value of the quality parameter.
            fps: frames per second, up to 240; None is 25. Rate control counts in seconds, and CRF depends on it too.

        Raises:
            CodecError: level, media or fps do not fit, or the encoder does not work here.
        """
        problem = self.levels.problem(level)
        if problem:
            raise CodecError(f"{self.name}: {problem}")
        clip = self._clip(media)
        setup = EncoderSetup(
            self.encoder, self.encoder_options(level), self._coded_size(clip), self.options.colour, self._rate(fps)
        )
        share, packets = Share(0, 0), []
        for packet in encode_packets(setup, self._planes(clip, setup.size)):
            packets.append(packet)
            share += self.bitstream.share(packet)
        data = self.bitstream.join(packets, setup.size, setup.fps)
        return Encoded(data, 8 * share.payload, media.shape, 8 * share.headers)

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return media of ``encoded.shape``, uint8, RGB.

        Raises:
            CodecError: the data cannot be decoded, or holds another number or size of frames.
        """
        shape = encoded.shape if len(encoded.shape) == 4 else (1, *encoded.shape)
        clip = np.empty(shape, np.uint8)
        count = 0
        for planes, colour in decoded_frames(self.bitstream, encoded.data, self.options.colour, self.options.decoding):
            height, width = planes[0].shape
            if height < shape[1] or width < shape[2]:
                raise CodecError(f"{self.name}: a decoded frame has {width}x{height} pixels, not {shape[2]}x{shape[1]}")
            if count < shape[0]:
                to_rgb(planes, colour, clip[count])
            count += 1
        if count != shape[0]:
            raise CodecError(f"{self.name}: {count} frames were decoded, {shape[0]} were encoded")
        return clip.reshape(encoded.shape)

    def fingerprint(self) -> str:
        """Versions of PyAV, libavcodec, encoder and colour conversion, every option, and a digest of what is pinned.

        Raises:
            CodecError: the encoder does not open here.
        """
        versions = f"{library_versions()},{self.encoder}={encoder_version(self.encoder)},colour={CONVERSION}"
        # Two releases of this package that pin an encoder differently must not share cached bytes.
        pinned = repr(sorted(self.encoder_options(self.levels.default[0]).items())).encode()
        digest = hashlib.sha256(pinned).hexdigest()[:8]
        return f"{self.name}({versions},{describe_options(self.options)},pinned={digest})"

    def probe(self) -> str:
        """Encode and decode a small clip and return the encoder's version.

        Raises:
            CodecError: the codec does not work here, with the encoder's own words.
        """
        steps = np.arange(64, dtype=np.uint8)
        picture = np.stack(np.broadcast_arrays(steps[:, None] * 4, steps[None] * 4, np.uint8(128)), axis=-1)
        media = picture if self.media is Media.IMAGE else np.stack([picture, picture[::-1]])
        self.decode(self.encode(media, self.levels.default[0]))
        return encoder_version(self.encoder)

    def _clip(self, media: UInt8Array) -> UInt8Array:
        axes, form = (3, "(H, W, 3)") if self.media is Media.IMAGE else (4, "(T, H, W, 3)")
        if media.ndim != axes or media.shape[-1] != 3 or media.dtype != np.uint8 or 0 in media.shape:
            raise CodecError(f"{self.name}: needs uint8 {form}, got {media.dtype} {media.shape}")
        height, width = media.shape[-3:-1]
        if max(height, width) > MAX_SIDE:
            raise CodecError(f"{self.name}: {width}x{height} is larger than {MAX_SIDE} pixels a side")
        return media[None] if axes == 3 else media

    def _rate(self, fps: float | None) -> Fraction:
        fps = DEFAULT_FPS if fps is None else float(fps)
        # 1001 keeps the NTSC rates exact.
        rate = Fraction(fps).limit_denominator(1001) if math.isfinite(fps) else Fraction(0)
        if not 0 < rate <= MAX_FPS:
            raise CodecError(f"{self.name}: {fps:g} frames per second is outside 0.001..{MAX_FPS:g}")
        return rate

    def _coded_size(self, clip: UInt8Array) -> tuple[int, int]:
        layout = self.options.colour.layout
        width, height = max(clip.shape[2], self.minimum[0]), max(clip.shape[1], self.minimum[1])
        return width + width % layout.horizontal, height + height % layout.vertical

    def _planes(self, clip: UInt8Array, size: tuple[int, int]) -> Iterator[Planes]:
        down, right = size[1] - clip.shape[1], size[0] - clip.shape[2]
        for frame in clip:
            padded: Any = np.pad(frame, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else frame
            yield to_yuv(padded, self.options.colour)
