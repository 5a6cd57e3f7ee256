"""Shapes of cars, vans, lorries and buses, as side profiles."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MODELS", "BodyPart", "VehicleModel"]


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A closed side profile, extruded across the vehicle."""

    profile: tuple[tuple[float, float], ...]
    """(z, y) from rear bottom over the top to front bottom; z is a share of the length, y in metres."""
    glass: tuple[int, ...] = ()
    """Numbers of the profile's edges that are windscreens."""
    inset: float = 0.0
    """How much narrower the top is than the bottom, as a share of the width."""
    windows: tuple[tuple[float, float, float, float], ...] = ()
    """Side windows: (z0, z1, y0, y1), shares of the length and metres; cut to the profile's slope."""
    plain: bool = False
    """A box of its own colour, such as a lorry's load."""


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """A kind of vehicle."""

    name: str
    length: float
    width: float
    height: float
    parts: tuple[BodyPart, ...]
    axles: tuple[float, ...]
    """Shares of the length, from the middle."""
    wheel: float
    """Radius in metres."""
    lamp_height: float


def _car(
    name: str,
    size: tuple[float, float, float],
    *,
    belt: float,
    rear: tuple[float, float],
    roof: tuple[float, float],
    front: float,
    bonnet: float,
) -> VehicleModel:
    """A two-box or three-box car.

    ``rear`` is (boot's end of the cabin, height of the boot), ``roof`` the roof's extent, ``front`` the
    foot of the windscreen, ``bonnet`` its height at the nose.
    """
    length, width, height = size
    lower = BodyPart(
        (
            (-0.5, 0.32),
            (-0.5, 0.62),
            (-0.485, rear[1]),
            (rear[0], belt),
            (front, belt),
            (0.46, bonnet),
            (0.5, bonnet - 0.16),
            (0.5, 0.3),
        )
    )
    cabin = BodyPart(
        ((rear[0], belt), (roof[0], height), (roof[1], height), (front, belt)),
        glass=(0, 2),
        inset=0.13,
        windows=(
            (rear[0] + 0.05, (roof[0] + roof[1]) / 2 - 0.012, belt + 0.04, height - 0.08),
            ((roof[0] + roof[1]) / 2 + 0.012, front - 0.03, belt + 0.04, height - 0.08),
        ),
    )
    return VehicleModel(name, length, width, height, (lower, cabin), (-0.29, 0.31), 0.32, (belt + 0.5) / 2)


_BUS_WINDOWS = tuple((-0.46 + k * 0.155, -0.46 + k * 0.155 + 0.138, 1.35, 2.45) for k in range(6))

MODELS: tuple[VehicleModel, ...] = (
    _car(
        "saloon", (4.6, 1.78, 1.44), belt=0.92,
        rear=(-0.34, 0.94), roof=(-0.2, 0.05), front=0.2, bonnet=0.78,
    ),
    _car(
        "hatchback", (3.9, 1.7, 1.48), belt=0.94,
        rear=(-0.47, 0.92), roof=(-0.4, 0.04), front=0.22, bonnet=0.8,
    ),
    _car(
        "estate", (4.6, 1.8, 1.5), belt=0.95,
        rear=(-0.48, 0.92), roof=(-0.42, 0.05), front=0.2, bonnet=0.8,
    ),
    _car(
        "off-roader", (4.5, 1.88, 1.75), belt=1.08,
        rear=(-0.485, 1.02), roof=(-0.44, 0.06), front=0.2, bonnet=1.0,
    ),
    VehicleModel(
        "van", 5.2, 1.95, 2.2,
        (
            BodyPart(
                (
                    (-0.5, 0.35), (-0.5, 2.1), (-0.48, 2.2), (0.2, 2.2), (0.36, 1.25), (0.48, 1.02),
                    (0.5, 0.35),
                ),
                glass=(3,), inset=0.04, windows=((0.13, 0.26, 1.3, 1.95),),
            ),
        ),
        (-0.3, 0.33), 0.36, 0.8,
    ),
    VehicleModel(
        "lorry", 7.6, 2.35, 3.1,
        (
            BodyPart(((-0.5, 0.95), (-0.5, 3.1), (0.2, 3.1), (0.2, 0.95)), plain=True),
            BodyPart(
                ((0.22, 0.5), (0.22, 2.5), (0.4, 2.5), (0.48, 1.5), (0.5, 1.1), (0.5, 0.45)),
                glass=(2,), inset=0.05, windows=((0.3, 0.4, 1.5, 2.25),),
            ),
        ),
        (-0.34, 0.36), 0.48, 0.85,
    ),
    VehicleModel(
        "bus", 11.0, 2.5, 3.05,
        (
            BodyPart(
                (
                    (-0.5, 0.4), (-0.5, 2.95), (-0.48, 3.05), (0.48, 3.05), (0.495, 2.5), (0.5, 1.1),
                    (0.5, 0.35),
                ),
                glass=(4,), windows=_BUS_WINDOWS,
            ),
        ),
        (-0.27, 0.34), 0.5, 0.75,
    ),
)  # fmt: skip
"""Kinds, from the most common to the rarest."""
