"""PASCAL VOC 2007 to 2012: objects (``voc-detection``) and masks (``voc-segmentation``) of an image set.

Everingham, Van Gool, Williams, Winn & Zisserman, "The Pascal Visual Object Classes (VOC) Challenge" (IJCV 2010). The layout
is ``JPEGImages/``, ``Annotations/*.xml``, ``SegmentationClass/*.png`` and ``ImageSets/{Main,Segmentation}/<set>.txt``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.base import Sample
from pytest_lossy.data.folder import LabelImages
from pytest_lossy.data.images import read_image
from pytest_lossy.data.listing import Entry, MediaListing, content_digest, read_lines, require_files, unique_names
from pytest_lossy.data.voc_file import read_voc_objects
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["VOC_CLASSES", "VocDetection", "VocDetectionOptions", "VocSegmentation", "VocSegmentationOptions"]

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class VocSegmentationOptions(BaseModel):
    """Keyword arguments of ``voc-segmentation``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder of the year, such as VOCdevkit/VOC2012, relative to the spec")]
    image_set: Annotated[
        str, Field(pattern="^[A-Za-z0-9_-]+$", description="train, val, trainval or test: a file of ImageSets")
    ] = "val"


class VocDetectionOptions(VocSegmentationOptions):
    """Keyword arguments of ``voc-detection``."""

    boxes: Annotated[
        Literal["pixels", "edges"],
        Field(
            description="what the corners mean. pixels: the first and last pixel inside, counted from 0, as VOC's metric "
            "takes them; edges: the box's outline, one pixel further right and down, for COCO's metrics"
        ),
    ] = "pixels"
    classes: Annotated[
        tuple[str, ...], Field(min_length=1, description="class names in label order, for data in VOC's format")
    ] = VOC_CLASSES


class VocDetection(MediaListing[Path]):
    """Objects in boxes.

    The files count pixels from 1, and their corners are the first and the last pixel inside. With ``boxes: pixels`` a box
    (xmin, ymin, xmax, ymax) becomes (xmin - 1, ymin - 1, xmax - 1, ymax - 1): both end pixels inside, which is what the
    VOC metrics of the detection task add a pixel for. With ``boxes: edges`` it becomes (xmin - 1, ymin - 1, xmax, ymax).
    Areas are those of the pixels inside in both.
    """

    Options = VocDetectionOptions

    def __init__(self, options: VocDetectionOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        self._last = 1.0 if options.boxes == "pixels" else 0.0
        names = _read_image_set(root, "Main", options.image_set)
        entries = [
            Entry(f"{name}.jpg", root / "JPEGImages" / f"{name}.jpg", root / "Annotations" / f"{name}.xml")
            for name in names
        ]
        require_files([entry.label for entry in entries], "annotation file")
        super().__init__(
            "voc-detection", root / "JPEGImages", entries, unique_names(root, options.classes), extra=(options.boxes,)
        )

    def _labels(self) -> Iterable[str]:
        return (content_digest(entry.label) for entry in self._entries)

    def load(self, index: int) -> Sample:
        """Decode one image and read its objects.

        Returns:
            A sample whose target holds ``boxes`` (n, 4) float64, pixels, see the class; ``labels`` (n,) int64; ``area``
            (n,) float64, square pixels; ``iscrowd`` (n,) int64, zeros; and ``difficult`` (n,) int64, 1 for objects that
            VOC's metric leaves out.

        Raises:
            DataError: a file is missing or damaged, or an object is of no class.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media)
        objects = read_voc_objects(entry.label, self.classes, (media.shape[0], media.shape[1]))
        corners = np.array([one.corners for one in objects], dtype=np.float64).reshape(-1, 4)
        target = {
            "boxes": (corners - [1, 1, self._last, self._last]).astype(np.float64),
            "labels": np.array([one.label for one in objects], dtype=np.int64),
            "area": np.prod(corners[:, 2:] - corners[:, :2] + 1, axis=1).astype(np.float64),
            "iscrowd": np.zeros(len(objects), dtype=np.int64),
            "difficult": np.array([one.difficult for one in objects], dtype=np.int64),
        }
        return Sample(entry.id, media, target, group=entry.group, source=source)


class VocSegmentation(LabelImages):
    """Masks of background and 20 classes; the border of objects, 255, is ignored."""

    Options = VocSegmentationOptions

    def __init__(self, options: VocSegmentationOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        images, masks = root / "JPEGImages", root / "SegmentationClass"
        names = _read_image_set(root, "Segmentation", options.image_set)
        pairs = [(images / f"{name}.jpg", masks / f"{name}.png") for name in names]
        require_files([image for image, _ in pairs], "file")
        require_files([mask for _, mask in pairs], "mask")
        super().__init__("voc-segmentation", pairs, images, ("background", *VOC_CLASSES))


def _read_image_set(root: Path, kind: str, name: str) -> list[str]:
    """The names of an image set.

    Raises:
        MissingInputError: there is no such set; the message names those that exist.
        DataError: it is the set of one class, or lists an image twice.
    """
    path = root / "ImageSets" / kind / f"{name}.txt"
    if not path.is_file():
        sets = [one.stem for one in sorted(path.parent.glob("*.txt")) if "_" not in one.stem]
        found = f"the sets there are {', '.join(sets)}" if sets else "there is no set"
        raise MissingInputError(f"{path}: no such image set; {found}; place VOC there or change 'root' or 'image_set'")
    names = []
    for number, line in read_lines(path, "image set"):
        if len(line.split()) != 1:
            raise DataError(
                f"{path}:{number}: '{line}' is a line of one class's image set; choose train, val, trainval or test"
            )
        names.append(line)
    if len(set(names)) < len(names):
        raise DataError(f"{path}: lists an image twice; list each once")
    return names
