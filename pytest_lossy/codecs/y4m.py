"""YUV4MPEG2, the raw video format that most encoders read: 8 bits, 4:4:4 or 4:2:0, BT.601 in limited range.

Format: mjpegtools, yuv4mpeg(5). Conversion: :mod:`pytest_lossy.codecs.video.colour`, in both directions with its own chroma
sites, whatever a tool's header says of them: a tool that hands our samples through adds no shift.
"""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.codecs.video.colour import ColourFormat, to_rgb, to_yuv

__all__ = ["read_y4m", "write_y4m"]

_FULL = ColourFormat("yuv444p", "bt601", "limited")
_HALF = ColourFormat("yuv420p", "bt601", "limited")
_SPACES = {"444": _FULL, "420": _HALF, "420jpeg": _HALF, "420mpeg2": _HALF, "420paldv": _HALF, "mono": None}
"""What is read, by the header's name; None for grey."""

_HEADER = re.compile(rb"YUV4MPEG2((?: [^ \n]+)*) *\n")
_FRAME = re.compile(rb"FRAME[^\n]*\n")


def write_y4m(clip: UInt8Array, *, fps: float, subsampled: bool) -> bytes:
    """Return a YUV4MPEG2 file.

    Args:
        clip: (T, H, W, 3), uint8, RGB.
        fps: frames per second.
        subsampled: 4:2:0, with ceil(H / 2) x ceil(W / 2) chroma samples, instead of 4:4:4.
    """
    rate = Fraction(fps).limit_denominator(1001)
    height, width = clip.shape[1:3]
    colour, space = (_HALF, "420mpeg2") if subsampled else (_FULL, "444")
    head = f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A1:1 C{space} XCOLORRANGE=LIMITED\n"
    chunks = [head.encode()]
    for frame in clip:
        down, right = (height % 2, width % 2) if subsampled else (0, 0)
        luma, cb, cr = to_yuv(np.pad(frame, ((0, down), (0, right), (0, 0)), mode="edge"), colour)
        chunks += [b"FRAME\n", luma[:height, :width].tobytes(), cb.tobytes(), cr.tobytes()]
    return b"".join(chunks)


def read_y4m(data: bytes) -> UInt8Array:
    """Return (T, H, W, 3), uint8, RGB, of a YUV4MPEG2 file of 8-bit 4:4:4, 4:2:0 or grey (``Cmono``) frames.

    Raises:
        ValueError: the data are no such file, or end early.
    """
    match = _HEADER.match(data)
    if match is None:
        raise ValueError("is no YUV4MPEG2 file")
    tags = {tag[:1]: tag[1:] for tag in match[1].decode("latin-1").split() if not tag.startswith("X")}
    width, height, space = tags.get("W", ""), tags.get("H", ""), tags.get("C", "420jpeg")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)) or space not in _SPACES:
        raise ValueError(f"holds '{width}'x'{height}' frames of colour space '{space}'; write 8-bit 4:2:0 or 4:4:4")
    size, colour = (int(height), int(width)), _SPACES[space]
    small = {None: (0, 0), _FULL: size}.get(colour, (-(-size[0] // 2), -(-size[1] // 2)))
    luma_bytes, chroma_bytes = size[0] * size[1], small[0] * small[1]
    frame_bytes = luma_bytes + 2 * chroma_bytes
    position = match.end()
    frames: list[UInt8Array] = []
    while position < len(data):
        start = _FRAME.match(data, position)
        if start is None or start.end() + frame_bytes > len(data):
            raise ValueError(f"ends or breaks off within frame {len(frames)}")
        samples = np.frombuffer(data, np.uint8, frame_bytes, start.end())
        luma = samples[:luma_bytes].reshape(size)
        cb, cr = samples[luma_bytes:].reshape(2, *small) if colour else np.full((2, *size), 128, np.uint8)
        frame: UInt8Array = np.empty((*size, 3), np.uint8)
        to_rgb((luma, cb, cr), colour or _FULL, frame)
        frames.append(frame)
        position = start.end() + frame_bytes
    if not frames:
        raise ValueError("holds no frame")
    return np.stack(frames)
