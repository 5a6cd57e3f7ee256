"""Monocular depth by a conditional GAN: a U-Net that paints depth, and a patch discriminator that judges it.

After Isola, Zhu, Zhou & Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017): an
encoder-decoder with skip connections generates, and a convolutional classifier of overlapping patches, which sees the
image beside the depth, tells rendered depth from painted depth. Only the generator is shipped and evaluated. Here it
works on 2x2 blocks of pixels (Shi et al., CVPR 2016), for a quarter of the cost and with every input pixel kept; it knows
where in the picture it is, and a summary of the whole picture, for metric depth hangs on the camera's height and pitch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Discriminator", "Generator", "build"]

NEAREST, FARTHEST = 0.3, 400.0  # metres; the mini world's geometry lies between
TYPICAL = 14.0  # metres; what an untrained network answers


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Generator(nn.Module):
    """A U-Net from images to depth.

    Args:
        widths: channels at each resolution, from half of the picture's downwards, each half of the one before.

    Raises:
        ValueError: fewer than two widths, or one that is not positive.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths {tuple(widths)} must be two or more positive numbers")
        self.stride = 2 ** len(widths)
        """Inputs are padded to multiples of this."""
        self.stem = _convolution(3 * 4 + 2, widths[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(_convolution(before, width, 2), _convolution(width, width))
            for before, width in itertools.pairwise(widths)
        )
        deepest = widths[-1]
        self.summary = nn.Sequential(
            nn.Linear(2 * deepest, deepest), nn.ReLU(inplace=True), nn.Linear(deepest, deepest)
        )
        self.decoder = nn.ModuleList(
            _convolution(below + width, width)
            for below, width in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        )
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Depth of each pixel.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.

        Returns:
            (N, 1, H, W), metres, between 0.3 and 400.

        """
        height, width = images.shape[-2:]
        # Repeating the border, unlike zeros, makes no edge that the network could mistake for an object's.
        padded = functional.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        blocks = functional.pixel_unshuffle(padded, 2)
        x = self.stem(torch.cat([blocks, _places(blocks, height, width)], dim=1))
        skips = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        # Largest and mean responses anywhere in the picture: the horizon, people, cars that tell the camera's height.
        x = x + self.summary(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))[..., None, None]
        for stage in self.decoder:
            x = stage(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        log_depth = functional.pixel_shuffle(self.head(x), 2)[..., :height, :width].float() + math.log(TYPICAL)
        return log_depth.clamp(math.log(NEAREST), math.log(FARTHEST)).exp()


class Discriminator(nn.Module):
    """Scores of overlapping patches of 70x70 pixels, about 1 for rendered depth and 0 for painted depth.

    Spectral normalisation (Miyato et al., ICLR 2018) keeps it from outrunning a generator whose batches are small.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3 + 2
        for place, width in enumerate(widths):
            stride = 1 if place == len(widths) - 1 else 2
            layers += [spectral_norm(nn.Conv2d(before, width, 4, stride, padding=1)), nn.LeakyReLU(0.2, inplace=True)]
            before = width
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(before, 1, 4, padding=1)))

    def forward(self, images: Tensor, log_depth: Tensor, known: Tensor) -> Tensor:
        """Judge depth in sight of the image.

        Args:
            images: (N, 3, H, W) float32, normalised as for the generator; H and W of 32 or more.
            log_depth: (N, 1, H, W), natural logarithm of metres.
            known: (N, 1, H, W) float32, 1 where true depth is known and 0 elsewhere; unknown pixels are not judged.

        Returns:
            (N, 1, h, w), one score per patch.

        """
        return self.layers(torch.cat([images, (log_depth - math.log(TYPICAL)) * known, known], dim=1))


def _places(like: Tensor, height: int, width: int) -> Tensor:
    """(N, 2, h, w): column and row of each block, -1 to 1 across a picture of ``height`` and ``width`` pixels."""
    n, _, h, w = like.shape
    columns = (torch.arange(w, device=like.device, dtype=like.dtype) * 2 + 1) * (2 / width) - 1
    rows = (torch.arange(h, device=like.device, dtype=like.dtype) * 2 + 1) * (2 / height) - 1
    return torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)]).expand(n, 2, h, w)


def build(widths: Sequence[int] = (16, 32, 64, 112, 144)) -> nn.Module:
    """A generator with random weights.

    Args:
        widths: channels at each resolution, from half of the picture's downwards, each half of the one before.

    Raises:
        ValueError: fewer than two widths, or one that is not positive.

    """
    model = Generator(tuple(widths))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(model.head.weight, std=0.01)
    return model
