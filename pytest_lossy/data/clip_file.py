"""Read video files: contiguous frames in, 8-bit RGB out, or one clear error.

Decoding is FFmpeg's through PyAV, in one thread and on the CPU, so that all machines get the same pixels. Colours are
converted as the file tags them, and as BT.601 where it does not (FFmpeg's default). The display rotation is applied, as
EXIF orientation is for stills; interlaced frames are not deinterlaced, and pixels that are not square are not resampled:
both are noted.

A file is taken for truncated where it holds fewer packets than its header promises (MP4, AVI), or ends before its
duration (Matroska, WebM), and for damaged where FFmpeg fails or marks a frame as corrupt. Damage that still decodes
without complaint cannot be seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_lossy.data.base import SourceInfo, UInt8Array
from pytest_lossy.data.source_quality import yuv_subsampling
from pytest_lossy.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["VIDEO_SUFFIXES", "Clip", "check_clip", "list_clips", "read_clip"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})

Window = Callable[[int, int], tuple[int, int]]
"""(frames of the file, pixels of a frame) -> first frame, and the one after the last."""

_SHORTFALL_SECONDS = 0.5
_UNEVEN = 1.5  # the longest frame over the shortest; rounding to milliseconds stays below


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded frames."""

    frames: UInt8Array
    """(T, H, W, 3), RGB."""
    start: int
    """The file's frame that comes first."""
    total: int
    """Frames of the file, as its packets count."""
    fps: float | None
    """Mean frames per second; None where the file does not say."""
    source: SourceInfo


def list_clips(folder: Path) -> list[Path]:
    """The video files below a folder, sorted by path.

    Raises:
        DataError: it holds none.
    """
    clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not clips:
        raise DataError(f"{folder}: holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}); place some there")
    return clips


def read_clip(path: Path, window: Window) -> Clip:
    """Decode contiguous frames.

    Args:
        path: the file.
        window: which frames; files whose packets outnumber their frames may give fewer.

    Raises:
        DataError: missing, not a video, truncated, damaged, or without a frame in the window.
    """
    with _opened(path) as (container, stream):
        total, stored = _count_packets(path, container, stream)
        size = stream.codec_context.width * stream.codec_context.height
        start, stop = window(total, size)
    with _opened(path) as (container, stream):
        notes = [] if (start, stop) == (0, total) else [f"frames {start}-{stop - 1} of {total}"]
        pixels: UInt8Array | None = None
        count = 0
        times: list[int] = []
        for frame in _decoded(path, container, stream, start, stop):
            if frame.width * frame.height > size:  # the limits were checked for the header's size
                raise DataError(f"{path}: frame {start + count} is larger than the header says; replace the file")
            image, remarks = _to_rgb(path, frame)
            if pixels is None:
                pixels = np.empty((stop - start, *image.shape), dtype=np.uint8)
                notes += remarks
            if image.shape != pixels.shape[1:]:
                raise DataError(f"{path}: frame {start + count} has another size than those before; replace the file")
            pixels[count] = image
            times += [frame.pts] if frame.pts is not None else []
            count += 1
        if pixels is None:
            raise DataError(f"{path}: has no frame at {start}, its header promises {total}; replace or remove the file")
        steps = [after - before for before, after in itertools.pairwise(times)]
        if steps and max(steps) > _UNEVEN * max(1, min(steps)):
            notes.append("frame rate varies")
        ratio = stream.sample_aspect_ratio
        if ratio and ratio != 1:
            notes.append(f"pixels are {ratio.numerator}:{ratio.denominator}, not square")
        rate = stream.average_rate or stream.guessed_rate
        source = SourceInfo(
            format=stream.codec_context.name.upper(),
            mode=stream.codec_context.pix_fmt or "unknown",
            bytes=path.stat().st_size,
            notes=tuple(notes),
            # Not the decoder's name: AV1 is read by libdav1d.
            codec=stream.codec_context.codec.canonical_name,
            subsampling=yuv_subsampling(stream.codec_context.pix_fmt),
            kbps=round(stored * 8 / 1000 * float(rate), 1) if rate else None,
        )
    return Clip(pixels[:count], start, total, float(rate) if rate else None, source)


def check_clip(path: Path) -> str | None:
    """Decode a whole file and keep nothing.

    Returns:
        What is wrong with it, or None.
    """
    try:
        with _opened(path) as (container, stream):
            total, _ = _count_packets(path, container, stream)
        with _opened(path) as (container, stream):
            if not sum(1 for _ in _decoded(path, container, stream, 0, total)):
                return f"{path}: has no frame; replace or remove the file"
    except MissingInputError:
        raise
    except DataError as error:
        return str(error)
    return None


@contextmanager
def _opened(path: Path, **options: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A container and its first video stream; FFmpeg's errors become ours."""
    import av

    try:
        # A local file may name others (playlists do); none is fetched from a network.
        with av.open(str(path), options={"protocol_whitelist": "file", **options}) as container:
            if not container.streams.video:
                raise DataError(f"{path}: holds no video; replace or remove the file")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DataError(f"{path}: is of a codec that FFmpeg does not know; convert the file")
            stream.codec_context.thread_count = 1
            yield container, stream
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file; check the data set's folder") from None
    except (av.error.FFmpegError, OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be decoded ({reason}); replace or remove the file") from None


def _count_packets(path: Path, container: InputContainer, stream: VideoStream) -> tuple[int, float]:
    """Frames that the file shows, without decoding them, and the mean bytes of a packet."""
    packets = shown = size = 0
    end = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index == stream.index and packet.size:
            packets += 1
            size += packet.size
            shown += not packet.is_discard  # an edit list of a cut MP4 hides the frames before the cut
    mean = size / max(1, packets)
    if packets < stream.frames and "mov" in container.format.name:
        # Of frames far outside the edit list FFmpeg gives no packets at all: count those that are stored.
        with _opened(path, ignore_editlist="1") as (everything, video):
            packets = sum(packet.size > 0 for packet in everything.demux(video))
    if packets < stream.frames:
        raise DataError(
            f"{path}: is truncated, its header promises {stream.frames} frames and {packets} are there; replace or "
            "remove the file"
        )
    if "matroska" in container.format.name and container.duration:
        seconds = container.duration / 1_000_000
        if end < seconds - _SHORTFALL_SECONDS:
            raise DataError(
                f"{path}: is truncated, its header promises {seconds:.1f} s and it ends after {end:.1f} s; replace or "
                "remove the file"
            )
    if not shown:
        raise DataError(f"{path}: holds no frame; replace or remove the file")
    return shown, mean


def _decoded(path: Path, container: InputContainer, stream: VideoStream, start: int, stop: int) -> Iterator[VideoFrame]:
    """Frames ``start`` to ``stop - 1``; those before are decoded too, for they are what later ones refer to."""
    for index, frame in enumerate(container.decode(stream)):
        if index >= stop:
            return
        if frame.is_corrupt:
            raise DataError(f"{path}: frame {index} is damaged; replace or remove the file")
        if index >= start:
            yield frame


def _to_rgb(path: Path, frame: VideoFrame) -> tuple[UInt8Array, list[str]]:
    """(H, W, 3) upright, and what was done or should be known."""
    notes = ["interlaced, not deinterlaced"] if frame.interlaced_frame else []
    pixels: UInt8Array = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    turns, rest = divmod(round(frame.rotation), 90)
    if rest:
        raise DataError(f"{path}: is to be shown turned by {frame.rotation:g} degrees; turn it by multiples of 90")
    if turns % 4:
        pixels = np.rot90(pixels, turns)  # both count against the clock
        notes.append("rotation applied")
    return pixels, notes
