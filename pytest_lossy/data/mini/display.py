"""The display list: what objects emit and the rasteriser draws.

An object registers *surfaces* (a plane with texture axes, a colour, a label) and then polygons or ragged
masks on them, back to front. Rasterising writes surface numbers only; colours are computed once per visible
pixel.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_lossy.data.mini.camera import Vector

__all__ = [
    "Color",
    "DisplayList",
    "Leaves",
    "Material",
    "Shadow",
    "add",
    "circle",
    "cross",
    "dot",
    "scaled",
    "unit",
]

Color = tuple[float, float, float]
"""Linear reflectance of red, green and blue, 0..1."""


class Material(enum.IntEnum):
    """How the shader turns texture coordinates into a colour."""

    PLAIN = 0
    SKY = 1
    ASPHALT = 2
    PAVING = 3
    GRASS = 4
    PAINT_LINE = 5
    FACADE = 6
    FOLIAGE = 7
    GLOSS = 8
    GLASS = 9
    STRIPES = 10


@dataclass(frozen=True, slots=True)
class Leaves:
    """A ragged silhouette on a plane that faces the camera: a crown, a hedge, a tree line."""

    surface: int
    blobs: tuple[tuple[float, float, float, float], ...]
    """Ellipses (u, v, half width, half height) in metres from the surface's origin."""
    ragged: float
    """How far noise pushes the outline, in blob radii."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A darkened polygon on the ground."""

    points: tuple[Vector, ...]
    strength: int
    """0..255, the share of direct light that is blocked."""
    contact: bool = False
    """Blocks sky light too: the dark rim where an object touches the ground."""


def add(a: Vector, b: Vector) -> Vector:
    """Sum of two vectors."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def scaled(a: Vector, k: float) -> Vector:
    """``a`` times ``k``."""
    return (a[0] * k, a[1] * k, a[2] * k)


def dot(a: Vector, b: Vector) -> float:
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """Vector product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def unit(a: Vector) -> Vector:
    """``a`` with length 1; a zero vector becomes straight up."""
    length = math.sqrt(dot(a, a))
    return scaled(a, 1.0 / length) if length > 1e-9 else (0.0, 1.0, 0.0)


