"""A small depth network for 7-Scenes, and its training; and a depth map that never looks at the picture."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HEIGHT, WIDTH = 120, 160
"""The input that the spec declares."""
BATCH = 4
MILLIMETRES = 1000
FARTHEST = 10 * MILLIMETRES


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU()
    )


class SmallDepth(nn.Module):
    """RGB (n, 3, 120, 160) in -1..1 to metres (n, 1, 60, 80); skips between the scales."""

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64)) -> None:
        super().__init__()
        self.stem = block(3, widths[0], stride=2)
        self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(block(a + b, b) for a, b in itertools.pairwise(reversed(widths)))
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1))
        # The network works in ln m, about the depth of a room.
        return torch.exp(self.head(x) + 0.7)


def build() -> SmallDepth:
    return SmallDepth()


def train(root: Path, names: Path, weights: Path, iterations: int) -> None:
    """The frames that ``names`` lists (colour files); a fixed number of iterations; L1 of ln m on known pixels."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    frames = names.read_text(encoding="utf-8").split()
    images = np.stack([np.asarray(Image.open(root / name).resize((WIDTH, HEIGHT), 2)) for name in frames])
    depths = np.stack([eighth_depth(root / name) for name in frames])
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=iterations, pct_start=0.1)
    for _ in range(iterations):
        chosen = random.choice(len(frames), BATCH, replace=False)
        flip = slice(None, None, random.choice([-1, 1]))
        pixels = torch.from_numpy(images[chosen][:, :, flip].copy()).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        gain = torch.from_numpy(random.uniform(0.8, 1.2, (BATCH, 3, 1, 1)).astype(np.float32))
        truth = torch.from_numpy(depths[chosen][:, :, flip].copy())[:, None]
        known = truth > 0
        error = (model(pixels * gain).log() - truth.clamp_min(0.01).log()).abs()
        loss = (error * known).sum() / known.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)


def read_depth(colour: Path) -> np.ndarray:
    """(480, 640) metres beside a colour file, 0 where unknown."""
    stored = np.asarray(Image.open(colour.with_name(colour.name.replace(".color.jpg", ".depth.png")))).astype(np.int64)
    return (np.where(stored > FARTHEST, 0, stored) / MILLIMETRES).astype(np.float32)


def eighth_depth(colour: Path) -> np.ndarray:
    """(60, 80): every eighth pixel, the ones in the middle of what an output pixel covers."""
    return read_depth(colour)[4::8, 4::8]


class Constant:
    """The same depth everywhere: what can be had without looking."""

    thread_safe = True

    def __init__(self, metres: float) -> None:
        self.metres = metres

    def predict(self, media: Sequence[np.ndarray], context: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
        return [np.full(image.shape[:2], self.metres, dtype=np.float32) for image in media]


def constant(metres: float) -> Constant:
    return Constant(metres)


if __name__ == "__main__":
    train(*(Path(argument) for argument in sys.argv[1:4]), int(sys.argv[4]))
