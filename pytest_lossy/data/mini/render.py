"""A scene and a time in, a frame and its ground truth out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini import materials
from pytest_lossy.data.mini.buildings import Building
from pytest_lossy.data.mini.camera import NEAR, Camera, View
from pytest_lossy.data.mini.display import DisplayList, Material
from pytest_lossy.data.mini.labels import IGNORE, SKY
from pytest_lossy.data.mini.noise import banks
from pytest_lossy.data.mini.occlusion import back_to_front
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.raster import extents, rasterise, shadow_map
from pytest_lossy.data.mini.scene import Scene
from pytest_lossy.data.mini.sensor import develop, half_size
from pytest_lossy.data.mini.shading import shade
from pytest_lossy.data.mini.signs import Sign
from pytest_lossy.data.mini.skeleton import KEYPOINTS
from pytest_lossy.data.mini.things import Footprint, Thing
from pytest_lossy.data.mini.vehicles import Vehicle

__all__ = ["SIZE", "Frame", "Instance", "render"]

SIZE = (256, 192)
"""Width and height of a frame in pixels."""

_SUPERSAMPLING = 2
_FACE, _NOSE = 5, 0.02  # the first keypoints; body heights
_SHADOW_REACH = 100.0  # metres: beyond that a shadow is less than a pixel high


@dataclass(frozen=True, slots=True)
class Instance:
    """One vehicle, person or sign of a frame."""

    number: int
    """Its value in ``Frame.instances``."""
    label: int
    distance: float
    """Metres along the camera's axis."""
    keypoints: npt.NDArray[np.float64] | None
    """(17, 3) x, y in pixels and COCO's visibility (0 outside the frame, 1 hidden, 2 visible), for people."""
    kind: str = ""
    """The vehicle's model, the sign's kind, or ``person``."""
    extent: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """x0, y0, x1, y1 in pixels of the whole object, hidden parts and those outside the frame included."""
    height: float = 0.0
    """A person's, in pixels at its distance; 0 for others."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A rendered picture and everything that is known of it."""

    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: npt.NDArray[np.uint8]
    """(H, W) indices into ``CLASSES``, 255 where no class covers half of a pixel."""
    depth: npt.NDArray[np.float32]
    """(H, W) metres along the camera's axis, at most ``shading.FAR``."""
    instances: npt.NDArray[np.uint16]
    """(H, W) numbers of ``things``, 0 elsewhere."""
    things: tuple[Instance, ...]
    focal: float
    """Focal length in pixels; the principal point is the middle of the frame."""


