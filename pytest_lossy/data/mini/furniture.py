"""Lamp posts, masts, bollards and fences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material, Shadow, add, scaled
from pytest_lossy.data.mini.labels import FENCE, POLE
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow

__all__ = ["FENCES", "Fence", "Pole"]

FENCES: tuple[str, ...] = ("pickets", "bars", "boards", "wall", "mesh")

_WHITE: Color = (0.72, 0.72, 0.7)
_UP: Vector = (0.0, 1.0, 0.0)
_RESOLVED = 3.0  # supersampled pixels from slat to slat


@dataclass(frozen=True, slots=True)
class Pole:
    """A lamp post, a mast or a bollard."""

    place: Place
    height: float
    radius: float
    arm: float
    """Length of the lamp's arm in metres, along the heading; 0 for none."""
    color: Color
    shift: tuple[float, float]
    label: int = POLE
    counted: bool = False

    def footprint(self, time: float) -> Footprint:
        """A square around the foot."""
        return box_footprint(self.place, time, self.radius, self.radius)

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """A long thin shadow."""
        return box_shadow(self.footprint(time), self.height, sun, self.place.height)

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw the shaft, then arm and lamp."""
        display.label = self.label
        foot = self.place.at(time)
        top = add(foot, (0.0, self.height, 0.0))
        r = self.radius
        display.limb(foot, top, r, r * 0.75, self.color, grain=(0.15, 0.15), shift=self.shift, caps=False)
        display.limb(
            foot,
            add(foot, (0.0, min(0.9, 0.3 * self.height), 0.0)),
            r * 1.35,
            r * 1.3,
            scaled(self.color, 0.8),
            caps=False,
        )
        if self.arm > 0:
            forward, _ = self.place.axes()
            end = add(top, add(scaled(forward, self.arm), (0.0, 0.25, 0.0)))
            display.limb(top, end, r * 0.6, r * 0.5, self.color, caps=False)
            lamp = add(end, scaled(forward, 0.7))
            display.limb(end, lamp, r * 1.1, r * 0.9, scaled(self.color, 0.7))
        elif self.height < 1.5:
            band = add(foot, (0.0, self.height * 0.7, 0.0))
            display.limb(band, add(band, (0.0, 0.12, 0.0)), r * 1.05, r * 1.05, _WHITE, caps=False)


@dataclass(frozen=True, slots=True)
class Fence:
    """A straight fence, railing or garden wall."""

    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    kind: str
    color: Color
    grain: float
    shift: tuple[float, float]
    ground: float = 0.0
    label: int = FENCE
    counted: bool = False

    def footprint(self, time: float) -> Footprint:
        """A thin rectangle."""
        (x0, z0), (x1, z1) = self.start, self.end
        d = math.hypot(x1 - x0, z1 - z0)
        nx, nz = 0.05 * (z1 - z0) / d, -0.05 * (x1 - x0) / d
        return ((x0 - nx, z0 - nz), (x0 + nx, z0 + nz), (x1 + nx, z1 + nz), (x1 - nx, z1 - nz))

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """A lighter shadow where the fence is open."""
        solid = self.kind in {"wall", "boards"}
        found = box_shadow(self.footprint(time), self.height, sun, self.ground)
        return found if solid else [Shadow(s.points, s.strength // 2, s.contact) for s in found]

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw slats or bars where the camera resolves them, else a sheet of the same mean colour."""
        display.label = self.label
        (x0, z0), (x1, z1) = self.start, self.end
        length = math.hypot(x1 - x0, z1 - z0)
        along: Vector = ((x1 - x0) / length, 0.0, (z1 - z0) / length)
        origin: Vector = (x0, self.ground, z0)

        def box(surface: int, a0: float, a1: float, y0: float, y1: float) -> None:
            low, high = add(origin, scaled(along, a0)), add(origin, scaled(along, a1))
            display.polygon(surface, [add(p, (0.0, y, 0.0)) for p, y in ((low, y0), (high, y0), (high, y1), (low, y1))])

        material, params, second = Material.PLAIN, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        if self.kind == "boards":
            material, params, second = Material.STRIPES, (0.16, 0.12, 1.0), scaled(self.color, 0.4)
        elif self.kind == "wall":
            material, params, second = Material.STRIPES, (0.2, 0.12, 0.0), scaled(self.color, 0.6)
        surface = display.surface(
            origin, along, _UP, self.color,
            material=material, grain=(self.grain, self.grain), shift=self.shift,
            params=params, second=second,
        )  # fmt: skip
        if self.kind in {"boards", "wall"}:
            box(surface, 0.0, length, 0.0, self.height)
            cap = display.surface(origin, along, _UP, scaled(self.color, 1.25), grain=(0.15, 0.15), shift=self.shift)
            box(cap, 0.0, length, self.height, self.height + 0.08)
            return
        step, width = {"pickets": (0.2, 0.14), "bars": (0.17, 0.06), "mesh": (0.3, 0.06)}[self.kind]
        rails = (0.25, 0.8) if self.kind != "mesh" else tuple(0.12 + 0.17 * k for k in range(5))
        thick = 0.06 if self.kind != "mesh" else 0.03
        for share in rails:
            box(surface, 0.0, length, share * self.height - thick, share * self.height + thick)
        mean = scaled(self.color, 0.8)
        sheet = display.surface(origin, along, _UP, mean, grain=(self.grain, self.grain), shift=self.shift)
        count = min(int(length / step), 160)
        for k in range(count):
            a = k * step
            at = add(origin, scaled(along, a))
            tall = self.height * (1.0 + (0.06 if self.kind == "pickets" and k % 2 else 0.0))
            if display.size_of(step, at) < _RESOLVED:
                # Too fine to resolve: the mean of slats and gaps, labelled as people label fences, closed.
                box(sheet, a, a + step, 0.04, tall)
            else:
                box(surface, a, a + width, 0.04, tall)
        post = display.surface(
            origin, along, _UP, scaled(self.color, 0.75), grain=(self.grain, self.grain), shift=self.shift
        )
        a = 0.0
        while a <= length:
            box(post, a, a + 0.12, 0.0, self.height * 1.08)
            a += 2.4
