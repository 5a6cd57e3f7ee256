"""Lines told apart by their pattern, visible on any background."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pytest_lossy.drawing.canvas import PAPER, Colour, font, text_width
from pytest_lossy.drawing.palette import FALSE, FOUND, MISSED, TRUTH

__all__ = ["COLOURS", "Status", "box", "line_swatch", "path", "tags"]

Status = Literal["found", "false", "missed", "truth"]
"""What a reported object is: right, wrong, not reported, or the label itself."""

COLOURS: dict[Status, Colour] = {"found": FOUND, "false": FALSE, "missed": MISSED, "truth": TRUTH}
_PATTERNS: dict[Status, tuple[int, int]] = {"found": (1, 0), "false": (6, 4), "missed": (2, 3), "truth": (1, 0)}
"""Pixels drawn and left out along a line."""
_TAG = 13
"""Pixels of a tag's height."""


def path(
    draw: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    status: Status,
    colour: Colour | None = None,
    width: int = 2,
) -> None:
    """Draw a line through ``points``, in the pattern of ``status``, on a dark edge."""
    on, off = _PATTERNS[status]
    for start, end in pairwise(points):
        draw.line([start, end], fill=PAPER, width=width + 2)
    for start, end in pairwise(points):
        for piece in _pieces(start, end, on, off):
            draw.line(piece, fill=colour or COLOURS[status], width=width)


def box(draw: ImageDraw.ImageDraw, corners: npt.NDArray[np.float64], status: Status) -> None:
    """Draw the outline of a box x1, y1, x2, y2."""
    left, top, right, bottom = (float(side) for side in corners)
    path(draw, [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], status)


def tags(picture: Image.Image, wanted: Sequence[tuple[tuple[float, float], str, Status]]) -> None:
    """Write texts on dark tags above their places, moved into the picture where they would leave it.

    Args:
        picture: to be drawn on.
        wanted: place, text and status, the most important last; what would cover a more important tag is left out.
    """
    draw = ImageDraw.Draw(picture)
    taken: list[tuple[int, int, int, int]] = []
    for (across, down), text, status in reversed(wanted):
        wide = text_width(text) + 4
        x = max(0, min(round(across), picture.width - wide))
        y = max(0, min(round(down) - _TAG, picture.height - _TAG))
        if any(x < right and left < x + wide and y < bottom and top < y + _TAG for left, top, right, bottom in taken):
            continue
        taken.append((x, y, x + wide, y + _TAG))
        draw.rectangle([x, y, x + wide - 1, y + _TAG - 1], fill=PAPER)
        draw.text((x + 2, y), text, fill=COLOURS[status], font=font())


def line_swatch(status: Status) -> npt.NDArray[np.uint8]:
    """A short piece of the line for a key, (10, 14, 3)."""
    swatch = Image.new("RGB", (14, 10), PAPER)
    path(ImageDraw.Draw(swatch), [(0, 5), (13, 5)], status)
    return np.array(swatch)


def _pieces(start: tuple[float, float], end: tuple[float, float], on: int, off: int) -> list[list[tuple[float, float]]]:
    if not off:
        return [[start, end]]
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    pieces = []
    for begin in np.arange(0, max(length, 1), on + off).tolist():
        stop = min(begin + on, length)
        pieces.append(
            [
                (
                    start[0] + (end[0] - start[0]) * share / max(length, 1),
                    start[1] + (end[1] - start[1]) * share / max(length, 1),
                )
                for share in (begin, stop)
            ]
        )
    return pieces
