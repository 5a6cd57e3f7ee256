"""Ground truth of the mini world, drawn over its pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pytest_lossy.data.mini.labels import IGNORE, PALETTE
from pytest_lossy.data.mini.skeleton import KEYPOINTS

__all__ = ["BONES", "drawn_boxes", "drawn_depth", "drawn_labels", "drawn_people", "film_strip", "sheet"]

UInt8 = npt.NDArray[np.uint8]

BONES: tuple[tuple[str, str], ...] = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("nose", "left_eye"), ("nose", "right_eye"),
    ("left_eye", "left_ear"), ("right_eye", "right_ear"),
)  # fmt: skip
"""Pairs of keypoints that are joined by a line."""

_COLOURS = ((255, 90, 60), (60, 170, 255), (255, 210, 60), (160, 100, 255), (90, 230, 120), (255, 120, 220))
_GREY = (150, 150, 150)
_NEAR, _FAR = 2.0, 100.0  # metres: white and black in drawings of depth


def drawn_labels(image: UInt8, labels: npt.NDArray[np.integer[Any]]) -> UInt8:
    """An image beside its coloured label map, (H, 2 W, 3); ignored pixels are black."""
    colours = np.zeros((IGNORE + 1, 3), np.uint8)
    colours[: len(PALETTE)] = PALETTE
    return np.concatenate([image, colours[labels]], axis=1)


def drawn_boxes(image: UInt8, target: Mapping[str, Any]) -> UInt8:
    """An image with its boxes, twice as large, coloured by class; those that do not count are grey."""
    picture, draw = _enlarged(image)
    for box, label, crowd in zip(target["boxes"], target["labels"], target["iscrowd"], strict=True):
        x0, y0, x1, y1 = (2 * side for side in box)
        colour = _GREY if crowd else _COLOURS[int(label) % len(_COLOURS)]
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour)
    return np.asarray(picture)


def drawn_people(image: UInt8, target: Mapping[str, Any]) -> UInt8:
    """An image with skeletons, twice as large; hidden keypoints are hollow, people that do not count have a grey box."""
    picture, draw = _enlarged(image)
    for k, points in enumerate(target["keypoints"]):
        if target["iscrowd"][k] or not target["num_keypoints"][k]:
            draw.rectangle(tuple(2 * side for side in target["boxes"][k]), outline=_GREY)
            continue
        colour = _COLOURS[k % len(_COLOURS)]
        for ends in BONES:
            a, b = (points[KEYPOINTS.index(name)] for name in ends)
            if a[2] and b[2]:
                draw.line((2 * a[0], 2 * a[1], 2 * b[0], 2 * b[1]), fill=colour)
        for x, y, visible in points:
            if visible:
                spot = (2 * x - 2, 2 * y - 2, 2 * x + 2, 2 * y + 2)
                draw.ellipse(spot, outline=colour, fill=colour if visible == 2 else None)
    return np.asarray(picture)


def drawn_depth(image: UInt8, depth: npt.NDArray[np.floating[Any]]) -> UInt8:
    """An image beside its depth, (H, 2 W, 3): brighter is nearer, by the logarithm; unknown is blue."""
    share = np.log(np.clip(depth, _NEAR, _FAR) / _NEAR) / math.log(_FAR / _NEAR)
    grey = np.repeat(np.rint(255.0 * (1.0 - share)).astype(np.uint8)[..., None], 3, axis=2)
    grey[depth == 0.0] = (30, 40, 120)
    return np.concatenate([image, grey], axis=1)


def film_strip(clip: UInt8, shown: int = 6) -> UInt8:
    """Frames of a clip (T, H, W, 3) side by side, at most ``shown``, evenly spaced."""
    chosen = np.linspace(0, len(clip) - 1, min(shown, len(clip))).round().astype(int)
    return np.concatenate(list(clip[chosen]), axis=1)


def sheet(panels: Sequence[UInt8], columns: int) -> UInt8:
    """Panels of one size in rows of ``columns``; what is left of the last row is black."""
    filled = [*panels, *[np.zeros_like(panels[0])] * (-len(panels) % columns)]
    rows = [np.concatenate(filled[k : k + columns], axis=1) for k in range(0, len(filled), columns)]
    return np.concatenate(rows, axis=0)


def _enlarged(image: UInt8) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.fromarray(image).resize((2 * image.shape[1], 2 * image.shape[0]), Image.Resampling.NEAREST)
    return picture, ImageDraw.Draw(picture)
