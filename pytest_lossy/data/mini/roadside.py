"""What lines a street: houses, gardens, trees, fences, poles and signs."""

from __future__ import annotations

import math

import numpy as np

from pytest_lossy.data.mini import casting
from pytest_lossy.data.mini.street import KERB, Street
from pytest_lossy.data.mini.things import Thing

__all__ = ["line_street"]


def line_street(rng: np.random.Generator, street: Street, side: int) -> list[Thing]:
    """Houses, gardens, trees, fences, poles and signs of one side of the street."""
    sign = -1.0 if side == 0 else 1.0
    kerb, back = street.half_road, street.half_road + street.pavements[side]
    verge = street.verges[side]
    things: list[Thing] = []
    plan = str(rng.choice(["urban", "residential", "park"], p=[0.8, 0.1, 0.1] if not verge else [0.15, 0.5, 0.35]))
    setback = back + (float(rng.uniform(0.0, 0.6)) if plan == "urban" else float(rng.uniform(3.0, 9.0)))
    if plan == "park":
        setback = back + float(rng.uniform(18, 40))
    common = float(rng.uniform(6, 20)) if plan == "urban" else float(rng.uniform(4.5, 9))
    z = float(rng.uniform(-8, 0))
    while z < 150:
        length = float(rng.uniform(7, 20))
        taken = (z, z + length)
        blocked = any(z0 - 1.5 < taken[1] and taken[0] < z1 + 1.5 for z0, z1 in street.crossings)
        if blocked or rng.random() < (0.08 if plan == "urban" else 0.25):
            if rng.random() < 0.6 and not blocked:
                things.append(casting.make_tree(rng, sign * (setback + 3), z + length / 2, 0.0))
        else:
            height = max(3.5, common * math.exp(float(rng.normal(0, 0.22))))
            inner, outer = sign * (setback + float(rng.uniform(0, 0.5))), sign * (setback + 14)
            things.append(casting.make_building(rng, (min(inner, outer), max(inner, outer)), taken, height))
        z += length + (0.0 if plan == "urban" and rng.random() < 0.75 else float(rng.uniform(1.0, 7.0)))
    things += _planting(rng, street, side, plan=plan, back=back, setback=setback)
    things += _posts(rng, street, side, kerb, back)
    return things


def _clear(street: Street, z: float) -> bool:
    return not any(z0 - 0.6 < z < z1 + 0.6 for z0, z1 in street.crossings)


def _planting(
    rng: np.random.Generator, street: Street, side: int, *, plan: str, back: float, setback: float
) -> list[Thing]:
    """Trees along the pavement and in gardens; fences and hedges in front of them."""
    sign = -1.0 if side == 0 else 1.0
    ground = 0.0 if street.verges[side] else KERB
    things: list[Thing] = []
    if rng.random() < 0.5:
        step, z = float(rng.uniform(6, 16)), float(rng.uniform(3, 12))
        while z < 90:
            if _clear(street, z) and rng.random() < 0.8:
                kind = "broad" if rng.random() < 0.9 else None
                things.append(casting.make_tree(rng, sign * (street.half_road + 0.7), z, KERB, kind))
            z += step
    for _ in range(int(rng.integers(2, 7)) if plan != "urban" else 0):
        z = casting.log_uniform(rng, 5, 90)
        if _clear(street, z):
            things.append(
                casting.make_tree(rng, sign * float(rng.uniform(back + 0.9, max(setback - 0.5, back + 1.5))), z, ground)
            )
    if plan == "park":
        for _ in range(int(rng.integers(4, 10))):
            x = sign * float(rng.uniform(back + 4, back + 35))
            things.append(casting.make_tree(rng, x, casting.log_uniform(rng, 8, 120), 0.0))
    barrier = str(
        rng.choice(["fence", "hedge", "none"], p=[0.25, 0.05, 0.7] if plan == "urban" else [0.68, 0.17, 0.15])
    )
    # A railing between pavement and road in towns; a garden fence behind the pavement elsewhere.
    x = sign * (street.half_road + 0.3 if plan == "urban" else back + 0.25)
    level = KERB if plan == "urban" else ground
    z = float(rng.uniform(-2, 8))
    while barrier != "none" and z < 80:
        piece = float(rng.uniform(6, 18))
        if _clear(street, z) and _clear(street, z + piece) and _clear(street, z + piece / 2):
            if barrier == "fence":
                things.append(casting.make_fence(rng, (x, z), (x, z + piece), level))
            else:
                things += [casting.make_tree(rng, x, z + 1.6 * k, level, "hedge") for k in range(int(piece / 1.6))]
        z += piece + float(rng.choice([0.3, rng.uniform(1.2, 6.0)]))
    return things


def _posts(rng: np.random.Generator, street: Street, side: int, kerb: float, back: float) -> list[Thing]:
    sign = -1.0 if side == 0 else 1.0
    things: list[Thing] = []
    step, z = float(rng.uniform(8, 22)), float(rng.uniform(3, 14))
    offset = float(rng.uniform(0.35, 0.8))
    inwards = -sign * math.pi / 2
    while z < 70:
        if _clear(street, z):
            things.append(casting.make_pole(rng, sign * (kerb + offset), z, KERB, inwards))
        z += step * float(rng.uniform(0.8, 1.2))
    for _ in range(int(rng.integers(2, 6))):
        z = casting.log_uniform(rng, 5, 45)
        x = sign * (kerb + float(rng.uniform(0.4, min(1.5, back - kerb))))
        # Most faces look at oncoming traffic of the near lane, that is at the camera.
        heading = math.pi + float(rng.normal(0, 0.25)) if rng.random() < 0.82 else float(rng.normal(0, 0.3))
        if _clear(street, z):
            things.append(casting.make_sign(rng, x, z, KERB, heading))
    return things
