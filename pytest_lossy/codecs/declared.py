"""Codecs at a level, and how codecs and levels are declared in Python: shared by fixtures, transforms and strategies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pytest_lossy.codecs.base import Codec, Encoded, Levels, RoundTrip, UInt8Array, round_trip
from pytest_lossy.codecs.registry import build_codec, codec_options, intra_twin, needs_clips, twin_options
from pytest_lossy.errors import CodecError
from pytest_lossy.registry import did_you_mean

__all__ = ["CodecChoice", "Declarations", "LossyCodec", "chosen_levels", "codec_choices", "declare"]

Declarations = str | Sequence[str] | Mapping[str, Any]
"""A name, names, or label -> levels; see :func:`codec_choices`."""

_LABEL = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, repr=False)
class LossyCodec:
    """A codec at a level, for images (H, W, 3) and clips (T, H, W, 3), numpy arrays of uint8, RGB.

    Call it to get what a decoder would see: ``worse = lossy_codec(image)``. A stream codec (``h264``) compresses an image
    as one intra frame, as ``h264-intra`` does; an image codec compresses a clip frame by frame.
    """

    label: str
    """What ids show: the registry's name, or a name of the user's own for a codec with options."""
    codec: Codec
    on_stills: Codec | None
    """What takes the codec's place for an image; None where the codec means nothing without a clip (a bit rate)."""
    level: float
    declaration: Mapping[str, Any] = field(compare=False)
    """How it was built, as a spec or a step of a chain would write it: ``codec`` and its options."""

    @classmethod
    def build(cls, name: str, level: float, options: Mapping[str, Any] | None = None, label: str = "") -> LossyCodec:
        """Build a codec by registry name or dotted path.

        Raises:
            LossyError: the name is unknown, the options do not fit, or the level is out of range.
        """
        return declare(label, name, options or {}).at(level)

    @property
    def name(self) -> str:
        """The registry's name, for example ``"jpeg"``."""
        return self.codec.name

    @property
    def severity(self) -> float:
        """Grows with compression, whichever way the level runs."""
        return self.codec.levels.severity(self.level)

    def at(self, level: float) -> LossyCodec:
        """The same codec at another level.

        Raises:
            CodecError: the level is out of range.
        """
        return replace(self, level=_checked(self.label, self.codec.levels, level))

    def __call__(self, media: UInt8Array, level: float | None = None, *, fps: float | None = None) -> UInt8Array:
        """``media`` after compression: same shape, uint8, RGB. Arguments and errors are those of :meth:`round_trip`."""
        return self.round_trip(media, level, fps=fps).media

    def round_trip(self, media: UInt8Array, level: float | None = None, *, fps: float | None = None) -> RoundTrip:
        """Encode and decode.

        Args:
            media: (H, W, 3) or (T, H, W, 3), uint8, RGB.
            level: instead of the codec's own.
            fps: frames per second of a clip; None is 25.

        Returns:
            ``media`` of the same shape, and ``payload_bits``, what it takes to send it.

        Raises:
            CodecError: the level is out of range, or the media do not fit the codec.
        """
        return round_trip(self._codec_for(media), media, self._level(level), fps=fps)

    def encode(self, media: UInt8Array, level: float | None = None, *, fps: float | None = None) -> Encoded:
        """Encode one image, or one clip with a codec of clips; ``data`` of the result are the bytes.

        Raises:
            CodecError: the level is out of range, or the media do not fit the codec.
        """
        return self._codec_for(media).encode(media, self._level(level), fps=fps)

    def decode(self, encoded: Encoded) -> UInt8Array:
        """The inverse of :meth:`encode`, up to the loss.

        Raises:
            CodecError: the data are damaged.
        """
        codec = self.on_stills if len(encoded.shape) == 3 and self.on_stills is not None else self.codec
        return codec.decode(encoded)

    def _level(self, level: float | None) -> float:
        return self.level if level is None else _checked(self.label, self.codec.levels, level)

    def _codec_for(self, media: UInt8Array) -> Codec:
        found = f"{media.dtype} {media.shape}" if isinstance(media, np.ndarray) else type(media).__name__
        if (
            not isinstance(media, np.ndarray)
            or media.ndim not in (3, 4)
            or media.shape[-1] != 3
            or media.dtype != np.uint8
        ):
            raise CodecError(
                f"{self.label}: needs a numpy array of uint8, (H, W, 3) or (T, H, W, 3), RGB, got {found}; convert it "
                "first (tensors of float in 0..1: scale by 255 and round; channels go last)"
            )
        if media.ndim == 4:
            return self.codec
        if self.on_stills is None:
            raise CodecError(
                f"{self.label}: compresses clips alone, got an image {media.shape}; give it (T, H, W, 3), or choose "
                f"'{intra_twin(self.codec.name)}' for images"
            )
        return self.on_stills

    def __repr__(self) -> str:
        steps = getattr(getattr(self.codec, "options", None), "steps", ())
        chain = "".join(f", {step.codec}" + ("" if step.level is None else f" {step.level:g}") for step in steps)
        return f"LossyCodec({self.label!r}, {self.codec.parameter}={self.level:g}{chain})"


