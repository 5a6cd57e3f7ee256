"""Boxes over their picture: a line's pattern says what became of the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pytest_lossy.drawing.canvas import Canvas, UInt8Array, plain_text
from pytest_lossy.drawing.lines import Status, box, line_swatch, tags

__all__ = ["SHADES", "BoxMark", "draw_boxes", "status_key"]

SHADES = (36, 66, 96, 130)
"""Dark, so that lines and text stand out."""
_SHOWN = 40
"""More boxes would hide the picture."""


@dataclass(frozen=True, slots=True)
class BoxMark:
    """One box to draw."""

    corners: npt.NDArray[np.float64]
    """x1, y1, x2, y2 in pixels of the source."""
    text: str
    status: Status


def draw_boxes(image: UInt8Array, marks: Sequence[BoxMark]) -> UInt8Array:
    """Outline boxes, the last on top, and count them by status below.

    Args:
        image: (H, W, 3).
        marks: the most important last; of many the last :data:`_SHOWN` are drawn.
    """
    canvas = Canvas(image)
    canvas.sketch(SHADES)
    picture = Image.fromarray(canvas.pixels)
    draw = ImageDraw.Draw(picture)
    across, down = canvas.scale
    shown = marks[-_SHOWN:]
    # A missed object lies around a detection of another class, and must show beside it.
    margins = [np.array([-3, -3, 3, 3]) if mark.status == "missed" else np.zeros(4) for mark in shown]
    corners = [
        _inside(mark.corners * [across, down, across, down] + margin, canvas)
        for mark, margin in zip(shown, margins, strict=True)
    ]
    for mark, place in zip(shown, corners, strict=True):
        box(draw, place, mark.status)
    tags(
        picture,
        [
            ((float(place[0]), float(place[1])), plain_text(mark.text, 18), mark.status)
            for mark, place in zip(shown, corners, strict=True)
        ],
    )
    canvas.pixels = np.array(picture)
    canvas.add_key(status_key([mark.status for mark in marks]))
    return canvas.finished()


def status_key(found: Sequence[Status]) -> list[tuple[UInt8Array, str]]:
    """How many objects there are of each status."""
    words: dict[Status, str] = {"found": "found", "false": "false", "missed": "missed", "truth": "labelled"}
    if not found:
        return [(np.full((10, 14, 3), 90, dtype=np.uint8), "nothing")]
    return [(line_swatch(status), f"{word} {found.count(status)}") for status, word in words.items() if status in found]


def _inside(corners: npt.NDArray[np.float64], canvas: Canvas) -> npt.NDArray[np.float64]:
    """Corners within the picture: a box may reach anywhere."""
    last = np.array([canvas.width, canvas.height, canvas.width, canvas.height]) - 1
    return np.clip(np.nan_to_num(corners), 0, last)
