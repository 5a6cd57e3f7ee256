"""Random vehicles, people, houses, trees and street furniture."""

from __future__ import annotations

import math

import numpy as np

from pytest_lossy.data.mini.buildings import Building
from pytest_lossy.data.mini.display import Color
from pytest_lossy.data.mini.furniture import FENCES, Fence, Pole
from pytest_lossy.data.mini.people import Dress, Person
from pytest_lossy.data.mini.recipe import STREET
from pytest_lossy.data.mini.sign_faces import SIGNS
from pytest_lossy.data.mini.signs import Sign
from pytest_lossy.data.mini.skeleton import POSES, Pose
from pytest_lossy.data.mini.things import Place
from pytest_lossy.data.mini.trees import Tree
from pytest_lossy.data.mini.vehicle_models import MODELS
from pytest_lossy.data.mini.vehicles import Vehicle

__all__ = [
    "log_uniform",
    "make_building",
    "make_fence",
    "make_person",
    "make_pole",
    "make_sign",
    "make_tree",
    "make_vehicle",
    "shift_of",
]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(float(rng.uniform(math.log(low), math.log(high))))


def shift_of(rng: np.random.Generator) -> tuple[float, float]:
    """Where in the noise banks an object's texture begins, metres."""
    return (float(rng.uniform(0, 9)), float(rng.uniform(0, 9)))


def _tinted(rng: np.random.Generator, base: Color, spread: float = 0.08) -> Color:
    """A colour near ``base``: common brightness and a little hue."""
    common = math.exp(float(rng.normal(0, spread)))
    r, g, b = (min(0.9, max(0.012, c * common * math.exp(float(rng.normal(0, spread * 0.4))))) for c in base)
    return (r, g, b)


def _any_hue(rng: np.random.Generator, dark: float, bright: float, saturation: float) -> Color:
    hue, value = float(rng.uniform(0, 3)), log_uniform(rng, dark, bright)
    weights = [max(0.0, 1.0 - abs((hue - k + 1.5) % 3.0 - 1.5)) for k in range(3)]
    grey = 1.0 - saturation
    r, g, b = (value * (grey + saturation * 1.5 * w) for w in weights)
    return (r, g, b)


def _one_of(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


_LACQUERS: tuple[Color, ...] = (
    (0.62, 0.62, 0.62), (0.36, 0.37, 0.38), (0.14, 0.145, 0.15), (0.03, 0.03, 0.035), (0.05, 0.08, 0.2),
    (0.36, 0.03, 0.03), (0.12, 0.2, 0.14), (0.42, 0.38, 0.3), (0.08, 0.16, 0.38), (0.5, 0.28, 0.03),
)  # fmt: skip


def make_vehicle(
    rng: np.random.Generator,
    place: Place,
    kind: int | None = None,
    shares: tuple[float, ...] = STREET.vehicle_kinds,
) -> Vehicle:
    """A vehicle at a place; kinds are drawn with the frequencies ``shares`` unless given."""
    if kind is None:
        kind = int(rng.choice(len(MODELS), p=list(shares)))
    base = _one_of(rng, _LACQUERS) if rng.random() < 0.75 else _any_hue(rng, 0.08, 0.45, 0.7)
    load = _tinted(rng, _one_of(rng, ((0.6, 0.6, 0.58), (0.3, 0.3, 0.3), (0.1, 0.15, 0.3), (0.4, 0.1, 0.08))))
    return Vehicle(MODELS[kind], place, _tinted(rng, base), load, log_uniform(rng, 0.02, 0.11), shift_of(rng))


_SKINS: tuple[Color, ...] = (
    (0.55, 0.36, 0.26),
    (0.45, 0.28, 0.19),
    (0.28, 0.16, 0.1),
    (0.12, 0.065, 0.04),
    (0.6, 0.42, 0.33),
)
_HAIRS: tuple[Color, ...] = (
    (0.02, 0.016, 0.014),
    (0.06, 0.035, 0.02),
    (0.16, 0.09, 0.04),
    (0.38, 0.28, 0.14),
    (0.3, 0.3, 0.3),
)
_TROUSERS: tuple[Color, ...] = (
    (0.04, 0.06, 0.13),
    (0.02, 0.02, 0.025),
    (0.16, 0.14, 0.11),
    (0.08, 0.11, 0.18),
    (0.25, 0.22, 0.17),
)


def make_person(
    rng: np.random.Generator, place: Place, pose: str | None = None, shares: tuple[float, ...] = STREET.poses
) -> Person:
    """A person at a place, in one of the named poses, drawn by ``shares``, with noise in every joint."""
    names = tuple(POSES)
    name = pose or names[int(rng.choice(len(names), p=list(shares)))]
    base = POSES[name]

    def near(values: tuple[float, float]) -> tuple[float, float]:
        return (values[0] + float(rng.normal(0, 0.09)), values[1] + float(rng.normal(0, 0.09)))

    mirrored = rng.random() < 0.5
    fields = [
        near(v[::-1] if mirrored else v) for v in (base.thighs, base.knees, base.arms, base.abduction, base.elbows)
    ]
    knees = (max(fields[1][0], 0.0), max(fields[1][1], 0.0))
    varied = Pose(
        fields[0],
        knees,
        fields[2],
        fields[3],
        fields[4],
        base.lean + float(rng.normal(0, 0.03)),
        base.walking,
    )
    child = rng.random() < 0.12
    height = float(rng.uniform(1.0, 1.4)) if child else float(np.clip(rng.normal(1.71, 0.09), 1.5, 1.95))
    top = _any_hue(rng, 0.04, 0.5, float(rng.uniform(0.1, 0.8)))
    dress = Dress(
        skin=_tinted(rng, _one_of(rng, _SKINS)),
        hair=_tinted(rng, _one_of(rng, _HAIRS)),
        top=top,
        top_second=_any_hue(rng, 0.05, 0.7, 0.4),
        bottom=_tinted(rng, _one_of(rng, _TROUSERS), 0.2) if rng.random() < 0.85 else _any_hue(rng, 0.05, 0.35, 0.5),
        shoes=_tinted(rng, (0.05, 0.045, 0.04) if rng.random() < 0.7 else (0.5, 0.5, 0.5)),
        pattern=float(rng.integers(0, 3)) if rng.random() < 0.3 else -1.0,
        period=float(rng.uniform(0.05, 0.16)),
        short_sleeves=bool(rng.random() < 0.35),
        long_hair=bool(rng.random() < 0.35),
        coat=float(rng.uniform(0.06, 0.2)) if rng.random() < 0.25 else 0.0,
        bag=_any_hue(rng, 0.03, 0.3, 0.4) if rng.random() < 0.25 else None,
    )
    build = float(rng.uniform(0.88, 1.3))
    # Mid-stride when standing still in a picture: the phase decides which leg leads.
    phase = float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.5))
    return Person(place, height, build, varied, dress, phase, shift_of(rng))