@dataclass(slots=True)
class DisplayList:
    """Surfaces, and the drawing commands of one frame in painter's order."""

    eye: Vector
    """The camera's position: objects leave out the faces that look away from it."""
    pixels_per_radian: float
    """The supersampled focal length: objects leave out details that would stay under a pixel."""
    rows: list[tuple[float, ...]] = field(default_factory=list)
    commands: list[tuple[int, Sequence[Vector]] | Leaves] = field(default_factory=list)
    shadows: list[Shadow] = field(default_factory=list)
    sunlit: float = 1.0
    """Direct light on the surfaces registered from now on, 0..1."""
    instance: int = 0
    label: int = 0

    def size_of(self, metres: float, at: Vector) -> float:
        """Supersampled pixels that ``metres`` span at a place."""
        d = math.dist(at, self.eye)
        return metres * self.pixels_per_radian / max(d, 0.5)

    def surface(
        self,
        origin: Vector,
        u: Vector,
        v: Vector,
        color: Color,
        *,
        material: Material = Material.PLAIN,
        grain: tuple[float, float] = (0.1, 0.1),
        shift: tuple[float, float] = (0.0, 0.0),
        round_u: float = 0.0,
        round_v: float = 0.0,
        params: Sequence[float] = (),
        second: Color = (0.0, 0.0, 0.0),
        glow: float = 0.0,
    ) -> int:
        """Register a plane.

        Args:
            origin: where the texture coordinates are zero; moves with the object that owns the surface.
            u: unit vector of the first texture axis.
            v: unit vector of the second, orthogonal to ``u``.
            color: reflectance.
            material: the shading rule.
            grain: texture contrast from the coarse and from the fine noise bank.
            shift: where in the noise this surface starts, metres, so that no two look alike.
            round_u: radius in metres of the cylinder that the surface stands for across ``u``; 0 is flat.
            round_v: as ``round_u``, across ``v``.
            params: up to six numbers for the material.
            second: another colour for the material.
            glow: emitted light, as a share of white.

        Returns:
            The surface's number, 0 first.

        """
        padded = (*params, *(0.0,) * (6 - len(params)))
        curved = (1.0 / round_u if round_u else 0.0, 1.0 / round_v if round_v else 0.0)
        self.rows.append(
            (
                *origin, *u, *v, *color, *grain, *shift, *curved, self.sunlit, glow, *padded, *second,
                float(material), float(self.label), float(self.instance),
            )
        )  # fmt: skip
        return len(self.rows) - 1

    def flat(
        self,
        points: Sequence[Vector],
        color: Color,
        *,
        material: Material = Material.PLAIN,
        grain: tuple[float, float] = (0.1, 0.1),
        shift: tuple[float, float] = (0.0, 0.0),
        params: Sequence[float] = (),
        second: Color = (0.0, 0.0, 0.0),
        glow: float = 0.0,
    ) -> int:
        """Register the plane through a polygon's first three points and draw the polygon on it."""
        u = unit(add(points[1], scaled(points[0], -1.0)))
        w = add(points[2], scaled(points[0], -1.0))
        v = unit(add(w, scaled(u, -dot(w, u))))
        number = self.surface(
            points[0], u, v, color,
            material=material, grain=grain, shift=shift, params=params, second=second, glow=glow,
        )  # fmt: skip
        self.commands.append((number, points))
        return number

    def polygon(self, surface: int, points: Sequence[Vector]) -> None:
        """Draw a polygon (at least three world points, on the surface's plane) over what is there."""
        self.commands.append((surface, points))

    def leaves(self, surface: int, blobs: Sequence[tuple[float, float, float, float]], ragged: float) -> None:
        """Draw a ragged silhouette over what is there."""
        self.commands.append(Leaves(surface, tuple(blobs), ragged))

    def limb(
        self,
        start: Vector,
        end: Vector,
        radius_start: float,
        radius_end: float,
        color: Color,
        *,
        material: Material = Material.PLAIN,
        grain: tuple[float, float] = (0.12, 0.12),
        shift: tuple[float, float] = (0.0, 0.0),
        params: Sequence[float] = (),
        second: Color = (0.0, 0.0, 0.0),
        caps: bool = True,
    ) -> int:
        """Draw a round rod from ``start`` to ``end`` (arm, trunk, pole), turned towards the camera."""
        axis = unit(add(end, scaled(start, -1.0)))
        middle = scaled(add(start, end), 0.5)
        across = unit(cross(axis, add(self.eye, scaled(middle, -1.0))))
        number = self.surface(
            start, across, axis, color, material=material, grain=grain, shift=shift,
            round_u=max(radius_start, radius_end), params=params, second=second,
        )  # fmt: skip
        a, b = scaled(across, radius_start), scaled(across, radius_end)
        outline = [add(start, scaled(a, -1.0)), add(start, a), add(end, b), add(end, scaled(b, -1.0))]
        if caps:
            top, low = scaled(axis, 0.7 * radius_end), scaled(axis, -0.7 * radius_start)
            outline = [
                add(start, scaled(a, -1.0)),
                add(add(start, scaled(a, -0.55)), low),
                add(add(start, scaled(a, 0.55)), low),
                add(start, a),
                add(end, b),
                add(add(end, scaled(b, 0.55)), top),
                add(add(end, scaled(b, -0.55)), top),
                add(end, scaled(b, -1.0)),
            ]
        self.commands.append((number, outline))
        return number

    def disc(
        self,
        centre: Vector,
        u: Vector,
        v: Vector,
        radius: float,
        color: Color,
        *,
        squash: float = 1.0,
        sides: int = 14,
        bulge: bool = False,
        material: Material = Material.PLAIN,
        grain: tuple[float, float] = (0.08, 0.08),
        shift: tuple[float, float] = (0.0, 0.0),
        glow: float = 0.0,
    ) -> int:
        """Draw an ellipse of half axes ``radius`` along ``u`` and ``radius * squash`` along ``v``."""
        number = self.surface(
            centre, u, v, color, material=material, grain=grain, shift=shift, glow=glow,
            round_u=radius * 1.05 if bulge else 0.0, round_v=radius * squash * 1.05 if bulge else 0.0,
        )  # fmt: skip
        self.commands.append((number, circle(centre, u, v, (radius, radius * squash), sides)))
        return number


def circle(centre: Vector, u: Vector, v: Vector, radii: tuple[float, float], sides: int) -> list[Vector]:
    """Corners of a regular polygon stretched to half axes ``radii``."""
    ru, rv = radii
    points = []
    for k in range(sides):
        angle = 2.0 * math.pi * (k + 0.5) / sides
        points.append(add(centre, add(scaled(u, ru * math.cos(angle)), scaled(v, rv * math.sin(angle)))))
    return points
