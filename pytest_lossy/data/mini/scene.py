"""The scene graph: a street with everything on it, drawn from one seed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from pytest_lossy.data.mini import casting
from pytest_lossy.data.mini.buildings import Building
from pytest_lossy.data.mini.camera import Camera, CameraMotion
from pytest_lossy.data.mini.furniture import Fence
from pytest_lossy.data.mini.recipe import STREET, Recipe
from pytest_lossy.data.mini.roadside import line_street
from pytest_lossy.data.mini.sensor import Sensor
from pytest_lossy.data.mini.shading import Light
from pytest_lossy.data.mini.street import KERB, Line, Street
from pytest_lossy.data.mini.things import Footprint, Place, Thing
from pytest_lossy.data.mini.weather import sample_light

__all__ = ["Scene", "sample_scene", "scene_light"]

_TALL = 2.5
"""Vehicles taller than this (metres) are lorries and buses."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a renderer needs; immutable."""

    camera: Camera
    speed: float
    """Of the camera along its own heading, metres per second."""
    light: Light
    sensor: Sensor
    street: Street
    things: tuple[Thing, ...]
    motion: CameraMotion | None = None
    """What the camera does besides rolling along its heading."""

    def camera_at(self, time: float) -> Camera:
        """The camera after ``time`` seconds."""
        x, y, z = self.camera.position
        way = self.speed * time
        moved = (x + way * math.sin(self.camera.yaw), y, z + way * math.cos(self.camera.yaw))
        camera = dataclasses.replace(self.camera, position=moved)
        return camera if self.motion is None else self.motion.applied(camera, time)


def sample_scene(seed: int, index: int, recipe: Recipe = STREET) -> Scene:
    """Draw scene ``index`` of the world ``seed``; the same numbers give the same scene in every process."""
    rng = _generator(seed, index)
    light = sample_light(rng)
    sensor = Sensor(
        noise=casting.log_uniform(rng, 0.0015, 0.008),
        blur=float(rng.uniform(0.02, 0.07)),
        vignette=float(rng.uniform(0.0, 0.25)),
        contrast=float(rng.choice([1.18, 1.28, 1.38, 1.48])),
        seed=int(rng.integers(1 << 31)),
    )
    street = _street(rng, recipe)
    camera = _camera(rng, street, recipe)
    things: list[Thing] = []
    for side in (0, 1):
        things += [t for t in line_street(rng, street, side) if not _in_the_way(t, camera)]
    things += _skyline(rng)
    things += _traffic(rng, street, camera, recipe)
    things += _people(rng, street, camera, things, recipe)
    return Scene(camera, float(rng.choice([0.0, rng.uniform(2, 12)])), light, sensor, street, tuple(things))


def scene_light(seed: int, index: int) -> Light:
    """The light of ``sample_scene(seed, index)``, without the street."""
    return sample_light(_generator(seed, index))


def _generator(seed: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))


def _street(rng: np.random.Generator, recipe: Recipe) -> Street:
    half = float(rng.uniform(3.0, 6.5))
    crossings: list[tuple[float, float]] = []
    if rng.random() < 0.45:
        z = float(rng.uniform(10, 45))
        crossings.append((z, z + float(rng.uniform(5, 9))))
    tone = casting.log_uniform(rng, 0.09, 0.22)
    tint = 1.0 + float(rng.normal(0, 0.05))
    paved = casting.log_uniform(rng, 0.16, 0.42)
    warm = 1.0 + float(rng.normal(0.03, 0.06))
    green = casting.log_uniform(rng, 0.08, 0.16)
    shift = casting.shift_of(rng)
    grain = casting.log_uniform(rng, 0.045, 0.2)
    return Street(
        half_road=half,
        pavements=(float(rng.uniform(1.6, 4.5)), float(rng.uniform(1.6, 4.5))),
        verges=(bool(rng.random() < 0.6), bool(rng.random() < 0.6)),
        crossings=tuple(crossings),
        lines=tuple(_lines(rng, half, crossings)),
        road_color=(tone * tint, tone, tone / tint * 1.04),
        pavement_color=(paved * warm, paved, paved / warm),
        grass_color=(green * float(rng.uniform(0.5, 0.85)), green, green * float(rng.uniform(0.2, 0.4))),
        kerb_color=(paved * 1.15, paved * 1.15, paved * 1.12),
        road_grain=grain,
        stains=float(rng.uniform(0.06, 0.16)),
        cracks=float(rng.uniform(-1.5, 0.3)),
        patches=float(rng.choice([0.0, rng.uniform(0.02, 0.12)])),
        slab=(float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.3, 0.9))),
        dry=float(rng.uniform(-0.2, 0.35)),
        shift=shift,
        exact_kerbs=recipe.exact_kerbs,
    )


