"""Colours of visible pixels: texture coordinates, material rules, light, shadow and haze.

All arithmetic on pixels is float32 ``+ - * /``, comparisons and table look-ups, which IEEE 754 fixes bit
for bit; exponentials and the like appear only in per-surface tables and are rounded with everything else to
8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini import materials
from pytest_lossy.data.mini.camera import Camera, Vector, View
from pytest_lossy.data.mini.display import Color, DisplayList, Material
from pytest_lossy.data.mini.noise import COARSE, FINE, Banks
from pytest_lossy.data.mini.pixels import Pixels, Result

__all__ = ["FAR", "Light", "Shaded", "shade"]

Float32 = npt.NDArray[np.float32]
FAR = 400.0
"""Metres: the depth of everything at the horizon and of the sky."""


@dataclass(frozen=True, slots=True)
class Light:
    """Sun, sky and air of one scene."""

    sun: Vector
    """Unit vector towards the sun."""
    sun_color: Color
    """Direct light on a surface that faces the sun; black when overcast."""
    sky_color: Color
    """Diffuse light on a horizontal surface."""
    zenith: Color
    horizon: Color
    cloud: Color
    cover: float
    """Cloud threshold in noise units: -2 is closed, 2 is clear."""
    haze: float
    """Metres at which contrast has fallen to 1/e."""
    exposure: float
    drift: tuple[float, float]
    """Where in the noise the clouds are."""


class Shaded(NamedTuple):
    """What the shader knows of every supersampled pixel."""

    color: Float32
    """(3, H, W) linear light, 1 is white before exposure."""
    depth: Float32
    """(H, W) metres along the camera's axis."""
    label: npt.NDArray[np.uint8]
    """(H, W) class."""
    instance: npt.NDArray[np.uint16]
    """(H, W) object number, 0 for what is not counted."""


def shade(
    display: DisplayList,
    ids: npt.NDArray[np.int32],
    shadows: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    view: View,
    *,
    light: Light,
    noise: Banks,
) -> Shaded:
    """Compute colour, depth, label and instance of every pixel of the surface buffer ``ids`` (H, W)."""
    height, width = ids.shape
    table, flags = _surface_table(display, view.camera, light)
    flat = ids.ravel()
    p = table.take(flat, axis=1)
    focal = np.float32(view.focal)
    rx = ((np.arange(width, dtype=np.float32) + np.float32(0.5 - 0.5 * width)) / focal)[None, :]
    ry = ((np.float32(0.5 * height - 0.5) - np.arange(height, dtype=np.float32)) / focal)[:, None]
    rx, ry = (np.broadcast_to(a, (height, width)).ravel() for a in (rx, ry))

    depth = np.float32(1.0) / np.clip(p[0] * rx + p[1] * ry + p[2], np.float32(1 / FAR), np.float32(4.0))
    u = (p[3] * rx + p[4] * ry + p[5]) * depth - p[9]
    v = (p[6] * rx + p[7] * ry + p[8]) * depth - p[10]

    material = flags[0].take(flat)
    footprint = depth * np.float32(1.0 / view.focal)
    # Ground seen at a grazing angle: a pixel covers depth / height times more along the view than across
    # it; the geometric mean of both keeps the texture without letting it shimmer.
    grazing = np.sqrt(np.clip(depth * np.float32(1.0 / max(view.camera.position[1], 0.5)), 1.0, 36.0))
    ground = (material >= materials.FIRST_GROUND) & (material <= materials.LAST_GROUND)
    footprint = np.where(ground, footprint * grazing, footprint)
    coarse = noise.sample(COARSE, (u + p[13]) * 60, (v + p[14]) * 60, footprint * 60)
    fine = noise.sample(FINE, (u + p[13]) * 100, (v + p[14]) * 100, footprint * 100)
    texture = np.maximum(1.0 + p[11] * coarse + p[12] * fine, np.float32(0.2))

    nu = np.clip(u * p[15], -1.0, 1.0)
    nv = np.clip(v * p[16], -1.0, 1.0)
    nz = np.sqrt(np.maximum(1.0 - nu * nu - nv * nv, 0.0))
    facing = np.maximum(nu * p[17] + nv * p[18] + nz * p[19], 0.0)
    # Round things lose sky light towards their lower and outer edge.
    sky = p[21] * (np.float32(0.55) + np.float32(0.45) * nz + np.float32(0.2) * nv)

    pixels = Pixels(u, v, footprint, coarse, fine, p, noise, light)
    albedo = p[23:26] * texture
    emission = p[22] * p[23:26]
    materials.apply(material, pixels, Result(albedo, emission, facing, sky))

    blocked, dark = (np.float32(1 / 255) * s.ravel() for s in shadows)
    facing *= p[20] * np.where(ground, 1.0 - blocked, np.float32(1.0))
    occlusion = np.where(ground, 1.0 - dark, np.float32(1.0))
    sky *= occlusion
    facing *= occlusion
    clear = _transmission(depth * np.float32(1.0 / light.haze))
    in_sky = material == Material.SKY
    clear[in_sky] = 1.0
    color = np.empty((3, flat.size), np.float32)
    for c in range(3):
        lit = facing * np.float32(light.sun_color[c]) + sky * np.float32(light.sky_color[c])
        color[c] = (albedo[c] * lit + emission[c]) * clear + np.float32(light.horizon[c] * 0.85) * (1.0 - clear)
    depth[in_sky] = FAR
    shape = (height, width)
    return Shaded(
        color.reshape(3, *shape),
        depth.reshape(shape),
        flags[1].take(flat).astype(np.uint8).reshape(shape),
        flags[2].take(flat).astype(np.uint16).reshape(shape),
    )


