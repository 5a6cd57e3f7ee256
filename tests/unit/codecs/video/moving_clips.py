"""Synthetic clips for video codec tests, and every codec that runs without a GPU."""

from __future__ import annotations

import numpy as np

from pytest_lossy.codecs.base import Media, UInt8Array
from pytest_lossy.codecs.video.av1 import Av1, Av1Cbr, Av1Intra
from pytest_lossy.codecs.video.base import VideoCodec
from pytest_lossy.codecs.video.h264 import H264, H264Cbr, H264Intra
from pytest_lossy.codecs.video.hevc import Hevc, HevcCbr, HevcIntra
from pytest_lossy.codecs.video.vp9 import Vp9, Vp9Cbr, Vp9Intra

STREAMS: list[type[VideoCodec]] = [H264, Hevc, Av1, Vp9]
STILLS: list[type[VideoCodec]] = [H264Intra, HevcIntra, Av1Intra, Vp9Intra]
RATES: list[type[VideoCodec]] = [H264Cbr, HevcCbr, Av1Cbr, Vp9Cbr]
ALL = [*STREAMS, *STILLS, *RATES]


def natural_clip(frames: int, height: int, width: int, seed: int = 0) -> UInt8Array:
    """A camera pans over 1/f noise, the amplitude spectrum of photographs, while a bright square crosses."""
    rng = np.random.default_rng(seed)
    tall, wide = height + frames, width + 2 * frames
    frequency = np.hypot(np.fft.fftfreq(tall)[:, None], np.fft.fftfreq(wide)[None])
    frequency[0, 0] = 1 / max(tall, wide)

    def plane() -> np.ndarray:
        values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((tall, wide))) / frequency**1.2).real
        return (values - values.mean()) / values.std()

    luma = plane()
    scene = np.stack([128 + 40 * luma + 5 * plane() for _ in range(3)], axis=-1)
    clip = np.stack([scene[t : t + height, 2 * t : 2 * t + width] for t in range(frames)])
    side = max(1, height // 8)
    for t in range(frames):
        x = (width - side) * t // max(1, frames - 1)
        clip[t, height // 2 : height // 2 + side, x : x + side] = (240, 220, 60)
    return np.clip(np.round(clip), 0, 255).astype(np.uint8)


def media_for(codec: type[VideoCodec] | VideoCodec, clip: UInt8Array) -> UInt8Array:
    """``clip``, or its first frame for a codec of stills."""
    return clip[0] if codec.media is Media.IMAGE else clip


def psnr(first: UInt8Array, second: UInt8Array) -> float:
    """Decibels over all samples; infinite where equal."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)
