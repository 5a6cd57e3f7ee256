"""What every object in a street has: a place, a footprint, a way to draw itself and a shadow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import DisplayList, Shadow

__all__ = ["Footprint", "Place", "Thing", "box_footprint", "box_shadow", "hull"]

Footprint = tuple[tuple[float, float], ...]
"""Corners (x, z) of a convex outline on the ground, in metres."""


class Thing(Protocol):
    """One object of the scene graph; immutable, so that a scene can be rendered at any time."""

    @property
    def label(self) -> int:
        """The class of most of its pixels."""

    @property
    def counted(self) -> bool:
        """Whether it is an instance (vehicles, people, signs) and not scenery."""

    def footprint(self, time: float) -> Footprint:
        """Where it stands after ``time`` seconds."""

    def emit(self, display: DisplayList, time: float) -> None:
        """Append its surfaces and drawing commands, back to front."""

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """What it darkens on the ground; ``sun`` points at the sun, its y is 0 or less when overcast."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position on the ground, a heading and a speed along it."""

    x: float
    z: float
    heading: float
    """Radians from the street's axis (+z) towards +x."""
    speed: float = 0.0
    """Metres per second."""
    height: float = 0.0
    """Of the ground there: kerbs are 0.12 m."""

    def at(self, time: float) -> Vector:
        """The position after ``time`` seconds."""
        way = self.speed * time
        return (self.x + way * math.sin(self.heading), self.height, self.z + way * math.cos(self.heading))

    def axes(self) -> tuple[Vector, Vector]:
        """Unit vectors forward and to the right."""
        s, c = math.sin(self.heading), math.cos(self.heading)
        return (s, 0.0, c), (c, 0.0, -s)


def box_footprint(place: Place, time: float, half_width: float, half_length: float) -> Footprint:
    """A rectangle around a place, turned by its heading."""
    x, _, z = place.at(time)
    (fx, _, fz), (rx, _, rz) = place.axes()
    return tuple(
        (x + a * half_width * rx + b * half_length * fx, z + a * half_width * rz + b * half_length * fz)
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )


def hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Convex hull in order (Andrew 1979)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(sequence: list[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for p in sequence:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (p[1] - ay) - (by - ay) * (p[0] - ax) > 0:
                    break
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return half(ordered) + half(ordered[::-1])


def box_shadow(
    footprint: Footprint, height: float, sun: Vector, ground: float = 0.0, contact: bool = True
) -> list[Shadow]:
    """The shadow of an upright box, and the dark rim below it."""
    found = []
    if sun[1] > 0:
        k = height / sun[1]
        far = [(x - sun[0] * k, z - sun[2] * k) for x, z in footprint]
        outline = hull([*footprint, *far])
        found.append(Shadow(tuple((x, ground + 0.01, z) for x, z in outline), 235))
    if contact:
        cx = sum(x for x, _ in footprint) / len(footprint)
        cz = sum(z for _, z in footprint) / len(footprint)
        rim = tuple((cx + 1.06 * (x - cx), ground + 0.01, cz + 1.06 * (z - cz)) for x, z in footprint)
        found.append(Shadow(rim, 170, contact=True))
    return found