_WALLS: tuple[Color, ...] = (
    (0.3, 0.12, 0.075), (0.24, 0.15, 0.1), (0.5, 0.43, 0.3), (0.42, 0.4, 0.37), (0.55, 0.52, 0.46),
    (0.2, 0.19, 0.18), (0.45, 0.33, 0.2), (0.36, 0.2, 0.15), (0.3, 0.33, 0.36), (0.52, 0.42, 0.36),
    (0.3, 0.35, 0.28),
)  # fmt: skip


def make_building(rng: np.random.Generator, x: tuple[float, float], z: tuple[float, float], height: float) -> Building:
    """A house on a plot."""
    wall = int(rng.integers(len(_WALLS)))
    style = 1.0 if wall in {0, 1, 7} else float(rng.choice([0.0, 2.0], p=[0.7, 0.3]))
    low = height < 13
    return Building(
        x=x, z=z, height=height,
        roof=float(rng.uniform(1.5, 3.2)) if low and rng.random() < 0.7 else 0.0,
        color=_tinted(rng, _WALLS[wall], 0.2),
        trim=_tinted(rng, (0.55, 0.53, 0.5) if rng.random() < 0.75 else (0.1, 0.09, 0.08), 0.2),
        roof_color=_tinted(rng, _one_of(rng, ((0.2, 0.08, 0.05), (0.08, 0.08, 0.085), (0.15, 0.11, 0.09)))),
        style=style + (10.0 if height > 7 and rng.random() < 0.4 else 0.0),
        pitch=(float(rng.uniform(1.7, 4.0)), float(rng.uniform(2.8, 3.6))),
        window=(float(rng.uniform(0.35, 0.72)), float(rng.uniform(0.4, 0.68))),
        grain=log_uniform(rng, 0.03, 0.25),
        salt=int(rng.integers(0, 4096)),
        shift=shift_of(rng),
    )  # fmt: skip


