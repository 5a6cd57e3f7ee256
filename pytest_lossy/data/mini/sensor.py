"""From linear light to 8 bits: optics, exposure, noise and the display curve."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Sensor", "develop", "half_size"]

Float32 = npt.NDArray[np.float32]
_STEPS = 4096
_MOMENTS = 1 << 32  # seeds are not negative, times before a scene's start are
_FULL = 1.6  # linear light that maps to white, after the shoulder


@dataclass(frozen=True, slots=True)
class Sensor:
    """The camera's imperfections."""

    noise: float
    """Standard deviation in shares of full scale."""
    blur: float
    """Outer weight of the 3-tap kernel [b, 1 - 2b, b], which stands for lens and mosaic."""
    vignette: float
    """Light lost in the corners."""
    contrast: float
    """Slope of the display curve around middle grey; 1 is neutral."""
    seed: int


def half_size(color: Float32) -> Float32:
    """Mean of 2x2 blocks: (C, 2H, 2W) -> (C, H, W)."""
    return np.asarray(
        np.float32(0.25)
        * ((color[:, 0::2, 0::2] + color[:, 0::2, 1::2]) + (color[:, 1::2, 0::2] + color[:, 1::2, 1::2])),
        np.float32,
    )


@functools.lru_cache(maxsize=8)
def _curve(contrast: float) -> Float32:
    """Display values 0..1 of linear light in steps of ``_FULL / _STEPS``: shoulder, gamma 2.2, contrast."""
    x = np.arange(_STEPS + 1, dtype=np.float64) / _STEPS * _FULL
    # Reinhard's curve with a white point (Reinhard et al. 2002, eq. 4), softened so that greys stay put.
    rolled = x * (1.0 + x / _FULL**2) / (1.0 + 0.35 * x)
    display = np.clip(rolled / rolled[-1] * 1.25, 0.0, 1.0) ** (1.0 / 2.2)
    curve = np.clip(0.5 + (display - 0.5) * contrast, 0.0, 1.0)
    # Powers may differ in the last bit between CPUs; 16 bits hide that and are finer than the sensor's noise.
    rounded: Float32 = (np.rint(curve * 65536.0) / 65536.0).astype(np.float32)
    return rounded


def develop(color: Float32, exposure: float, sensor: Sensor, time: float) -> npt.NDArray[np.uint8]:
    """Expose linear light (3, H, W) and return display pixels (H, W, 3), uint8.

    Noise is drawn from the sensor's seed and the time (seconds), so that the frames of a clip differ; in
    part it is common to the channels (luminance).
    """
    _, height, width = color.shape
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([sensor.seed, round(time * 1000) % _MOMENTS])))
    y = ((np.arange(height, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / height) - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / width) - 1)[None, :]
    falloff = np.float32(exposure) * (1.0 - np.float32(sensor.vignette * 0.5) * (x * x + y * y))
    exposed = _blurred(color * falloff, np.float32(sensor.blur))
    steps = np.clip(exposed * np.float32(_STEPS / _FULL), 0, _STEPS).astype(np.int32)
    display = _curve(sensor.contrast).take(steps)
    common = rng.standard_normal((1, height, width), dtype=np.float32)
    separate = rng.standard_normal((3, height, width), dtype=np.float32)
    # 0.8 and 0.6 are the legs of a right triangle: the sum keeps the variance.
    noisy = display + np.float32(sensor.noise) * (np.float32(0.8) * common + np.float32(0.6) * separate)
    pixels = np.clip(noisy * np.float32(255.0) + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _blurred(color: Float32, outer: np.float32) -> Float32:
    inner = np.float32(1.0) - 2 * outer
    padded = np.pad(color, ((0, 0), (1, 1), (0, 0)), mode="edge")
    rows = inner * color + outer * (padded[:, :-2] + padded[:, 2:])
    padded = np.pad(rows, ((0, 0), (0, 0), (1, 1)), mode="edge")
    return np.asarray(inner * rows + outer * (padded[:, :, :-2] + padded[:, :, 2:]), np.float32)
