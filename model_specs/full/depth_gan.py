"""The generator of pix2pix at full size, as a network for metric depth.

After Isola, Zhu, Zhou & Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017), appendix
6.1: a U-Net of eight halvings to one pixel for pictures of 256 x 256, here of 256 x 512. The discriminator is needed in
training alone. What is painted is the logarithm of depth between ``NEAREST`` and ``FARTHEST``, scaled to -1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FARTHEST", "NEAREST", "Generator", "build"]

NEAREST, FARTHEST = 1e-3, 80.0
"""Metres: the range in which KITTI's depth is evaluated."""

_SIZE = (256, 512)


def _down(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 4, 2, padding=1)]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(outputs)] if norm else []))


def _up(inputs: int, outputs: int, *, dropout: bool) -> nn.Sequential:
    layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))


class Generator(nn.Module):
    """Eight stages down, eight up, each with a skip; batch normalisation everywhere but at the ends."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths {tuple(widths)} must be two or more positive numbers")
        self.first = nn.Conv2d(3, widths[0], 4, 2, padding=1)
        last = len(widths) - 2
        self.down = nn.ModuleList(
            _down(before, after, norm=place != last) for place, (before, after) in enumerate(pairwise(widths))
        )
        up = []
        for place, (after, before) in enumerate(reversed(list(pairwise(widths)))):
            up.append(_up(before if place == 0 else 2 * before, after, dropout=place < 3))
        self.up = nn.ModuleList(up)
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * widths[0], 1, 4, 2, padding=1), nn.Tanh())

    def forward(self, images: Tensor) -> Tensor:
        """Depth of each pixel.

        Args:
            images: (N, 3, H, W) float32, -1 to 1; seen at 256 x 512 whatever their size.

        Returns:
            (N, 1, H, W), metres, ``NEAREST`` to ``FARTHEST``.

        """
        x = self.first(functional.interpolate(images, _SIZE, mode="bilinear", antialias=True))
        skips = [x]
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        skips.pop()
        for stage in self.up:
            x = torch.cat([stage(x), skips.pop()], dim=1)
        span = math.log(FARTHEST / NEAREST) / 2
        logarithm = math.log(NEAREST) + span * (self.head(x) + 1)
        return functional.interpolate(logarithm, images.shape[-2:], mode="bilinear").exp()


def build(widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512)) -> nn.Module:
    """A generator with random weights, of 54 million parameters.

    Args:
        widths: channels after each halving.

    Raises:
        ValueError: fewer than two widths, or one that is not positive.

    """
    return Generator(tuple(widths))
