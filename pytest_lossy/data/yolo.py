"""YOLO folders: ``images/`` and ``labels/`` with one text file per image.

The format of Ultralytics (https://docs.ultralytics.com/datasets/detect/): a line is ``class cx cy w h`` in shares of the
image's width and height, or ``class x1 y1 x2 y2 ...`` for a polygon, of which the extent is taken. An image without a
label file, or with an empty one, holds no objects. Repeated lines count once, as there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_lossy.data.base import Sample
from pytest_lossy.data.images import list_images, read_image
from pytest_lossy.data.listing import Entry, MediaListing, content_digest, read_text, unique_names
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["Yolo", "YoloOptions"]

_ROUNDING = 1e-3  # labels are written with few digits


class YoloOptions(BaseModel):
    """Keyword arguments of ``yolo``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[str, Field(description="folder of images, relative to the spec")]
    labels: Annotated[
        str | None,
        Field(
            description="folder of label files, relative to the spec; default: the last 'images' of the path, as 'labels'"
        ),
    ] = None
    classes: Annotated[tuple[str, ...] | None, Field(min_length=1, description="class names in label order")] = None
    names: Annotated[
        str | None,
        Field(description="instead of classes: the data.yaml whose 'names' lists them, relative to the spec"),
    ] = None

    @model_validator(mode="after")
    def _named_once(self) -> YoloOptions:
        if (self.classes is None) == (self.names is None):
            raise ValueError("give the class names either as 'classes' or as 'names', the path of a data.yaml")
        return self


class Yolo(MediaListing[Path]):
    """Objects in boxes."""

    Options = YoloOptions

    def __init__(self, options: YoloOptions, base: Path) -> None:
        images = from_spec(base, options.images)
        labels = from_spec(base, options.labels) if options.labels is not None else _labels_beside(images)
        if options.names is not None:
            classes = _read_names(from_spec(base, options.names))
        else:
            classes = unique_names(base, options.classes or ())
        paths = list_images(images, recursive=True)
        if not labels.is_dir():
            raise MissingInputError(
                f"{labels}: no such folder; place the label files there or set 'labels' in the spec"
            )
        entries = []
        for path in paths:
            name = path.relative_to(images)
            entries.append(Entry(name.as_posix(), path, labels / name.with_suffix(".txt")))
        absent = sum(not entry.label.is_file() for entry in entries)
        notes = [f"{absent} of {len(entries)} images have no label file: they hold no objects"] if absent else []
        strays = len(set(labels.rglob("*.txt")) - {entry.label for entry in entries})
        notes += [f"{strays} label files have no image and were left out"] if strays else []
        super().__init__("yolo", images, entries, classes, notes=notes)

    def _labels(self) -> Iterable[str]:
        return (content_digest(entry.label) for entry in self._entries)

    def load(self, index: int) -> Sample:
        """Decode one image and read its objects.

        Returns:
            A sample whose target holds ``boxes`` (n, 4) float64, x1, y1, x2, y2 in pixels, and ``labels`` (n,) int64.

        Raises:
            DataError: the image is missing or damaged, or a line of its labels is wrong.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media)
        objects = _read_objects(entry.label, len(self.classes)) if entry.label.is_file() else []
        height, width = media.shape[:2]
        shares = np.array([box for _, box in objects], dtype=np.float64).reshape(-1, 4)
        target = {
            "boxes": (shares * [width, height, width, height]).astype(np.float64),
            "labels": np.array([label for label, _ in objects], dtype=np.int64),
        }
        return Sample(entry.id, media, target, group=entry.group, source=source)


def _labels_beside(images: Path) -> Path:
    """``data/labels/val`` for ``data/images/val``."""
    parts = list(images.parts)
    if "images" not in parts:
        raise DataError(
            f"{images}: no part of this path is 'images', so 'labels' cannot be guessed; set it in the spec"
        )
    place = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:place], "labels", *parts[place + 1 :])


def _read_names(path: Path) -> tuple[str, ...]:
    """The ``names`` of a data.yaml: a list, or a mapping from 0, 1, 2, ..."""
    try:
        document: Any = YAML(typ="safe", pure=True).load(read_text(path, "data file"))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        raise DataError(
            f"{place}: is not valid YAML ({getattr(error, 'problem', None) or error}); mend the file"
        ) from None
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(
            f"{path}: needs 'names', a list of class names or a mapping from 0, 1, 2, ... to them; mend the file"
        )
    return unique_names(path, [str(name) for name in names])


def _read_objects(path: Path, classes: int) -> list[tuple[int, tuple[float, ...]]]:
    """(label, (x1, y1, x2, y2) in shares of the image) of each different line."""
    objects: dict[tuple[int, tuple[float, ...]], None] = {}
    for number, line in enumerate(read_text(path, "label file").splitlines(), start=1):
        words = line.split()
        if words:
            objects[_read_object(f"{path}:{number}", words, classes)] = None
    return list(objects)


def _read_object(place: str, words: list[str], classes: int) -> tuple[int, tuple[float, ...]]:
    try:
        label, values = float(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError:
        label, values = -1.0, np.empty(0)
    polygon = len(values) >= 6 and len(values) % 2 == 0
    if not (polygon or len(values) == 4):
        raise DataError(f"{place}: expected 'class cx cy w h', got '{' '.join(words):.60}'; mend the line")
    if label not in range(classes):
        raise DataError(f"{place}: class {words[0]} is none of the {classes} classes (0..{classes - 1}); mend the line")
    if not ((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all():
        raise DataError(
            f"{place}: '{' '.join(words):.60}' leaves 0..1; coordinates are shares of the image's width and height"
        )
    if polygon:
        xs, ys = values[::2], values[1::2]
        box = (xs.min(), ys.min(), xs.max(), ys.max())
    else:
        cx, cy, width, height = values
        if width < 0 or height < 0:
            raise DataError(f"{place}: the box has a negative size; a line is 'class cx cy w h'")
        box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return int(label), tuple(map(float, box))
