"""Colours that stay apart for colour-blind eyes, and a scale whose lightness rises evenly.

Distances are measured in OKLab (Ottosson, "A perceptual color space for image processing", 2020), as seen normally and as
simulated for the two common colour blindnesses (Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation
of Color Vision Deficiency", IEEE TVCG 2009, table 1 at severity 1).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["FALSE", "FOUND", "MISSED", "TRUTH", "class_colours", "seen_by", "to_oklab", "value_scale"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

FOUND: Colour = (80, 185, 255)
FALSE: Colour = (255, 165, 30)
MISSED: Colour = (255, 255, 255)
TRUTH: Colour = (130, 240, 160)
"""What a detection or a person is, always told by the line's pattern, too."""

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
_STEPS = 11
_LIGHTNESS = (0.42, 0.92)
"""Neither black nor white: the picture's own light and shade must stay visible under a colour."""
_CHROMA = 0.24
_NORMAL = 0.6


def _linear(colours: npt.NDArray[np.number]) -> FloatArray:
    """SRGB 0..255 to linear light 0..1 (IEC 61966-2-1)."""
    share = np.asarray(colours, dtype=np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _srgb(light: FloatArray) -> UInt8Array:
    share = np.clip(light, 0, 1)
    encoded = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    rounded: UInt8Array = np.rint(encoded * 255).astype(np.uint8)
    return rounded


def seen_by(colours: npt.NDArray[np.number], vision: str) -> UInt8Array:
    """Colours (..., 3) as ``normal``, ``protanopia`` or ``deuteranopia`` sees them."""
    return _srgb(_linear(colours) @ _VISION[vision].T)


def to_oklab(colours: npt.NDArray[np.number]) -> FloatArray:
    """SRGB (..., 3), 0..255, to OKLab: lightness 0..1, and two opponent axes."""
    lab: FloatArray = np.cbrt(_linear(colours) @ _TO_LMS.T) @ _TO_LAB.T
    return lab


@cache
def _ordered_colours(count: int) -> UInt8Array:
    """Each colour as far as possible from all before it, for the eye that tells them apart worst."""
    steps = np.rint(np.linspace(0, 255, _STEPS))
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_oklab(candidates)
    candidates = candidates[(lab[:, 0] >= _LIGHTNESS[0]) & (lab[:, 0] <= _LIGHTNESS[1])]
    candidates = candidates[np.linalg.norm(to_oklab(candidates)[:, 1:], axis=1) <= _CHROMA]
    # Normal eyes are offered wider gaps: they see more differences, and most readers have them.
    seen = [to_oklab(seen_by(candidates, vision)) * (_NORMAL if vision == "normal" else 1.0) for vision in _VISION]
    # The first is the bluest: a fixed place to start from.
    chosen = [int(np.argmin(seen[0][:, 2]))]
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < min(count, len(candidates)):
        for points in seen:
            nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
        # Rounded, so that the last bit of a cube root cannot change which colour comes next.
        chosen.append(int(np.argmax(np.round(nearest, 6))))
    colours: UInt8Array = candidates[chosen].astype(np.uint8)
    return colours


def class_colours(count: int) -> UInt8Array:
    """One colour per class, (count, 3); the first ones differ most, and beyond about 900 they repeat.

    The colours of the first classes do not depend on how many there are.
    """
    # Rounded up, so that data sets of similar size share the computation.
    known = _ordered_colours(64 if count <= 64 else 1000)
    colours: UInt8Array = known[np.arange(count) % len(known)]
    return colours


@cache
def value_scale() -> UInt8Array:
    """256 colours from dark violet to light yellow whose OKLab lightness rises in equal steps: (256, 3)."""
    share = np.linspace(0, 1, 256)
    lightness = 0.22 + 0.72 * share
    angle = np.deg2rad(300 - 195 * share)
    chroma = 0.13 * np.sin(np.pi * (0.12 + 0.76 * share)) + 0.01
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    lms = (lab @ np.linalg.inv(_TO_LAB).T) ** 3
    return _srgb(lms @ np.linalg.inv(_TO_LMS).T)
