"""The codecs by name: add one here, or through the entry-point group ``pytest_lossy.codecs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_lossy.codecs.base import Codec, Levels
from pytest_lossy.errors import CodecError
from pytest_lossy.registry import Registry

__all__ = ["CODECS", "build_codec", "codec_levels", "codec_options", "codec_parameter"]

CODECS = Registry("codec", "pytest_lossy.codecs", {"jpeg": "pytest_lossy.codecs.jpeg:JpegCodec"})
"""Each entry is a class with the attributes ``name``, ``parameter``, ``levels`` and, where it has options, ``Options``
(a pydantic model); it is called as ``cls(options)``, or ``cls(**options)`` where it has no ``Options``."""


def codec_levels(name: str) -> Levels:
    """Range, default grid and direction of a codec, without building it."""
    levels: Levels = CODECS.load(name).levels
    return levels


def codec_parameter(name: str) -> str:
    """Name of a codec's quality parameter, without building it."""
    return str(CODECS.load(name).parameter)


def codec_options(name: str) -> type[BaseModel] | None:
    """The pydantic model of a codec's options; None where it declares none."""
    options: type[BaseModel] | None = getattr(CODECS.load(name), "Options", None)
    return options


def build_codec(name: str, options: Mapping[str, Any] | None = None) -> Codec:
    """Build a codec by registry name or dotted path.

    Raises:
        LossyError: the name is unknown.
        CodecError: the options do not fit.
    """
    family = CODECS.load(name)
    schema = codec_options(name)
    try:
        codec: Codec = family(schema(**(options or {}))) if schema else family(**(options or {}))
    except (ValidationError, TypeError) as error:
        raise CodecError(f"codec '{name}': {error}") from error
    return codec
