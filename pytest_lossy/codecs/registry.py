"""The codecs by name: add one here, or through the entry-point group ``pytest_lossy.codecs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_lossy.codecs.base import Codec
from pytest_lossy.errors import CodecError
from pytest_lossy.registry import Registry

__all__ = ["CODECS", "build_codec", "codec_options", "intra_twin"]

CODECS = Registry("codec", "pytest_lossy.codecs", {"jpeg": "pytest_lossy.codecs.jpeg:JpegCodec"})
"""Each entry is a class whose instances are codecs; it is called as ``cls(options)`` where it has an ``Options`` (a
pydantic model), or else as ``cls(**options)``. Building one must be cheap and must not import its library: specs are
indexed by building their codecs, whose levels may depend on their options (a chain's do)."""


def codec_options(name: str) -> type[BaseModel] | None:
    """The pydantic model of a codec's options; None where it declares none."""
    options: type[BaseModel] | None = getattr(CODECS.load(name), "Options", None)
    return options


def intra_twin(name: str) -> str | None:
    """The codec that compresses a still as this stream codec compresses one frame; None for an image codec."""
    twin: str | None = getattr(CODECS.load(name), "intra", None)
    return twin


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
