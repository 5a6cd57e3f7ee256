"""Single objects, framed by a long lens: signs, vehicles and trees."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from pytest_lossy.data.mini import casting
from pytest_lossy.data.mini.camera import Camera
from pytest_lossy.data.mini.recipe import CLOSE_UP
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.sign_faces import CLOSE_SIGNS
from pytest_lossy.data.mini.signs import Sign
from pytest_lossy.data.mini.stage import without_obstacles
from pytest_lossy.data.mini.street import KERB, Street
from pytest_lossy.data.mini.things import Place, Thing
from pytest_lossy.data.mini.vehicle_models import MODELS

__all__ = ["OBJECTS", "sample_close_up"]

_SALT = 78  # separates the object's random numbers from those of the street
_VEHICLES = ("saloon", "hatchback", "estate", "van")
_TREES = {"broad-leaved": "broad", "conifer": "conifer"}

OBJECTS: tuple[str, ...] = (*(sign.replace("_", "-") for sign in CLOSE_SIGNS), *_VEHICLES, *_TREES)
"""Classes of close-ups, in label order."""


def sample_close_up(seed: int, index: int, kind: str) -> Scene:
    """Draw scene ``index`` of the world ``seed`` with one object of ``kind`` (of ``OBJECTS``) in the middle.

    The object spans 0.28 to 0.95 of the picture, so that its details are one to a few pixels wide.
    """
    scene = sample_scene(seed, index, CLOSE_UP)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, _SALT])))
    z = float(rng.uniform(9.0, 20.0))
    if kind in _VEHICLES:
        thing, centre, across, distance = _vehicle(rng, scene.street, kind, z)
    elif kind in _TREES:
        thing, centre, across, distance = _tree(rng, scene.street, kind, z)
    else:
        thing, centre, across, distance = _sign(rng, scene.street, kind, z)
    camera = _aimed(rng, scene.street, centre, across, distance, 0.28 if isinstance(thing, Sign) else 0.5)
    eye = (camera.position[0], camera.position[2])
    spot = (centre[0], centre[2])
    subjects = [spot, *((spot[0] + side * across / 2, spot[1]) for side in (-1, 1))]
    # The only sign, vehicle or tree, or there would be two objects to choose from.
    others = tuple(other for other in scene.things if type(other) is not type(thing))
    if isinstance(thing, Sign):
        heading = math.atan2(eye[0] - centre[0], eye[1] - centre[2]) + float(rng.normal(0.0, 0.4))
        thing = dataclasses.replace(thing, place=dataclasses.replace(thing.place, heading=heading))
    things = without_obstacles(others, eye, subjects, clearance=1.2)
    return dataclasses.replace(scene, camera=camera, speed=0.0, things=(*things, thing))


_Framed = tuple[Thing, tuple[float, float, float], float, float]
"""An object, the middle of what is to be seen of it, its width in metres, and from how far away it is seen."""


def _sign(rng: np.random.Generator, street: Street, kind: str, z: float) -> _Framed:
    side = float(rng.choice([-1, 1]))
    x = side * (street.half_road + float(rng.uniform(0.4, 1.2)))
    sign = casting.make_sign(rng, x, z, KERB, math.pi)
    sign = dataclasses.replace(sign, kind=kind.replace("-", "_"), size=float(rng.uniform(0.32, 0.45)))
    return sign, (x, KERB + sign.height, z), 2.2 * sign.size, float(rng.uniform(6.0, 11.0))


def _vehicle(rng: np.random.Generator, street: Street, kind: str, z: float) -> _Framed:
    x = float(rng.uniform(-0.55, 0.55)) * street.half_road
    number = [model.name for model in MODELS].index(kind)
    vehicle = casting.make_vehicle(rng, Place(x, z, float(rng.uniform(-math.pi, math.pi))), number)
    return vehicle, (x, 0.5 * vehicle.model.height, z), 0.9 * vehicle.model.length, float(rng.uniform(10.0, 16.0))


def _tree(rng: np.random.Generator, street: Street, kind: str, z: float) -> _Framed:
    side = int(rng.integers(2))
    x = (-1, 1)[side] * (street.half_road + 0.7)
    tree = casting.make_tree(rng, x, z, 0.0, _TREES[kind])
    wide = max(u + w for u, _, w, _ in tree.blobs) - min(u - w for u, _, w, _ in tree.blobs)
    tall = max(v + h for _, v, _, h in tree.blobs)
    return tree, (x, 0.5 * tall, z), max(wide, tall), float(rng.uniform(12.0, 18.0))


def _aimed(
    rng: np.random.Generator,
    street: Street,
    centre: tuple[float, float, float],
    across: float,
    distance: float,
    least: float,
) -> Camera:
    """A camera on the road, so that no house is in the way, with the object near the middle of a square picture."""
    share = casting.log_uniform(rng, least, 0.95)
    x = float(rng.uniform(-0.9, 0.9)) * street.half_road
    bearing = math.asin(min(max((centre[0] - x) / distance, -0.7), 0.7))
    height = float(rng.uniform(1.2, 2.2))
    position = (centre[0] - distance * math.sin(bearing), height, centre[2] - distance * math.cos(bearing))
    focal = share * distance / across
    pitch = math.atan2(height - centre[1], distance)
    # Off the middle by up to six tenths of the margin around the object.
    aside, down = (float(rng.uniform(-0.3, 0.3)) * (1.0 - share) / focal for _ in range(2))
    return Camera(position, bearing + aside, pitch + down, float(rng.normal(0.0, 0.03)), focal)
