"""The networks of the speed benchmark, as builders that a spec names: a light one and a heavy one, 11 classes each."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 11
MEAN, STD = (0.41, 0.43, 0.43), (0.30, 0.31, 0.30)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Light(nn.Module):
    """Works at a quarter of the resolution and below; class scores at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, stride=4, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.down = _block(16, 24)
        self.up = _block(24, 16)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W), sides multiples of 8, to (n, 11, H, W)."""
        first = self.stem(x)
        second, places = functional.max_pool2d(first, 2, return_indices=True)
        deep = functional.max_unpool2d(self.up(self.down(second)), places, 2)
        scores = self.head(first + deep)
        return functional.interpolate(scores, scale_factor=4, mode="bilinear", align_corners=False)


def light() -> nn.Module:
    """A few milliseconds a picture of 480x360; random weights."""
    torch.manual_seed(0)
    return Light()


def heavy() -> nn.Module:
    """The reference suite's SegNet: some 150 ms a picture of 480x360; random weights."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from segnet import build

    torch.manual_seed(0)
    module: nn.Module = build(num_classes=CLASSES)
    return module
