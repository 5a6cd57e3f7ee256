"""What makes asphalt, brick, leaves or glass look like themselves: one rule per material.

A rule sees the pixels of its own material only and edits their reflectance, emitted light and share of
light in place. Lengths are metres of texture coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini.display import Material
from pytest_lossy.data.mini.facade import facade
from pytest_lossy.data.mini.noise import COARSE, FINE
from pytest_lossy.data.mini.pixels import Pixels, Result, mix, ramp

__all__ = ["FIRST_GROUND", "LAST_GROUND", "SKY_HEIGHT", "apply"]

Float32 = npt.NDArray[np.float32]

FIRST_GROUND, LAST_GROUND = Material.ASPHALT, Material.PAINT_LINE
"""Materials that receive the ground's shadows."""

SKY_HEIGHT = 20.0
"""Height of the cloud plane above the camera in model metres; only its ratio to ``FAR`` matters."""


Rule = Callable[[Pixels, npt.NDArray[np.intp], Result], None]


def apply(material: npt.NDArray[np.int32], pixels: Pixels, whole: Result) -> None:
    """Run every material's rule on its pixels; ``whole`` holds all pixels and is changed in place."""
    for kind, rule in _RULES.items():
        at = np.flatnonzero(material == kind)
        if at.size == 0:
            continue
        result = Result(
            whole.albedo.take(at, axis=1),
            whole.emission.take(at, axis=1),
            whole.facing.take(at),
            whole.sky.take(at),
        )
        rule(pixels, at, result)
        whole.albedo[:, at] = result.albedo
        whole.emission[:, at] = result.emission
        whole.facing[at] = result.facing
        whole.sky[at] = result.sky


