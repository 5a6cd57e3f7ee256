"""Clips and frames for the two-stream network, and its training script as a module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from pytest_lossy.data.base import Sample

SPECS = Path(__file__).parents[3] / "model_specs"
WEIGHTS = SPECS / "weights" / "two-stream-mini.safetensors"


@contextmanager
def training_script() -> Iterator[ModuleType]:
    """``train_two_stream.py`` as Python runs it, with its own folder first on the path; its imports are forgotten after."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("lossy_train_two_stream", SPECS / "train_two_stream.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))
        for name in ("two_stream", "two_stream_frames"):
            sys.modules.pop(name, None)


def clip(frames: int = 16, size: tuple[int, int] = (96, 128), seed: int = 0) -> np.ndarray:
    """Noise that differs between frames."""
    return np.random.default_rng(seed).integers(0, 256, (frames, *size, 3), dtype=np.uint8)


def texture(size: tuple[int, int], seed: int) -> np.ndarray:
    """A smooth random picture of full contrast."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=size), 2.0)
    return 128 + 50 * noise / noise.std()


def moving(dx: float, dy: float, frames: int = 4, pan: float = 0.0) -> np.ndarray:
    """A textured square that moves by (dx, dy) a frame before a background that moves by (pan, 0)."""
    behind, before = texture((96, 128), 1), texture((96, 128), 2)
    pictures = []
    for time in range(frames):
        picture = shift(behind, (0, pan * time), order=1, mode="wrap")
        patch = shift(before, (dy * time, dx * time), order=1, mode="wrap")
        mask = np.zeros((96, 128))
        mask[30:66, 40:88] = 1
        mask = shift(mask, (dy * time, dx * time), order=1)
        pictures.append(mask * patch + (1 - mask) * picture)
    return np.repeat(np.stack(pictures).clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)


def frame(media: np.ndarray, at: tuple[float, float] = (70.0, 50.0), label: int = 0) -> Sample:
    """One person, all of whose joints are at ``at``, x and y."""
    keypoints = np.full((1, 17, 3), 2, np.float32)
    keypoints[..., :2] = at
    return Sample(id="a", media=media, target={"label": np.array(label), "keypoints": keypoints}, context={})
