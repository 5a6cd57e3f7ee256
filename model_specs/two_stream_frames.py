"""How the spatial stream of the two-stream network learns: from single frames, and from where the joints are in them.

Labels alone teach it nothing: after 1,500 batches of frames of 3,600 scenes it names the actions of its own training
frames no better than by guessing (.17 of them; .13 by chance). It has not learnt backgrounds by heart, it has found nothing
at all, probably because those who act cover a twentieth of the picture. One frame does tell: a small network that is given
the first person's true keypoints in it names 92 % of the actions. So a layer that is thrown away afterwards has to
place the joints while the stream learns. What pre-training on ImageNet is for Simonyan & Zisserman, poses are here: the
same 1,500 batches then reach .50 on frames of 400 other scenes, and .47 when they are learnt from 960 scenes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from two_stream import FRAMES, RATE, SIZE, Stream, normalised

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.clip import settled
from pytest_lossy.data.mini.dataset import MiniDataset, MiniOptions, Split
from pytest_lossy.data.mini.motion import ACTIONS
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.render import render
from pytest_lossy.data.mini.stage import sample_stage
from pytest_lossy.data.mini.weather import weather_tags
from pytest_lossy.data.mini_action import MiniAction

__all__ = ["ActionFrames", "Taught", "spatial_loss"]

_SALT = 99  # separates the choice of moments from the scenes' random numbers
JOINTS = ((0, 1, 2, 3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
"""COCO's keypoints from the head down to the ankles; left and right are not told apart, as they need not be."""
CELLS = 4
"""Cells of a map of joints along each side of one of the stream's last cells."""
SPREAD = 3.0
"""Pixels: standard deviation of a joint's place."""
JOINT_WEIGHT = 1.0
"""Of finding the joints, against naming the action."""
SMOOTHING = 0.05
CROP = (80, 112)
"""What a cut-out of a frame becomes: at test time frames are whole."""
LEAST = 0.75
"""Least height and width of a cut-out, as a share of the frame's."""
GAIN = 0.3
"""Largest relative change of brightness, and of each colour against the others."""


class ActionFrames(MiniDataset):
    """One frame of each of many scenes like those of ``mini-action``'s training split, and of its world, but none of it.

    Media are (H, W, 3); a target holds ``label`` and ``keypoints`` (people, 17, 3) of those who act, as ``render`` gives
    them.
    """

    Options = MiniOptions
    name = "two-stream-frames"
    splits: ClassVar = {"train": Split(MiniAction.splits["train"].seed, 4000)}
    first: ClassVar = MiniAction.splits["train"].size

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of ``mini-action``."""
        return ACTIONS

    def _variant(self) -> str:
        return f"{SIZE[1]}x{SIZE[0]}-{FRAMES}-{RATE:g}"

    def _draw(self, index: int) -> Record:
        number, label = self.first + index, index % len(ACTIONS)
        times = [frame / RATE for frame in range(FRAMES)]
        scene = settled(sample_stage(self._seed, number, ACTIONS[label], FRAMES / RATE), times)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number, _SALT])))
        frame = render(scene, SIZE[::-1], times[int(random.integers(FRAMES))])
        counted = (thing for thing in scene.things if thing.counted)  # in the order of the frame's instances
        keypoints = [
            seen.keypoints
            for thing, seen in zip(counted, frame.things, strict=True)
            if isinstance(thing, Person) and thing.motion is not None
        ]
        return {
            "media": frame.image,
            "tags": np.array(weather_tags(scene.light)),
            "label": np.array(label, np.int64),
            "keypoints": np.array(keypoints, np.float32),
        }

    def _describe(self, record: Record) -> dict[str, Any]:
        return {"target": record}


class Taught(nn.Module):
    """A stream that also says where joints are, which the network that is shipped does not.

    Args:
        stream: shared, not copied.

    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        # Of the mean and the maximum of each map.
        self.joints = nn.Conv2d(stream.scores.in_features // 2, len(JOINTS) * CELLS**2, 1)
        nn.init.kaiming_normal_(self.joints.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, H, W) to logits of classes (n, num_classes), and of the places of joints (n, joints, H / 4, W / 4)."""
        maps = self.stream.stages(x)
        return self.stream.named(maps), functional.pixel_shuffle(self.joints(maps), CELLS)


def view(sample: Sample, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """A part of a frame and the joints in it, cut out, scaled and mirrored alike; the picture brightened or darkened.

    Returns:
        (3, *CROP), 0 to 255; and (joints, CROP / 4), how often and how near to each cell one is.

    """
    tall, wide, top, left, flip = torch.rand(5, generator=random).tolist()
    h, w = (round(side * (LEAST + (1 - LEAST) * share)) for side, share in zip(SIZE, (tall, wide), strict=True))
    y, x = int(top * (SIZE[0] - h + 1)), int(left * (SIZE[1] - w + 1))
    picture = torch.from_numpy(sample.media[y : y + h, x : x + w].copy()).movedim(-1, 0)[None].float()
    picture = functional.interpolate(picture, CROP, mode="bilinear", align_corners=False)[0]
    gain = 1 + GAIN * (2 * torch.rand(4, generator=random) - 1)
    picture = (picture * gain[0] * (0.5 + 0.5 * gain[1:]).view(3, 1, 1)).clamp(0, 255)
    points = torch.from_numpy(sample.target["keypoints"])
    across, down = (points[..., 0] - x) * CROP[1] / w, (points[..., 1] - y) * CROP[0] / h
    seen = (points[..., 2] > 0) & (across >= 0) & (across < CROP[1]) & (down >= 0) & (down < CROP[0])
    near = [
        torch.exp(-0.5 * ((place[..., None] - 4 * (torch.arange(side // 4) + 0.5)) / SPREAD) ** 2)
        for place, side in ((down, CROP[0]), (across, CROP[1]))
    ]
    single = torch.einsum("pjy,pjx,pj->jyx", near[0], near[1], seen.float())
    places = torch.stack([single[list(group)].sum(0) for group in JOINTS])
    return (picture.flip(-1), places.flip(-1)) if flip < 0.5 else (picture, places)


def spatial_loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Cross-entropy of the actions, and of the places of each kind of joint, of one view of every frame.

    Args:
        network: ``Taught``, in training mode.
        samples: of ``ActionFrames``.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    views = [view(sample, random) for sample in samples]
    frames = normalised(torch.stack([picture for picture, _ in views]).movedim(1, -1).to(device))
    labels = torch.tensor([int(sample.target["label"]) for sample in samples], device=device)
    # Dropout draws from the global generator, which must depend on the iteration alone.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)))
        scores, joints = network(frames.contiguous(memory_format=torch.channels_last))
    places = torch.stack([near for _, near in views]).flatten(2).to(device)
    amount = places.sum(-1)
    there = (amount > 1).float()  # a joint outside the cut-out has no place in it
    shares = places / amount.clamp_min(1e-6)[..., None]
    misplaced = -(shares * joints.flatten(2).log_softmax(-1)).sum(-1)
    found = (misplaced * there).sum() / there.sum().clamp_min(1)
    return functional.cross_entropy(scores, labels, label_smoothing=SMOOTHING) + JOINT_WEIGHT * found
