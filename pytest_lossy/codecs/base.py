"""The codec protocol: a lossy round trip with one quality parameter.

A codec works on 8-bit RGB at the source's own resolution and frame rate, before any resize or crop, as a camera would.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = [
    "Codec",
    "Encoded",
    "Levels",
    "Media",
    "RoundTrip",
    "UInt8Array",
    "decode_lifted",
    "encode_lifted",
    "round_trip",
]

UInt8Array = npt.NDArray[np.uint8]


class Media(enum.Enum):
    """What a codec compresses natively; the other kind is lifted to it by :func:`round_trip`."""

    IMAGE = "image"
    """(H, W, 3)"""
    CLIP = "clip"
    """(T, H, W, 3)"""


@dataclass(frozen=True, slots=True)
class Levels:
    """The values that a codec's quality parameter may take."""

    minimum: float
    maximum: float
    default: tuple[float, ...]
    """The grid used where a spec names none, mild to severe."""
    higher_is_more_compressed: bool
    """True for a quantiser (CRF), False for a quality (JPEG q)."""
    integral: bool = True

    def severity(self, level: float) -> float:
        """A number that grows with compression, for sorting levels mild to severe."""
        return level if self.higher_is_more_compressed else -level

    def problem(self, level: float) -> str | None:
        """Say what is wrong with ``level``, or None where it is valid."""
        if not self.minimum <= level <= self.maximum:
            return f"level {level:g} is outside {self.minimum:g}..{self.maximum:g}"
        if self.integral and level != int(level):
            return f"level {level:g} is not a whole number"
        return None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Compressed media as it would lie on disk or travel on the wire."""

    data: bytes
    payload_bits: int
    """Bits that count towards the rate (DESIGN: headers of a still count, containers and SEI do not)."""
    shape: tuple[int, ...]
    """Shape of the source: (H, W, 3) or (T, H, W, 3)."""
    header_bits: int = 0
    """The part of ``payload_bits`` that is headers and tables rather than picture data."""


@runtime_checkable
class Codec(Protocol):
    """A lossy round trip. Instances are immutable, thread-safe and cheap to build; options are fixed on the instance.

    A stream codec may name in ``intra`` the registry's codec that compresses a still as it compresses one frame. A codec may
    have ``cached = False``: encoding again is as good as keeping what it encoded. One with ``versioned = False`` has a
    fingerprint that does not tell one version of its encoder from the next, and nothing of it may be kept between runs.
    """

    @property
    def name(self) -> str:
        """The registry's name, for example ``"jpeg"``."""

    @property
    def parameter(self) -> str:
        """The name of the quality parameter, for example ``"q"`` or ``"crf"``."""

    @property
    def levels(self) -> Levels:
        """Valid range, default grid and direction of the quality parameter."""

    @property
    def media(self) -> Media:
        """What the codec compresses natively."""

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress ``media`` ((H, W, 3) or (T, H, W, 3), uint8, RGB) at ``level``.

        Raises:
            CodecError: the level is out of range or the media cannot be represented.
        """

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return media of ``encoded.shape``, uint8, RGB."""

    def fingerprint(self) -> str:
        """Library versions and every parameter that changes bytes."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What one sample looks like after a codec, and what it cost."""

    media: UInt8Array
    payload_bits: int
    header_bits: int


def round_trip(codec: Codec, media: UInt8Array, level: float, *, fps: float | None = None) -> RoundTrip:
    """Encode and decode ``media``, lifting an image codec to clips frame by frame and a clip codec to one frame.

    Args:
        codec: the codec to use.
        media: (H, W, 3) or (T, H, W, 3), uint8, RGB.
        level: value of the codec's quality parameter.
        fps: frames per second of a clip, where known.
    """
    parts = encode_lifted(codec, media, level, fps=fps)
    return RoundTrip(
        decode_lifted(codec, parts, is_clip=media.ndim == 4),
        sum(part.payload_bits for part in parts),
        sum(part.header_bits for part in parts),
    )


def encode_lifted(codec: Codec, media: UInt8Array, level: float, *, fps: float | None = None) -> tuple[Encoded, ...]:
    """Encode ``media``: one part per frame of a clip under an image codec, else a single part."""
    if codec.media is Media.IMAGE and media.ndim == 4:
        return tuple(codec.encode(frame, level) for frame in media)
    if codec.media is Media.CLIP and media.ndim == 3:
        return (codec.encode(media[None], level, fps=fps),)
    return (codec.encode(media, level, fps=fps),)


def decode_lifted(codec: Codec, parts: Sequence[Encoded], *, is_clip: bool) -> UInt8Array:
    """The inverse of :func:`encode_lifted`: (T, H, W, 3) where ``is_clip``, else (H, W, 3)."""
    if codec.media is Media.IMAGE and is_clip:
        return np.stack([codec.decode(part) for part in parts])
    decoded = codec.decode(parts[0])
    return decoded[0] if codec.media is Media.CLIP and not is_clip else decoded


def describe_options(options: Any) -> str:
    """Render an options model as sorted ``key=value`` pairs for fingerprints."""
    return ",".join(f"{key}={value}" for key, value in sorted(options.model_dump().items()))
