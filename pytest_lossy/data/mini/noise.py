"""Periodic banks of 1/f noise with mip levels: the texture of every surface.

Natural images have amplitude spectra near 1/f (Field 1987); a surface whose texture follows such a law
keeps detail at every viewing distance, which is what a lossy codec removes first. Two banks are enough: a
*coarse* one for stains, plaster and clouds, and a *fine* one for grain.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["COARSE", "FINE", "Banks", "banks"]

Float32 = npt.NDArray[np.float32]

SIZE = 1024  # texels per side; a power of two, so that wrapping is a bit mask
LEVELS = 7  # at level 6 a texel stands for 64: beyond that a texture is its mean
COARSE, FINE = 0, 1
_EXPONENTS = (1.15, 0.6)  # amplitude ~ 1/f^a; fitted so that whole frames meet the statistics of photographs
_SIGMA = 28.0  # int8 steps per standard deviation: clips at 4.5 sigma
_SEED = 20_260_714


class Banks(NamedTuple):
    """Noise of unit standard deviation at level 0; higher levels are low-passed and therefore weaker."""

    texels: npt.NDArray[np.int8]
    """(banks * LEVELS * SIZE * SIZE,), flattened for a single gather."""
    uniform: Float32
    """(4096,) numbers in [0, 1): one per window, slab or brick, looked up by an integer hash."""

    def sample(self, bank: int, u: Float32, v: Float32, footprint: Float32 | float) -> Float32:
        """Noise at texel coordinates.

        Args:
            bank: ``COARSE`` or ``FINE``.
            u: texel coordinate of each pixel, any range (the bank is periodic).
            v: as ``u``, same shape.
            footprint: texels that one pixel covers; chooses the mip level.

        Returns:
            float32 of ``u``'s shape, mean 0, standard deviation up to 1.

        """
        # frexp reads the exponent bits, so the level never depends on how a CPU rounds a logarithm.
        exponent = np.frexp(np.asarray(footprint, np.float32))[1]
        level = np.clip(exponent, 0, LEVELS - 1).astype(np.int32)
        mask = np.int32(SIZE - 1)
        column = np.floor(u).astype(np.int32) & mask
        row = np.floor(v).astype(np.int32) & mask
        index = ((np.int32(bank * LEVELS) + level) * np.int32(SIZE) + row) * np.int32(SIZE) + column
        return self.texels.take(index).astype(np.float32) * np.float32(1.0 / _SIGMA)

    def pick(self, i: Float32, j: Float32, salt: Float32 | float) -> Float32:
        """A number in [0, 1) for each cell (i, j) of a grid; ``salt`` separates the grids of two surfaces."""
        key = i.astype(np.int32) * np.int32(73) + j.astype(np.int32) * np.int32(1151)
        return self.uniform.take((key + np.asarray(salt).astype(np.int32)) & np.int32(4095))


@functools.cache
def banks() -> Banks:
    """The two banks; built once per process in about 0.3 s, the same in every process.

    The Fourier sums may differ in their last bits between CPUs; rounding to 8 bits hides that.
    """
    rng = np.random.Generator(np.random.PCG64(_SEED))
    frequency_y = np.fft.fftfreq(SIZE)[:, None]
    frequency_x = np.fft.rfftfreq(SIZE)[None, :]
    radius = np.sqrt(frequency_x**2 + frequency_y**2)
    radius[0, 0] = 1.0
    texels = np.empty((len(_EXPONENTS), LEVELS, SIZE, SIZE), np.int8)
    for bank, exponent in enumerate(_EXPONENTS):
        white = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
        spectrum = white * radius**-exponent
        # Waves longer than a quarter of the period would make tiles recognisable.
        spectrum *= 1.0 - np.exp(-((radius * SIZE / 4.0) ** 2))
        scale = _SIGMA / np.fft.irfft2(spectrum, (SIZE, SIZE)).std()
        for level in range(LEVELS):
            cut = 0.5 / 2**level
            low = spectrum * np.exp(-0.7 * (radius / cut) ** 2) if level else spectrum
            field = np.fft.irfft2(low, (SIZE, SIZE)) * scale
            texels[bank, level] = np.clip(np.rint(field), -127, 127).astype(np.int8)
    uniform = (rng.integers(0, 1 << 16, 4096) / float(1 << 16)).astype(np.float32)
    return Banks(texels.ravel(), uniform)