@dataclass(frozen=True, slots=True)
class CodecChoice:
    """A codec and the levels that may be drawn for it."""

    lossy: LossyCodec
    """At the mildest of them."""
    bounds: tuple[float, float] | None
    """The lowest and the highest level, where a range was declared."""
    levels: tuple[float, ...]
    """Else exactly these, mild to severe."""
    declared: bool
    """False where ``levels`` are the codec's default grid for want of others."""


def codec_choices(declarations: Declarations) -> tuple[CodecChoice, ...]:
    """Read a declaration of codecs and levels.

    Args:
        declarations: a codec's name, several names, or a mapping of labels to levels. Levels are a tuple of two numbers
            for the range between them, both included, in either order; a list for exactly its members; None for the
            codec's default grid. Instead of levels, a mapping as in a spec: ``{"codec": "jpeg", "subsampling": "4:4:4",
            "levels": (10, 95)}``, where ``codec`` defaults to the label.

    Raises:
        LossyError: a name is unknown, an option does not fit, a level is out of range, or nothing is declared.
    """
    if isinstance(declarations, str):
        declarations = [declarations]
    if not isinstance(declarations, Mapping):
        declarations = dict.fromkeys(declarations)
    if not declarations:
        raise CodecError("no codec is declared; write, for example, {'jpeg': (10, 95)}")
    return tuple(_choice(label, declared) for label, declared in declarations.items())


def _choice(label: str, declared: Any) -> CodecChoice:
    name, options, levels = label, dict[str, Any](), declared
    if isinstance(declared, Mapping):
        options = dict(declared)
        name, levels = options.pop("codec", label), options.pop("levels", None)
    lossy = declare(label, name, options)
    if isinstance(levels, tuple):
        if len(levels) != 2:
            raise CodecError(f"{label}: a tuple is a range of two levels, got {levels!r}; name single levels in a list")
        low, high = sorted(_checked(label, lossy.codec.levels, level) for level in levels)
        mildest = low if lossy.codec.levels.higher_is_more_compressed else high
        return CodecChoice(lossy.at(mildest), (low, high), (), declared=True)
    exact = chosen_levels(lossy, levels)
    return CodecChoice(lossy.at(exact[0]), None, exact, declared=levels is not None)


def declare(label: str, name: str, options: Mapping[str, Any]) -> LossyCodec:
    """A codec at the first level of its default grid."""
    schema = codec_options(name)
    unknown = [key for key in options if schema is not None and key not in schema.model_fields]
    if unknown:
        hint = did_you_mean(unknown[0], [*(schema.model_fields if schema else ()), "levels"])
        raise CodecError(f"codec '{name}': unknown option '{unknown[0]}'; {hint}")
    codec = build_codec(name, options)
    twin = intra_twin(name)
    on_stills = codec if twin is None else None if needs_clips(name) else build_codec(twin, twin_options(name, options))
    label = label if label and label != name else codec.name
    if not _LABEL.fullmatch(label):
        raise CodecError(f"label '{label}' does not match [A-Za-z0-9._-]+; ids are made of it")
    return LossyCodec(label, codec, on_stills, codec.levels.default[0], {"codec": name, **options})


def chosen_levels(lossy: LossyCodec, levels: Any) -> tuple[float, ...]:
    """Each level once, mild to severe."""
    grid = lossy.codec.levels
    if levels is None:
        return grid.default
    if not isinstance(levels, Iterable) or isinstance(levels, str):
        levels = [levels]
    found = {_checked(lossy.label, grid, level) for level in levels}
    if not found:
        raise CodecError(f"{lossy.label}: levels are empty; name some, or leave them out for the default grid")
    return tuple(sorted(found, key=grid.severity))


def _checked(label: str, grid: Levels, level: Any) -> float:
    """``level`` as a number, whole where the codec's levels are."""
    if isinstance(level, bool) or not isinstance(level, int | float | np.integer | np.floating):
        raise CodecError(f"{label}: level {level!r} is not a number; choose from {grid.minimum:g}..{grid.maximum:g}")
    problem = grid.problem(float(level))
    if problem:
        raise CodecError(f"{label}: {problem}; choose from {grid.minimum:g}..{grid.maximum:g}")
    return int(level) if grid.integral else float(level)
