"""Sun, sky, haze and exposure of a scene."""

from __future__ import annotations

import math

import numpy as np

from pytest_lossy.data.mini.display import Color, scaled
from pytest_lossy.data.mini.shading import Light

__all__ = ["WEATHER", "sample_light", "weather_tags"]

WEATHER: tuple[str, ...] = ("sunny", "low-sun", "overcast", "hazy")
"""What :func:`weather_tags` may say."""

_LOW = math.sin(0.45)
_HAZY = 350.0  # metres: a house at the end of the street has lost a third of its contrast


def sample_light(rng: np.random.Generator) -> Light:
    """Draw the weather: half sunny, a third overcast, the rest low sun."""
    kind = rng.choice(["sunny", "overcast", "low"], p=[0.5, 0.33, 0.17])
    azimuth = float(rng.uniform(-math.pi, math.pi))
    elevation = float(rng.uniform(0.5, 1.1) if kind != "low" else rng.uniform(0.2, 0.4))
    sun = (
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
        math.cos(elevation) * math.cos(azimuth),
    )
    zenith: Color = (0.17, 0.33, 0.72)
    horizon: Color = (0.72, 0.83, 0.96)
    cloud: Color = (1.15, 1.14, 1.13)
    sun_color: Color = (1.75, 1.64, 1.42)
    sky_color: Color = (0.34, 0.39, 0.48)
    cover = float(rng.uniform(-0.3, 1.6))
    if kind == "overcast":
        grey = float(rng.uniform(0.8, 1.1))
        zenith, horizon = (0.6 * grey, 0.64 * grey, 0.7 * grey), (0.9 * grey, 0.92 * grey, 0.94 * grey)
        cloud = (0.88 * grey, 0.89 * grey, 0.91 * grey)
        sun_color, sky_color = (0.0, 0.0, 0.0), (0.98 * grey, 1.02 * grey, 1.08 * grey)
        cover = float(rng.uniform(-1.6, -0.1))
        # No disc in the sky: a sun below the ground casts no shadows, and its light is black.
        sun = (0.2 * sun[0], -1.0, 0.2 * sun[2])
    elif kind == "low":
        zenith, horizon, cloud = (0.25, 0.33, 0.55), (0.88, 0.72, 0.55), (0.98, 0.84, 0.7)
        sun_color, sky_color = (1.7, 1.2, 0.7), (0.32, 0.35, 0.46)
    warmth = float(rng.normal(0.0, 0.05))
    exposure = float(rng.uniform(0.85, 1.45)) * (1.0 if kind != "low" else 1.15)
    dim = float(rng.uniform(0.75, 1.0))
    return Light(
        sun=sun,
        sun_color=(sun_color[0] * (1 + warmth) * dim, sun_color[1] * dim, sun_color[2] * (1 - warmth) * dim),
        sky_color=scaled(sky_color, dim),
        zenith=scaled(zenith, dim),
        horizon=scaled(horizon, dim),
        cloud=scaled(cloud, dim),
        cover=cover,
        haze=math.exp(float(rng.uniform(math.log(140.0), math.log(2500.0)))),
        exposure=exposure,
        drift=(float(rng.uniform(0, 250)), float(rng.uniform(0, 250))),
    )


def weather_tags(light: Light) -> tuple[str, ...]:
    """``sunny``, ``low-sun`` or ``overcast``, and ``hazy`` beside it where the air is thick."""
    kind = "overcast" if light.sun[1] <= 0.0 else "low-sun" if light.sun[1] < _LOW else "sunny"
    return (kind, "hazy") if light.haze < _HAZY else (kind,)
