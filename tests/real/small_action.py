"""A small action network for the two classes of kinetics-tiny, and its training on some of the videos."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

CLASSES = ("exercise", "typing")
SIDE = 64
FRAMES, STRIDE = 8, 2
"""What the spec declares as the data set's sampling."""
BATCH = 8


class SmallAction(nn.Module):
    """(n, T, 3, SIDE, SIDE) in 0..1 to class scores: a picture layer by layer, then two layers over time."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 16), (16, 32), (32, 48), (48, 48)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU()]
        self.picture = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.time = nn.Sequential(
            nn.Conv1d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv1d(48, 48, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(48, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.picture((x.flatten(0, 1) - 0.5) * 4).unflatten(0, x.shape[:2])
        return self.head(self.time(features.transpose(1, 2)).mean(dim=2))


def build() -> SmallAction:
    return SmallAction()


def prepare(media: Sequence[np.ndarray], context: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """The frames that the data set's sampling names, as thumbnails."""
    clips = [
        np.stack([thumbnail(Image.fromarray(clip[frame])) for frame in facts["frames"]])
        for clip, facts in zip(media, context, strict=True)
    ]
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).float().div(255)


def thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def read_thumbnails(path: Path) -> np.ndarray:
    """(T, SIDE, SIDE, 3): every STRIDE-th frame of a video."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        frames = itertools.islice(container.decode(video=0), 0, None, STRIDE)
        return np.stack([thumbnail(frame.to_image()) for frame in frames])


def train(root: Path, names: Path, weights: Path, iterations: int) -> None:
    """The videos that ``names`` lists as class/file; windows at any time, mirrored and brightened; fixed iterations."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    listed = names.read_text(encoding="utf-8").split()
    videos = [read_thumbnails(root / name) for name in listed]
    labels = [CLASSES.index(name.split("/")[0]) for name in listed]
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    for _ in range(iterations):
        clips, truth = [], []
        for index in random.integers(0, len(videos), BATCH):
            start = int(random.integers(0, len(videos[index]) - FRAMES))
            clip = videos[index][start : start + FRAMES, :, :: random.choice([-1, 1])]
            clips.append(clip * random.uniform(0.7, 1.2, (1, 1, 1, 3)))
            truth.append(labels[index])
        pixels = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).float().div(255)
        loss = nn.functional.cross_entropy(model(pixels), torch.tensor(truth), label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)


if __name__ == "__main__":
    train(*(Path(argument) for argument in sys.argv[1:4]), int(sys.argv[4]))