def _lines(rng: np.random.Generator, half: float, crossings: list[tuple[float, float]]) -> list[Line]:
    """Lane dashes, edge lines, zebra crossings and stop lines."""
    worn = float(rng.uniform(0.3, 2.2))
    found: list[Line] = []

    def box(x0: float, x1: float, z0: float, z1: float) -> None:
        found.append(Line(((x0, z0), (x1, z0), (x1, z1), (x0, z1)), worn))

    def crossed(z: float) -> bool:
        return any(z0 - 1 < z < z1 + 1 for z0, z1 in crossings)

    dash, gap, w = float(rng.uniform(1.5, 4.0)), float(rng.uniform(1.5, 6.0)), float(rng.uniform(0.06, 0.1))
    lanes = [0.0] if half < 4.8 else [-half / 3, half / 3] if rng.random() < 0.4 else [-half / 2, 0.0, half / 2]
    if rng.random() < 0.85:
        for x in lanes:
            z = float(rng.uniform(-6, 0))
            while z < 130:
                if not crossed(z + dash / 2):
                    box(x - w, x + w, z, z + dash)
                z += dash + gap
    if rng.random() < 0.45:
        for side in (-1, 1):
            x = side * (half - 0.35)
            box(x - w * 0.8, x + w * 0.8, -6, crossings[0][0] - 1 if crossings else 150)
    if rng.random() < 0.4:
        z = float(rng.uniform(5, 30))
        stripe = 0.5
        x = -half + 0.3
        while x < half - stripe:
            box(x, x + stripe, z, z + 3.0)
            x += 2 * stripe
        box(0.15, half - 0.2, z - 1.4, z - 1.0)
    if rng.random() < 0.3:
        z = float(rng.uniform(4, 18))
        x = half / 2
        found.append(Line(((x - 0.08, z), (x + 0.08, z), (x + 0.08, z + 2.2), (x - 0.08, z + 2.2)), worn))
        found.append(Line(((x - 0.4, z + 2.2), (x + 0.4, z + 2.2), (x, z + 3.6)), worn))
    return found


def _camera(rng: np.random.Generator, street: Street, recipe: Recipe) -> Camera:
    """Mostly a car's or a walker's view down the street; some higher, some askew."""
    half = street.half_road
    # A walker who looks askew looks across the road: the other way there would be a wall and nothing else.
    askew = float(rng.choice([-1, 1]))
    if rng.random() < 0.7:
        x = float(rng.uniform(-0.75, 0.75)) * half
    else:
        side = int(rng.integers(2))
        x = (-1, 1)[side] * (half + float(rng.uniform(0.3, street.pavements[side] - 0.6)))
        askew = (1.0, -1.0)[side]
    height = float(rng.uniform(1.2, 1.9)) if rng.random() < 0.75 else casting.log_uniform(rng, 1.9, 5.0)
    yaw = float(rng.normal(0, 0.12)) if rng.random() < 0.85 else askew * float(rng.uniform(0.3, 0.7))
    # Higher cameras look further down, so that the street stays in view.
    pitch = float(rng.normal(0.02, 0.045)) + 0.045 * (height - 1.5)
    camera = Camera((x, height, 0.0), yaw, pitch, float(rng.normal(0, 0.012)), casting.log_uniform(rng, 0.75, 1.35))
    if not recipe.survey:
        return camera
    # One lens, since metric depth cannot be told from a picture of unknown focal length; heights and pitches vary,
    # so that the ground plane does not give depth away by the row alone.
    height = casting.log_uniform(rng, 1.0, 6.0)
    pitch = float(rng.normal(0.02, 0.07)) + 0.04 * (height - 1.5)
    return dataclasses.replace(camera, position=(x, height, 0.0), pitch=pitch, focal=1.0)


def _skyline(rng: np.random.Generator) -> list[Thing]:
    """What stands at the end of the street: houses or trees, in haze."""
    things: list[Thing] = []
    green = rng.random() < 0.4
    x = -160.0
    z = float(rng.uniform(165, 210))
    while x < 160:
        width = float(rng.uniform(10, 26))
        if green and rng.random() < 0.8:
            tree = casting.make_tree(rng, x + width / 2, z, 0.0, "broad")
            # A wood, not a tree: wide crowns that reach the ground.
            floor = min(v - h for _, v, _, h in tree.blobs)
            blobs = tuple((u * 3, (v - floor) * 1.8, w * 3.2, h * 2.0) for u, v, w, h in tree.blobs)
            things.append(dataclasses.replace(tree, blobs=blobs, trunk_height=0.0))
        elif rng.random() < 0.85:
            height = casting.log_uniform(rng, 7, 34)
            things.append(casting.make_building(rng, (x, x + width), (z, z + 15), height))
        x += width
    return things


