"""Boxes and keypoints of a rendered frame, by the rules that annotators of photographs follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini.labels import CAR, PERSON, SIGN
from pytest_lossy.data.mini.render import Frame, Instance
from pytest_lossy.data.mini.skeleton import KEYPOINTS

__all__ = ["DETECTED", "Seen", "boxes", "detected_class", "people", "seen"]

DETECTED: tuple[str, ...] = ("car", "van", "truck", "bus", "person", "sign")
"""Classes of boxes; a saloon, hatchback, estate or off-roader is a car, a traffic light a sign."""

_VEHICLES = {"van": "van", "lorry": "truck", "bus": "bus"}
_LEAST_PIXELS, _LEAST_SIDE = 16, 3
_LEAST_SHARE = 0.15  # of the box around the whole object, as far as that is inside the picture
_LEAST_FILL = 0.18  # of the visible box; a person with arms stretched out fills a quarter
_LEAST_HEIGHT = 18.0  # pixels: below, people get a box and no keypoints, as in COCO
# MPII's head size is 0.6 of the diagonal of the head's box (Andriluka et al., CVPR 2014); ours is 0.092 by 0.127 body
# heights.
_HEAD = 0.6 * 0.157

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is visible of an instance."""

    instance: Instance
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1: the visible pixels lie in columns x0 to x1 - 1 and rows y0 to y1 - 1."""
    pixels: int
    hard: bool
    """Too little is visible to ask for it: a few pixels, a corner behind something, flecks between leaves."""


def seen(frame: Frame, wanted: Callable[[Instance], bool]) -> list[Seen]:
    """The instances of a frame that have visible pixels, in the order of their numbers."""
    height, width = frame.instances.shape
    found = []
    for thing in frame.things:
        if not wanted(thing):
            continue
        mask = frame.instances == thing.number
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            continue
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        pixels = int(np.count_nonzero(mask))
        sides = (box[2] - box[0], box[3] - box[1])
        x0, y0, x1, y1 = thing.extent
        whole = (min(x1, width) - max(x0, 0.0)) * (min(y1, height) - max(y0, 0.0))
        hard = (
            pixels < _LEAST_PIXELS
            or min(sides) < _LEAST_SIDE
            or sides[0] * sides[1] < _LEAST_SHARE * whole
            or pixels < _LEAST_FILL * sides[0] * sides[1]
        )
        found.append(Seen(thing, box, pixels, hard))
    return found


def detected_class(thing: Instance) -> int:
    """Its index in ``DETECTED``; -1 for what has no box."""
    if thing.label == PERSON:
        return DETECTED.index("person")
    if thing.label == SIGN:
        return DETECTED.index("sign")
    if thing.label == CAR:
        return DETECTED.index(_VEHICLES.get(thing.kind, "car"))
    return -1


def boxes(frame: Frame) -> Arrays:
    """Objects in torchvision's conventions.

    Returns:
        ``boxes`` (n, 4) float64, x0, y0, x1, y1 of the visible pixels; ``labels`` (n,) int64, indices of ``DETECTED``;
        ``area`` (n,) float64, visible pixels; ``iscrowd`` (n,) int64, 1 for objects that are hardly visible, which count
        neither when found nor when missed.

    """
    objects = seen(frame, lambda thing: detected_class(thing) >= 0)
    return {**_outlines(objects), "labels": np.array([detected_class(o.instance) for o in objects], np.int64)}


def people(frame: Frame) -> Arrays:
    """People in torchvision's conventions.

    Returns:
        ``boxes``, ``area``, ``iscrowd`` as of :func:`boxes`; ``labels`` (n,) int64, 0; ``keypoints`` (n, 17, 3) float64,
        x, y and visibility 0 (outside the frame, or the person is under 18 pixels tall), 1 (hidden) or 2;
        ``num_keypoints`` (n,) int64, those above 0; ``head_size`` (n,) float64, pixels.

    """
    persons = seen(frame, lambda thing: thing.label == PERSON)
    points = np.zeros((len(persons), len(KEYPOINTS), 3))
    for k, one in enumerate(persons):
        if one.instance.keypoints is not None and one.instance.height >= _LEAST_HEIGHT:
            points[k] = one.instance.keypoints
    return {
        **_outlines(persons),
        "labels": np.zeros(len(persons), np.int64),
        "keypoints": points,
        "num_keypoints": (points[:, :, 2] > 0).sum(axis=1).astype(np.int64),
        "head_size": np.array([_HEAD * one.instance.height for one in persons], np.float64),
    }


def _outlines(objects: list[Seen]) -> Arrays:
    return {
        "boxes": np.array([one.box for one in objects], np.float64).reshape(-1, 4),
        "area": np.array([one.pixels for one in objects], np.float64),
        "iscrowd": np.array([one.hard for one in objects], np.int64),
    }