def _transmission(x: Float32) -> Float32:
    """Close to exp(-x) for x >= 0, without a transcendental function: equal on every CPU."""
    return np.asarray(np.float32(1.0) / (1.0 + x + np.float32(0.5) * x * x), np.float32)


def _surface_table(display: DisplayList, camera: Camera, light: Light) -> tuple[Float32, npt.NDArray[np.int32]]:
    """Per-surface constants.

    Returns:
        float32 (26 + 9, surfaces): 0-2 inverse depth, 3-5 and 6-8 texture numerators, each as (x, y, 1)
        coefficients; 9-10 texture origin; 11-12 grain; 13-14 noise shift; 15-16 inverse radii; 17-19 the
        sun in surface axes; 20 sun visibility; 21 sky light; 22 glow; 23-25 colour; 26-31 parameters; 32-34
        second colour; and int32 (3, surfaces): material, label, instance.

    """
    rows = np.array(display.rows, dtype=np.float64)
    basis = camera.basis()

    def turned(a: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack([a[:, 0] * r[0] + a[:, 1] * r[1] + a[:, 2] * r[2] for r in basis])

    def inner(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])

    origin = camera.view(rows[:, 0:3]).T
    u, v = turned(rows[:, 3:6]), turned(rows[:, 6:9])
    n = np.stack([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
    distance = inner(n, origin)
    # A plane through the eye has no depth of its own; it is drawn as a line at most.
    distance = np.where(np.abs(distance) < 1e-4, 1e-4, distance)
    towards = np.where(distance > 0, -1.0, 1.0) * n  # the side that the camera sees
    sun = turned(np.array([light.sun]))[:, 0]
    up = turned(np.array([[0.0, 1.0, 0.0]]))[:, 0]
    upward = inner(towards, up[:, None] * np.ones(len(rows)))
    sky = 0.62 + 0.38 * upward  # a wall sees half of the sky, and light bounced off the ground
    table = np.concatenate(
        [
            n / distance, u, v, inner(u, origin)[None], inner(v, origin)[None],
            rows[:, 12:16].T, rows[:, 16:18].T,
            inner(u, sun[:, None] * np.ones(len(rows)))[None],
            inner(v, sun[:, None] * np.ones(len(rows)))[None],
            inner(towards, sun[:, None] * np.ones(len(rows)))[None],
            rows[:, 18][None], sky[None], rows[:, 19][None],
            rows[:, 9:12].T, rows[:, 20:26].T, rows[:, 26:29].T,
        ]
    )  # fmt: skip
    return table.astype(np.float32), rows[:, 29:32].T.astype(np.int32)