def make_tree(rng: np.random.Generator, x: float, z: float, ground: float, kind: str | None = None) -> Tree:
    """A broad-leaved tree, a conifer, a bush or a piece of hedge."""
    kind = kind or str(rng.choice(["broad", "conifer", "bush"], p=[0.65, 0.12, 0.23]))
    blobs: list[tuple[float, float, float, float]] = []
    trunk = 0.0
    if kind == "broad":
        size = log_uniform(rng, 1.3, 3.6)
        trunk = size * float(rng.uniform(0.9, 1.6))
        for _ in range(int(rng.integers(4, 9))):
            r = size * float(rng.uniform(0.4, 0.75))
            angle, out = float(rng.uniform(0, 2 * math.pi)), size * float(rng.uniform(0.1, 0.6))
            blobs.append(
                (
                    out * math.cos(angle),
                    trunk + size * 0.8 + 0.8 * out * math.sin(angle),
                    r,
                    r * float(rng.uniform(0.75, 1.0)),
                )
            )
    elif kind == "conifer":
        tall = log_uniform(rng, 4.0, 9.0)
        trunk = 0.2 * tall
        for k in range(6):
            share = k / 5
            blobs.append((0.0, tall * (0.2 + 0.75 * share), tall * 0.19 * (1.05 - share), tall * 0.13))
    elif kind == "hedge":
        high = float(rng.uniform(0.9, 1.9))
        for k in range(4):
            blobs.append((0.8 * (k - 1.5), 0.5 * high, 0.75, high * float(rng.uniform(0.52, 0.62))))
    else:
        size = float(rng.uniform(0.5, 1.3))
        for _ in range(3):
            r = size * float(rng.uniform(0.55, 0.9))
            blobs.append((float(rng.normal(0, 0.5)) * size, 0.7 * r, r, 0.8 * r))
    green = _one_of(
        rng,
        ((0.09, 0.15, 0.03), (0.06, 0.12, 0.03), (0.13, 0.17, 0.04), (0.05, 0.09, 0.04), (0.16, 0.16, 0.04)),
    )
    autumn = rng.random() < 0.15
    return Tree(
        x, z, trunk, max(0.08, 0.055 * max(b[2] for b in blobs) + 0.05), tuple(blobs),
        ragged=float(rng.uniform(0.16, 0.32)),
        relief=log_uniform(rng, 0.35, 0.9),
        color=_tinted(rng, green, 0.25),
        second=_tinted(rng, (0.32, 0.16, 0.03) if autumn else (0.16, 0.15, 0.05), 0.2),
        brown=float(rng.uniform(0.2, 0.8)) if autumn else float(rng.uniform(0.0, 0.2)),
        bark=_tinted(rng, (0.1, 0.08, 0.06), 0.25),
        shift=shift_of(rng), ground=ground,
    )  # fmt: skip


def make_pole(rng: np.random.Generator, x: float, z: float, ground: float, towards_road: float) -> Pole:
    """A lamp post (half), a mast or a bollard; ``towards_road`` is the heading of its arm."""
    kind = str(rng.choice(["lamp", "mast", "bollard"], p=[0.5, 0.32, 0.18]))
    place = Place(x, z, towards_road, 0.0, ground)
    color = _tinted(
        rng, _one_of(rng, ((0.28, 0.29, 0.3), (0.05, 0.07, 0.06), (0.16, 0.12, 0.09), (0.4, 0.4, 0.38))), 0.15
    )
    if kind == "bollard":
        return Pole(place, float(rng.uniform(0.8, 1.1)), float(rng.uniform(0.1, 0.16)), 0.0, color, shift_of(rng))
    # Thicker than most real posts, which would be one pixel wide and hardly learnable at 256 pixels.
    radius = float(rng.uniform(0.12, 0.22))
    height = float(rng.uniform(5.0, 9.0)) if kind == "lamp" else float(rng.uniform(3.0, 8.0))
    return Pole(place, height, radius, float(rng.uniform(0.8, 2.0)) if kind == "lamp" else 0.0, color, shift_of(rng))


def make_sign(rng: np.random.Generator, x: float, z: float, ground: float, heading: float) -> Sign:
    """A traffic sign whose face looks along ``heading``."""
    kind = SIGNS[int(rng.integers(len(SIGNS)))]
    size = float(rng.uniform(0.42, 0.62)) * (1.25 if kind == "direction" else 1.0)
    return Sign(
        Place(x, z, heading, 0.0, ground), kind, size, float(rng.uniform(2.2, 3.0)), int(rng.integers(0, 12)),
        float(rng.uniform(0.0, 0.7)), shift_of(rng),
    )  # fmt: skip


def make_fence(rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float], ground: float) -> Fence:
    """A fence between two points (x, z)."""
    kind = FENCES[int(rng.choice(len(FENCES), p=[0.28, 0.24, 0.2, 0.2, 0.08]))]
    palette: tuple[Color, ...] = (
        ((0.3, 0.13, 0.09), (0.38, 0.36, 0.33)) if kind == "wall"
        else ((0.04, 0.05, 0.05), (0.1, 0.16, 0.1), (0.35, 0.36, 0.36)) if kind in {"bars", "mesh"}
        else ((0.28, 0.18, 0.1), (0.5, 0.48, 0.44), (0.2, 0.15, 0.1), (0.14, 0.18, 0.13))
    )  # fmt: skip
    high = float(rng.uniform(0.8, 1.7)) if kind != "mesh" else float(rng.uniform(1.5, 2.4))
    return Fence(
        start,
        end,
        high,
        kind,
        _tinted(rng, _one_of(rng, palette), 0.2),
        log_uniform(rng, 0.12, 0.3),
        shift_of(rng),
        ground,
    )
