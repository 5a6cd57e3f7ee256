"""Decoding a stream in memory, frame by frame: with one thread, or on an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_lossy.codecs.video.bitstream import Bitstream, ivf_packets
from pytest_lossy.codecs.video.colour import LAYOUTS, ColourFormat, Layout, Matrix, Planes, Range
from pytest_lossy.errors import CodecError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Decoder", "decoded_frames"]

Decoder = Literal["software", "nvdec"]

_MATRICES: dict[int, Matrix] = {1: "bt709", 5: "bt601", 6: "bt601"}
_RANGES: dict[int, Range] = {1: "limited", 2: "full"}
_INTERLEAVED = {"nv12": ("yuv420p", 0), "p010le": ("yuv420p10le", 6)}
"""Formats of hardware, with Cb and Cr in turns in one plane -> the planar one, and unused low bits of a sample."""


def decoded_frames(
    bitstream: Bitstream, data: bytes, fallback: ColourFormat, decoder: Decoder = "software"
) -> Iterator[tuple[Planes, ColourFormat]]:
    """Planes of each picture in display order, and what its samples mean.

    The planes are views that hold until the next picture is asked for. ``fallback`` gives matrix and range where the stream
    says nothing.

    Raises:
        CodecError: the data cannot be decoded, or the decoder does not open here.
    """
    import av
    from av.codec.codec import UnknownCodecError

    name = bitstream.decoder if decoder == "software" else bitstream.accelerated
    try:
        context = _software(name) if decoder == "software" else _nvdec(name)
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
        raise CodecError(f"this build of FFmpeg has no decoder {name}; reinstall PyAV") from None
    except (av.error.FFmpegError, ValueError) as error:
        hint = "" if decoder == "software" else "; NVDEC may not decode this format: remove 'decoder: nvdec'"
        raise CodecError(f"decoder {name}: {error}{hint}") from None


def _software(name: str) -> Any:
    import av

    context: Any = av.CodecContext.create(name, "r")
    context.thread_count = 1
    return context


def _nvdec(name: str) -> Any:
    """A decoder on the GPU that this process sees first, whose pictures are copied to ordinary memory."""
    import av

    try:
        from av.codec.hwaccel import HWAccel

        # torch's CUDA context serves: one of its own would cost hundreds of MB and milliseconds a clip. Falling back to the
        # CPU would make a measurement of NVDEC's speed one of something else, without a word.
        device = HWAccel("cuda", allow_software_fallback=False, options={"primary_ctx": "1"})
        return av.CodecContext.create(name, "r", hwaccel=device)
    except (ImportError, av.error.FFmpegError, NotImplementedError, RuntimeError) as error:
        raise CodecError(
            f"NVDEC does not open here ({error}); remove 'decoder: nvdec', or run where there is an NVIDIA GPU that "
            f"decodes {name}"
        ) from None


def _planes(frame: VideoFrame, fallback: ColourFormat) -> tuple[Planes, ColourFormat]:
    name = frame.format.name
    range_ = _RANGES.get(int(frame.color_range), fallback.range)
    if name.startswith("yuvj"):  # FFmpeg's older way to say full range
        name, range_ = name.replace("yuvj", "yuv"), "full"
    name, unused = _INTERLEAVED.get(name, (name, None))
    layout = LAYOUTS.get(name)
    if layout is None:
        raise CodecError(f"the stream decodes to {name}; this package reads {', '.join(LAYOUTS)}")
    colour = ColourFormat(name, _MATRICES.get(int(frame.colorspace), fallback.matrix), range_)
    if unused is None:
        return (_view(frame, 0, layout), _view(frame, 1, layout), _view(frame, 2, layout)), colour
    luma, chroma = _view(frame, 0, layout), _view(frame, 1, layout, samples=2)
    if unused:
        luma, chroma = luma >> unused, chroma >> unused
    return (luma, chroma[:, 0::2], chroma[:, 1::2]), colour


def _view(frame: VideoFrame, index: int, layout: Layout, samples: int = 1) -> Any:
    """One plane, (height, width * ``samples``), where so many of each pixel lie side by side."""
    plane = frame.planes[index]
    rows = np.frombuffer(plane, layout.dtype)  # type: ignore[call-overload]
    return rows.reshape(-1, plane.line_size // layout.dtype().itemsize)[: plane.height, : plane.width * samples]
