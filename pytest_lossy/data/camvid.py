"""CamVid as packed by the SegNet tutorial: 11 classes, 480x360, ``<split>/`` and ``<split>annot/``.

Brostow, Fauqueur & Cipolla, "Semantic object classes in video" (2009); classes as in Badrinarayanan et al., "SegNet".
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.folder import IGNORED, LabelImages
from pytest_lossy.data.images import list_images
from pytest_lossy.errors import MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["CAMVID_CLASSES", "CamVid", "CamVidOptions"]

CAMVID_CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
UNLABELLED = 11


class CamVidOptions(BaseModel):
    """Keyword arguments of ``camvid``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder that holds val/ and valannot/, relative to the spec")]
    split: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")] = "val"


class CamVid(LabelImages):
    """One split. Its file names start with the name of the sequence, which is the independent unit."""

    Options = CamVidOptions

    def __init__(self, options: CamVidOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        images, labels = root / options.split, root / f"{options.split}annot"
        for folder in (images, labels):
            if not folder.is_dir():
                splits = sorted(path.name.removesuffix("annot") for path in root.glob("*annot"))
                found = f"the splits there are {', '.join(splits)}" if splits else "there is no split"
                raise MissingInputError(
                    f"{folder}: no such folder; {found}; place CamVid there or change 'root' or 'split'"
                )
        pairs = [(path, labels / path.name) for path in list_images(images)]
        missing = [label for _, label in pairs if not label.is_file()]
        if missing:
            raise MissingInputError(
                f"{missing[0]}: no such label map ({len(missing)} of {len(pairs)} are missing); add them"
            )
        lookup = np.arange(1 << 16, dtype=np.int64).clip(max=254).astype(np.uint8)
        lookup[[UNLABELLED, IGNORED]] = IGNORED
        super().__init__("camvid", pairs, images, CAMVID_CLASSES, lookup=lookup)

    def group(self, index: int) -> str | None:
        """The sequence: ``0016E5`` of ``0016E5_07959.png``."""
        return self._pairs[index][0].stem.partition("_")[0]
