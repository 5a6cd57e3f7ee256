"""Classification and action recognition: one vector of class scores per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.preprocessing import Placement

__all__ = ["ClassScores"]


class ClassScores:
    """(n, C) floats to n vectors; ``class_map`` selects and reorders: model class -> class of the data."""

    takes_placements = True

    def __init__(self, section: OutputSection, layout: str = "nchw") -> None:
        self._map = section.class_map

    def __call__(self, output: Any, placements: Sequence[Placement]) -> list[npt.NDArray[np.float32]]:
        """Decode one batch; see the class."""
        tensor = output if isinstance(output, torch.Tensor) else torch.as_tensor(np.asarray(output))
        if tensor.ndim > 2:  # (n, C, 1, 1) and the like, from fully convolutional heads
            tensor = (
                tensor.reshape(tensor.shape[0], -1) if tensor.numel() == tensor.shape[0] * tensor.shape[1] else tensor
            )
        if tensor.ndim != 2 or tensor.shape[0] != len(placements) or not tensor.is_floating_point():
            raise ModelError(
                f"the network returned {tensor.dtype} {tuple(tensor.shape)} for a batch of {len(placements)}; this task "
                "needs class scores (n, C)"
            )
        scores: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
        if self._map is not None:
            wrong = [model_class for model_class in self._map if not 0 <= model_class < scores.shape[1]]
            if wrong:
                raise ModelError(
                    f"'model.output.class_map' names class {wrong[0]}, the network has 0..{scores.shape[1] - 1}; correct it"
                )
            order = sorted(self._map, key=lambda model_class: self._map[model_class] if self._map else 0)
            scores = scores[:, order]
        return list(scores)
