"""Cars, vans, lorries and buses: side profiles, extruded, with glass, wheels and lights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material, Shadow, add, circle, dot, scaled
from pytest_lossy.data.mini.labels import CAR
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow
from pytest_lossy.data.mini.vehicle_models import BodyPart, VehicleModel

__all__ = ["Vehicle"]

_TYRE: Color = (0.022, 0.022, 0.024)
_RIM: Color = (0.32, 0.32, 0.33)
_DARK: Color = (0.03, 0.03, 0.033)
_GLASS: Color = (0.025, 0.03, 0.035)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle of a scene."""

    model: VehicleModel
    place: Place
    color: Color
    load_color: Color
    dirt: float
    """Texture contrast of the lacquer."""
    shift: tuple[float, float]
    label: int = CAR
    counted: bool = True

    def footprint(self, time: float) -> Footprint:
        """The rectangle it stands on."""
        return box_footprint(self.place, time, self.model.width / 2, self.model.length / 2)

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """A box's shadow, lower than the roof since cabins are narrow."""
        return box_shadow(self.footprint(time), self.model.height * 0.88, sun)

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw the parts in order, then wheels, lights and number plate."""
        display.label = self.label
        self._underside(display, time)
        parts = list(self.model.parts)
        if parts[0].plain:
            # Separate boxes: the farther first. A cabin on a body keeps its order.
            parts.sort(
                key=lambda p: -math.dist(display.eye, self._point(time, 0.0, 1.0, p.profile[0][0] + p.profile[-1][0]))
            )
        for part in parts:
            self._part(display, part, time)
        self._wheels(display, time)
        self._ends(display, time)

    def _point(self, time: float, across: float, up: float, along: float) -> Vector:
        """World position of (half widths, metres, shares of the length)."""
        forward, right = self.place.axes()
        x = add(scaled(right, across * self.model.width / 2), scaled(forward, along * self.model.length))
        return add(add(self.place.at(time), x), (0.0, up, 0.0))

    def _sees(self, display: DisplayList, point: Vector, normal: Vector) -> bool:
        return dot(add(display.eye, scaled(point, -1.0)), normal) > 0.0

    def _underside(self, display: DisplayList, time: float) -> None:
        """A dark slab, so that no daylight shows between the wheels."""
        forward, right = self.place.axes()
        top = 1.0 if self.model.parts[0].plain else 0.5
        for normal, across in ((right, 0.9), (scaled(right, -1.0), -0.9)):
            corners = [
                self._point(time, across, y, z) for z, y in ((-0.48, 0.16), (0.48, 0.16), (0.48, top), (-0.48, top))
            ]
            if self._sees(display, corners[0], normal):
                display.flat(corners, _DARK, grain=(0.05, 0.05))
        for normal, along in ((forward, 0.47), (scaled(forward, -1.0), -0.47)):
            corners = [self._point(time, x, y, along) for x, y in ((-0.9, 0.16), (0.9, 0.16), (0.9, top), (-0.9, top))]
            if self._sees(display, corners[0], normal):
                display.flat(corners, _DARK, grain=(0.05, 0.05))

    def _part(self, display: DisplayList, part: BodyPart, time: float) -> None:
        forward, right = self.place.axes()
        low = min(y for _, y in part.profile)
        span = max(max(y for _, y in part.profile) - low, 0.01)
        color = self.load_color if part.plain else self.color
        grain = (self.dirt, self.dirt * 0.8)

        def across(y: float) -> float:
            return 1.0 - 2.0 * part.inset * (y - low) / span

        # Strips over the top, from rear to front; then the side that faces the camera, which hides their
        # edges.
        for k, ((z0, y0), (z1, y1)) in enumerate(zip(part.profile, part.profile[1:], strict=False)):
            length = math.hypot((z1 - z0) * self.model.length, y1 - y0)
            if length < 1e-6:
                continue
            along, up = (z1 - z0) * self.model.length / length, (y1 - y0) / length
            normal = add(scaled(forward, -up), (0.0, along, 0.0))
            a, b = across(y0), across(y1)
            corners = [
                self._point(time, -a, y0, z0), self._point(time, a, y0, z0),
                self._point(time, b, y1, z1), self._point(time, -b, y1, z1),
            ]  # fmt: skip
            if not self._sees(display, corners[0], normal):
                continue
            if k in part.glass:
                self._pane(display, corners, color, grain)
            else:
                display.flat(
                    corners, color, material=Material.GLOSS, grain=grain, shift=self.shift,
                    params=(0.12, 0.1 + 0.12 * abs(along)),
                )  # fmt: skip
        for sign in (-1.0, 1.0):
            corners = [self._point(time, sign * across(y), y, z) for z, y in part.profile]
            if not self._sees(display, corners[0], scaled(right, sign)):
                continue
            origin = self._point(time, sign, 0.0, 0.0)
            side = display.surface(
                origin, forward, (0.0, 1.0, 0.0), color,
                material=Material.GLOSS, grain=grain, shift=self.shift, params=(0.78, 0.07),
            )  # fmt: skip
            display.polygon(side, corners)
            if display.size_of(self.model.height, corners[0]) < 10.0:
                continue
            for window in part.windows:
                self._side_window(display, part, window, sign, time)
            if not part.plain and display.size_of(0.02, corners[0]) > 0.25:
                self._door_lines(display, part, sign, time)

    def _pane(self, display: DisplayList, corners: list[Vector], color: Color, grain: tuple[float, float]) -> None:
        """A windscreen inside a frame of bodywork."""
        display.flat(corners, scaled(color, 0.8), grain=grain, shift=self.shift)
        middle = scaled(add(add(corners[0], corners[1]), add(corners[2], corners[3])), 0.25)
        inner = [add(scaled(c, 0.88), scaled(middle, 0.12)) for c in corners]
        height = math.dist(corners[1], corners[2])
        display.flat(
            inner,
            _GLASS,
            material=Material.GLASS,
            grain=(0.1, 0.05),
            shift=self.shift,
            params=(0.0, height, 0.3),
        )

    def _side_window(
        self,
        display: DisplayList,
        part: BodyPart,
        window: tuple[float, float, float, float],
        sign: float,
        time: float,
    ) -> None:
        z0, z1, y0, y1 = window
        low = min(y for _, y in part.profile)
        span = max(y for _, y in part.profile) - low
        forward, _ = self.place.axes()

        def limits(y: float) -> tuple[float, float]:
            """The profile's extent at a height, so that panes follow the pillars."""
            found = []
            for (za, ya), (zb, yb) in zip(part.profile, (*part.profile[1:], part.profile[0]), strict=True):
                if min(ya, yb) <= y <= max(ya, yb) and ya != yb:
                    found.append(za + (zb - za) * (y - ya) / (yb - ya))
            return (min(found) + 0.015, max(found) - 0.02) if found else (z0, z1)

        corners = []
        for y, ends in ((y0, (z0, z1)), (y1, (z1, z0))):
            least, most = limits(y)
            x = sign * (1.0 - 2.0 * part.inset * (y - low) / span) * 1.002
            corners += [self._point(time, x, y, min(max(z, least), most)) for z in ends]
        pane = display.surface(
            self._point(time, sign, 0.0, 0.0), forward, (0.0, 1.0, 0.0), _GLASS,
            material=Material.GLASS, grain=(0.1, 0.05), shift=self.shift, params=(y0, y1 - y0, 0.26),
        )  # fmt: skip
        display.polygon(pane, corners)

    def _door_lines(self, display: DisplayList, part: BodyPart, sign: float, time: float) -> None:
        cabin_on_body = len(self.model.parts) == 2 and not self.model.parts[0].plain
        if part is not self.model.parts[0] or not cabin_on_body:
            return
        forward, _ = self.place.axes()
        line = display.surface(self._point(time, sign, 0.0, 0.0), forward, (0.0, 1.0, 0.0), scaled(self.color, 0.3))
        thin = 0.012 / self.model.length
        top = part.profile[3][1] - 0.02  # the belt line
        for z in (-0.17, 0.02, 0.19):
            corners = ((z - thin, 0.36), (z + thin, 0.36), (z + thin, top), (z - thin, top))
            display.polygon(line, [self._point(time, sign * 1.003, y, a) for a, y in corners])
        handle = display.surface(self._point(time, sign, 0.0, 0.0), forward, (0.0, 1.0, 0.0), (0.3, 0.3, 0.3))
        for z in (-0.14, 0.05):
            corners = ((z, top - 0.12), (z + 0.03, top - 0.12), (z + 0.03, top - 0.08), (z, top - 0.08))
            display.polygon(handle, [self._point(time, sign * 1.004, y, a) for a, y in corners])

    def _wheels(self, display: DisplayList, time: float) -> None:
        forward, right = self.place.axes()
        up = (0.0, 1.0, 0.0)
        radius = self.model.wheel
        for sign in (-1.0, 1.0):
            if not self._sees(display, self._point(time, sign, 0.0, 0.0), scaled(right, sign)):
                continue
            for axle in self.model.axles:
                centre = self._point(time, sign * 0.995, radius, axle)
                pixels = display.size_of(radius, centre)
                if pixels < 1.5:
                    continue
                arch = display.surface(centre, forward, up, _DARK)
                display.polygon(
                    arch,
                    circle(add(centre, (0.0, 0.04, 0.0)), forward, up, (radius * 1.22, radius * 1.2), 14),
                )
                hub = self._point(time, sign * 1.01, radius, axle)
                display.disc(hub, forward, up, radius, _TYRE, shift=self.shift)
                display.disc(hub, forward, up, radius * 0.62, _RIM, grain=(0.2, 0.2), shift=self.shift)
                if pixels > 5:
                    spin = -self.place.speed * time / radius
                    hole = display.surface(hub, forward, up, _DARK)
                    for k in range(5):
                        angle = spin + 2.0 * math.pi * k / 5
                        at = add(
                            scaled(forward, 0.4 * radius * math.cos(angle)),
                            (0.0, 0.4 * radius * math.sin(angle), 0.0),
                        )
                        display.polygon(hole, circle(add(hub, at), forward, up, (radius * 0.11, radius * 0.11), 6))

    def _ends(self, display: DisplayList, time: float) -> None:
        """Lights, bumper and plate of the end that faces the camera."""
        forward, _ = self.place.axes()
        y = self.model.lamp_height
        for sign in (1.0, -1.0):
            if not self._sees(display, self._point(time, 0.0, y, 0.5 * sign), scaled(forward, sign)):
                continue
            if display.size_of(0.3, self._point(time, 0.0, y, 0.5 * sign)) < 1.2:
                continue
            end = 0.502 * sign

            def rectangle(cx: float, cy: float, w: float, h: float, end: float = end) -> list[Vector]:
                return [self._point(time, cx + a * w, cy + b * h, end) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]

            display.flat(rectangle(0.0, 0.43, 0.99, 0.09), _DARK, grain=(0.2, 0.2), shift=self.shift)
            if sign > 0:
                display.flat(rectangle(0.0, y - 0.02, 0.42, 0.07), _DARK, grain=(0.3, 0.4), shift=self.shift)
            lamp: Color = (0.75, 0.75, 0.7) if sign > 0 else (0.5, 0.03, 0.025)
            for side in (-0.8, 0.8):
                display.flat(rectangle(side, y, 0.17, 0.085), lamp, grain=(0.2, 0.2), glow=0.12)
            plate: Color = (0.7, 0.7, 0.68) if self.shift[0] > 4 else (0.65, 0.5, 0.06)
            plate_y = 0.5 if sign > 0 else y - 0.08
            display.flat(rectangle(0.0, plate_y, 0.27, 0.06), plate, grain=(0.02, 0.05))
            if display.size_of(0.1, self._point(time, 0.0, y, end)) > 3.0:
                self._plate_text(display, rectangle, plate_y)

    def _plate_text(
        self, display: DisplayList, rectangle: Callable[[float, float, float, float], list[Vector]], y: float
    ) -> None:
        for k in range(7):
            if k == 2:
                continue
            display.flat(rectangle(-0.21 + 0.07 * k, y, 0.02, 0.035), (0.03, 0.03, 0.04))
