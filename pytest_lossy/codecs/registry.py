"""The codecs by name: add one here, or through the entry-point group ``pytest_lossy.codecs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_lossy.codecs.base import Codec
from pytest_lossy.errors import CodecError
from pytest_lossy.registry import Registry

__all__ = ["CODECS", "build_codec", "codec_options", "intra_twin", "needs_clips", "twin_options"]

CODECS = Registry(
    "codec",
    "pytest_lossy.codecs",
    {
        "av1": "pytest_lossy.codecs.video.av1:Av1",
        "av1-cbr": "pytest_lossy.codecs.video.av1:Av1Cbr",
        "av1-intra": "pytest_lossy.codecs.video.av1:Av1Intra",
        "av1-nvenc": "pytest_lossy.codecs.video.nvenc:Av1Nvenc",
        "avif": "pytest_lossy.codecs.avif:AvifCodec",
        "chain": "pytest_lossy.codecs.chain:ChainCodec",
        "command": "pytest_lossy.codecs.command:CommandCodec",
        "frame-drop": "pytest_lossy.codecs.frame_drop:FrameDropCodec",
        "h264": "pytest_lossy.codecs.video.h264:H264",
        "h264-cbr": "pytest_lossy.codecs.video.h264:H264Cbr",
        "h264-intra": "pytest_lossy.codecs.video.h264:H264Intra",
        "h264-nvenc": "pytest_lossy.codecs.video.nvenc:H264Nvenc",
        "hevc": "pytest_lossy.codecs.video.hevc:Hevc",
        "hevc-cbr": "pytest_lossy.codecs.video.hevc:HevcCbr",
        "hevc-intra": "pytest_lossy.codecs.video.hevc:HevcIntra",
        "hevc-nvenc": "pytest_lossy.codecs.video.nvenc:HevcNvenc",
        "jpeg": "pytest_lossy.codecs.jpeg:JpegCodec",
        "jpeg2000": "pytest_lossy.codecs.jpeg2000:Jpeg2000Codec",
        "jxl": "pytest_lossy.codecs.jpeg_xl:JpegXlCodec",
        "nrtk": "pytest_lossy.codecs.nrtk:NrtkCodec",
        "packet-loss": "pytest_lossy.codecs.packet_loss:PacketLossCodec",
        "resize": "pytest_lossy.codecs.resize:ResizeCodec",
        "vp9": "pytest_lossy.codecs.video.vp9:Vp9",
        "vp9-cbr": "pytest_lossy.codecs.video.vp9:Vp9Cbr",
        "vp9-intra": "pytest_lossy.codecs.video.vp9:Vp9Intra",
        "webp": "pytest_lossy.codecs.webp:WebpCodec",
    },
)
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


def needs_clips(name: str) -> bool:
    """Whether a codec means nothing for stills: a stream codec whose levels (a bit rate) its twin does not share."""
    family, twin = CODECS.load(name), intra_twin(name)
    return twin is not None and CODECS.load(twin).parameter != family.parameter


def twin_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options of a stream codec that its intra twin has, too: a still has no groups of pictures."""
    schema = codec_options(intra_twin(name) or name)
    return {key: value for key, value in options.items() if schema is None or key in schema.model_fields}


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
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'options'}: {item['msg']}" for item in error.errors()
        )
        raise CodecError(f"codec '{name}': {problems}") from None
    except TypeError as error:
        raise CodecError(f"codec '{name}': {error}") from error
    return codec
