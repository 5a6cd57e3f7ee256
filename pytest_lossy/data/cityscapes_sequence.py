"""Snippets of Cityscapes: the frames of ``leftImg8bit_sequence/<split>/<city>/`` around each labelled one.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding" (CVPR 2016): of each snippet of 30 frames at
17 Hz the 20th has labels; its number is the ``<frame>`` of ``<city>_<sequence>_<frame>``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pytest_lossy.data.base import SourceInfo, UInt8Array
from pytest_lossy.data.images import read_image
from pytest_lossy.errors import DataError

__all__ = ["FRAMES_AFTER", "FRAMES_BEFORE", "FRAME_RATE", "neighbours", "stack_frames"]

FRAME_RATE = 17.0
"""Frames per second."""
FRAMES_BEFORE, FRAMES_AFTER = 19, 10
"""What a snippet holds before and after its labelled frame."""

_NAME = re.compile(r"(?P<place>.+_\d+_)(?P<frame>\d+)(?P<kind>_.+)")


def neighbours(labelled: Path, before: int, after: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files of the frames before and after a labelled one, in order of time.

    Raises:
        DataError: the name is not ``<city>_<sequence>_<frame>_<kind>``, or its frame is too early.
    """
    name = _NAME.fullmatch(labelled.name)
    if name is None:
        raise DataError(
            f"{labelled}: is not named <city>_<sequence>_<frame>_leftImg8bit.png; remove or rename the file and its labels"
        )
    number, width = int(name["frame"]), len(name["frame"])
    if number < before:
        raise DataError(
            f"{labelled}: frame {number} has no {before} frames before it; ask for fewer, or remove the file's labels"
        )

    def files(numbers: range) -> tuple[Path, ...]:
        return tuple(labelled.with_name(f"{name['place']}{one:0{width}d}{name['kind']}") for one in numbers)

    return files(range(number - before, number)), files(range(number + 1, number + after + 1))


def stack_frames(
    before: Sequence[Path], labelled: tuple[UInt8Array, SourceInfo], after: Sequence[Path], *, max_pixels: int
) -> tuple[UInt8Array, SourceInfo]:
    """Decode the frames around one that is decoded already.

    Returns:
        (T, H, W, 3), and the source: format and notes of the labelled frame, bytes of all frames.

    Raises:
        DataError: a frame is missing, damaged, or of another size.
    """
    image, source = labelled
    frames = np.empty((len(before) + 1 + len(after), *image.shape), dtype=np.uint8)
    frames[len(before)] = image
    size = source.bytes or 0
    places = [*range(len(before)), *range(len(before) + 1, len(frames))]
    for place, path in zip(places, [*before, *after], strict=True):
        frame, own = read_image(path, max_pixels=max_pixels)
        if frame.shape != image.shape:
            raise DataError(
                f"{path}: the frame is {frame.shape[1]}x{frame.shape[0]}, the labelled one is "
                f"{image.shape[1]}x{image.shape[0]}; replace the file"
            )
        frames[place] = frame
        size += own.bytes or 0
    return frames, dataclasses.replace(source, bytes=size)
