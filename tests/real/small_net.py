"""A small encoder-decoder with max-pooling indices for the CamVid test, and its training."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CLASSES = 11
BATCH = 4
MEAN, STD = (0.41, 0.43, 0.43), (0.30, 0.31, 0.30)


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class SmallNet(nn.Module):
    """Works at half resolution inside: 2x2 pixels become channels; two poolings, two unpoolings."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96)) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), block(12, widths[0]))
        self.down = nn.ModuleList(block(a, b) for a, b in itertools.pairwise(widths))
        self.middle = nn.Sequential(block(widths[-1], widths[-1]), block(widths[-1], widths[-1]))
        self.up = nn.ModuleList(block(a, b) for a, b in itertools.pairwise(reversed(widths)))
        self.head = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = []
        x = self.stem(x)
        for layer in self.down:
            size = x.shape[2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            places.append((indices, size))
            x = layer(x)
        x = self.middle(x)
        for layer, (indices, size) in zip(self.up, reversed(places), strict=True):
            x = F.max_unpool2d(layer(x), indices, 2, output_size=size)
        return F.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)


def build() -> SmallNet:
    return SmallNet()


def train(root: Path, weights: Path, iterations: int) -> None:
    """Half-size images of the train split; a fixed number of iterations."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    names = sorted(path.name for path in (root / "train").glob("*.png"))
    images = np.stack([half(root / "train" / name, Image.Resampling.BILINEAR) for name in names])
    labels = np.stack([half(root / "trainannot" / name, Image.Resampling.NEAREST) for name in names])
    frequency = np.bincount(labels.ravel(), minlength=CLASSES + 1)[:CLASSES]
    weight = torch.tensor(np.sqrt(np.median(frequency) / frequency), dtype=torch.float32)
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=iterations, pct_start=0.1)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    for _ in range(iterations):
        chosen = random.choice(len(images), BATCH, replace=False)
        flip = slice(None, None, random.choice([-1, 1]))
        pixels = torch.from_numpy(images[chosen][:, :, flip].copy()).permute(0, 3, 1, 2).float().div(255)
        brightness = float(random.uniform(0.7, 1.3))
        truth = torch.from_numpy(labels[chosen][:, :, flip].copy()).long()
        scores = model(pixels.mul(brightness).sub(mean).div(std))
        loss = F.cross_entropy(scores, truth, weight, ignore_index=CLASSES)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)


def half(path: Path, resampling: Image.Resampling) -> np.ndarray:
    """The size that the spec declares as the network's input."""
    image = Image.open(path)
    return np.asarray(
        (image.convert("RGB") if resampling == Image.Resampling.BILINEAR else image).resize((240, 180), resampling)
    )


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
