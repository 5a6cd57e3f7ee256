"""A small SegNet: an encoder-decoder whose decoder reuses the encoder's max-pooling indices.

After Badrinarayanan, Kendall & Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation" (TPAMI 2017), with four stages of two convolutions instead of VGG-16's thirteen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SegNet", "build"]


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class SegNet(nn.Module):
    """Encoder stages that remember where each maximum was; decoder stages that put it back there."""

    def __init__(self, num_classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        if num_classes < 1 or not widths or min(widths) < 1:
            raise ValueError(f"num_classes {num_classes} and widths {tuple(widths)} must be positive")
        self.stride = 2 ** len(widths)
        """Inputs are padded to multiples of this."""
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        before = 3
        for width in widths:
            self.encoder.append(nn.Sequential(_convolution(before, width), _convolution(width, width)))
            before = width
        for width, after in zip(reversed(widths), [*reversed(widths[:-1]), None], strict=True):
            # Pooling indices fix the decoder's input width at each stage; the second convolution narrows it.
            last = _convolution(width, after) if after else nn.Conv2d(width, num_classes, 3, padding=1)
            self.decoder.append(nn.Sequential(_convolution(width, width), last))

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of each pixel.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.

        Returns:
            (N, num_classes, H, W) logits.

        """
        height, width = images.shape[-2:]
        # Repeating the border, unlike zeros, makes no edge that the network could mistake for an object's.
        x = functional.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        places: list[Tensor] = []
        for stage in self.encoder:
            x, indices = functional.max_pool2d(stage(x), 2, return_indices=True)
            places.append(indices)
        for stage in self.decoder:
            x = stage(functional.max_unpool2d(x, places.pop(), 2))
        return x[..., :height, :width]


def build(num_classes: int = 11, widths: Sequence[int] = (16, 32, 64, 96)) -> nn.Module:
    """A SegNet with random weights.

    Args:
        num_classes: channels of the output.
        widths: channels of each encoder stage; as many stages, each halving the resolution.

    Raises:
        ValueError: a number that is not positive.

    """
    model = SegNet(num_classes, tuple(widths))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    return model
