"""A run beside its floor: fails on a gross loss of speed, twice what is measured, and never on noise.

Both are processor time of one thread, measured in turns on the same pictures; the best of three rounds counts.
``benchmarks/speed.py`` measures properly.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.folder import FolderSegmentation, FolderSegmentationOptions
from pytest_lossy.engine.pipeline import Pipeline
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.models.declaration import InputSection, OutputSection
from pytest_lossy.models.label_maps import LabelMaps
from pytest_lossy.models.network import NetworkModel
from pytest_lossy.models.preprocessing import Expects, declared_input
from pytest_lossy.tasks.segmentation import SegmentationTask

CLASSES = tuple("abcdefgh")
SIZE, BATCH, COUNT = (240, 320), 4, 8
LEVELS = (75, 30, 10)
GROSS = 2.8
"""Measured: 1.2 to 1.4, with a network so light that everything around it shows."""


class Net:
    """Some milliseconds a picture, scores at full resolution."""

    expects, thread_safe = Expects(), True

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Conv2d(3, 24, 5, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, len(CLASSES), 3, padding=1),
            nn.Upsample(scale_factor=4, mode="bilinear"),
        ).eval()

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = self.module(inputs)
            return found

    def close(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {}


def pictures(folder: Path) -> list[Path]:
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(COUNT):
        coarse = random.integers(0, 256, (15, 20, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(smooth).astype(int) + random.integers(-9, 10, (*SIZE, 3)), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(coarse[..., 0] % 8).resize(SIZE[::-1], Image.Resampling.NEAREST).save(
            folder / f"labels/{number}.png"
        )
    return sorted((folder / "images").iterdir())


def seconds(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


def test_a_run_costs_little_more_than_its_floor(tmp_path: Path) -> None:
    files, net = pictures(tmp_path / "data"), Net()
    data = FolderSegmentation(
        FolderSegmentationOptions(images="images", labels="labels", classes=CLASSES), tmp_path / "data"
    )
    model = NetworkModel(net, declared_input(InputSection(), Expects(), "cpu"), LabelMaps(OutputSection()), None)
    rounds = iter(range(99))

    def ours() -> None:
        line = Pipeline(
            model,
            SegmentationTask(CLASSES),
            SourceStore(data, tmp_path / f"spill-{next(rounds)}", 10**9),
            range(COUNT),
            batch_size=BATCH,
            threads=1,
            concurrent_inference=1,
        )
        for level in (None, *LEVELS):
            line.evaluate(JpegCodec() if level else None, level)

    def floor() -> None:
        images = [np.array(Image.open(path)) for path in files]
        for level in LEVELS:
            for image in images:
                stream = io.BytesIO()
                Image.fromarray(image).save(stream, "JPEG", quality=level)
                np.asarray(Image.open(stream))
        batch = torch.zeros(BATCH, 3, *SIZE)
        for _ in range((1 + len(LEVELS)) * COUNT // BATCH):
            net(batch)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours(), floor()
        ratio = min(seconds(ours) for _ in range(3)) / min(seconds(floor) for _ in range(3))
    finally:
        torch.set_num_threads(before)
    assert ratio < GROSS, f"a run takes {ratio:.2f} times its floor; profile it, see docs/performance.md"
    print(f"{ratio:.2f}")
