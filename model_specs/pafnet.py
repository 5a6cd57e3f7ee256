"""A small bottom-up pose network: keypoint heatmaps and part affinity fields of everybody at once.

After Cao, Simon, Wei & Sheikh, "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017). One
stage with dilated convolutions for context takes the place of their six refining stages of 7 x 7 convolutions, and the maps
come out at a quarter of the picture's resolution instead of an eighth, since people here are small.
``pafnet_decoding.py`` makes people of the maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PafNet", "build"]

_PRIOR = 0.01
"""What a heatmap says before training: nearly everywhere is no keypoint (Lin et al., ICCV 2017, section 4.1)."""

_DILATIONS = (1, 2, 4)
"""Of the blocks at a sixteenth: together they see 15 cells or 240 pixels to every side, as much as the tallest person."""


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """x + f(x), with two convolutions in f."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(width, width, dilation=dilation), _convolution(width, width, dilation=dilation)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class PafNet(nn.Module):
    """Convolutions down to a sixteenth, where left is told from right, and back up to a quarter."""

    stride = 16
    """Inputs are padded to multiples of this."""

    def __init__(self, keypoints: int, limbs: int, widths: Sequence[int]) -> None:
        super().__init__()
        if min(keypoints, limbs) < 1 or len(widths) != 4 or min(widths) < 1:
            raise ValueError(
                f"keypoints {keypoints}, limbs {limbs} and the 4 of widths {tuple(widths)} must be positive"
            )
        half, quarter, eighth, sixteenth = widths
        self.quarter = nn.Sequential(_convolution(3, half, 2), _convolution(half, quarter, 2), _Residual(quarter))
        self.eighth = nn.Sequential(_convolution(quarter, eighth, 2), _Residual(eighth))
        self.sixteenth = nn.Sequential(
            _convolution(eighth, sixteenth, 2), *(_Residual(sixteenth, dilation) for dilation in _DILATIONS)
        )
        self.to_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.at_eighth = _Residual(eighth)
        self.to_quarter = nn.Conv2d(eighth, quarter, 1)
        # So many maps need more channels than the features they are made of.
        self.at_quarter = _convolution(quarter, 2 * quarter)
        self.head = nn.Conv2d(2 * quarter, keypoints + 2 * limbs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps and fields of all people.

        Args:
            images: (N, 3, H, W) float32, normalised as the spec declares; any H and W from 1.

        Returns:
            (N, keypoints + 2 x limbs, ceil(H / 4), ceil(W / 4)): logits of the heatmaps, then x and y of each limb's unit
            vector. Row i, column j is the square of 4 x 4 pixels whose middle is at x = 4 j + 2, y = 4 i + 2.

        """
        height, width = images.shape[-2:]
        # Repeating the border, unlike zeros, makes no edge that the network could mistake for an object's.
        padded = functional.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        quarter = self.quarter(padded)
        eighth = self.eighth(quarter)
        context = self.at_eighth(eighth + _twice(self.to_eighth(self.sixteenth(eighth))))
        maps = self.head(self.at_quarter(quarter + _twice(self.to_quarter(context))))
        return maps[..., : -(-height // 4), : -(-width // 4)]


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def build(keypoints: int = 17, limbs: int = 18, widths: Sequence[int] = (24, 48, 96, 128)) -> nn.Module:
    """A network with random weights.

    Args:
        keypoints: of a person.
        limbs: pairs of keypoints that have a field.
        widths: channels at a half, a quarter, an eighth and a sixteenth of the picture's resolution.

    Raises:
        ValueError: a number that is not positive, or other than four widths.

    """
    model = PafNet(keypoints, limbs, tuple(widths))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(model.head.weight, std=0.01)
    with torch.no_grad():
        model.head.bias[:keypoints] = torch.logit(torch.tensor(_PRIOR))
    return model
