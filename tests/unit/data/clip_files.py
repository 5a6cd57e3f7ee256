"""Writers of small video files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 48, 64


def moving(count: int = 12, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames whose grey level is their number times 10, with a white mark at the upper left."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames += (10 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    frames[:, : height // 3, : width // 4] = 255
    return frames


def write_clip(
    path: Path,
    frames: np.ndarray | None = None,
    *,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    times: list[int] | None = None,
    aspect: Fraction | None = None,
    matrix: tuple[str, int] | None = None,
) -> Path:
    """Encode with few losses; ``times`` are in frames of ``rate``, ``matrix`` is FFmpeg's colour space and its tag."""
    frames = moving() if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "4", "threads": "1"} if codec == "libx264" else {"qscale": "2", "threads": "1"}
    muxer = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 4
        if matrix is not None:
            stream.codec_context.colorspace = matrix[1]
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if matrix is not None:
                frame = frame.reformat(format="yuv420p", dst_colorspace=matrix[0])
            frame.pts = times[index] if times else index
            frame.time_base = 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(media: np.ndarray) -> list[int]:
    """The numbers of frames of :func:`moving`."""
    return [round(float(frame[-8:, -8:].mean()) / 10) for frame in media]


def truncate(path: Path, share: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into an MP4's track header, as a phone that is held upright does."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    for position, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[place + position : place + position + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def edit(path: Path, first: int, count: int, rate: int = 25) -> Path:
    """Rewrite an MP4's edit list so that ``count`` frames from ``first`` are shown, as a cut without re-encoding does."""
    data = bytearray(path.read_bytes())

    def number(kind: bytes, offset: int) -> int:
        place = data.index(kind) + offset
        return int.from_bytes(data[place : place + 4], "big")

    place, movie, media = data.index(b"elst"), number(b"mvhd", 16), number(b"mdhd", 16)
    start = number(b"elst", 16) + first * media // rate
    data[place + 12 : place + 16] = (count * movie // rate).to_bytes(4, "big")
    data[place + 16 : place + 20] = start.to_bytes(4, "big")
    path.write_bytes(data)
    return path
