"""The view that a material's rule has of the frame: its inputs per pixel, and the results that it edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.mini.noise import Banks

if TYPE_CHECKING:
    from pytest_lossy.data.mini.shading import Light

__all__ = ["Pixels", "Result", "mix", "ramp"]

Float32 = npt.NDArray[np.float32]


@dataclass(slots=True)
class Pixels:
    """Inputs of the rules; arrays are (n,) over all pixels of the frame, tables (rows, n)."""

    u: Float32
    v: Float32
    footprint: Float32
    """Metres of texture under one pixel."""
    coarse: Float32
    fine: Float32
    table: Float32
    """Per-pixel surface constants, see ``shading``; parameters from row 26, second colour from row 32."""
    noise: Banks
    light: Light

    def param(self, number: int, at: npt.NDArray[np.intp]) -> Float32:
        """The surface's parameter ``number`` (0-5) at some pixels."""
        chosen: Float32 = self.table[26 + number].take(at)
        return chosen

    def second(self, at: npt.NDArray[np.intp]) -> Float32:
        """(3, n) second colour at some pixels."""
        return self.table[32:35].take(at, axis=1)

    def shifted(self, at: npt.NDArray[np.intp]) -> tuple[Float32, Float32]:
        """Texture coordinates with the surface's own noise offset, for noise look-ups."""
        return (
            self.u.take(at) + self.table[13].take(at),
            self.v.take(at) + self.table[14].take(at),
        )


@dataclass(slots=True)
class Result:
    """The shader's accumulators; rules change the arrays in place."""

    albedo: Float32
    emission: Float32
    facing: Float32
    sky: Float32


def ramp(x: Float32, low: float, high: float) -> Float32:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def mix(a: Float32, b: Float32, t: Float32) -> Float32:
    """``a`` where ``t`` is 0, ``b`` where it is 1."""
    return a + (b - a) * t
