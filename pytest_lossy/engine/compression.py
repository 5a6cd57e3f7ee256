"""One sample through a codec: the checked round trip, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_lossy.codecs.base import Codec, Encoded, Media, UInt8Array, decode_lifted, encode_lifted
from pytest_lossy.engine.media_cache import EncodedMedia
from pytest_lossy.engine.sources import LoadedSample
from pytest_lossy.errors import CodecError, LossyError
from pytest_lossy.results.evidence import SampleCost
from pytest_lossy.usercode import explain_exception

__all__ = ["compress", "squared_error"]

_BLOCK = 65_536
"""Samples whose squared differences, at most 255 * 255 each, are added at once."""


def compress(
    loaded: LoadedSample, codec: Codec | None, level: float | None, cache: EncodedMedia | None = None
) -> tuple[UInt8Array, SampleCost]:
    """Encode and decode one sample.

    Args:
        loaded: the sample.
        codec: None for the clean case, which costs nothing.
        level: of the codec.
        cache: where encoded media are looked up and kept; None to encode each time.

    Raises:
        CodecError: the codec failed or returned something else than the sample's media; names the sample.
    """
    sample, media = loaded.sample, loaded.sample.media
    pixels = int(np.prod(media.shape[:-1]))
    duration = _microseconds(media, sample.context.get("fps"))
    if codec is None or level is None:
        return media, SampleCost(0, 0, pixels, 0, loaded.digest, duration)
    if codec.media is Media.CLIP and media.ndim == 3 and getattr(codec, "intra", None):
        raise CodecError(
            f"{codec.name} compresses streams and this sample is a still; set 'data.media: stills' in the spec, and it "
            f"runs as {getattr(codec, 'intra', None)} [{sample.id}]"
        )
    try:
        parts = _encode(loaded, codec, level, cache)
        decoded = decode_lifted(codec, parts, is_clip=media.ndim == 4)
    except LossyError as error:
        raise CodecError(f"{error} [{sample.id}]") from None
    except Exception as error:  # noqa: BLE001  a third-party codec may raise anything
        raise CodecError(f"codec '{codec.name}' raised {explain_exception(error)}\n  on {sample.id}") from None
    if decoded.shape != media.shape or decoded.dtype != np.uint8:
        raise CodecError(
            f"codec '{codec.name}' returned {decoded.dtype} {decoded.shape} for uint8 {media.shape} [{sample.id}]; "
            "its decode must return the source's shape"
        )
    return decoded, SampleCost(
        sum(part.payload_bits for part in parts),
        sum(part.header_bits for part in parts),
        pixels,
        squared_error(media, decoded),
        loaded.digest,
        duration,
    )


def _encode(loaded: LoadedSample, codec: Codec, level: float, cache: EncodedMedia | None) -> Sequence[Encoded]:
    media, fps = loaded.sample.media, loaded.sample.context.get("fps")

    def make() -> tuple[Encoded, ...]:
        return encode_lifted(codec, media, level, fps=fps)

    return make() if cache is None else cache.get_or_make(codec, loaded.digest, level, fps, make)


def _microseconds(media: UInt8Array, fps: float | None) -> int:
    """How long a clip lasts, a whole number so that sums are exact; 0 for stills and unknown frame rates."""
    return round(1e6 * len(media) / fps) if media.ndim == 4 and fps else 0


def squared_error(first: UInt8Array, second: UInt8Array) -> int:
    """Sum of squared differences, exact.

    Works in blocks, so that temporaries stay in the processor's cache and the largest sum of a block fits 32 bits.
    """
    total, one, other = 0, first.reshape(-1), second.reshape(-1)
    for start in range(0, len(one), _BLOCK):
        a, b = one[start : start + _BLOCK], other[start : start + _BLOCK]
        distance = np.maximum(a, b)
        np.subtract(distance, np.minimum(a, b), out=distance)
        total += int(np.add.reduce(np.multiply(distance, distance, dtype=np.uint16), dtype=np.uint32))
    return total
