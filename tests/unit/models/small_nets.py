"""Small networks and inputs for model tests."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pytest_lossy.models.base import Model
from pytest_lossy.models.declaration import InputSection, ModelSection, OutputSection
from pytest_lossy.models.preprocessing import Batch, Expects, declared_input


class Tiny(nn.Module):
    """One convolution with a stride, so that the output is smaller than the input."""

    def __init__(self, classes: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 3, stride=stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def picture(height: int = 20, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepared(images: list[np.ndarray], expects: Expects | None = None, **section: object) -> list[Batch]:
    prepare = declared_input(InputSection.model_validate(section), expects or Expects(), "cpu")
    return prepare(images, [{}] * len(images))


def section(**fields: object) -> ModelSection:
    return ModelSection.model_validate(fields)


def output(**fields: object) -> OutputSection:
    return OutputSection.model_validate(fields)


def predict(model: Model, *images: np.ndarray) -> list[np.ndarray]:
    return list(model.predict(list(images), [{}] * len(images)))
