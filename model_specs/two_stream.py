"""A small two-stream network for actions: one stream sees pictures, the other how pixels move between them.

After Simonyan & Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NIPS 2014): single frames
in one stream, stacks of ten fields of optical flow in the other, and the average of their class probabilities, over the
views of a clip and over the streams. The flow is computed from the frames that the model is given, so from what a codec left
of them. Two differences: residual stages of 3 x 3 convolutions stand in for their CNN-M, and the *median* motion of
a field, which the background's is, takes the place of its mean as the estimate of the camera's (section 3.1).

Needs OpenCV for the flow: the extra ``flow``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import ModelError

__all__ = ["FIELDS", "FRAMES", "SIZE", "Stream", "TwoStream", "build", "motion", "normalised", "prepare", "sampled"]

SIZE = (96, 128)
"""Height and width in pixels in which frames are seen."""
FRAMES = 16
RATE = 12.5
"""Frames per second that are looked at."""
FIELDS = 10
"""Fields of flow in a stack, L in the paper."""
LOOKS = (2, 8, 13)
"""Frames that the spatial stream sees, each for itself."""
LARGEST = 16.0
"""Pixels per frame at which motion is cut off; more is an error of the flow."""
UNIT = 2.0
"""Pixels per frame that become 1."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


@functools.cache
def _opencv() -> Any:
    """OpenCV, with one thread in this process, as every model call has: workers and inference threads fill the cores.

    Raises:
        ModelError: it is not installed.

    """
    try:
        import cv2
    except ImportError:
        raise ModelError(
            "OpenCV, which computes optical flow, is not installed; pip install 'pytest-lossy[flow]'"
        ) from None
    cv2.setNumThreads(1)
    return cv2


def sampled(clip: UInt8Array, fps: float | None) -> UInt8Array:
    """The frames that are looked at: ``FRAMES`` around the middle of the clip, ``RATE`` a second, of ``SIZE``.

    Args:
        clip: (T, H, W, 3), uint8, RGB; a clip that is too short stands still at its ends.
        fps: its frames per second; None to spread the frames over the whole clip.

    Returns:
        (FRAMES, *SIZE, 3), uint8.

    Raises:
        ModelError: it is not a clip, or OpenCV is not installed.

    """
    if clip.ndim != 4 or not clip.shape[0]:
        raise ModelError(f"two-stream networks take clips (T, H, W, 3), got {clip.shape}; choose a data set of clips")
    middle = (len(clip) - 1) / 2
    step = fps / RATE if fps else (len(clip) - 1) / (FRAMES - 1)
    # A hair upwards, so that a frame rate that does not divide evenly cannot send halves to alternating sides.
    places = np.floor(middle + step * (np.arange(FRAMES) - (FRAMES - 1) / 2) + 0.5 + 1e-9).astype(np.intp)
    chosen = clip[places.clip(0, len(clip) - 1)]
    if chosen.shape[1:3] == SIZE:
        return chosen
    cv2 = _opencv()
    shrinks = chosen.shape[1] >= SIZE[0] and chosen.shape[2] >= SIZE[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (SIZE[1], SIZE[0]), interpolation=kind) for frame in chosen])


