"""Segmentation: class scores or label maps of the network's size to label maps of the source's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  the name that everybody uses

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.preprocessing import Placement

__all__ = ["LabelMaps", "content_of"]

IGNORED = 255


class LabelMaps:
    """Class scores (n, C, h, w) or label maps (n, h, w) to label maps of the source's size.

    Scores are cropped to the image's content, resized bilinearly (corners not aligned) and then compared, as the field's
    evaluation scripts do; label maps are resized to the nearest pixel.
    """

    takes_placements = True

    def __init__(self, section: OutputSection, layout: str = "nchw") -> None:
        self._kind, self._layout = section.kind, layout
        self._table = _class_table(section.class_map)

    def __call__(self, output: Any, placements: Sequence[Placement]) -> list[npt.NDArray[np.integer[Any]]]:
        """Decode one batch; see the class."""
        tensor = output if isinstance(output, torch.Tensor) else torch.as_tensor(np.asarray(output))
        if tensor.ndim < 3 or tensor.shape[0] != len(placements):
            raise ModelError(
                f"the network returned {tuple(tensor.shape)} for a batch of {len(placements)}; segmentation needs class "
                "scores (n, C, h, w) or label maps (n, h, w)"
            )
        is_labels = self._kind == "labels" or (self._kind == "auto" and not tensor.is_floating_point())
        if is_labels:
            if tensor.ndim == 4 and 1 in (tensor.shape[1], tensor.shape[3]):
                tensor = tensor.squeeze(1) if tensor.shape[1] == 1 else tensor.squeeze(3)
            if tensor.ndim != 3 or tensor.is_floating_point():
                raise ModelError(f"label maps must be integers (n, h, w), got {tensor.dtype} {tuple(tensor.shape)}")
        elif tensor.ndim == 4 and self._layout == "nhwc":
            tensor = tensor.permute(0, 3, 1, 2)
        if not is_labels and (tensor.ndim != 4 or tensor.shape[1] < 2):
            raise ModelError(f"class scores must be (n, C, h, w) with C >= 2, got {tuple(tensor.shape)}")
        resize = _nearest if is_labels else _best_class
        return [self._mapped(resize(one, place)) for one, place in zip(tensor, placements, strict=True)]

    def _mapped(self, labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
        if self._table is None:
            return labels
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(self._table):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ModelError(f"the network predicts class {wrong}; label maps hold 0..{len(self._table) - 1}")
        mapped: npt.NDArray[np.integer[Any]] = self._table[labels]
        return mapped


def _class_table(class_map: dict[int, int] | None) -> npt.NDArray[np.uint8] | None:
    if class_map is None:
        return None
    table = np.full(1 << 16, IGNORED, dtype=np.uint8)
    for model_class, data_class in class_map.items():
        if not 0 <= model_class < len(table) or not 0 <= data_class <= IGNORED:
            raise ModelError(f"'model.output.class_map': {model_class}: {data_class} is out of range; map to 0..255")
        table[model_class] = data_class
    return table


def content_of(shape: Sequence[int], place: Placement) -> tuple[int, int]:
    """The part of an output grid (h, w), from the top left, that shows the image and not its padding."""
    return (
        max(1, round(shape[-2] * place.content[0] / place.canvas[0])),
        max(1, round(shape[-1] * place.content[1] / place.canvas[1])),
    )


def _nearest(labels: torch.Tensor, place: Placement) -> npt.NDArray[np.integer[Any]]:
    """(h, w) to the source's size by the nearest pixel centre."""
    height, width = content_of(labels.shape, place)
    grid: npt.NDArray[np.integer[Any]] = labels.cpu().numpy()[:height, :width]
    if (height, width) == place.source:
        return grid
    rows = ((np.arange(place.source[0]) + 0.5) * height / place.source[0]).astype(np.intp)
    columns = ((np.arange(place.source[1]) + 0.5) * width / place.source[1]).astype(np.intp)
    return grid[rows[:, None], columns[None, :]]


def _best_class(scores: torch.Tensor, place: Placement) -> npt.NDArray[np.integer[Any]]:
    """(C, h, w) to the arg max at the source's size."""
    height, width = content_of(scores.shape, place)
    scores = scores[None, :, :height, :width]
    if (height, width) != place.source:
        scores = F.interpolate(scores.float(), size=place.source, mode="bilinear", align_corners=False)
    if scores.device.type == "cpu" and scores.dtype == torch.float32 and scores.shape[1] <= IGNORED:
        labels = _first_best(scores[0].numpy())
        if labels is not None:
            return labels
    else:
        best, places = scores.max(dim=1)
        if bool(torch.isfinite(best).all()):
            dtype = torch.uint8 if scores.shape[1] <= IGNORED else torch.int32
            result: npt.NDArray[np.integer[Any]] = places[0].to(dtype).cpu().numpy()
            return result
    raise ModelError("the network returned NaN or infinite class scores; check the weights and the input range")


def _first_best(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8] | None:
    """The first of the highest scores (C, h, w), C at most 255; None where a highest score is not finite.

    Class by class over whole planes, which the processor does in vectors: eight times as fast as torch's reduction over the
    classes, whose labels are the same.
    """
    best = scores[0].copy()
    labels = np.zeros(best.shape, dtype=np.uint8)
    higher, here = np.empty(best.shape, dtype=bool), np.empty(best.shape, dtype=np.uint8)
    for number in range(1, len(scores)):
        np.greater(scores[number], best, out=higher)
        # Numbers grow: the largest one that was ever higher is the last one, and so the best.
        np.multiply(higher.view(np.uint8), np.uint8(number), out=here)
        np.maximum(labels, here, out=labels)
        np.maximum(best, scores[number], out=best)  # keeps NaN
    return labels if np.isfinite(best).all() else None
