"""ADE20K as the scene parsing benchmark packs it: ``images/<split>/`` and ``annotations/<split>/``, 0 = ignored.

Zhou et al., "Scene Parsing through ADE20K Dataset" (CVPR 2017). Any data whose stored labels are 1..n fits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.folder import IGNORED, LabelImages
from pytest_lossy.data.images import list_images
from pytest_lossy.data.listing import read_lines, require_files, unique_names
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["Ade20k", "Ade20kOptions"]

_CLASS_FILE = "objectInfo150.txt"
_MOST_CLASSES = 254


class Ade20kOptions(BaseModel):
    """Keyword arguments of ``ade20k``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder that holds images/ and annotations/, relative to the spec")]
    split: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")] = "validation"
    classes: Annotated[
        tuple[str, ...] | None,
        Field(
            min_length=1,
            max_length=_MOST_CLASSES,
            description="names of the stored labels 1, 2, 3, ...; default: those of objectInfo150.txt in the root",
        ),
    ] = None


class Ade20k(LabelImages):
    """One split. Stored label 0 is ignored, 1 becomes class 0, and so on."""

    Options = Ade20kOptions

    def __init__(self, options: Ade20kOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        images, labels = (root / part / options.split for part in ("images", "annotations"))
        for folder in (images, labels):
            if not folder.is_dir():
                raise MissingInputError(f"{folder}: no such folder; place the data there or change 'root' or 'split'")
        classes = _read_classes(root / _CLASS_FILE) if options.classes is None else unique_names(root, options.classes)
        paths = list_images(images, recursive=True)
        pairs = [(path, labels / path.relative_to(images).with_suffix(".png")) for path in paths]
        require_files([label for _, label in pairs], "label map")
        lookup = np.full(1 << 16, 254, dtype=np.uint8)
        lookup[[0, IGNORED]] = IGNORED
        lookup[1 : len(classes) + 1] = np.arange(len(classes))
        super().__init__("ade20k", pairs, images, classes, lookup=lookup)


def _read_classes(path: Path) -> tuple[str, ...]:
    """The first synonym of each class of objectInfo150.txt: tab-separated, the number first and the names last.

    Where two classes share it, both keep all their synonyms.
    """
    if not path.is_file():
        raise MissingInputError(f"{path}: no such class list; place it there, or set 'classes' in the spec")
    names: list[str] = []
    for number, line in read_lines(path, "class list")[1:]:
        words = [word.strip() for word in line.split("\t")]
        if len(words) < 2 or words[0] != str(len(names) + 1) or not words[-1]:
            raise DataError(
                f"{path}:{number}: expected class {len(names) + 1} and its name, got '{line:.60}'; mend the file"
            )
        names.append(words[-1])
    if not 1 <= len(names) <= _MOST_CLASSES:
        raise DataError(f"{path}: lists {len(names)} classes; 1..{_MOST_CLASSES} can be read")
    short = [name.split(",")[0] for name in names]
    return unique_names(path, [one if short.count(one) == 1 else full for one, full in zip(short, names, strict=True)])
