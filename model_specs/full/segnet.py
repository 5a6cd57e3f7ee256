"""SegNet at full size: the thirteen convolutions of VGG-16, mirrored, with pooling indices.

After Badrinarayanan, Kendall & Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation" (TPAMI 2017). Every convolution is followed by batch normalisation; the encoder's layers have the shapes of
torchvision's ``vgg16_bn``, so that its published weights can begin a training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SegNet", "build"]

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG-16's convolutions between its poolings."""


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SegNet(nn.Module):
    """Five stages down, remembering where each maximum was, and five up that put it back there."""

    stride = 2 ** len(_STAGES)
    """Inputs are padded to multiples of this."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes {num_classes} must be positive")
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        before = 3
        for widths in _STAGES:
            inputs = (before, *widths[:-1])
            self.encoder.append(nn.Sequential(*map(_convolution, inputs, widths)))
            # The mirror: as many convolutions, the last of which gives what the stage was given.
            outputs = (*widths[1:], before) if before != 3 else (*widths[1:], num_classes)
            stage = [_convolution(first, second) for first, second in zip(reversed(widths), outputs, strict=True)]
            if before == 3:
                stage[-1] = nn.Sequential(nn.Conv2d(widths[0], num_classes, 3, padding=1))
            self.decoder.insert(0, nn.Sequential(*stage))
            before = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of each pixel.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.

        Returns:
            (N, num_classes, H, W) logits.

        """
        height, width = images.shape[-2:]
        x = functional.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        places: list[Tensor] = []
        for stage in self.encoder:
            x, indices = functional.max_pool2d(stage(x), 2, return_indices=True)
            places.append(indices)
        for stage in self.decoder:
            x = stage(functional.max_unpool2d(x, places.pop(), 2))
        return x[..., :height, :width]


def build(num_classes: int = 19) -> torch.nn.Module:
    """A SegNet with random weights, of 29 million parameters.

    Raises:
        ValueError: ``num_classes`` is not positive.

    """
    return SegNet(num_classes)
