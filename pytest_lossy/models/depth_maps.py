"""Monocular depth: one map of metres per image, resized to the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  the name that everybody uses

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.label_maps import content_of
from pytest_lossy.models.preprocessing import Placement

__all__ = ["DepthMaps"]


class DepthMaps:
    """(n, h, w) or (n, 1, h, w) floats, in metres, to maps of the source's size.

    Cropped to the image's content and resized bilinearly (corners not aligned), as evaluation scripts do.
    """

    takes_placements = True

    def __init__(self, section: OutputSection, layout: str = "nchw") -> None:
        self._layout = layout

    def __call__(self, output: Any, placements: Sequence[Placement]) -> list[npt.NDArray[np.float32]]:
        """Decode one batch; see the class."""
        tensor = output if isinstance(output, torch.Tensor) else torch.as_tensor(np.asarray(output))
        if tensor.ndim == 4 and self._layout == "nhwc":
            tensor = tensor.permute(0, 3, 1, 2)
        if tensor.ndim == 4 and tensor.shape[1] == 1:
            tensor = tensor[:, 0]
        if tensor.ndim != 3 or tensor.shape[0] != len(placements) or not tensor.is_floating_point():
            raise ModelError(
                f"the network returned {tensor.dtype} {tuple(tensor.shape)} for a batch of {len(placements)}; depth needs "
                "metres (n, h, w) or (n, 1, h, w)"
            )
        return [_resized(one.float(), place) for one, place in zip(tensor, placements, strict=True)]


def _resized(depth: torch.Tensor, place: Placement) -> npt.NDArray[np.float32]:
    height, width = content_of(depth.shape, place)
    depth = depth[:height, :width]
    if (height, width) != place.source:
        depth = F.interpolate(depth[None, None], size=place.source, mode="bilinear", align_corners=False)[0, 0]
    values: npt.NDArray[np.float32] = depth.cpu().numpy()
    return values
