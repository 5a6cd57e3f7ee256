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
MEAN, STD = (0.41, 0.43, 0.43), (0.30, 0.31, 0.30)


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class SmallNet(nn.Module):
    """Three poolings, three unpoolings."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        sizes = (3, *widths)
        self.down = nn.ModuleList(block(a, b) for a, b in zip(sizes, widths, strict=False))
        self.middle = block(widths[-1], widths[-1])
        back = (*reversed(widths), widths[0])
        self.up = nn.ModuleList(block(a, b) for a, b in itertools.pairwise(back))
        self.head = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = []
        for layer in self.down:
            x = layer(x)
            size = x.shape[2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            places.append((indices, size))
        x = self.middle(x)
        for layer, (indices, size) in zip(self.up, reversed(places), strict=True):
            x = layer(F.max_unpool2d(x, indices, 2, output_size=size))
        return self.head(x)


def build() -> SmallNet:
    return SmallNet()


def train(root: Path, weights: Path, iterations: int) -> None:
    """Half-size crops of the train split; a fixed number of iterations."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    names = sorted(path.name for path in (root / "train").glob("*.png"))
    images = np.stack([np.asarray(Image.open(root / "train" / name).convert("RGB")) for name in names])
    labels = np.stack([np.asarray(Image.open(root / "trainannot" / name)) for name in names])
    frequency = np.bincount(labels.ravel(), minlength=CLASSES + 1)[:CLASSES]
    weight = torch.tensor(np.sqrt(np.median(frequency) / frequency), dtype=torch.float32)
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=iterations, pct_start=0.1)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    height, width = 180, 240
    for _ in range(iterations):
        batch, target = [], []
        for index in random.choice(len(images), 6, replace=False):
            y, x = random.integers(0, 360 - height + 1), random.integers(0, 480 - width + 1)
            flip = slice(None, None, random.choice([-1, 1]))
            batch.append(images[index, y : y + height, x : x + width][:, flip])
            target.append(labels[index, y : y + height, x : x + width][:, flip])
        pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        truth = torch.from_numpy(np.stack(target)).long()
        loss = F.cross_entropy(model(pixels), truth, weight, ignore_index=11)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
