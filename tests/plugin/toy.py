"""A tiny suite whose model is right by construction: a 1x1 convolution that picks the nearest class colour.

Images are blobs of three similar colours with noise, so that clean mIoU is high and chroma subsampling and coarse
quantisation cost more at lower quality.
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import numpy as np
from PIL import Image

COLORS = np.array([[120, 110, 100], [150, 110, 90], [110, 125, 135]])

NETWORK = """
import os
import time
from pathlib import Path
import torch

COLORS = torch.tensor({colors}, dtype=torch.float32) / 255

class Nearest(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.conv.weight.copy_(2 * COLORS[:, :, None, None])
            self.conv.bias.copy_(-(COLORS ** 2).sum(1))

    def forward(self, x):
        return self.conv(x)

def note(what):
    folder = os.environ.get("TOY_LOG")
    if folder:
        path = Path(folder) / f"{{what}}-{{os.getpid()}}"
        path.write_text(str(int(path.read_text() if path.exists() else 0) + 1))

def wait_for_others():
    # Until as many processes as a test asks for build a model: the fastest must not have done everything by then.
    deadline = time.monotonic() + 120
    together = int(os.environ.get("TOY_TOGETHER", 0))
    while together > len(list(Path(os.environ.get("TOY_LOG", ".")).glob("build-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)

def build():
    note("build")
    wait_for_others()
    return Nearest()

class Broken(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        if self.how == "raise":
            raise ZeroDivisionError("the answer is not 42")
        if self.how == "nan":
            return torch.full((len(x), 3, *x.shape[2:]), float("nan"))
        if self.how == "shape":
            return torch.zeros(len(x), 3)
        if self.how == "count":
            return torch.zeros(1, 3, *x.shape[2:])
        if self.how == "classes":
            return torch.nn.functional.one_hot(torch.full((len(x), *x.shape[2:]), 4), 5).permute(0, 3, 1, 2).float()
        if self.how == "oom":
            if len(x) > 2:
                raise torch.OutOfMemoryError("pretend")
            return Nearest()(x)

def build_broken(how):
    return Broken(how)

def build_raises():
    raise RuntimeError("no such checkpoint in the bucket")

def build_list():
    return [1]
"""

KILLER = """
import os, signal
from pytest_lossy.codecs.jpeg import JpegCodec

class KillerCodec(JpegCodec):
    name = "killer"

    def encode(self, media, level, *, fps=None):
        if level == 50:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(media, level, fps=fps)
"""

SLOW = """
import time
from pytest_lossy.codecs.jpeg import JpegCodec

class SlowCodec(JpegCodec):
    name = "slow"

    def encode(self, media, level, *, fps=None):
        if level < 90:
            time.sleep(0.5)
        return super().encode(media, level, fps=fps)
"""


def write_images(root: Path, count: int = 12, size: tuple[int, int] = (40, 56)) -> None:
    """``images/`` and ``labels/`` of ``count`` samples."""
    random = np.random.default_rng(7)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for index in range(count):
        labels = np.zeros(size, dtype=np.uint8)
        for _ in range(7):
            y, x, r = random.integers(0, size[0]), random.integers(0, size[1]), random.integers(3, 10)
            labels[(rows - y) ** 2 + (columns - x) ** 2 < r**2] = random.integers(0, 3)
        noise = random.normal(0, 5, (*size, 3))
        image = np.clip(COLORS[labels] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{index:03}.png")
        Image.fromarray(labels).save(root / "labels" / f"{index:03}.png")


def write_spec(
    root: Path,
    name: str = "toy",
    *,
    model: str = "torch: ./net.py:build",
    extra: str = "",
    codecs: str = "jpeg: [90, 50, 5]",
) -> Path:
    """One spec on the images; ``model``, ``codecs`` and ``extra`` are YAML, one line or indented lines."""
    folder = root / "model_specs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(NETWORK.format(colors=json.dumps(COLORS.tolist())), encoding="utf-8")
    path = folder / f"{name}.yaml"
    lines = [
        "task: segmentation",
        "architecture: toy",
        "model:",
        *(f"  {line}" for line in dedent(model).strip().splitlines()),
        "data:",
        "  name: folder-segmentation",
        "  kwargs: {images: ../images, labels: ../labels, classes: [red, green, blue]}",
        "codecs:",
        *(f"  {line}" for line in dedent(codecs).strip().splitlines()),
        "batch_size: 5",
        *dedent(extra).strip().splitlines(),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_thresholds(root: Path, text: str) -> Path:
    """thresholds.yaml with ``models:`` from indented YAML."""
    path = root / "thresholds.yaml"
    body = "\n".join(f"  {line}" for line in dedent(text).strip("\n").splitlines())
    path.write_text(f"version: 1\nmodels:\n{body}\n", encoding="utf-8")
    return path
