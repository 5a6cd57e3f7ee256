"""The ground: road, kerbs, pavements, verges and what is painted on the road."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material
from pytest_lossy.data.mini.labels import GRASS, PAVEMENT, ROAD

__all__ = ["KERB", "Line", "Street"]

KERB = 0.12
"""Metres from the road up to the pavement."""

_BEHIND, _FAR = -6.0, 420.0
_X, _Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Line:
    """A painted quadrilateral on the road."""

    corners: tuple[tuple[float, float], ...]
    """(x, z) on the ground."""
    worn: float
    """Noise threshold: 2 is fresh, 0 half gone."""


@dataclass(frozen=True, slots=True)
class Street:
    """Cross-section of the street and its surfaces."""

    half_road: float
    pavements: tuple[float, float]
    """Widths left and right, metres."""
    verges: tuple[bool, bool]
    """Whether grass begins behind the pavement; paved otherwise."""
    crossings: tuple[tuple[float, float], ...]
    """(z0, z1) of side streets."""
    lines: tuple[Line, ...]
    road_color: Color
    pavement_color: Color
    grass_color: Color
    kerb_color: Color
    road_grain: float
    stains: float
    cracks: float
    patches: float
    slab: tuple[float, float]
    dry: float
    shift: tuple[float, float]
    exact_kerbs: bool = True
    """Kerbs have the depth of where they are; else of the plane x = 0, as in the pictures of ``recipe.STREET``."""

    def emit(self, display: DisplayList) -> None:
        """Draw the ground, the lowest layer first."""
        e = display.eye
        origin: Vector = (0.0, 0.0, 0.0)
        display.instance = 0
        near, far = e[2] + _BEHIND, e[2] + _FAR
        display.label = GRASS
        grass = display.surface(
            (0.0, 0.0, 0.0), _X, _Z, self.grass_color, material=Material.GRASS, grain=(0.18, 0.12),
            shift=self.shift, params=(self.dry,),
        )  # fmt: skip
        display.polygon(grass, _strip(-500.0, 500.0, near, far, 0.0))
        display.label = PAVEMENT
        paving = display.surface(
            (0.0, KERB, 0.0), _X, _Z, self.pavement_color, material=Material.PAVING, grain=(0.12, 0.14),
            shift=self.shift, params=(*self.slab, self.shift[0] * 7, 0.24),
        )  # fmt: skip
        kerbs = [
            display.surface(at, _Z, (0.0, 1.0, 0.0), self.kerb_color, grain=(0.15, 0.12), shift=self.shift)
            for at in ([(side * self.half_road, 0.0, 0.0) for side in (-1.0, 1.0)] if self.exact_kerbs else [origin])
        ]
        for side, width, verge in zip((-1.0, 1.0), self.pavements, self.verges, strict=True):
            inner = side * self.half_road
            outer = side * (self.half_road + (width if verge else 60.0))
            low, high = min(inner, outer), max(inner, outer)
            display.polygon(paving, _strip(low, high, near, far, KERB))
            if abs(e[0]) < self.half_road or side * e[0] < 0:
                kerb = kerbs[0 if side < 0 else -1]
                display.polygon(kerb, [(inner, 0.0, near), (inner, 0.0, far), (inner, KERB, far), (inner, KERB, near)])
            edge = display.surface((inner, KERB, 0.0), _X, _Z, self.kerb_color, grain=(0.12, 0.12), shift=self.shift)
            display.polygon(edge, _strip(inner, inner + side * 0.15, near, far, KERB))
        display.label = ROAD
        road = display.surface(
            origin, _X, _Z, self.road_color,
            material=Material.ASPHALT, grain=(self.road_grain, self.road_grain * 1.2),
            shift=self.shift, params=(self.stains, self.cracks, self.shift[1] * 11, self.patches),
        )  # fmt: skip
        display.polygon(road, _strip(-self.half_road, self.half_road, near, far, 0.0))
        for z0, z1 in self.crossings:
            display.polygon(road, _strip(-120.0, 120.0, z0, z1, 0.0))
        paints: dict[float, int] = {}
        for line in self.lines:
            if line.worn not in paints:
                paints[line.worn] = display.surface(
                    origin, _X, _Z, (0.62, 0.62, 0.59), material=Material.PAINT_LINE, grain=(0.1, 0.15),
                    shift=self.shift, params=(line.worn,), second=self.road_color,
                )  # fmt: skip
            display.polygon(paints[line.worn], [(x, 0.0, z) for x, z in line.corners])


def _strip(x0: float, x1: float, z0: float, z1: float, y: float) -> list[Vector]:
    return [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]
