"""Several codecs one after another: a camera's JPEG, scaled down, in a stream's H.264."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, round_trip
from pytest_lossy.codecs.checks import require
from pytest_lossy.codecs.resize import ResizeCodec
from pytest_lossy.codecs.steps import ChainStep, build_step
from pytest_lossy.errors import CodecError, LossyError

__all__ = ["ChainCodec", "ChainOptions"]

_HEAD = struct.Struct(">4sI")
_MAGIC = b"LCH1"


class ChainOptions(BaseModel):
    """What a spec sets for ``chain`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[ChainStep, ...] = Field(
        min_length=1,
        description="in order, each 'name', 'name level' or a mapping of codec, level and options; the one without a "
        "level is swept, or the last where each has one",
    )

    @model_validator(mode="after")
    def _one_swept(self) -> ChainOptions:
        free = [step.codec for step in self.steps if step.level is None]
        if len(free) > 1:
            raise ValueError(
                f"{len(free)} steps have no level ({', '.join(free)}), but one alone can be swept; write a level after "
                "each of the others, as in 'jpeg 80'"
            )
        return self

    @property
    def swept(self) -> int:
        """Index of the step that the levels belong to."""
        return next((index for index, step in enumerate(self.steps) if step.level is None), len(self.steps) - 1)


@dataclass(frozen=True, slots=True)
class _Wire:
    """What crosses the wire, and what the receiver needs to go on from there."""

    level: float
    fps: float | None
    parts: tuple[Encoded, ...]
    """One, or one a frame where the codec takes stills."""


class ChainCodec:
    """Each step sees what the step before it decodes to; the level is that of the one step that is swept.

    * The rate is that of the last step that compresses: what goes over the wire. ``resize`` and ``frame-drop`` do not
      compress; where no step does, the last one's raw pixels count.
    * After ``resize`` the steps see the small picture, which is scaled back to the source's size once, at the end, with
      the ``upscale_filter`` of the last ``resize``.
    * After ``frame-drop`` they see as many frames as before, some of them repeated: an encoder at a constant frame rate.
    * Where the medium is a single frame, a video codec is replaced by its one-frame variant of the same parameter (``h264``
      by ``h264-intra``), with the same level and those options that the variant knows.
    """

    Options = ChainOptions
    name = "chain"

    def __init__(self, options: ChainOptions) -> None:
        self.options = options
        self.steps = tuple(build_step(step) for step in options.steps)
        swept = self.steps[options.swept]
        self.parameter = swept.codec.parameter
        grid = swept.codec.levels
        fixed = options.steps[options.swept].level
        self.levels: Levels = grid if fixed is None else replace(grid, default=(fixed,))
        self.media = Media.CLIP if any(step.codec.media is Media.CLIP for step in self.steps) else Media.IMAGE
        compressing = [i for i, step in enumerate(self.steps) if getattr(step.codec, "compresses", True)]
        self._wire = compressing[-1] if compressing else len(self.steps) - 1

    @property
    def versioned(self) -> bool:
        """Whether the fingerprint of every step tells one version of its encoder from the next."""
        return all(getattr(step.codec, "versioned", True) for step in self.steps)

    @property
    def cached(self) -> bool:
        """Whether some step takes long enough for its media to be worth keeping."""
        return any(getattr(step.codec, "cached", getattr(step.codec, "compresses", True)) for step in self.steps)

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Take ``media`` through the steps up to the last that compresses, and keep that one's data.

        Raises:
            CodecError: the level is out of range, the media do not fit, or a step failed; the step is named.
        """
        require(self, media, level)
        frames = len(media) if media.ndim == 4 else 1
        current = media
        for index in range(self._wire):
            current = self._pass(index, current, level, frames, fps)
        parts = self._encode_step(self._wire, current, level, frames, fps)
        return Encoded(
            data=_pack(_Wire(level, fps, parts)),
            payload_bits=sum(part.payload_bits for part in parts),
            shape=media.shape,
            header_bits=sum(part.header_bits for part in parts),
        )

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return media of the source's shape, uint8, RGB: decode, take the steps that follow, scale back.

        Raises:
            CodecError: the data are damaged, or a step failed.
        """
        wire = _unpack(encoded.data)
        frames = encoded.shape[0] if len(encoded.shape) == 4 else 1
        current = self._decode_step(wire.parts, frames, is_clip=len(encoded.shape) == 4)
        for index in range(self._wire + 1, len(self.steps)):
            current = self._pass(index, current, wire.level, frames, wire.fps)
        height, width = encoded.shape[-3:-1]
        if current.shape[-3:-1] != (height, width):
            current = self._resizes[-1].enlarge(current, height, width)
        return current

    def fingerprint(self) -> str:
        """Those of all steps, with the levels that are fixed."""
        swept = self.options.swept
        shown = [replace(step, level=None) if i == swept else step for i, step in enumerate(self.steps)]
        return f"chain({' > '.join(step.fingerprint for step in shown)};swept={swept})"

    @property
    def _resizes(self) -> list[ResizeCodec]:
        return [step.codec for step in self.steps if isinstance(step.codec, ResizeCodec)]

    def _level(self, index: int, level: float) -> float:
        fixed = self.steps[index].level
        return level if index == self.options.swept or fixed is None else fixed

    def _pass(self, index: int, media: UInt8Array, level: float, frames: int, fps: float | None) -> UInt8Array:
        """One whole step: shrunk by ``resize``, taken there and back by any other codec."""
        codec, own = self.steps[index].on(frames), self._level(index, level)
        if isinstance(codec, ResizeCodec):
            return codec.shrink(media, own)
        try:
            result = round_trip(codec, media, own, fps=fps).media
        except LossyError as error:
            raise self._failed(index, error) from None
        return self._checked(index, result, media.shape)

    def _encode_step(
        self, index: int, media: UInt8Array, level: float, frames: int, fps: float | None
    ) -> tuple[Encoded, ...]:
        codec, own = self.steps[index].on(frames), self._level(index, level)
        if isinstance(codec, ResizeCodec):  # stays small until the end
            media, own = codec.shrink(media, own), 1.0
        lifted = list(media) if codec.media is Media.IMAGE and media.ndim == 4 else [media]
        try:
            return tuple(codec.encode(one, own, fps=fps) for one in lifted)
        except LossyError as error:
            raise self._failed(index, error) from None

    def _decode_step(self, parts: Sequence[Encoded], frames: int, *, is_clip: bool) -> UInt8Array:
        codec = self.steps[self._wire].on(frames)
        try:
            if not is_clip or codec.media is Media.CLIP:
                return self._checked(self._wire, codec.decode(parts[0]), parts[0].shape)
            decoded = [self._checked(self._wire, codec.decode(part), part.shape) for part in parts]
        except LossyError as error:
            raise self._failed(self._wire, error) from None
        return np.stack(decoded)

    def _checked(self, index: int, media: UInt8Array, shape: tuple[int, ...]) -> UInt8Array:
        if media.shape != tuple(shape) or media.dtype != np.uint8:
            raise CodecError(
                f"chain: step {index + 1} ({self._shown(index)}) returned {media.dtype} {media.shape} for uint8 "
                f"{tuple(shape)}; a codec has to keep the shape"
            )
        return media

    def _shown(self, index: int) -> str:
        level = self.options.steps[index].level
        return self.options.steps[index].codec + ("" if level is None else f" {level:g}")

    def _failed(self, index: int, error: LossyError) -> CodecError:
        if str(error).startswith("chain: "):
            return CodecError(str(error))
        return CodecError(f"chain: step {index + 1} ({self._shown(index)}): {error}")


def _pack(wire: _Wire) -> bytes:
    head = {
        "level": wire.level,
        "fps": wire.fps,
        "parts": [[len(part.data), part.payload_bits, part.header_bits, list(part.shape)] for part in wire.parts],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(_MAGIC, len(text)), text, *(part.data for part in wire.parts)])


def _unpack(data: bytes) -> _Wire:
    try:
        magic, length = _HEAD.unpack_from(data)
        start = _HEAD.size + length
        head = json.loads(data[_HEAD.size : start])
        parts = []
        for size, payload_bits, header_bits, shape in head["parts"]:
            parts.append(Encoded(data[start : start + size], payload_bits, tuple(shape), header_bits))
            start += size
        wire = _Wire(head["level"], head["fps"], tuple(parts))
    except (struct.error, ValueError, KeyError, TypeError):
        raise CodecError("chain: damaged data; encode again") from None
    if magic != _MAGIC or start != len(data) or not parts:
        raise CodecError("chain: damaged data; encode again")
    return wire
