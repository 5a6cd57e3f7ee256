"""Scenes in which people act before a camera that is held by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from pytest_lossy.data.mini import casting
from pytest_lossy.data.mini.buildings import Building
from pytest_lossy.data.mini.camera import Camera, CameraMotion
from pytest_lossy.data.mini.motion import sample_motion
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.recipe import STAGE
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.street import KERB, Street
from pytest_lossy.data.mini.things import Place, Thing
from pytest_lossy.data.mini.trees import Tree

__all__ = ["sample_stage", "without_obstacles"]

_SALT = 77  # separates the actors' random numbers from those of the street
_LEAST_HEIGHT = 1.45  # metres
_ASPECT = 0.75  # height of a picture over its width, for which people are framed


def sample_stage(seed: int, index: int, action: str, duration: float) -> Scene:
    """Draw scene ``index`` of the world ``seed``: one to three people who do the same in their own rhythm.

    Args:
        seed: of the world.
        index: of the scene.
        action: one of ``motion.ACTIONS``.
        duration: seconds, from time 0; walkers are in the middle of the picture half-way.

    """
    scene = sample_scene(seed, index, STAGE)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, _SALT])))
    street = scene.street
    aim, camera = _view(rng, street)
    actors = [_actor(rng, street, aim, camera, action, duration)]
    for _ in range(int(rng.choice([0, 1, 2], p=[0.65, 0.25, 0.1]))):
        # Beside or behind the first one, seen from the camera.
        side, back = float(rng.choice([-1, 1])) * float(rng.uniform(0.9, 1.8)), float(rng.uniform(-0.2, 2.5))
        x = aim[0] + side * math.cos(camera.yaw) + back * math.sin(camera.yaw)
        z = aim[1] - side * math.sin(camera.yaw) + back * math.cos(camera.yaw)
        if abs(x) < _reach(street, x) - 0.2 and all(math.dist((x, z), (a.place.x, a.place.z)) > 0.8 for a in actors):
            actors.append(_actor(rng, street, (x, z), camera, action, duration))
    paths = [(a.place.at(t)[0], a.place.at(t)[2]) for a in actors for t in (0.0, duration / 2, duration)]
    things = without_obstacles(scene.things, (camera.position[0], camera.position[2]), paths)
    motion = _handling(rng, camera, actors[0], duration)
    # The camera aims at the actor half-way: what it turns until then is taken back at the start.
    camera = dataclasses.replace(camera, yaw=camera.yaw - 0.5 * motion.pan * duration)
    return dataclasses.replace(scene, camera=camera, speed=0.0, things=(*things, *actors), motion=motion)


def _reach(street: Street, x: float) -> float:
    """How far from the middle of the street the pavement ends on the side of ``x``."""
    return street.half_road + street.pavements[0 if x < 0 else 1]


def _view(rng: np.random.Generator, street: Street) -> tuple[tuple[float, float], Camera]:
    """Where the first actor is half-way, and a camera that has it in the picture at a third to three quarters."""
    focal, share = float(rng.uniform(0.8, 1.3)), casting.log_uniform(rng, 0.38, 0.75)
    distance = 1.72 * focal / (_ASPECT * share)
    x = float(rng.uniform(0.8 - _reach(street, -1.0), _reach(street, 1.0) - 0.8))
    z = float(rng.uniform(5.0, 10.0))
    yaw = float(rng.uniform(-1.1, 1.1))
    while abs(x - distance * math.sin(yaw)) > _reach(street, x - distance * math.sin(yaw)) - 0.3:
        yaw *= 0.7  # look along the street rather than out of a house
    height = float(rng.uniform(1.2, 1.8))
    pitch = math.atan2(height - 0.95, distance) + float(rng.normal(0.0, 0.025))
    position = (x - distance * math.sin(yaw), height, z - distance * math.cos(yaw))
    return (x, z), Camera(position, yaw + float(rng.normal(0.0, 0.05)), pitch, float(rng.normal(0.0, 0.015)), focal)


def _actor(
    rng: np.random.Generator, street: Street, aim: tuple[float, float], camera: Camera, action: str, duration: float
) -> Person:
    motion = sample_motion(rng, action)
    person = casting.make_person(rng, Place(*aim, 0.0), "standing")
    person = dataclasses.replace(person, height=max(person.height, _LEAST_HEIGHT))
    speed = motion.speed * person.height
    towards = math.atan2(camera.position[0] - aim[0], camera.position[2] - aim[1])
    if speed:
        # Mostly across the view, sometimes towards the camera or away from it.
        across = float(rng.choice([-1, 1])) * math.pi / 2 if rng.random() < 0.7 else float(rng.choice([0.0, math.pi]))
        heading = towards + across + float(rng.normal(0.0, 0.3))
    else:
        # A fist that comes straight at the camera hardly moves in the picture.
        aside = float(rng.choice([-1, 1])) * 0.9 if action == "punching" else 0.0
        heading = towards + aside + float(rng.normal(0.0, 0.6))
    back = 0.5 * duration * speed
    x, z = aim[0] - back * math.sin(heading), aim[1] - back * math.cos(heading)
    on_road = abs(aim[0]) < street.half_road or any(z0 < aim[1] < z1 for z0, z1 in street.crossings)
    place = Place(x, z, heading, speed, 0.0 if on_road else KERB)
    return dataclasses.replace(person, place=place, motion=motion)


def _handling(rng: np.random.Generator, camera: Camera, actor: Person, duration: float) -> CameraMotion:
    """A trembling hand that drifts, and follows an actor who walks, more or less."""
    start, end = (actor.place.at(t) for t in (0.0, duration))
    bearing = [math.atan2(p[0] - camera.position[0], p[2] - camera.position[2]) for p in (start, end)]
    turn = (bearing[1] - bearing[0] + math.pi) % (2.0 * math.pi) - math.pi
    pan = turn / duration * float(rng.uniform(0.5, 1.0)) + float(rng.normal(0.0, 0.06))
    return CameraMotion(
        pan=pan,
        tilt=float(rng.normal(0.0, 0.02)),
        strafe=float(rng.normal(0.0, 0.25)),
        shake=casting.log_uniform(rng, 0.002, 0.01),
        rate=float(rng.uniform(1.0, 2.5)),
        phase=float(rng.uniform(0.0, 2.0 * math.pi)),
    )


def without_obstacles(
    things: tuple[Thing, ...],
    eye: tuple[float, float],
    subjects: list[tuple[float, float]],
    clearance: float = 0.9,
) -> tuple[Thing, ...]:
    """All things but those that stand between the eye and a subject, on a subject, or on the eye; houses stay."""
    kept = []
    for thing in things:
        corners = thing.footprint(0.0)
        spots = [*corners, (sum(p[0] for p in corners) / len(corners), sum(p[1] for p in corners) / len(corners))]
        # Long things are sampled along their edges.
        for (x0, z0), (x1, z1) in zip(corners, (*corners[1:], corners[0]), strict=True):
            steps = int(math.dist((x0, z0), (x1, z1)))
            spots += [(x0 + (x1 - x0) * k / (steps + 1), z0 + (z1 - z0) * k / (steps + 1)) for k in range(1, steps + 1)]
        near = min(_to_segment(spot, eye, subject) for spot in spots for subject in subjects)
        crown = max(abs(u) + w for u, _, w, _ in thing.blobs) if isinstance(thing, Tree) else 0.0
        if isinstance(thing, Building) or near > clearance + 0.8 * crown:
            kept.append(thing)
    return tuple(kept)


def _to_segment(spot: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    dx, dz = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dz * dz
    share = min(max(((spot[0] - a[0]) * dx + (spot[1] - a[1]) * dz) / length, 0.0), 1.0) if length else 0.0
    return math.dist(spot, (a[0] + share * dx, a[1] + share * dz))
