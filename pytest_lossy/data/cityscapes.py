"""Cityscapes: ``leftImg8bit/<split>/<city>/`` and ``gtFine/<split>/<city>/``, 19 classes.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding" (CVPR 2016); the mapping of labels is that of
``cityscapesscripts/helpers/labels.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.folder import IGNORED, LabelImages
from pytest_lossy.data.images import list_images
from pytest_lossy.data.listing import require_files
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["CITYSCAPES_CLASSES", "Cityscapes", "CityscapesOptions"]

CITYSCAPES_CLASSES = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19, "traffic sign": 20,
    "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31,
    "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""Class -> labelId, in the order of the trainIds 0..18."""
_LABEL_IDS = 34
_IMAGE = "_leftImg8bit.png"


class CityscapesOptions(BaseModel):
    """Keyword arguments of ``cityscapes``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder that holds leftImg8bit/ and gtFine/, relative to the spec")]
    split: Annotated[Literal["train", "val", "test"], Field(description="labels of test are all ignored")] = "val"
    labels: Annotated[
        Literal["labelIds", "labelTrainIds"],
        Field(description="which label images: as published, or converted by createTrainIdLabelImgs.py"),
    ] = "labelIds"


class Cityscapes(LabelImages):
    """One split with fine labels. The independent unit is the sequence of a city, ``frankfurt/000000``."""

    Options = CityscapesOptions

    def __init__(self, options: CityscapesOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        images, labels = (root / part / options.split for part in ("leftImg8bit", "gtFine"))
        for folder in (images, labels):
            if not folder.is_dir():
                raise MissingInputError(f"{folder}: no such folder; place Cityscapes there or change 'root' or 'split'")
        pairs = []
        for path in list_images(images, recursive=True):
            if not path.name.endswith(_IMAGE):
                raise DataError(f"{path}: is not named <city>_<sequence>_<frame>{_IMAGE}; remove or rename the file")
            name = path.name.removesuffix(_IMAGE)
            pairs.append((path, labels / path.parent.name / f"{name}_gtFine_{options.labels}.png"))
        require_files([label for _, label in pairs], "label map", "add them, or change 'labels'")
        super().__init__("cityscapes", pairs, images, tuple(CITYSCAPES_CLASSES), lookup=_lookup(options.labels))

    def group(self, index: int) -> str | None:
        """City and sequence."""
        city, *rest = self._pairs[index][0].name.split("_")
        return f"{city}/{rest[0]}"


def _lookup(labels: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """(65536,) stored label -> trainId; 254, which is no class, for what cannot be."""
    table = np.full(1 << 16, 254, dtype=np.uint8)
    table[IGNORED] = IGNORED  # -1, the licence plate, is stored as 255
    if labels == "labelTrainIds":
        table[: len(CITYSCAPES_CLASSES)] = np.arange(len(CITYSCAPES_CLASSES))
    else:
        table[:_LABEL_IDS] = IGNORED
        table[list(CITYSCAPES_CLASSES.values())] = np.arange(len(CITYSCAPES_CLASSES))
    return table
