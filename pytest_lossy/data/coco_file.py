"""Read and check a COCO annotation file: every problem names the file and the entry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_lossy.data.listing import read_text, unique_names
from pytest_lossy.errors import DataError

__all__ = ["CocoFile", "CocoImage", "CocoObject", "read_coco"]

_LARGEST = 2**62  # NaN and infinity compare as larger; beyond, arrays of integers overflow


@dataclass(frozen=True, slots=True)
class CocoObject:
    """One annotation."""

    label: int
    box: tuple[float, float, float, float]
    """x, y, width, height in pixels, as stored."""
    area: float
    """Square pixels: of the mask, where the file says so."""
    iscrowd: int
    keypoints: tuple[float, ...] = ()
    """x, y, visibility of each point, flat, as stored."""
    num_keypoints: int = 0


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image and its annotations, in the file's order."""

    id: int
    file_name: str
    size: tuple[int, int] | None
    """Height, width."""
    group: str | None
    objects: list[CocoObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A checked annotation file."""

    images: tuple[CocoImage, ...]
    """By rising id, as pycocotools orders them."""
    classes: tuple[str, ...]
    """By rising category id."""
    keypoints: tuple[str, ...] = ()
    """Names of the k points."""
    notes: tuple[str, ...] = ()

    def only(self, classes: tuple[str, ...]) -> CocoFile:
        """The annotations of some classes, labelled in their order; all images stay."""
        label = {self.classes.index(name): index for index, name in enumerate(classes)}
        images = tuple(
            replace(
                image,
                objects=[replace(one, label=label[one.label]) for one in image.objects if one.label in label],
            )
            for image in self.images
        )
        total, kept = (sum(len(image.objects) for image in group) for group in (self.images, images))
        note = f"{total - kept} of {total} annotations are of categories that 'classes' leaves out"
        return replace(self, images=images, classes=classes, notes=(*self.notes, *([note] if kept < total else [])))


def read_coco(path: Path, *, keypoints: bool = False, group_by: str | None = None) -> CocoFile:
    """Read an annotation file.

    Args:
        path: the JSON file.
        keypoints: read keypoints too, and only categories that have them.
        group_by: key of an image's record that names its independent unit.

    Raises:
        MissingInputError: the file is not there.
        DataError: it is no COCO annotation file; the message names the entry.
    """
    document = _parse(path)
    records = {part: _records(path, document, part) for part in ("images", "annotations", "categories")}
    categories = sorted(records["categories"], key=lambda one: _whole(path, "categories", one, "id"))
    points: tuple[str, ...] = ()
    if keypoints:
        categories = [one for one in categories if "keypoints" in one]
        points = _keypoint_names(path, categories)
    classes = unique_names(path, [_text(path, "categories", one, "name") for one in categories])
    labels = {_whole(path, "categories", one, "id"): label for label, one in enumerate(categories)}
    images: dict[int, CocoImage] = {}
    for record in records["images"]:
        image = _image(path, record, group_by)
        if image.id in images:
            raise DataError(f"{path}: images: id {image.id} is listed twice; give each image its own")
        images[image.id] = image
    known = {_whole(path, "categories", one, "id") for one in records["categories"]}
    strays = 0
    for record in records["annotations"]:
        category, owner = (_whole(path, "annotations", record, key) for key in ("category_id", "image_id"))
        if category not in known:
            raise DataError(
                f"{path}: annotations: {_which(record)} has category_id {category}, which is none of the file's "
                "categories; add the category or mend the annotation"
            )
        if owner not in images:
            strays += 1
        elif category in labels:
            images[owner].objects.append(_object(path, record, labels[category], len(points)))
    note = f"{strays} annotations are of images that the file does not list, and were left out"
    return CocoFile(tuple(images[key] for key in sorted(images)), classes, points, notes=(note,) if strays else ())


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_text(path, "annotation file"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: is not valid JSON ({error.msg}); mend or replace the file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); replace the file") from None
    if not isinstance(document, dict):
        raise DataError(
            f"{path}: a COCO annotation file is a mapping with 'images', 'annotations' and 'categories', this one holds "
            f"a {type(document).__name__}; a list of detections is a result file: choose the annotations"
        )
    return document


def _records(path: Path, document: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    records = document.get(part)
    if records is None:
        found = ", ".join(map(repr, list(document)[:8])) or "nothing"
        raise DataError(f"{path}: '{part}' is missing, found {found}; choose an instances or keypoints file")
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise DataError(f"{path}: '{part}' must be a list of mappings; mend the file")
    return records


def _image(path: Path, record: dict[str, Any], group_by: str | None) -> CocoImage:
    size = None
    if record.get("height") is not None and record.get("width") is not None:
        size = (_whole(path, "images", record, "height"), _whole(path, "images", record, "width"))
    group = None
    if group_by is not None:
        if record.get(group_by) is None:
            raise DataError(
                f"{path}: images: {_which(record)} has no '{group_by}', which 'group_by' names; found "
                f"{', '.join(sorted(record))}"
            )
        group = str(record[group_by])
    return CocoImage(_whole(path, "images", record, "id"), _text(path, "images", record, "file_name"), size, group)


def _object(path: Path, record: dict[str, Any], label: int, points: int) -> CocoObject:
    x, y, width, height = _numbers(path, record, "bbox", 4)
    if width < 0 or height < 0:
        raise DataError(
            f"{path}: annotations: {_which(record)} has bbox {record['bbox']}, of negative size; it is x, y, width, height"
        )
    area = record.get("area")
    if area is not None and (not _is_number(area) or area < 0):
        raise DataError(f"{path}: annotations: {_which(record)} has area {area!r}; give square pixels, or none")
    crowd = record.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise DataError(f"{path}: annotations: {_which(record)} has iscrowd {crowd!r}; it is 0 or 1")
    keypoints: tuple[float, ...] = ()
    seen = 0
    if points:
        keypoints = _numbers(path, record, "keypoints", 3 * points)
        wrong = [value for value in keypoints[2::3] if value not in (0, 1, 2)]
        if wrong:
            raise DataError(
                f"{path}: annotations: {_which(record)} has a keypoint of visibility {wrong[0]:g}; it is 0, 1 or 2"
            )
        seen = sum(value > 0 for value in keypoints[2::3])
        if record.get("num_keypoints") is not None:
            seen = _whole(path, "annotations", record, "num_keypoints")
    box = (x, y, width, height)
    return CocoObject(label, box, width * height if area is None else float(area), int(crowd), keypoints, seen)


def _keypoint_names(path: Path, categories: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    if not categories:
        raise DataError(f"{path}: no category has 'keypoints'; choose a keypoints file")
    lists = [one["keypoints"] for one in categories]
    for names in lists:
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{path}: categories: 'keypoints' must be a list of names; mend the file")
        if names != lists[0]:
            raise DataError(f"{path}: categories differ in their keypoints; keep categories with one set of keypoints")
    return tuple(lists[0])


def _numbers(path: Path, record: dict[str, Any], key: str, count: int) -> tuple[float, ...]:
    values = record.get(key)
    if not isinstance(values, list) or len(values) != count or not all(map(_is_number, values)):
        raise DataError(
            f"{path}: annotations: {_which(record)} needs '{key}', {count} finite numbers, got {values!r:.60}; mend the file"
        )
    return tuple(map(float, values))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _whole(path: Path, part: str, record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return value
    raise DataError(f"{path}: {part}: {_which(record)} needs '{key}', a whole number, got {value!r:.60}; mend the file")


def _text(path: Path, part: str, record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, str) and value:
        return value
    raise DataError(f"{path}: {part}: {_which(record)} needs '{key}', a text, got {value!r:.60}; mend the file")


def _which(record: dict[str, Any]) -> str:
    """The entry as its reader will look for it."""
    return f"id {record['id']!r}" if "id" in record else f"an entry without id ({', '.join(sorted(record)) or 'empty'})"
