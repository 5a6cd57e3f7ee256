"""People over their picture: limbs coloured by side, and a line's pattern that says what became of the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pytest_lossy.drawing.boxes import SHADES, status_key
from pytest_lossy.drawing.canvas import Canvas, Colour, UInt8Array, plain_text
from pytest_lossy.drawing.lines import Status, path, tags
from pytest_lossy.drawing.palette import FALSE, FOUND

__all__ = ["PersonMark", "draw_people", "limbs_of"]

_SHOWN = 20
_LIMBS = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "left_knee"),
    ("right_hip", "right_knee"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
)
_MIDDLE: Colour = (235, 235, 235)


@dataclass(frozen=True, slots=True)
class PersonMark:
    """One person to draw."""

    points: npt.NDArray[np.float64]
    """(k, 2), x and y in pixels of the source."""
    visible: npt.NDArray[np.bool_]
    """(k,)"""
    text: str
    status: Status


def limbs_of(keypoints: Sequence[str]) -> list[tuple[int, int, Colour]]:
    """Pairs of keypoints to join, and their colour: left sides blue, right sides orange, the rest grey.

    Names are COCO's; keypoints of another naming are drawn as points alone.
    """
    index = {name: number for number, name in enumerate(keypoints)}
    return [(index[a], index[b], _side(a, b)) for a, b in _LIMBS if a in index and b in index]


def draw_people(image: UInt8Array, people: Sequence[PersonMark], keypoints: Sequence[str]) -> UInt8Array:
    """Draw skeletons, the last on top, and count them by status below.

    Args:
        image: (H, W, 3).
        people: the most important last; of many the last :data:`_SHOWN` are drawn.
        keypoints: k names.
    """
    canvas = Canvas(image)
    canvas.sketch(SHADES)
    picture = Image.fromarray(canvas.pixels)
    draw = ImageDraw.Draw(picture)
    limbs = limbs_of(keypoints)
    names: list[tuple[tuple[float, float], str, Status]] = []
    for person in people[-_SHOWN:]:
        # Far outside points would make lines of endless length.
        reach = 4.0 * max(canvas.width, canvas.height)
        points = np.clip(np.nan_to_num(person.points * canvas.scale), -reach, reach)
        for start, end, colour in limbs:
            if person.visible[start] and person.visible[end]:
                path(draw, [tuple(points[start]), tuple(points[end])], person.status, colour)
        for x, y in points[person.visible]:
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(255, 255, 255), outline=(0, 0, 0))
        if person.text and person.visible.any():
            # Above the head: a name over the body would hide it.
            x, y = points[person.visible].min(axis=0)
            names.append(((float(x), float(y) - 2), plain_text(person.text, 18), person.status))
    tags(picture, names)
    canvas.pixels = np.array(picture)
    canvas.add_key(status_key([person.status for person in people]))
    return canvas.finished()


def _side(first: str, second: str) -> Colour:
    if "left" in first + second and "right" in first + second:
        return _MIDDLE
    return FOUND if "left" in first + second else FALSE