def _traffic(rng: np.random.Generator, street: Street, camera: Camera, recipe: Recipe) -> list[Thing]:
    """Vehicles in lanes, parked at the kerb and on side streets, none inside another or on the camera."""
    half = street.half_road
    vehicles: list[Thing] = []
    taken: list[Footprint] = []
    wanted = int(rng.integers(*recipe.vehicles))
    for _ in range(4 * wanted):
        if len(vehicles) >= wanted:
            break
        z = camera.position[2] + casting.log_uniform(rng, *recipe.vehicle_distances)
        way = str(rng.choice(["lane", "parked", "across"], p=[0.5, 0.38, 0.12]))
        if way == "parked":
            side = float(rng.choice([-1, 1]))
            place = Place(side * (half - 1.05), z, (0.0 if side > 0 else math.pi) + float(rng.normal(0, 0.03)))
        elif way == "lane":
            side = float(rng.choice([-1, 1]))
            x = side * float(rng.uniform(0.3, 0.62)) * half
            place = Place(x, z, (0.0 if side > 0 else math.pi) + float(rng.normal(0, 0.06)), float(rng.uniform(0, 14)))
        else:
            if street.crossings and rng.random() < 0.8:
                z0, z1 = street.crossings[0]
                z = float(rng.uniform(z0 + 1.2, z1 - 1.2))
            turn = float(rng.choice([-1, 1])) * math.pi / 2 + float(rng.normal(0, 0.2))
            place = Place(float(rng.uniform(-0.6, 0.6)) * half, z, turn, float(rng.uniform(0, 6)))
        vehicle = casting.make_vehicle(rng, place, shares=recipe.vehicle_kinds)
        if vehicle.model.height > _TALL and z - camera.position[2] < recipe.tall_distance:
            continue
        area = vehicle.footprint(0.0)
        if _free(area, taken, camera, 2.6):
            taken.append(area)
            vehicles.append(vehicle)
    return vehicles


def _people(
    rng: np.random.Generator, street: Street, camera: Camera, others: list[Thing], recipe: Recipe
) -> list[Thing]:
    """Walkers on both pavements and on the road; distances are log-uniform, so sizes in pixels are too."""
    taken = [t.footprint(0.0) for t in others]
    people: list[Thing] = []
    wanted = int(rng.integers(*recipe.people))
    for _ in range((15 if recipe.in_view else 5) * wanted):
        if len(people) >= wanted:
            break
        distance = casting.log_uniform(rng, *recipe.people_distances)
        z = camera.position[2] + distance
        where = float(rng.random())
        if where < 0.72:
            side = int(rng.integers(2))
            x = (-1, 1)[side] * (street.half_road + float(rng.uniform(0.3, street.pavements[side])))
            heading, ground = float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.5)), KERB
        else:
            x = float(rng.uniform(-1, 1)) * street.half_road * 0.95
            heading, ground = float(rng.choice([-1, 1])) * math.pi / 2 + float(rng.normal(0, 0.5)), 0.0
        if any(z0 < z < z1 for z0, z1 in street.crossings):
            ground = 0.0
        if recipe.in_view and not _in_view(camera, x, z):
            continue
        place = Place(x, z, heading, float(rng.uniform(0.8, 1.6)), ground)
        person = casting.make_person(rng, place, shares=recipe.poses)
        if _free(person.footprint(0.0), taken, camera, 2.2):
            taken.append(person.footprint(0.0))
            people.append(person)
    return people


def _in_view(camera: Camera, x: float, z: float) -> bool:
    """Whether the picture's columns reach a place on the ground."""
    bearing = math.atan2(x - camera.position[0], z - camera.position[2]) - camera.yaw
    return abs(math.tan(bearing)) * camera.focal < 0.5


def _in_the_way(thing: Thing, camera: Camera) -> bool:
    """Whether a post or bush would cover half of the view."""
    if isinstance(thing, Building | Fence):
        return False
    corners = thing.footprint(0.0)
    x, z = sum(p[0] for p in corners) / len(corners), sum(p[1] for p in corners) / len(corners)
    return math.hypot(x - camera.position[0], z - camera.position[2]) < 3.0


def _free(area: Footprint, taken: list[Footprint], camera: Camera, clearance: float) -> bool:
    """Whether a footprint keeps clear of others (by bounding boxes) and of the camera."""
    x0, x1 = min(p[0] for p in area) - 0.15, max(p[0] for p in area) + 0.15
    z0, z1 = min(p[1] for p in area) - 0.15, max(p[1] for p in area) + 0.15
    ex, ez = camera.position[0], camera.position[2]
    if x0 - clearance < ex < x1 + clearance and z0 - clearance < ez < z1 + clearance:
        return False
    for other in taken:
        if (
            min(p[0] for p in other) < x1 and max(p[0] for p in other) > x0
            and min(p[1] for p in other) < z1 and max(p[1] for p in other) > z0
        ):  # fmt: skip
            return False
    return True