def motion(frames: UInt8Array) -> npt.NDArray[np.float32]:
    """Optical flow from each frame to the next, without the camera's motion.

    By dense inverse search with variational refinement (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
    ECCV 2016).

    Args:
        frames: (T, H, W, 3), uint8, RGB; H and W are even.

    Returns:
        (T - 1, 2, H / 2, W / 2), means of 2 x 2 pixels, since the search itself goes no finer: pixels to the right and
        downwards in units of ``UNIT``, cut off at ``LARGEST`` pixels.

    Raises:
        ModelError: OpenCV is not installed.

    """
    cv2 = _opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # keeps buffers: one for each call
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    fields = np.empty((len(grey) - 1, 2, *grey[0].shape), np.float32)
    for index in range(len(fields)):
        fields[index] = search.calc(grey[index], grey[index + 1], None).transpose(2, 0, 1)
    height, width = grey[0].shape
    fields = fields.reshape(-1, 2, height // 2, 2, width // 2, 2).mean((3, 5))
    fields -= np.median(fields, axis=(2, 3), keepdims=True)
    return (fields.clip(-LARGEST, LARGEST) / UNIT).astype(np.float32)


def normalised(frames: Tensor) -> Tensor:
    """(..., H, W, 3) of 0 to 255 to (..., 3, H, W) without ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(value, device=frames.device) for value in (MEAN, STD))
    return ((frames / 255 - mean) / std).movedim(-1, -3)


def prepare(media: Sequence[UInt8Array], context: Sequence[Context]) -> dict[str, Tensor]:
    """What the network is called with; the spec's ``model.input.function``.

    Args:
        media: n clips (T, H, W, 3), uint8, RGB.
        context: ``fps`` of each, where known.

    Returns:
        ``frames`` (n, views, 3, *SIZE) and ``flow`` (n, FRAMES - 1, 2, H / 2, W / 2) of ``SIZE``.

    Raises:
        ModelError: a medium is not a clip, or OpenCV is not installed.

    """
    clips = [sampled(clip, known.get("fps")) for clip, known in zip(media, context, strict=True)]
    frames = torch.from_numpy(np.stack([clip[list(LOOKS)] for clip in clips]))
    return {"frames": normalised(frames), "flow": torch.from_numpy(np.stack([motion(clip) for clip in clips]))}


def _convolution(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """x + f(x), with two convolutions in f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)  # begins as the identity, and learns sooner for it
        self.body = nn.Sequential(_convolution(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False), last)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Stream(nn.Module):
    """A convolutional network that gives class scores of a picture, or of a stack of fields of flow.

    Args:
        inputs: channels.
        num_classes: scores.
        widths: channels of the stages, each of which but the first halves the resolution.
        side: of the first convolution.
        stride: of the first convolution.

    """

    def __init__(self, inputs: int, num_classes: int, widths: Sequence[int], side: int, stride: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [_convolution(inputs, widths[0], side, stride)]
        for before, width in itertools.pairwise(widths):
            stages += [_convolution(before, width, 3, 2), _Residual(width)]
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(0.3)
        self.scores = nn.Linear(2 * widths[-1], num_classes)
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.zeros_(self.scores.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, H, W) to logits (n, num_classes)."""
        return self.named(self.stages(x))

    def named(self, maps: Tensor) -> Tensor:
        """Maps of the last stage to logits (n, num_classes)."""
        # The mean knows how much of the picture moves in some way, the maximum whether anything does.
        return self.scores(self.dropout(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)))


class TwoStream(nn.Module):
    """Both streams, and the average of what they say of several views of a clip."""

    def __init__(self, num_classes: int, spatial: Sequence[int], temporal: Sequence[int], strides: int) -> None:
        super().__init__()
        if min(num_classes, strides, len(spatial), len(temporal), *spatial, *temporal) < 1:
            raise ValueError(
                f"num_classes {num_classes}, stride {strides} and the widths {tuple(spatial)} and {tuple(temporal)} must be "
                "positive, and no stream without stages"
            )
        self.step = strides
        self.spatial = Stream(3, num_classes, spatial, 5, 2)
        self.temporal = Stream(2 * FIELDS, num_classes, temporal, 3, 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Class scores of clips.

        Args:
            inputs: ``frames`` (n, views, 3, H, W), float32, normalised; ``flow`` (n, fields, 2, H / 2, W / 2), at least
                ``FIELDS`` of them, of which every stack is a view. On any device.

        Returns:
            (n, num_classes) each: ``spatial`` and ``temporal``, the logarithms of a stream's probabilities averaged over its
            views, and ``out``, of both streams' average.

        """
        device = self.spatial.scores.weight.device
        frames, flow = inputs["frames"].to(device), inputs["flow"].to(device)
        starts = range(0, flow.shape[1] - FIELDS + 1, self.step)
        stacks = torch.stack([flow[:, start : start + FIELDS].flatten(1, 2) for start in starts], 1)
        spatial, temporal = _averaged(self.spatial, frames), _averaged(self.temporal, stacks)
        return {
            "out": torch.stack([spatial, temporal]).logsumexp(0) - np.log(2),
            "spatial": spatial,
            "temporal": temporal,
        }


def _averaged(stream: nn.Module, views: Tensor) -> Tensor:
    """The logarithm of the probabilities averaged over the views (n, views, channels, H, W)."""
    merged = views.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    scores = stream(merged).log_softmax(1).unflatten(0, views.shape[:2])
    return scores.logsumexp(1) - np.log(views.shape[1])


def build(
    num_classes: int = 8,
    spatial: Sequence[int] = (16, 32, 64, 96),
    temporal: Sequence[int] = (32, 48, 96, 128),
    step: int = 2,
) -> nn.Module:
    """A two-stream network with random weights.

    Args:
        num_classes: scores of a clip.
        spatial: channels of the stages of the stream that sees frames.
        temporal: channels of the stages of the stream that sees flow.
        step: fields from the start of one stack to that of the next.

    Raises:
        ValueError: a number that is not positive.
        ModelError: OpenCV is not installed.

    """
    _opencv()  # says what is missing before the first clip, not at each
    model = TwoStream(num_classes, tuple(spatial), tuple(temporal), step)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model
