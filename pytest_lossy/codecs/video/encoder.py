"""Opening an encoder of FFmpeg with every option checked, and feeding it frame by frame.

FFmpeg and the encoders behind it accept a mistyped option in three ways: the option is left over in the dictionary, or a
warning is logged and encoding goes on (x264, x265), or it is an error where asked for (SVT-AV1). All three are errors here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pytest_lossy.codecs.video.colour import ColourFormat, Planes
from pytest_lossy.errors import CodecError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["EncoderSetup", "encode_packets", "open_encoder"]

_AV_MATRIX = {"bt709": 1, "bt601": 6}
"""AVCOL_SPC_BT709 and AVCOL_SPC_SMPTE170M: the matrix coefficients of H.273."""
_AV_RANGE = {"limited": 1, "full": 2}

_PARAMETER_STRINGS = ("x264-params", "x265-params", "svtav1-params")
_log_lock = threading.RLock()
_proven: set[tuple[str, str]] = set()
"""Encoders and parameter strings that opened without a complaint."""
_svt_is_quiet = False


@dataclass(frozen=True, slots=True)
class EncoderSetup:
    """All that an encoder is told."""

    encoder: str
    """FFmpeg's name."""
    options: Mapping[str, str]
    size: tuple[int, int]
    """Width and height of the coded picture."""
    colour: ColourFormat
    fps: Fraction


def open_encoder(setup: EncoderSetup) -> VideoCodecContext:
    """Return an open encoder with one thread and bit-exact flags.

    Raises:
        CodecError: it does not exist or does not open here, or one of its options is unknown or out of range.
    """
    parameters = next((setup.options[key] for key in _PARAMETER_STRINGS if key in setup.options), "")
    try:
        if not parameters or (setup.encoder, parameters) in _proven:
            return _opened(setup)
    except _av_errors():
        pass  # opened again below, where the encoder's own words are heard
    context, failure = None, ""
    with _heard() as messages:
        try:
            context = _opened(setup)
        except _av_errors() as error:
            failure = str(error)
    if context is None:
        words = _joined(messages) or failure
        raise CodecError(
            f"encoder {setup.encoder} does not open here: {words}; choose another codec or repair this one"
        )
    complaints = [text for text in messages if "option" in text.lower() or "invalid" in text.lower()]
    if complaints:
        raise CodecError(f"encoder {setup.encoder} refuses what this package asks of it: {_joined(complaints)}")
    _proven.add((setup.encoder, parameters))
    return context


def _av_errors() -> tuple[type[Exception], ...]:
    import av

    # PyAV derives some errors from builtin ones (PermissionError where a driver is missing): all are FFmpegError.
    return (av.error.FFmpegError, av.codec.codec.UnknownCodecError)


def _opened(setup: EncoderSetup) -> VideoCodecContext:
    import av
    from av.codec.context import Flags

    context = cast("VideoCodecContext", av.CodecContext.create(setup.encoder, "w"))
    context.width, context.height = setup.size
    context.pix_fmt = setup.colour.pix_fmt
    context.framerate = setup.fps
    context.time_base = 1 / setup.fps
    context.thread_count = 1
    context.flags |= Flags.bitexact
    context.colorspace = _AV_MATRIX[setup.colour.matrix]
    context.color_range = _AV_RANGE[setup.colour.range]
    # Without err_detect SVT-AV1 skips what it does not know.
    context.options = {"err_detect": "explode", **setup.options}
    if setup.encoder == "libsvtav1":
        with _quiet_svt():
            context.open()
    else:
        context.open()
    if context.options:
        left = ", ".join(f"{key}={value}" for key, value in sorted(context.options.items()))
        raise CodecError(f"encoder {setup.encoder} does not know the option {left}; correct it or remove it")
    return context


@contextlib.contextmanager
def _quiet_svt() -> Iterator[None]:
    """SVT-AV1 writes a banner to the process's standard error unless ``SVT_LOG`` says otherwise when it first starts."""
    global _svt_is_quiet  # noqa: PLW0603  the library reads the variable once per process
    if _svt_is_quiet or "SVT_LOG" in os.environ:
        yield
        return
    with _log_lock:
        os.environ["SVT_LOG"] = "0"  # fatal errors only
        try:
            yield
        finally:
            os.environ.pop("SVT_LOG", None)
            _svt_is_quiet = True


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect FFmpeg's warnings and errors of this thread in the list; PyAV drops them otherwise."""
    from av import logging

    messages: list[str] = []
    with _log_lock:
        before, skipping = logging.get_level(), logging.get_skip_repeated()
        # The outer capture takes what other threads say meanwhile: PyAV would hand it to Python's logging.
        everything = contextlib.nullcontext() if before is not None else logging.Capture(local=False)
        with everything, logging.Capture() as captured:
            logging.set_level(logging.WARNING if before is None else max(before, logging.WARNING))
            logging.set_skip_repeated(False)  # else the second failure of a kind has no words
            try:
                yield messages
            finally:
                logging.set_level(before)
                logging.set_skip_repeated(skipping)
                messages += [text.strip() for level, _, text in captured if level <= logging.WARNING]


def _joined(messages: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(message.rstrip(".") for message in messages if message))


def encode_packets(setup: EncoderSetup, frames: Iterable[Planes]) -> Iterator[bytes]:
    """Encode frames one after the other and yield packets in decoding order.

    Only the frames that the encoder itself looks ahead to are in memory at once.

    Raises:
        CodecError: as :func:`open_encoder`; or encoding failed.
    """
    import av

    context = open_encoder(setup)
    try:
        for index, planes in enumerate(frames):
            frame = av.VideoFrame(*setup.size, setup.colour.pix_fmt)
            for target, source in zip(frame.planes, planes, strict=True):
                _rows(target, source)
            frame.pts = index
            frame.time_base = context.time_base
            frame.colorspace = _AV_MATRIX[setup.colour.matrix]
            frame.color_range = _AV_RANGE[setup.colour.range]
            for packet in context.encode(frame):
                yield bytes(packet)
        for packet in context.encode(None):
            yield bytes(packet)
    except av.error.FFmpegError as error:
        raise CodecError(f"encoder {setup.encoder} failed: {error}") from None


def _rows(plane: Any, source: np.ndarray[Any, Any]) -> None:
    """Write samples into a plane of a frame, whose rows are longer than the picture."""
    height, width = source.shape
    rows = np.frombuffer(plane, source.dtype).reshape(-1, plane.line_size // source.itemsize)
    rows[:height, :width] = source
