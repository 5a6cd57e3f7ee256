"""Houses: boxes with windows in storeys, shops, roofs and chimneys; and the skyline that closes a street."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import Color, DisplayList, Material, Shadow, scaled
from pytest_lossy.data.mini.labels import BUILDING
from pytest_lossy.data.mini.things import Footprint, box_shadow

__all__ = ["Building"]


@dataclass(frozen=True, slots=True)
class Building:
    """A house whose walls are parallel to the street's axes."""

    x: tuple[float, float]
    z: tuple[float, float]
    height: float
    roof: float
    """Rise of a pitched roof in metres; 0 is flat."""
    color: Color
    trim: Color
    roof_color: Color
    style: float
    """See ``materials``: 0 plaster, 1 brick, 2 panels; plus 10 with shops."""
    pitch: tuple[float, float]
    """Distance of windows along the wall, and height of a storey."""
    window: tuple[float, float]
    """Window width and height as shares of the pitch."""
    grain: float
    salt: int
    shift: tuple[float, float]
    label: int = BUILDING
    counted: bool = False

    def footprint(self, time: float) -> Footprint:
        """The ground plan."""
        (x0, x1), (z0, z1) = self.x, self.z
        return ((x0, z0), (x1, z0), (x1, z1), (x0, z1))

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """A box's shadow."""
        return box_shadow(self.footprint(time), self.height + 0.5 * self.roof, sun, contact=False)

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw the walls and roof sides that face the camera."""
        display.label = self.label
        (x0, x1), (z0, z1) = self.x, self.z
        ex, ey, ez = display.eye
        walls: list[tuple[Vector, Vector, float]] = []  # origin, direction along the wall, length
        if ez > z1:
            walls.append(((x1, 0.0, z1), (-1.0, 0.0, 0.0), x1 - x0))
        if ez < z0:
            walls.append(((x0, 0.0, z0), (1.0, 0.0, 0.0), x1 - x0))
        if ex < x0:
            walls.append(((x0, 0.0, z1), (0.0, 0.0, -1.0), z1 - z0))
        if ex > x1:
            walls.append(((x1, 0.0, z0), (0.0, 0.0, 1.0), z1 - z0))
        # Roofs first: a wall's upper edge hides the roof's lower one.
        self._roof(display)
        for origin, along, length in walls:
            bays = max(1, round(length / self.pitch[0]))
            surface = display.surface(
                origin, along, (0.0, 1.0, 0.0), self.color, material=Material.FACADE,
                grain=(self.grain, self.grain * 0.6), shift=self.shift,
                params=(length / bays, self.pitch[1], *self.window, float(self.salt), self.style),
                second=self.trim,
            )  # fmt: skip
            end = (origin[0] + along[0] * length, 0.0, origin[2] + along[2] * length)
            top = self.height
            corners = [origin, end, (end[0], top, end[2]), (origin[0], top, origin[2])]
            gable = self.roof > 0 and abs(along[0]) > 0.5
            if gable:
                middle = (0.5 * (origin[0] + end[0]), top + self.roof, origin[2])
                corners.insert(3, middle)
            display.polygon(surface, corners)
        if ey > self.height and self.roof == 0:
            roof = [
                (x0, self.height, z0),
                (x1, self.height, z0),
                (x1, self.height, z1),
                (x0, self.height, z1),
            ]
            display.flat(roof, self.roof_color, grain=(0.2, 0.2), shift=self.shift)

    def _roof(self, display: DisplayList) -> None:
        if self.roof <= 0:
            return
        (x0, x1), (z0, z1) = self.x, self.z
        ridge, top = 0.5 * (x0 + x1), self.height
        eaves = 0.3
        slopes = (
            (x0 - eaves, display.eye[0] < ridge),
            (x1 + eaves, display.eye[0] > ridge),
        )
        for edge, visible in slopes:
            if not visible:
                continue
            corners: list[Vector] = [
                (edge, top - 0.1, z0 - eaves), (edge, top - 0.1, z1 + eaves),
                (ridge, top + self.roof, z1 + eaves), (ridge, top + self.roof, z0 - eaves),
            ]  # fmt: skip
            # Rows of tiles.
            display.flat(
                corners, self.roof_color, material=Material.STRIPES, grain=(0.22, 0.3), shift=self.shift,
                params=(0.34, 0.3, 0.0), second=scaled(self.roof_color, 0.7),
            )  # fmt: skip
        stack = z0 + 0.3 * (z1 - z0)
        width = 0.45
        base, tip = top + 0.55 * self.roof, top + self.roof + 1.0
        for z in (stack, stack + 0.5 * (z1 - z0)):
            front = [
                (ridge - width, base, z),
                (ridge + width, base, z),
                (ridge + width, tip, z),
                (ridge - width, tip, z),
            ]
            display.flat(front, scaled(self.color, 0.8), grain=(0.25, 0.25), shift=self.shift)
