"""Synthetic pictures for codec tests."""

from __future__ import annotations

import numpy as np

from pytest_lossy.codecs.base import UInt8Array


def natural(height: int, width: int, seed: int) -> UInt8Array:
    """1/f noise with correlated colours: the amplitude spectrum of photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)

    def plane() -> np.ndarray:
        values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / frequency).real
        return (values - values.mean()) / values.std()

    luma = plane()
    channels = [128 + 45 * luma + 15 * plane() for _ in range(3)]
    return np.clip(np.round(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)


def white_noise(height: int, width: int, seed: int) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def psnr(first: UInt8Array, second: UInt8Array) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float(10 * np.log10(255**2 / error))
