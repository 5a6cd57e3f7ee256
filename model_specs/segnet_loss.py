"""The loss that SegNet is trained with: from scratch by ``train_segnet.py``, and by ``pytest-lossy retrain``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini.segmentation import MiniSegmentation

__all__ = ["augmented", "class_weights", "loss", "normalise"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; the spec declares the same
CROP = (144, 192)  # of 192x256: nearly twice the steps in the same time, and every frame looks new each epoch
GAIN = 0.25
"""Largest relative change of brightness."""
IGNORED = 255


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Weighted cross-entropy of crops that are mirrored and brightened or darkened at random.

    Args:
        network: as of ``segnet.build``.
        samples: stills with label maps, of one size.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    images = [torch.from_numpy(sample.media.transpose(2, 0, 1).copy()) for sample in samples]
    labels = [torch.from_numpy(np.array(sample.target)) for sample in samples]
    pixels, target = augmented(images, labels, random)
    # Channels last makes small convolutions a third faster on a CPU.
    scores = network(normalise(pixels.to(device)).contiguous(memory_format=torch.channels_last))
    weights = _training_weights(scores.shape[1]).to(device)
    return functional.cross_entropy(scores, target.to(device), weight=weights, ignore_index=IGNORED)


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB to float32 with ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def augmented(images: Sequence[Tensor], labels: Sequence[Tensor], random: torch.Generator) -> tuple[Tensor, Tensor]:
    """One random crop of each image, mirrored and brightened or darkened at random.

    Args:
        images: N of (3, H, W) uint8.
        labels: N of (H, W).
        random: the only source of randomness.

    Returns:
        (N, 3, h, w) float32 from 0 to 255, and (N, h, w) int64.

    """
    count = len(images)
    flip = torch.rand(count, generator=random) < 0.5
    gain = 1 + GAIN * (2 * torch.rand(count, generator=random) - 1)
    height, width = images[0].shape[-2:]
    h, w = min(CROP[0], height), min(CROP[1], width)
    top = torch.randint(height - h + 1, (count,), generator=random).tolist()
    left = torch.randint(width - w + 1, (count,), generator=random).tolist()
    places = [(slice(y, y + h), slice(x, x + w)) for y, x in zip(top, left, strict=True)]
    pixels = torch.stack([image[:, *place] for image, place in zip(images, places, strict=True)]).float()
    target = torch.stack([label[place] for label, place in zip(labels, places, strict=True)]).long()
    pixels = torch.where(flip.view(-1, 1, 1, 1), pixels.flip(-1), pixels)
    target = torch.where(flip.view(-1, 1, 1), target.flip(-1), target)
    return (pixels * gain.view(-1, 1, 1, 1)).clamp(0, 255), target


def class_weights(labels: Iterable[Tensor], classes: int) -> Tensor:
    """Square root of median frequency balancing (Eigen & Fergus 2015, section 6.3.2).

    A class's frequency is its share of the pixels of those images that contain it. The root keeps rare
    classes from flooding the picture with false positives.
    """
    maps = list(labels)
    counts = torch.stack([torch.bincount(image.flatten().long(), minlength=256)[:classes] for image in maps]).double()
    present = (counts > 0).double() * maps[0].numel()
    frequency = counts.sum(0) / present.sum(0).clamp(min=1)
    return (frequency.median() / frequency.clamp(min=1e-6)).sqrt().float()


@cache
def _training_weights(classes: int) -> Tensor:
    """Of the training split, which is read once for this."""
    data = MiniSegmentation("train")
    return class_weights((torch.from_numpy(np.array(data.load(index).target)) for index in range(len(data))), classes)
