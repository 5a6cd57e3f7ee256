"""Decoding a stream in memory, frame by frame, with one thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_lossy.codecs.video.bitstream import Bitstream, ivf_packets
from pytest_lossy.codecs.video.colour import LAYOUTS, ColourFormat, Layout, Matrix, Planes, Range
from pytest_lossy.errors import CodecError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["decoded_frames"]

_MATRICES: dict[int, Matrix] = {1: "bt709", 5: "bt601", 6: "bt601"}
_RANGES: dict[int, Range] = {1: "limited", 2: "full"}


def decoded_frames(bitstream: Bitstream, data: bytes, fallback: ColourFormat) -> Iterator[tuple[Planes, ColourFormat]]:
    """Planes of each picture in display order, and what its samples mean.

    The planes are views that hold until the next picture is asked for. ``fallback`` gives matrix and range where the stream
    says nothing.

    Raises:
        CodecError: the data cannot be decoded.
    """
    import av
    from av.codec.codec import UnknownCodecError

    try:
        context: Any = av.CodecContext.create(bitstream.decoder, "r")
        context.thread_count = 1
        packets = context.parse(data) if bitstream.fourcc is None else map(av.Packet, ivf_packets(data))
        for packet in packets:
            for frame in context.decode(packet):
                yield _planes(frame, fallback)
        if bitstream.fourcc is None:
            for packet in context.parse(None):
                for frame in context.decode(packet):
                    yield _planes(frame, fallback)
        for frame in context.decode(None):
            yield _planes(frame, fallback)
    except UnknownCodecError:
        raise CodecError(f"this build of FFmpeg has no decoder {bitstream.decoder}; reinstall PyAV") from None
    except (av.error.FFmpegError, ValueError) as error:
        raise CodecError(f"decoder {bitstream.decoder}: {error}") from None


def _planes(frame: VideoFrame, fallback: ColourFormat) -> tuple[Planes, ColourFormat]:
    name = frame.format.name
    range_ = _RANGES.get(int(frame.color_range), fallback.range)
    if name.startswith("yuvj"):  # FFmpeg's older way to say full range
        name, range_ = name.replace("yuvj", "yuv"), "full"
    layout = LAYOUTS.get(name)
    if layout is None:
        raise CodecError(f"the stream decodes to {name}; this package reads {', '.join(LAYOUTS)}")
    colour = ColourFormat(name, _MATRICES.get(int(frame.colorspace), fallback.matrix), range_)
    return (_view(frame, 0, layout), _view(frame, 1, layout), _view(frame, 2, layout)), colour


def _view(frame: VideoFrame, index: int, layout: Layout) -> Any:
    plane = frame.planes[index]
    rows = np.frombuffer(plane, layout.dtype)  # type: ignore[call-overload]
    return rows.reshape(-1, plane.line_size // layout.dtype().itemsize)[: plane.height, : plane.width]
