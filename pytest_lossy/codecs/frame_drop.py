"""Frames that never arrive: the receiver goes on showing the last one it has."""

from __future__ import annotations

import math
import struct
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.checks import require
from pytest_lossy.codecs.draws import clip_key, evenly_spaced, uniform_draws
from pytest_lossy.errors import CodecError

__all__ = ["FrameDropCodec", "FrameDropOptions"]


class FrameDropOptions(BaseModel):
    """What a spec may set for ``frame-drop`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: Annotated[
        Literal["random", "regular"],
        Field(
            description="random: each frame is dropped with the level's probability; regular: as evenly as possible (50 %: "
            "every second frame)"
        ),
    ] = "random"
    seed: Annotated[StrictInt, Field(description="of the random pattern")] = 0
    independent: Annotated[
        bool,
        Field(
            description="whether clips draw their patterns independently, from the seed, their length and their first "
            "frame; false: from the seed and the length, so that all clips of one length lose the same frames"
        ),
    ] = True


class FrameDropCodec:
    """Each frame but the first is dropped with a probability of ``percent``; the decoder repeats the last one shown.

    The pattern is the same in every run, and nested: a frame dropped at 10 % is also dropped at 20 %.

    Behind a swept step of a chain the pattern stays the same only with ``independent: false``, since that step changes the
    first frame. Not a compression: the payload is what the kept frames take uncompressed, 24 bits a pixel.
    """

    Options = FrameDropOptions
    name = "frame-drop"
    parameter = "percent"
    levels = Levels(minimum=0, maximum=99, default=(5, 10, 25, 50, 75), higher_is_more_compressed=True, integral=False)
    media = Media.CLIP
    compresses = False

    def __init__(self, options: FrameDropOptions | None = None) -> None:
        self.options = options or FrameDropOptions()

    def kept(self, media: UInt8Array, percent: float) -> list[int]:
        """Indices of the frames of ``media``, (T, H, W, 3), that are not dropped; always begins with 0."""
        if self.options.pattern == "regular":
            numbers = [evenly_spaced(index) for index in range(len(media) - 1)]
        else:
            draws = uniform_draws(self.options.seed, clip_key(media, independent=self.options.independent))
            numbers = [next(draws) for _ in range(len(media) - 1)]
        return [0, *(index for index, number in enumerate(numbers, start=1) if 100 * number >= percent)]

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Keep the frames of one clip, (T, H, W, 3), uint8, RGB, that survive a loss of ``level`` percent.

        Raises:
            CodecError: the level is out of range or the media is no clip.
        """
        require(self, media, level)
        kept = self.kept(media, level)
        header = struct.pack(f">{1 + len(kept)}I", len(kept), *kept)
        return Encoded(
            data=b"".join([header, *(media[index].tobytes() for index in kept)]),
            payload_bits=24 * math.prod(media.shape[1:3]) * len(kept),
            shape=media.shape,
        )

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (T, H, W, 3), uint8, RGB: in place of a dropped frame the last one that was kept.

        Raises:
            CodecError: the data are damaged.
        """
        try:
            (count,) = struct.unpack_from(">I", encoded.data)
            kept = struct.unpack_from(f">{count}I", encoded.data, 4)
            pixels = np.frombuffer(encoded.data, np.uint8, offset=4 + 4 * count)
            frames = pixels.reshape(count, *encoded.shape[1:])
        except (struct.error, ValueError):
            raise CodecError("frame-drop: damaged data; encode the clip again") from None
        shown = np.searchsorted(np.asarray(kept), np.arange(encoded.shape[0]), side="right") - 1
        return np.asarray(frames[shown])

    def fingerprint(self) -> str:
        """Every option; no library takes part."""
        return f"frame-drop({describe_options(self.options)})"
