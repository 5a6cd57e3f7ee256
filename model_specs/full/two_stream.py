"""Two-stream action recognition at full size: VGG-16 on frames, and VGG-16 on stacks of ten fields of optical flow.

After Simonyan & Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NIPS 2014), with the
deeper streams of Wang, Xiong, Wang & Qiao, "Towards Good Practices for Very Deep Two-Stream ConvNets" (2015). As there, 25
places of a clip are looked at, here by their centre crops alone; scores are averaged over the places, then over the
streams. The flow is computed from the frames that the model is given, so from what a codec left of them.

Needs OpenCV for the flow: the extra ``flow``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import ModelError

__all__ = ["FIELDS", "TwoStream", "build", "prepare"]

FIELDS = 10
"""Fields of flow in a stack, L in the paper."""
PLACES = 25
"""Of a clip, evenly spaced."""
SIZE = (256, 340)
"""Height and width in pixels in which clips are seen."""
CROP = 224
LARGEST = 20.0
"""Pixels per frame at which motion is cut off; this becomes 1."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise ModelError(
            "OpenCV, which computes optical flow, is not installed; pip install 'pytest-lossy[flow]'"
        ) from None
    cv2.setNumThreads(1)  # as every model call: workers and inference threads fill the cores
    return cv2


def _cropped(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The centre of (T, H, W, C)."""
    top, left = ((side - CROP) // 2 for side in frames.shape[1:3])
    return frames[:, top : top + CROP, left : left + CROP]


def _stack(frames: UInt8Array, start: int, known: dict[int, Any]) -> np.ndarray[Any, Any]:
    """Horizontal and vertical flow of ``FIELDS`` steps from ``start``, in turn: (2 x FIELDS, CROP, CROP), -1 to 1."""
    cv2 = _opencv()
    fields = []
    for index in range(start, start + FIELDS):
        index = min(index, len(frames) - 2)  # noqa: PLW2901  a short clip stands still at its end
        if index not in known:
            before, after = (cv2.cvtColor(frames[index + step], cv2.COLOR_RGB2GRAY) for step in (0, 1))
            flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)
            flow = flow - flow.mean((0, 1))  # section 3.1: the camera's motion
            known[index] = (_cropped(flow[None])[0].clip(-LARGEST, LARGEST) / LARGEST).transpose(2, 0, 1)
        fields.append(known[index])
    return np.concatenate(fields)


def prepare(media: Sequence[UInt8Array], context: Sequence[Context]) -> dict[str, Tensor]:
    """What the network is called with; the spec's ``model.input.function``.

    Args:
        media: n clips (T, H, W, 3), uint8, RGB, of two frames or more.
        context: not needed: UCF101 has one frame rate.

    Returns:
        ``frames`` (n, PLACES, 3, CROP, CROP), normalised, and ``flow`` (n, PLACES, 2 x FIELDS, CROP, CROP).

    Raises:
        ModelError: a medium is not a clip of two frames, or OpenCV is not installed.

    """
    cv2 = _opencv()
    pictures, motions = [], []
    for clip in media:
        if clip.ndim != 4 or len(clip) < 2:
            raise ModelError(f"two-stream networks take clips (T, H, W, 3) of two frames or more, got {clip.shape}")
        small = np.stack([cv2.resize(frame, SIZE[::-1], interpolation=cv2.INTER_LINEAR) for frame in clip])
        places = np.linspace(0, max(len(small) - 1 - FIELDS, 0), PLACES).round().astype(int).tolist()
        known: dict[int, Any] = {}
        chosen = torch.from_numpy(_cropped(small[places]).copy()).float() / 255
        pictures.append(((chosen - torch.tensor(MEAN)) / torch.tensor(STD)).movedim(-1, -3))
        motions.append(torch.from_numpy(np.stack([_stack(small, place, known) for place in places])).float())
    return {"frames": torch.stack(pictures), "flow": torch.stack(motions)}


def _stream(channels: int, num_classes: int) -> nn.Module:
    network = torchvision.models.vgg16(num_classes=num_classes)
    if channels != 3:
        network.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    return network


class TwoStream(nn.Module):
    """Both streams, and the average of what they say of all places of a clip."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes {num_classes} must be positive")
        self.spatial = _stream(3, num_classes)
        self.temporal = _stream(2 * FIELDS, num_classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Class scores of clips.

        Args:
            inputs: as :func:`prepare` makes them, on any device.

        Returns:
            (n, num_classes), mean probabilities.

        """
        device = next(self.parameters()).device
        streams = [(self.spatial, inputs["frames"]), (self.temporal, inputs["flow"])]
        return torch.stack([_averaged(stream, views.to(device)) for stream, views in streams]).mean(0)


def _averaged(stream: nn.Module, views: Tensor) -> Tensor:
    """Probabilities averaged over the views (n, views, channels, H, W), one clip at a time: 25 views fill the memory."""
    return torch.stack([stream(clip).softmax(1).mean(0) for clip in views])


def build(num_classes: int = 101) -> nn.Module:
    """Two VGG-16 with random weights, of 269 million parameters.

    Raises:
        ValueError: ``num_classes`` is not positive.
        ModelError: OpenCV is not installed.

    """
    _opencv()  # says what is missing before the first clip, not at each
    return TwoStream(num_classes)
