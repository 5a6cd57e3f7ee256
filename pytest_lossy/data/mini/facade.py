"""House fronts: walls with courses and joints, windows in storeys, shops on the ground floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini.noise import COARSE
from pytest_lossy.data.mini.pixels import Pixels, Result, ramp

__all__ = ["facade"]

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Front:
    """Where each pixel is on its wall."""

    u: Float32
    v: Float32
    footprint: Float32
    pitch_u: Float32
    pitch_v: Float32
    share_u: Float32
    share_v: Float32
    salt: Float32
    style: Float32
    column: Float32
    floor: Float32
    fu: Float32
    """Position within the bay, 0 to 1."""
    fv: Float32
    shop: Mask


def facade(pixels: Pixels, at: npt.NDArray[np.intp], out: Result) -> None:
    """The rule of ``Material.FACADE``.

    Parameters: window pitch along and up, window width and height as shares of the pitch, salt, style.
    Style: 0 plaster, 1 brick, 2 concrete panels; plus 10 with shops on the ground floor. The second colour
    is the trim.
    """
    u, v = pixels.u.take(at), pixels.v.take(at)
    pitch_u, pitch_v, share_u, share_v, salt, style = (pixels.param(k, at) for k in range(6))
    shops = style >= 10.0
    style = np.where(shops, style - 10.0, style)
    cu, cv = u / pitch_u, v / pitch_v
    column, floor = np.floor(cu), np.floor(cv)
    front = _Front(
        u, v, pixels.footprint.take(at), pitch_u, pitch_v, share_u, share_v, salt, style,
        column, floor, cu - column, cv - floor, (floor < 1.0) & shops,
    )  # fmt: skip
    trim = pixels.second(at)
    _wall(front, pixels, out)
    ledge = (front.fv < np.float32(0.05)) & (floor > 0) & (style != 2.0)
    out.albedo[:] = np.where(ledge, trim * np.float32(0.9), out.albedo)
    _windows(front, pixels, trim, out)
    _shop_signs(front, pixels, out)


def _wall(front: _Front, pixels: Pixels, out: Result) -> None:
    """Bricks, panel joints, streaks of rain and dirt."""
    # Courses are 7.5 cm high and drawn while a pixel still resolves them.
    course = front.v * np.float32(1 / 0.075)
    brick = front.style == 1.0
    mortar = ((course - np.floor(course)) < 0.22) & brick & (front.footprint < 0.05)
    wall = np.where(mortar, np.float32(0.78), np.float32(1.0))
    shade = pixels.noise.pick(np.floor(front.u * np.float32(4.4)), np.floor(course), front.salt)
    spread = np.where(brick, np.float32(0.3), np.float32(0.0)) * np.clip(0.06 / front.footprint, 0.0, 1.0)
    wall = wall * (1.0 + spread * (shade - np.float32(0.5)))
    # Panels have one joint per storey and bay.
    line = np.maximum(front.footprint, np.float32(0.04))
    joint = (front.fu * front.pitch_u < line) | (front.fv * front.pitch_v < line)
    wall = np.where(joint & (front.style == 2.0), np.float32(0.62), wall)
    streaks = pixels.noise.sample(COARSE, front.u * 45, front.v * 5, front.footprint * 14)
    dirt = np.float32(0.22) * (1.0 - ramp(front.v, 0.0, 1.2))
    wall = wall * (1.0 + np.float32(0.1) * streaks) * (1.0 - dirt)
    out.albedo *= np.maximum(wall, np.float32(0.25))


def _windows(front: _Front, pixels: Pixels, trim: Float32, out: Result) -> None:
    """Frames, panes that mirror the sky, and some drawn curtains."""
    share_u = np.where(front.shop, np.float32(0.86), front.share_u)
    share_v = np.where(front.shop, np.float32(0.72), front.share_v)
    centre_v = np.where(front.shop, np.float32(0.38), np.float32(0.54))
    aside = np.abs(front.fu - np.float32(0.5))
    dx = (aside - share_u * 0.5) * front.pitch_u
    dy = (np.abs(front.fv - centre_v) - share_v * 0.5) * front.pitch_v
    inside = np.maximum(dx, dy)
    frame_width = np.maximum(front.footprint, np.float32(0.09))
    bar = (aside * front.pitch_u < frame_width * 0.4) & ~front.shop
    glass = (inside < -frame_width * 0.5) & ~bar
    out.albedo[:] = np.where(inside < frame_width * 0.5, trim, out.albedo)

    chance = pixels.noise.pick(front.column, front.floor, front.salt + np.float32(17.0))
    drawn = share_v * front.pitch_v * (chance - np.float32(0.6))
    curtain = glass & (chance > 0.62) & (dy < -drawn)
    coarse = pixels.noise.sample(COARSE, front.u * 14, front.v * 14, front.footprint * 14)
    reflection = np.float32(0.22) + np.float32(0.07) * coarse + (chance - 0.5) * 0.4 + front.fv * 0.15
    # The lintel shades the upper edge of the pane: without it windows look painted on.
    lintel = np.where(glass & (dy > np.float32(-0.16)) & (front.fv > 0.5), np.float32(0.45), np.float32(1.0))
    pane = np.clip(reflection, 0.02, 0.8) * lintel
    for c, tint in enumerate(pixels.light.horizon):
        shown = np.where(curtain, np.float32(0.0), np.float32(tint * 0.9) * pane)
        out.emission[c] = np.where(glass, shown, out.emission[c])
        cloth = np.where(curtain, 0.55 - 0.2 * chance, np.float32(0.04))
        out.albedo[c] = np.where(glass, cloth, out.albedo[c])


def _shop_signs(front: _Front, pixels: Pixels, out: Result) -> None:
    """A board over every two bays, with blocks for letters."""
    board = front.shop & (front.fv > 0.78) & (front.fv < 0.97)
    shop = np.floor(front.column * np.float32(0.5))
    dark = np.round(pixels.noise.pick(shop, front.floor, front.salt + np.float32(5.0)))
    letter = pixels.noise.pick(np.floor(front.u * np.float32(3.1)), front.floor, front.salt + np.float32(9.0))
    line = (np.abs(front.fv - np.float32(0.875)) < 0.05) & (front.fu > 0.15) & (front.fu < 0.85)
    text = board & (letter > 0.55) & line
    for c in range(3):
        hue = pixels.noise.pick(shop, front.floor, front.salt + np.float32(31.0 * c))
        ground = np.float32(0.06) + np.float32(0.5) * hue * hue
        painted = np.where(text, 0.75 - 0.7 * dark, ground)
        out.albedo[c] = np.where(board, painted, out.albedo[c])
