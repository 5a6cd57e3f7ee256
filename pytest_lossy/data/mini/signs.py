"""Traffic signs and traffic lights on their poles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Shadow, add, circle, scaled
from pytest_lossy.data.mini.labels import POLE, SIGN
from pytest_lossy.data.mini.sign_faces import face
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow

__all__ = ["Sign"]

_UP: Vector = (0.0, 1.0, 0.0)


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
        found = box_shadow(box_footprint(self.place, time, 0.07, 0.07), self.height, sun, self.place.height)
        if sun[1] > 0:
            ring = []
            x, _, z = self.place.at(time)
            for k in range(8):
                angle = 2 * math.pi * k / 8
                _, right = self.place.axes()
                y = self.height + self.size * math.sin(angle)
                t = y / sun[1]
                a = self.size * math.cos(angle)
                ring.append((x + a * right[0] - sun[0] * t, self.place.height + 0.01, z + a * right[2] - sun[2] * t))
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
        display.limb(foot, top, 0.075, 0.075, (0.3, 0.31, 0.32), grain=(0.15, 0.1), caps=False)
        display.label, display.instance = self.label, counted
        middle = add(centre, scaled(forward, 0.06))
        towards = add(display.eye, scaled(middle, -1.0))
        if towards[0] * forward[0] + towards[2] * forward[2] < 0:
            sides = 4 if self.kind in {"direction", "crossing"} else 12
            back = circle(add(centre, scaled(forward, -0.01)), right, _UP, (self.size, self.size), sides)
            display.flat(back, (0.28, 0.29, 0.3), grain=(0.12, 0.1), shift=self.shift)
            return
        self._face(display, middle, scaled(right, -1.0))

    def _ink(self, color: Color) -> Color:
        f = 0.45 * self.fade
        return (color[0] * (1 - f) + 0.4 * f, color[1] * (1 - f) + 0.4 * f, color[2] * (1 - f) + 0.4 * f)

    def _face(self, display: DisplayList, centre: Vector, right: Vector) -> None:
        size = self.size
        surfaces: dict[tuple[Color, float], int] = {}
        for patch in face(self.kind, self.variant, fine=display.size_of(size, centre) > 4.0):
            key = (patch.color, patch.glow)
            if key not in surfaces:
                surfaces[key] = display.surface(
                    centre, right, _UP, self._ink(patch.color),
                    grain=(0.1, 0.06), shift=self.shift, glow=patch.glow,
                )  # fmt: skip
            outline = [add(centre, add(scaled(right, x * size), (0.0, y * size, 0.0))) for x, y in patch.outline]
            display.polygon(surfaces[key], outline)