def render(scene: Scene, size: tuple[int, int] = SIZE, time: float = 0.0) -> Frame:
    """Draw a scene.

    Args:
        scene: from ``sample_scene``.
        size: (width, height) in pixels.
        time: seconds after the scene's start: vehicles, walkers and the camera have moved on.

    Returns:
        The frame; the same arguments give the same bits.

    """
    noise = banks()
    camera = scene.camera_at(time)
    view = View(camera, size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    display = DisplayList(camera.position, view.focal)
    ex, ey, ez = camera.position
    # Surface 0 is the background of the raster: the cloud plane, which travels with the camera.
    display.label = SKY
    display.surface(
        (ex, ey + materials.SKY_HEIGHT, ez),
        (1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 0.0),
        material=Material.SKY,
    )
    scene.street.emit(display)
    footprints = [t.footprint(time) for t in scene.things]
    shade_of_houses = [
        s.points for t in scene.things if isinstance(t, Building) for s in t.shadows(scene.light.sun, time)
    ]
    numbers = _numbers(scene)
    for index in back_to_front(footprints, camera):
        thing = scene.things[index]
        display.instance = numbers.get(index, 0)
        display.sunlit = _sunlit(thing, footprints[index], shade_of_houses)
        thing.emit(display, time)
    for thing, corners in zip(scene.things, footprints, strict=True):
        if min(z for _, z in corners) - ez < _SHADOW_REACH:
            display.shadows.extend(thing.shadows(scene.light.sun, time))
    ids = rasterise(display, view, noise)
    shadows = shadow_map(display.shadows, view)
    shaded = shade(display, ids, shadows, view, light=scene.light, noise=noise)
    image = develop(half_size(shaded.color), scene.light.exposure, scene.sensor, time)
    labels = _vote(shaded.label)
    # Depth and instances cannot be averaged; the lower right of the four samples stands for the pixel.
    instances = np.ascontiguousarray(shaded.instance[1::2, 1::2])
    depth = np.ascontiguousarray(shaded.depth[1::2, 1::2])
    whole = extents(display, view)
    things = tuple(
        _instance(
            scene.things[index], number, camera, time, instances,
            tuple(side / _SUPERSAMPLING for side in whole.get(number, (0.0,) * 4)),
        )
        for index, number in numbers.items()
    )  # fmt: skip
    return Frame(image, labels, depth, instances, things, camera.focal * size[0])


def _numbers(scene: Scene) -> dict[int, int]:
    """Instance numbers, from 1, by index into ``scene.things``; independent of what is in view."""
    counted = [index for index, thing in enumerate(scene.things) if thing.counted]
    return {index: number for number, index in enumerate(counted, 1)}


def _sunlit(thing: Thing, footprint: Footprint, shade_of_houses: list[tuple[tuple[float, float, float], ...]]) -> float:
    """0.12 where a house shades the object's foot, else 1; houses themselves are always lit."""
    if not shade_of_houses or isinstance(thing, Building):
        return 1.0
    x = sum(p[0] for p in footprint) / len(footprint)
    z = sum(p[1] for p in footprint) / len(footprint)
    for outline in shade_of_houses:
        signs = set()
        for (x0, _, z0), (x1, _, z1) in zip(outline, (*outline[1:], outline[0]), strict=True):
            signs.add((x1 - x0) * (z - z0) - (z1 - z0) * (x - x0) > 0)
        if len(signs) == 1:
            return 0.12
    return 1.0


def _vote(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The most frequent class of each 2x2 block; the first on a tie, 255 if all four differ."""
    a, b, c, d = label[0::2, 0::2], label[0::2, 1::2], label[1::2, 0::2], label[1::2, 1::2]
    first = (a == b) | (a == c) | (a == d)
    second = (b == c) | (b == d)
    return np.where(first, a, np.where(second, b, np.where(c == d, c, np.uint8(IGNORE)))).astype(np.uint8)


def _instance(
    thing: Thing,
    number: int,
    camera: Camera,
    time: float,
    instances: npt.NDArray[np.uint16],
    extent: tuple[float, ...],
) -> Instance:
    footprint = thing.footprint(time)
    height, width = instances.shape
    x = sum(p[0] for p in footprint) / len(footprint)
    z = sum(p[1] for p in footprint) / len(footprint)
    distance = float(camera.view(np.array([[x, 0.0, z]]))[0, 2])
    keypoints, tall = None, 0.0
    if isinstance(thing, Person):
        tall = thing.height * camera.focal * width / max(distance, NEAR)
        keypoints = np.zeros((len(KEYPOINTS), 3))
        away = thing.turned_away(time, camera.position)
        for k, (px, py, pz) in enumerate(camera.view(np.array(thing.keypoints(time))).tolist()):
            if pz <= 0:
                continue
            u = px * camera.focal * width / pz + 0.5 * width
            v = 0.5 * height - py * camera.focal * width / pz
            column, row = math.floor(u), math.floor(v)
            if 0 <= column < width and 0 <= row < height:
                # Noses stick out of the ellipse that a head is drawn as.
                reach = 1 + int(_NOSE * tall) if k < _FACE else 1
                rows, columns = (slice(max(at - reach, 0), at + reach + 1) for at in (row, column))
                around = instances[rows, columns]
                keypoints[k] = (u, v, 2.0 if (around == number).any() and not away[k] else 1.0)
    kind = thing.model.name if isinstance(thing, Vehicle) else thing.kind if isinstance(thing, Sign) else "person"
    x0, y0, x1, y1 = extent
    return Instance(number, thing.label, distance, keypoints, kind, (x0, y0, x1, y1), tall)
