"""Detection and pose: torchvision's list of dictionaries, in source coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.preprocessing import Placement

__all__ = ["Instances"]


class Instances:
    """n mappings with ``boxes`` (k, 4) xyxy, ``labels``, ``scores``, ``keypoints`` (k, m, 3) to source coordinates.

    Coordinates are scaled from the network's input back to the source. ``class_map`` renames labels, and drops the
    instances whose label it leaves out.
    """

    takes_placements = True

    def __init__(self, section: OutputSection, layout: str = "nchw") -> None:
        self._map = section.class_map

    def __call__(self, output: Any, placements: Sequence[Placement]) -> list[dict[str, npt.NDArray[Any]]]:
        """Decode one batch; see the class."""
        if not isinstance(output, list | tuple) or not all(isinstance(one, Mapping) for one in output):
            raise ModelError(
                f"the network returned {type(output).__name__}; this task needs a list of mappings as torchvision's "
                "detectors return, or a 'model.output.function'"
            )
        if len(output) != len(placements):
            raise ModelError(f"the network returned {len(output)} mappings for a batch of {len(placements)}")
        return [self._decoded(one, place) for one, place in zip(output, placements, strict=True)]

    def _decoded(self, one: Mapping[str, Any], place: Placement) -> dict[str, npt.NDArray[Any]]:
        arrays = {
            name: (value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value))
            for name, value in one.items()
            if name in ("boxes", "labels", "scores", "keypoints")
        }
        # x by the ratio of widths, y by that of heights.
        scale = np.array([place.source[1] / place.content[1], place.source[0] / place.content[0]], dtype=np.float64)
        if "boxes" in arrays:
            arrays["boxes"] = (arrays["boxes"].reshape(-1, 2, 2) * scale).reshape(-1, 4)
        if "keypoints" in arrays:
            points = arrays["keypoints"].astype(np.float64)
            points[..., :2] *= scale
            arrays["keypoints"] = points
        if self._map is not None and "labels" in arrays:
            kept = np.array([int(label) in self._map for label in arrays["labels"]], dtype=bool)
            arrays = {name: values[kept] for name, values in arrays.items()}
            arrays["labels"] = np.array([self._map[int(label)] for label in arrays["labels"]], dtype=np.int64)
        return arrays