def _sky(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    light = pixels.light
    u, v = pixels.u.take(at), pixels.v.take(at)
    # The table's inverse depth has been clipped at the horizon, so take the elevation from the cloud plane
    # itself.
    slope = np.asarray(np.float32(SKY_HEIGHT) / np.sqrt(u * u + v * v + np.float32(1.0)), np.float32)
    height = slope / (slope + np.float32(0.35))
    span = np.float32(0.05) / np.maximum(slope, np.float32(0.05))
    du, dv = u + np.float32(light.drift[0]), v + np.float32(light.drift[1])
    # Low-passed by three octaves: cumulus has outlines, not grain.
    shape = pixels.noise.sample(COARSE, du * 8, dv * 8, np.maximum(span * 8, np.float32(4.0)))
    detail = pixels.noise.sample(COARSE, du * 21, dv * 21, np.maximum(span * 21, np.float32(1.0)))
    density = np.float32(1.3) * shape + np.float32(0.3) * detail
    amount = np.clip((density - np.float32(light.cover)) * np.float32(0.6), 0.0, 1.0) * ramp(slope, 0.04, 0.3)
    # Clouds are lit from above: where they are dense their undersides turn grey.
    grey = np.float32(1.0) - np.float32(0.22) * np.clip(density - np.float32(light.cover + 0.6), 0.0, 1.6)
    for c in range(3):
        low, high, cloud = (np.float32(k[c]) for k in (light.horizon, light.zenith, light.cloud))
        out.emission[c] = mix(low + (high - low) * height, cloud * grey, amount)
    out.albedo[:] = 0.0


def _asphalt(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    u, v = pixels.shifted(at)
    footprint = pixels.footprint.take(at)
    stains = pixels.noise.sample(COARSE, u * 9, v * 5, footprint * 7)
    seams = pixels.noise.sample(COARSE, u * 14, v * 14, footprint * 14)
    tone = 1.0 + pixels.param(0, at) * stains
    # A crack follows a contour line of smooth noise, and only where the surface is worn.
    cracked = (np.abs(seams) < np.float32(0.03)) & (stains < pixels.param(1, at))
    tone = np.where(cracked, tone * np.float32(0.55), tone)
    # Repair patches: rectangles of another age.
    column, row = np.floor(u * np.float32(0.31)), np.floor(v * np.float32(0.17))
    patched = pixels.noise.pick(column, row, pixels.param(2, at)) < pixels.param(3, at)
    tone = np.where(patched, tone * np.float32(0.78), tone)
    out.albedo *= np.maximum(tone, np.float32(0.3))


def _paving(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    u, v = pixels.u.take(at), pixels.v.take(at)
    width, length = pixels.param(0, at), pixels.param(1, at)
    row = np.floor(v / length)
    cu = u / width + np.float32(0.5) * (row - 2.0 * np.floor(row * 0.5))  # every other row is offset by half a slab
    column = np.floor(cu)
    footprint = pixels.footprint.take(at)
    # Joints are 2 cm; once a pixel is wider than that they fade into the mean instead of flickering.
    joint = np.maximum(footprint, np.float32(0.02))
    fade = np.clip(np.float32(0.03) / joint, 0.0, 1.0)
    edge_u = np.minimum(cu - column, 1.0 - (cu - column)) * width
    edge_v = (v / length - row) * length
    joints = ((edge_u < joint * 0.5) | (edge_v < joint)).astype(np.float32) * fade
    stains = pixels.noise.sample(COARSE, u * 11, v * 11, footprint * 11)
    slab = pixels.noise.pick(column, row, pixels.param(2, at)) - np.float32(0.5)
    out.albedo *= np.maximum(
        (1.0 + pixels.param(3, at) * slab + np.float32(0.1) * stains) * (1.0 - np.float32(0.5) * joints), 0.2
    )


def _grass(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    u, v = pixels.shifted(at)
    footprint = pixels.footprint.take(at)
    blades = pixels.noise.sample(FINE, u * 35, v * 18, footprint * 25)
    patches = pixels.noise.sample(COARSE, u * 12, v * 12, footprint * 12)
    out.albedo *= np.maximum(1.0 + np.float32(0.38) * blades + np.float32(0.25) * patches, 0.2)
    dry = np.clip(np.float32(0.25) * (patches + blades) + pixels.param(0, at), 0.0, 0.8)
    out.albedo[:] = mix(out.albedo, out.albedo[1] * np.array([[1.15], [1.0], [0.55]], np.float32), dry)


def _paint_line(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    u, v = pixels.shifted(at)
    worn = pixels.noise.sample(COARSE, u * 40, v * 40, pixels.footprint.take(at) * 40)
    gone = np.clip((worn + np.float32(0.5) * pixels.fine.take(at) - pixels.param(0, at)) * 1.5, 0.0, 1.0)
    out.albedo[:] = mix(out.albedo, pixels.second(at) * (1.0 + 0.15 * worn), gone)


def _foliage(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    """Parameters: crown half width, half height, relief, how brown."""
    u, v = pixels.u.take(at), pixels.v.take(at)
    su, sv = pixels.shifted(at)
    footprint = pixels.footprint.take(at)
    sun_u, sun_v, sun_n = (pixels.table[k].take(at) for k in (17, 18, 19))
    nu, nv = np.clip(u / pixels.param(0, at), -1, 1), np.clip(v / pixels.param(1, at), -1, 1)
    nz = np.sqrt(np.maximum(1.0 - 0.5 * (nu * nu + nv * nv), 0.0))
    # Relief: a clump is bright where noise falls off towards the sun. Two scales, branches and leaves.
    step = np.float32(0.12)
    clump = pixels.noise.sample(COARSE, su * 18, sv * 18, footprint * 18)
    beyond = pixels.noise.sample(COARSE, (su + step * sun_u) * 18, (sv + step * sun_v) * 18, footprint * 18)
    leaf = pixels.noise.sample(FINE, su * 45, sv * 45, footprint * 45)
    relief = pixels.param(2, at)
    bump = relief * (clump - beyond) + np.float32(0.3) * relief * leaf
    out.facing[:] = np.clip(
        np.float32(0.18) + 0.6 * np.maximum(nu * sun_u + nv * sun_v + nz * sun_n, 0.0) + 0.6 * bump, 0.0, 1.3
    )
    out.sky[:] = np.clip(np.float32(0.55) + 0.28 * nv + 0.35 * relief * leaf + 0.22 * clump, 0.08, 1.2)
    brown = np.clip(pixels.param(3, at) + np.float32(0.12) * clump, 0.0, 0.9)
    out.albedo[:] = mix(out.albedo, pixels.second(at), brown)


def _gloss(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    """Lacquer: mirrors the sky above and the road below a line; parameters: height of the line, strength."""
    u, v = pixels.shifted(at)
    wobble = pixels.noise.sample(COARSE, u * 8, v * 3, pixels.footprint.take(at) * 8)
    above = ramp(pixels.v.take(at) - pixels.param(0, at) + np.float32(0.08) * wobble, -0.12, 0.1)
    strength = pixels.param(1, at)
    out.albedo *= np.float32(0.72) + np.float32(0.28) * above
    for c, tint in enumerate(pixels.light.horizon):
        out.emission[c] += strength * np.float32(tint) * above * (1.0 + np.float32(0.2) * wobble)


def _glass(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    """Car windows: parameters: height of the lower edge, height of the pane, strength of the reflection."""
    u, v = pixels.shifted(at)
    footprint = pixels.footprint.take(at)
    wobble = pixels.noise.sample(COARSE, u * 14, v * 22, footprint * 18)
    height = np.clip((pixels.v.take(at) - pixels.param(0, at)) / pixels.param(1, at), 0.0, 1.0)
    reflection = pixels.param(2, at) * np.clip(0.2 + 0.7 * height + 0.16 * wobble, 0.0, 1.4)
    for c, tint in enumerate(pixels.light.horizon):
        out.emission[c] += np.float32(tint) * reflection


def _stripes(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    """Parameters: period, share of the second colour, direction (0 across v, 1 across u, 2 checks)."""
    period, share, kind = (pixels.param(k, at) for k in range(3))
    a, b = pixels.v.take(at) / period, pixels.u.take(at) / period
    in_v, in_u = (a - np.floor(a)) < share, (b - np.floor(b)) < share
    chosen = np.where(kind == 0.0, in_v, np.where(kind == 1.0, in_u, in_v != in_u))
    grain = 1.0 + pixels.table[11].take(at) * pixels.coarse.take(at)
    out.albedo[:] = np.where(chosen, pixels.second(at) * grain, out.albedo)


_RULES: dict[Material, Rule] = {
    Material.SKY: _sky,
    Material.ASPHALT: _asphalt,
    Material.PAVING: _paving,
    Material.GRASS: _grass,
    Material.PAINT_LINE: _paint_line,
    Material.FACADE: facade,
    Material.FOLIAGE: _foliage,
    Material.GLOSS: _gloss,
    Material.GLASS: _glass,
    Material.STRIPES: _stripes,
}
