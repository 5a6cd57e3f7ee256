"""Two arms of one experiment: an encoder-decoder, and a plain dilated network of as many parameters.

The encoder-decoder halves its resolution stage by stage and climbs back with the help of skip connections (Ronneberger,
Fischer & Brox, "U-Net", MICCAI 2015). The dilated network keeps one resolution: after a stem it widens its view by dilated
convolutions alone (Yu & Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016), without a decoder and
without connections across resolutions. All else is shared: the input, which is folded into 2x2 blocks of pixels and told
where in the picture each of them is, the kinds of layers, the bilinear upsampling of the last maps, and what becomes of
these. Layers that keep resolution and width add to what they are given, in both arms (He et al., CVPR 2016; as in Yu,
Koltun & Funkhouser, "Dilated Residual Networks", CVPR 2017): without that, so short a training leaves the dilated arm
behind.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Dilated", "EncoderDecoder", "dilated", "encoder_decoder", "places"]

NEAREST, FARTHEST = 0.3, 400.0  # metres; the mini world's geometry lies between
TYPICAL = 14.0  # metres; the answer where the last maps are zero


def _convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """A convolution's answer, added to what it was given."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.layer = _convolution(width, width, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same."""
        return x + self.layer(x)


def places(height: int, width: int) -> Tensor:
    """(2, H, W): column and row of each pixel of a picture, -1 to 1 from edge to edge."""
    columns = (torch.arange(width) * 2 + 1) / width - 1
    rows = (torch.arange(height) * 2 + 1) / height - 1
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])


class _Arm(nn.Module):
    """What both arms share.

    Args:
        num_classes: channels of the logits; None for a network that answers with depth.
        last: channels of the last features.
        stride: inputs are padded to multiples of this.
    """

    def __init__(self, num_classes: int | None, last: int, stride: int) -> None:
        super().__init__()
        self.depth = num_classes is None
        self.stride = stride
        self.head = nn.Conv2d(last, num_classes or 1, 1)

    def forward(self, images: Tensor, where: Tensor | None = None) -> Tensor:
        """Answer for each pixel.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.
            where: (N, 2, H, W), the :func:`places` of the pixels, if ``images`` are parts of larger pictures.

        Returns:
            (N, num_classes, H, W) logits, or (N, 1, H, W) depth in metres, between 0.3 and 400.

        """
        height, width = images.shape[-2:]
        if where is None:
            where = places(height, width).to(images).expand(len(images), 2, height, width)
        # Repeating the border, unlike zeros, makes no edge that the network could mistake for an object's.
        edge = (0, -width % self.stride, 0, -height % self.stride)
        padded = functional.pad(torch.cat([images, where], dim=1), edge, mode="replicate")
        blocks = functional.pixel_unshuffle(padded[:, :3], 2)
        maps = self.head(self.features(torch.cat([blocks, functional.avg_pool2d(padded[:, 3:], 2)], dim=1)))
        maps = functional.interpolate(maps, size=padded.shape[-2:], mode="bilinear", align_corners=False)
        maps = maps[..., :height, :width]
        if not self.depth:
            return maps
        return (maps + math.log(TYPICAL)).clamp(math.log(NEAREST), math.log(FARTHEST)).exp()

    def features(self, blocks: Tensor) -> Tensor:
        """(N, 14, H / 2, W / 2) to the last features, at whatever resolution."""
        raise NotImplementedError


class EncoderDecoder(_Arm):
    """Stages of half the resolution each, and the way back.

    Args:
        num_classes: channels of the logits; None for depth.
        widths: channels at each resolution, from half of the picture's downwards.
    """

    def __init__(self, num_classes: int | None, widths: Sequence[int]) -> None:
        super().__init__(num_classes, widths[0], 2 ** len(widths))
        self.stem = _convolution(14, widths[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), _convolution(before, width), _Residual(width))
            for before, width in itertools.pairwise(widths)
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(_convolution(below + width, width), _Residual(width))
            for below, width in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        )

    def features(self, blocks: Tensor) -> Tensor:
        """(N, 14, h, w) to (N, widths[0], h, w)."""
        x = self.stem(blocks)
        skips = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        for stage in self.decoder:
            x = stage(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        return x


class Dilated(_Arm):
    """One resolution, a quarter of the picture's, and an ever wider view.

    Args:
        num_classes: channels of the logits; None for depth.
        stem: channels at half of the picture's resolution.
        width: channels of all other layers.
        dilations: of the layers after the stem.
    """

    def __init__(self, num_classes: int | None, stem: int, width: int, dilations: Sequence[int]) -> None:
        super().__init__(num_classes, width, 4)
        self.stem = nn.Sequential(_convolution(14, stem), nn.MaxPool2d(2))
        first, *others = dilations
        self.body = nn.Sequential(_convolution(stem, width, first), *(_Residual(width, each) for each in others))

    def features(self, blocks: Tensor) -> Tensor:
        """(N, 14, h, w) to (N, width, h / 2, w / 2)."""
        return self.body(self.stem(blocks))


def encoder_decoder(num_classes: int | None = 11, widths: Sequence[int] = (16, 32, 48, 56)) -> nn.Module:
    """An encoder-decoder with random weights.

    Args:
        num_classes: channels of the logits; None for a network that answers with depth in metres.
        widths: channels at each resolution, from half of the picture's downwards, each half of the one before.

    Raises:
        ValueError: fewer than two widths, or a number that is not positive.

    """
    if (num_classes is not None and num_classes < 1) or len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"num_classes {num_classes} and two or more widths {tuple(widths)} must be positive")
    return _initialised(EncoderDecoder(num_classes, tuple(widths)))


def dilated(
    num_classes: int | None = 11,
    stem: int = 16,
    width: int = 48,
    dilations: Sequence[int] = (1, 1, 2, 4, 8, 16, 8, 4, 2, 1),
) -> nn.Module:
    """A dilated network with random weights.

    Args:
        num_classes: channels of the logits; None for a network that answers with depth in metres.
        stem: channels at half of the picture's resolution.
        width: channels of all other layers, at a quarter of it.
        dilations: of the layers after the stem.

    Raises:
        ValueError: no dilations, or a number that is not positive.

    """
    if (num_classes is not None and num_classes < 1) or not dilations or min(stem, width, *dilations) < 1:
        raise ValueError(
            f"num_classes {num_classes}, stem {stem}, width {width} and dilations {tuple(dilations)} must be positive"
        )
    return _initialised(Dilated(num_classes, stem, width, tuple(dilations)))


def _initialised(network: _Arm) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
