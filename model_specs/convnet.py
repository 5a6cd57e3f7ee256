"""A small convolutional classifier: a plain stack in the manner of VGG, with global average pooling.

After Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015), with batch
normalisation, strides instead of pooling, and one linear layer on the mean of the last map, as in Lin, Chen & Yan,
"Network in Network" (ICLR 2014).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ConvNet", "build"]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ConvNet(nn.Module):
    """Stages that each halve the resolution; from the third on they have two convolutions."""

    def __init__(self, num_classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        if num_classes < 1 or not widths or min(widths) < 1:
            raise ValueError(f"num_classes {num_classes} and widths {tuple(widths)} must be positive")
        stages = [_convolution(3, widths[0], 2)]
        for depth, (before, width) in enumerate(itertools.pairwise(widths), start=1):
            stages.append(_convolution(before, width, 2))
            if depth > 1:  # at high resolution a second convolution would cost more than all that follows
                stages.append(_convolution(width, width))
        self.features = nn.Sequential(*stages)
        self.scores = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.

        Returns:
            (N, num_classes) logits.

        """
        scores: Tensor = self.scores(self.features(images).mean(dim=(2, 3)))
        return scores


def build(num_classes: int = 14, widths: Sequence[int] = (24, 48, 96, 128)) -> nn.Module:
    """A classifier with random weights.

    Args:
        num_classes: length of the score vector.
        widths: channels of each stage; as many stages, each halving the resolution.

    Raises:
        ValueError: a number that is not positive.

    """
    model = ConvNet(num_classes, tuple(widths))
    for module in model.features.modules():
        if isinstance(module, nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model
