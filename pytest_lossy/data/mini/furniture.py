"""Poles, lamps, traffic signs, traffic lights, bollards and fences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material, Shadow, add, circle, scaled
from pytest_lossy.data.mini.labels import FENCE, POLE, SIGN
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow

__all__ = ["FENCES", "SIGNS", "Fence", "Pole", "Sign"]

SIGNS: tuple[str, ...] = (
    "limit", "no_entry", "warning", "give_way", "stop", "mandatory", "crossing", "priority", "direction", "lights",
)  # fmt: skip
FENCES: tuple[str, ...] = ("pickets", "bars", "boards", "wall", "mesh")

_RED: Color = (0.5, 0.02, 0.025)
_WHITE: Color = (0.72, 0.72, 0.7)
_BLUE: Color = (0.02, 0.08, 0.38)
_BLACK: Color = (0.02, 0.02, 0.02)
_YELLOW: Color = (0.7, 0.45, 0.02)
_UP: Vector = (0.0, 1.0, 0.0)


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
class Sign:
    """A traffic sign, or a traffic light, on a pole."""

    place: Place
    """The face looks along the heading."""
    kind: str
    size: float
    """Half width of the face in metres."""
    height: float
    """Of the face's middle."""
    variant: int
    """Chooses digits, arrows, the lit lamp and the colour of boards."""
    fade: float
    """0 new, 1 bleached."""
    shift: tuple[float, float]
    label: int = SIGN
    counted: bool = True

    def footprint(self, time: float) -> Footprint:
        """A thin rectangle as wide as the face."""
        return box_footprint(self.place, time, self.size, 0.06)

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """The pole's shadow and the face's."""
        found = box_shadow(box_footprint(self.place, time, 0.05, 0.05), self.height, sun, self.place.height)
        if sun[1] > 0:
            ring = []
            x, _, z = self.place.at(time)
            for k in range(8):
                angle = 2 * math.pi * k / 8
                _, right = self.place.axes()
                y = self.height + self.size * math.sin(angle)
                t = y / sun[1]
                a = self.size * math.cos(angle)
                ring.append(
                    (x + a * right[0] - sun[0] * t, self.place.height + 0.01, z + a * right[2] - sun[2] * t)
                )
            found.append(Shadow(tuple(ring), 235))
        return found

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw the pole, then the face."""
        foot = self.place.at(time)
        centre = add(foot, (0.0, self.height, 0.0))
        forward, right = self.place.axes()
        counted, display.instance = display.instance, 0  # the instance is the sign's face, not its pole
        display.label = POLE
        top = add(centre, (0.0, self.size * 0.6, 0.0))
        display.limb(foot, top, 0.05, 0.05, (0.3, 0.31, 0.32), grain=(0.15, 0.1), caps=False)
        display.label, display.instance = self.label, counted
        middle = add(centre, scaled(forward, 0.06))
        towards = add(display.eye, scaled(middle, -1.0))
        if towards[0] * forward[0] + towards[2] * forward[2] < 0:
            across = circle(
                add(centre, scaled(forward, -0.01)),
                right,
                _UP,
                self.size,
                self.size,
                4 if self.kind in {"direction", "crossing"} else 12,
            )
            display.flat(across, (0.28, 0.29, 0.3), grain=(0.12, 0.1), shift=self.shift)
            return
        self._face(display, middle, scaled(right, -1.0))

    def _ink(self, color: Color) -> Color:
        f = 0.45 * self.fade
        return (color[0] * (1 - f) + 0.4 * f, color[1] * (1 - f) + 0.4 * f, color[2] * (1 - f) + 0.4 * f)

    def _face(self, display: DisplayList, centre: Vector, right: Vector) -> None:
        s = self.size
        surfaces: dict[Color, int] = {}

        def fill(color: Color, outline: list[tuple[float, float]], glow: float = 0.0) -> None:
            """A polygon in face coordinates: -1..1 to the right and up."""
            key = (color[0], color[1], color[2] + glow)
            if key not in surfaces:
                surfaces[key] = display.surface(
                    centre, right, _UP, self._ink(color), grain=(0.1, 0.06), shift=self.shift, glow=glow
                )
            display.polygon(
                surfaces[key], [add(centre, add(scaled(right, x * s), (0.0, y * s, 0.0))) for x, y in outline]
            )

        def disc(color: Color, r: float, x: float = 0.0, y: float = 0.0, glow: float = 0.0) -> None:
            fill(
                color,
                [(x + r * math.cos(a * math.pi / 9), y + r * math.sin(a * math.pi / 9)) for a in range(18)],
                glow,
            )

        def box(color: Color, x0: float, x1: float, y0: float, y1: float) -> None:
            fill(color, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

        fine = display.size_of(s, centre) > 4.0
        kind, v = self.kind, self.variant
        if kind == "limit":
            disc(_RED, 1.0)
            disc(_WHITE, 0.74)
            if fine:
                for x in (-0.3, 0.3):
                    box(_BLACK, x - 0.2, x + 0.2, -0.38, 0.38)
                    if x > 0 or v % 2:
                        box(_WHITE, x - 0.07, x + 0.07, -0.24, 0.24)
                    else:
                        box(_WHITE, x - 0.2, x + 0.06, 0.06, 0.22)
                        box(_WHITE, x - 0.06, x + 0.2, -0.22, -0.08)
        elif kind == "no_entry":
            disc(_RED, 1.0)
            box(_WHITE, -0.68, 0.68, -0.17, 0.17)
        elif kind == "warning":
            fill(_RED, [(-1.05, -0.75), (1.05, -0.75), (0.0, 1.05)])
            fill(_WHITE, [(-0.68, -0.53), (0.68, -0.53), (0.0, 0.63)])
            if fine:
                box(_BLACK, -0.1, 0.1, -0.16, 0.28)
                disc(_BLACK, 0.11, 0.0, -0.34)
        elif kind == "give_way":
            fill(_RED, [(-1.05, 0.75), (0.0, -1.05), (1.05, 0.75)])
            fill(_WHITE, [(-0.64, 0.5), (0.0, -0.6), (0.64, 0.5)])
        elif kind == "stop":
            octagon = [
                (math.cos((k + 0.5) * math.pi / 4), math.sin((k + 0.5) * math.pi / 4)) for k in range(8)
            ]
            fill(_WHITE, octagon)
            fill(_RED, [(x * 0.93, y * 0.93) for x, y in octagon])
            if fine:
                for k in range(4):
                    box(_WHITE, -0.66 + 0.35 * k, -0.43 + 0.35 * k, -0.26, 0.26)
                    box(_RED, -0.6 + 0.35 * k, -0.49 + 0.35 * k, -0.1 + 0.05 * k, 0.1)
        elif kind == "mandatory":
            disc(_WHITE, 1.0)
            disc(_BLUE, 0.93)
            if fine:
                arrow = [
                    (-0.6, -0.12),
                    (0.1, -0.12),
                    (0.1, -0.42),
                    (0.62, 0.0),
                    (0.1, 0.42),
                    (0.1, 0.12),
                    (-0.6, 0.12),
                ]
                turned = [((x, y), (-x, y), (y, x), (-y, -x))[v % 4] for x, y in arrow]
                fill(_WHITE, turned)
        elif kind == "crossing":
            box(_WHITE, -1.0, 1.0, -1.0, 1.0)
            box(_BLUE, -0.92, 0.92, -0.92, 0.92)
            if fine:
                fill(_WHITE, [(-0.7, -0.65), (0.7, -0.65), (0.0, 0.75)])
                disc(_BLACK, 0.1, 0.0, 0.32)
                fill(
                    _BLACK,
                    [
                        (-0.08, 0.2),
                        (0.1, 0.2),
                        (0.28, -0.5),
                        (0.14, -0.5),
                        (0.0, -0.1),
                        (-0.2, -0.5),
                        (-0.32, -0.5),
                    ],
                )
        elif kind == "priority":
            fill(_WHITE, [(1.05, 0.0), (0.0, 1.05), (-1.05, 0.0), (0.0, -1.05)])
            fill(_YELLOW, [(0.68, 0.0), (0.0, 0.68), (-0.68, 0.0), (0.0, -0.68)])
        elif kind == "direction":
            board = (_BLUE, (0.02, 0.22, 0.08), _YELLOW, _WHITE)[v % 4]
            ink = _BLACK if v % 4 > 1 else _WHITE
            box(ink, -1.7, 1.7, -1.0, 1.0)
            box(board, -1.62, 1.62, -0.92, 0.92)
            if fine:
                for row in range(3):
                    end = -0.9 + 0.5 * ((v * (row + 3)) % 5)
                    x = -1.3
                    while x < end + 0.3:
                        box(ink, x, x + 0.2, 0.38 - 0.55 * row, 0.68 - 0.55 * row)
                        x += 0.28
                fill(
                    ink,
                    [(0.9, -0.5), (1.1, -0.5), (1.1, 0.2), (1.3, 0.2), (1.0, 0.65), (0.7, 0.2), (0.9, 0.2)],
                )
        else:  # lights
            box(_BLACK, -0.55, 0.55, -1.25, 1.25)
            on = v % 3
            lamps: tuple[Color, ...] = ((0.9, 0.05, 0.03), (0.95, 0.5, 0.03), (0.05, 0.8, 0.35))
            for k, color in enumerate(lamps):
                disc(
                    color if k == on else scaled(color, 0.1),
                    0.32,
                    0.0,
                    0.8 - 0.8 * k,
                    0.8 if k == on else 0.0,
                )


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
            display.polygon(
                surface, [add(p, (0.0, y, 0.0)) for p, y in ((low, y0), (high, y0), (high, y1), (low, y1))]
            )

        material, params, second = Material.PLAIN, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        if self.kind == "boards":
            material, params, second = Material.STRIPES, (0.16, 0.12, 1.0), scaled(self.color, 0.4)
        elif self.kind == "wall":
            material, params, second = Material.STRIPES, (0.2, 0.12, 0.0), scaled(self.color, 0.6)
        surface = display.surface(
            origin, along, _UP, self.color, material=material, grain=(self.grain, self.grain), shift=self.shift,
            params=params, second=second,
        )  # fmt: skip
        if self.kind in {"boards", "wall"}:
            box(surface, 0.0, length, 0.0, self.height)
            cap = display.surface(
                origin, along, _UP, scaled(self.color, 1.25), grain=(0.15, 0.15), shift=self.shift
            )
            box(cap, 0.0, length, self.height, self.height + 0.08)
            return
        step, width = {"pickets": (0.2, 0.11), "bars": (0.16, 0.035), "mesh": (0.3, 0.03)}[self.kind]
        rails = (0.25, 0.8) if self.kind != "mesh" else tuple(0.12 + 0.17 * k for k in range(5))
        thick = 0.05 if self.kind != "mesh" else 0.02
        for share in rails:
            box(surface, 0.0, length, share * self.height - thick, share * self.height + thick)
        count = min(int(length / step), 160)
        for k in range(count):
            a = k * step
            at = add(origin, scaled(along, a))
            tall = self.height * (1.0 + (0.06 if self.kind == "pickets" and k % 2 else 0.0))
            # Far pickets would alias: draw every second one twice as wide, and so on.
            stride = max(1, int(0.9 / max(display.size_of(step, at), 0.05)))
            if k % stride == 0:
                box(surface, a, a + width * stride, 0.04, tall)
        post = display.surface(
            origin, along, _UP, scaled(self.color, 0.75), grain=(self.grain, self.grain), shift=self.shift
        )
        a = 0.0
        while a <= length:
            box(post, a, a + 0.12, 0.0, self.height * 1.08)
            a += 2.4


FenceKind = Literal["pickets", "bars", "boards", "wall", "mesh"]
