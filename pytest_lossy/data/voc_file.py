"""Read an annotation file of PASCAL VOC: every problem names the file and the object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pytest_lossy.data.listing import read_text
from pytest_lossy.errors import DataError
from pytest_lossy.registry import did_you_mean

__all__ = ["VocObject", "read_voc_objects"]


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object."""

    label: int
    corners: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax as stored: the first and the last pixel inside, counted from 1."""
    difficult: int


def read_voc_objects(path: Path, classes: Sequence[str], size: tuple[int, int]) -> list[VocObject]:
    """The objects of one image; their parts (heads, hands) are not read.

    Args:
        path: the XML file.
        classes: names in label order.
        size: height and width of the image.

    Raises:
        MissingInputError: the file is not there.
        DataError: it is not valid, is for a larger image, or an object is of no class.
    """
    text = read_text(path, "annotation file")
    try:
        # Expat itself bounds the expansion of entities, and external ones are not fetched.
        root = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError as error:
        raise DataError(
            f"{path}:{error.position[0]}: is not valid XML ({error.msg}); mend or replace the file"
        ) from None
    objects = [
        _object(path, number, element, classes) for number, element in enumerate(root.findall("object"), start=1)
    ]
    stated = tuple(root.findtext(f"size/{side}") for side in ("height", "width"))
    # The published files state a wrong size here and there (2011_003353 of VOC 2012), with boxes that are right.
    if stated != tuple(map(str, size)) and any(one.corners[2] > size[1] or one.corners[3] > size[0] for one in objects):
        raise DataError(
            f"{path}: is for an image of {stated[1]}x{stated[0]}, the image is {size[1]}x{size[0]}; use the images that "
            "were annotated"
        )
    return objects


def _object(path: Path, number: int, element: ElementTree.Element, classes: Sequence[str]) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if name not in classes:
        raise DataError(
            f"{path}: object {number} is of class '{name}', which is unknown; {did_you_mean(name, classes)}"
        )
    difficult = (element.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise DataError(f"{path}: object {number} has difficult '{difficult}'; it is 0 or 1")
    left, top, right, bottom = (_corner(path, number, element, side) for side in ("xmin", "ymin", "xmax", "ymax"))
    if right < left or bottom < top:
        raise DataError(
            f"{path}: object {number} has the box ({left:g}, {top:g}, {right:g}, {bottom:g}), of negative size; mend the "
            "file"
        )
    return VocObject(classes.index(name), (left, top, right, bottom), int(difficult))


def _corner(path: Path, number: int, element: ElementTree.Element, side: str) -> float:
    text = element.findtext(f"bndbox/{side}")
    try:
        value = float(text if text is not None else "nan")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: object {number} needs bndbox/{side}, a number, got {text!r}; mend the file")
    return value
