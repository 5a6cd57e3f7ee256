"""Clips of a scene: the times of the frames, and paths on which nothing runs into anything."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini.camera import Camera
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.render import Frame, render
from pytest_lossy.data.mini.scene import Scene
from pytest_lossy.data.mini.things import Footprint, Thing
from pytest_lossy.data.mini.vehicles import Vehicle

__all__ = ["around", "render_clip", "settled"]

_CLEARANCE = 1.0  # metres between the camera and whatever it passes
_MOMENTS = 5


def around(frames: int, fps: float) -> tuple[float, ...]:
    """Times in seconds of a clip whose middle frame, number ``frames // 2``, is at time 0."""
    return tuple((t - frames // 2) / fps for t in range(frames))


def render_clip(
    scene: Scene, size: tuple[int, int], times: Sequence[float], labelled: int
) -> tuple[npt.NDArray[np.uint8], Frame]:
    """Draw a scene at several times.

    Returns:
        (T, H, W, 3) pictures, and the whole frame number ``labelled``. At time 0 that is the still of the scene, bit
        for bit.

    """
    calm = settled(scene, times)
    drawn = [render(calm, size, time) for time in times]
    return np.stack([frame.image for frame in drawn]), drawn[labelled]


def settled(scene: Scene, times: Sequence[float]) -> Scene:
    """The same scene at time 0, with everything at rest that would run into something between the times.

    The camera slows down before it hits anything, or stands; vehicles and walkers whose paths cross stand.
    """
    moments = sorted({*np.linspace(min(times), max(times), _MOMENTS).tolist(), 0.0})
    things = list(scene.things)
    while (stopped := _first_collision(things, moments)) is not None:
        things[stopped] = _at_rest(things[stopped])
    calm = dataclasses.replace(scene, things=tuple(things))
    for share in (1.0, 0.5, 0.25, 0.0):
        calm = dataclasses.replace(calm, speed=scene.speed * share)
        if all(_free_view(calm.camera_at(moment), things, moment) for moment in moments):
            break
    return calm


def _moves(thing: Thing) -> bool:
    return isinstance(thing, Vehicle | Person) and thing.place.speed != 0.0


def _acts(thing: Thing) -> bool:
    return isinstance(thing, Person) and thing.motion is not None


def _at_rest(thing: Thing) -> Thing:
    if not isinstance(thing, Vehicle | Person):
        return thing
    return dataclasses.replace(thing, place=dataclasses.replace(thing.place, speed=0.0))


def _first_collision(things: list[Thing], moments: Sequence[float]) -> int | None:
    """The first moving thing that overlaps another at one of the moments though it does not at time 0."""
    boxes = np.array([[_box(thing.footprint(moment)) for moment in (0.0, *moments)] for thing in things])
    # Actors last: whoever crosses their way stands first.
    for index in sorted(range(len(things)), key=lambda k: _acts(things[k])):
        if not _moves(things[index]):
            continue
        own = boxes[index]
        overlaps = (
            (boxes[..., 0] < own[:, 1])
            & (boxes[..., 1] > own[:, 0])
            & (boxes[..., 2] < own[:, 3])
            & (boxes[..., 3] > own[:, 2])
        )
        overlaps[index] = False
        if (overlaps[:, 1:] & ~overlaps[:, :1]).any():
            return index
    return None


def _box(footprint: Footprint) -> tuple[float, float, float, float]:
    """x0, x1, z0, z1."""
    x, z = [p[0] for p in footprint], [p[1] for p in footprint]
    return (min(x), max(x), min(z), max(z))


def _free_view(camera: Camera, things: Sequence[Thing], moment: float) -> bool:
    """Whether nothing stands within arm's reach of the camera."""
    ex, _, ez = camera.position
    for thing in things:
        x0, x1, z0, z1 = _box(thing.footprint(moment))
        if math.hypot(ex - min(max(ex, x0), x1), ez - min(max(ez, z0), z1)) < _CLEARANCE:
            return False
    return True
