"""Trees, bushes and hedges: ragged crowns on trunks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material, Shadow, add, cross, scaled, unit
from pytest_lossy.data.mini.labels import TREE
from pytest_lossy.data.mini.things import Footprint

__all__ = ["Tree"]

Blob = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Tree:
    """A crown, and below it a trunk unless it is a bush."""

    x: float
    z: float
    trunk_height: float
    """0 for bushes and hedges."""
    trunk_radius: float
    blobs: tuple[Blob, ...]
    """Ellipses (u, v, half width, half height) in metres; v is above the ground."""
    ragged: float
    relief: float
    color: Color
    second: Color
    brown: float
    bark: Color
    shift: tuple[float, float]
    ground: float = 0.0
    label: int = TREE
    counted: bool = False

    def footprint(self, time: float) -> Footprint:
        """A square under the middle of the crown; crowns may overhang what stands beside them."""
        r = max(self.trunk_radius, 0.3)
        return (
            (self.x - r, self.z - r),
            (self.x + r, self.z - r),
            (self.x + r, self.z + r),
            (self.x - r, self.z + r),
        )

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """Scattered ellipses: sunlight falls through crowns."""
        found = []
        if sun[1] > 0:
            for u, v, w, h in self.blobs:
                k = v / sun[1]
                cx, cz = self.x - sun[0] * k + u, self.z - sun[2] * k
                for i in range(3):
                    # Golden-angle spacing spreads the flecks without a random stream.
                    angle, r = 2.4 * i + u, 0.55 * math.sqrt(i / 3.0)
                    middle = (cx + r * w * math.cos(angle), cz + r * w * math.sin(angle))
                    found.append(self._ellipse(middle, (0.6 * w, 0.5 * (w + h) / 2), 215))
        if self.trunk_height > 0:
            radius = 3 * self.trunk_radius
            found.append(self._ellipse((self.x, self.z), (radius, radius), 150, contact=True))
        else:
            wide = max(b[2] for b in self.blobs)
            found.append(self._ellipse((self.x, self.z), (wide, 0.6), 150, contact=True))
        return found

    def _ellipse(
        self, middle: tuple[float, float], radii: tuple[float, float], strength: int, contact: bool = False
    ) -> Shadow:
        (x, z), (rx, rz) = middle, radii
        points = []
        for k in range(9):
            angle = 2 * math.pi * k / 9
            wobble = 1.0 + 0.25 * math.sin(3 * angle + x * 5)
            points.append((x + rx * wobble * math.cos(angle), self.ground + 0.01, z + rz * wobble * math.sin(angle)))
        return Shadow(tuple(points), strength, contact)

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw trunk and branches, then the crown."""
        display.label = self.label
        base: Vector = (self.x, self.ground, self.z)
        if self.trunk_height > 0:
            top = add(base, (0.0, self.trunk_height, 0.0))
            r = self.trunk_radius
            display.limb(base, top, r * 1.15, r * 0.7, self.bark, grain=(0.35, 0.3), shift=self.shift, caps=False)
            for u, v, w, _ in self.blobs[:4]:
                fork = add(base, (0.0, self.trunk_height * 0.8, 0.0))
                tip = add(base, (0.7 * u, v - 0.2 * w, 0.0))
                display.limb(fork, tip, r * 0.5, r * 0.15, self.bark, grain=(0.3, 0.3), shift=self.shift, caps=False)
        centre_u = sum(b[0] for b in self.blobs) / len(self.blobs)
        centre_v = sum(b[1] for b in self.blobs) / len(self.blobs)
        half_w = max(abs(b[0] - centre_u) + b[2] for b in self.blobs)
        half_h = max(abs(b[1] - centre_v) + b[3] for b in self.blobs)
        eye = (display.eye[0], centre_v, display.eye[2])
        away = unit(add(eye, scaled((self.x, centre_v, self.z), -1.0)))
        across = unit(cross((0.0, 1.0, 0.0), away))
        centre = add((self.x, self.ground + centre_v, self.z), scaled(across, centre_u))
        crown = display.surface(
            centre, across, (0.0, 1.0, 0.0), self.color, material=Material.FOLIAGE, grain=(0.12, 0.2),
            shift=self.shift, params=(half_w, half_h, self.relief, self.brown), second=self.second,
        )  # fmt: skip
        display.leaves(crown, [(u - centre_u, v - centre_v, w, h) for u, v, w, h in self.blobs], self.ragged)
