"""COCO's annotation files: objects (``coco-detection``) and people with keypoints (``coco-pose``).

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014); the format is that of https://cocodataset.org/#format-data.
Boxes and areas are taken from the file, masks are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.base import Sample
from pytest_lossy.data.coco_file import CocoFile, CocoImage, read_coco
from pytest_lossy.data.images import read_image
from pytest_lossy.data.listing import Entry, MediaListing, content_digest, unique_names
from pytest_lossy.errors import DataError
from pytest_lossy.paths import from_spec
from pytest_lossy.registry import did_you_mean

__all__ = ["CocoDetection", "CocoDetectionOptions", "CocoPose", "CocoPoseOptions"]


class CocoPoseOptions(BaseModel):
    """Keyword arguments of ``coco-pose``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[str, Field(description="folder of images, relative to the spec")]
    annotations: Annotated[str, Field(description="COCO annotation file (JSON), relative to the spec")]
    group_by: Annotated[
        str | None,
        Field(
            description="the key of an image's record that names its independent unit, such as video_id; "
            "default: each image is its own"
        ),
    ] = None


class CocoDetectionOptions(CocoPoseOptions):
    """Keyword arguments of ``coco-detection``."""

    classes: Annotated[
        tuple[str, ...] | None,
        Field(
            min_length=1,
            description="the category names that are used, in label order; default: all, by rising category id",
        ),
    ] = None


class _CocoImages(MediaListing[CocoImage]):
    """The images of one file, also those without annotations."""

    def __init__(self, name: str, options: CocoPoseOptions, base: Path, file: CocoFile, extra: tuple[str, ...]) -> None:
        folder = from_spec(base, options.images)
        entries = [Entry(image.file_name, folder / image.file_name, image, image.group) for image in file.images]
        digest = content_digest(from_spec(base, options.annotations))
        super().__init__(name, folder, entries, file.classes, notes=file.notes, extra=(digest, *extra))

    def _labels(self) -> tuple[str, ...]:
        return ()  # the annotations are in the file's digest

    def load(self, index: int) -> Sample:
        """Decode one image.

        Returns:
            A sample whose target holds ``boxes`` (n, 4) float64, x1, y1, x2, y2 in pixels; ``labels`` (n,) int64, indices
            of ``classes``; ``iscrowd`` (n,) int64; ``area`` (n,) float64 in square pixels; ``image_id``; and what the
            subclass says. Images without annotations have n = 0.

        Raises:
            DataError: the image is missing, damaged, or not of the size that the annotations say.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media)
        size = entry.label.size
        if size is not None and size != media.shape[:2]:
            hint = " (its EXIF orientation was applied)" if "EXIF orientation applied" in source.notes else ""
            raise DataError(
                f"{entry.media}: the image is {media.shape[1]}x{media.shape[0]}{hint}, its annotations are for "
                f"{size[1]}x{size[0]}; use the images that were annotated"
            )
        target = self._target(entry.label)
        return Sample(entry.id, media, target, context=self._context(target), group=entry.group, source=source)

    def _target(self, image: CocoImage) -> dict[str, Any]:
        objects = image.objects
        boxes = np.array([one.box for one in objects], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return {
            "boxes": boxes,
            "labels": np.array([one.label for one in objects], dtype=np.int64),
            "iscrowd": np.array([one.iscrowd for one in objects], dtype=np.int64),
            "area": np.array([one.area for one in objects], dtype=np.float64),
            "image_id": image.id,
        }

    def _context(self, target: dict[str, Any]) -> dict[str, Any]:
        return {}


class CocoDetection(_CocoImages):
    """Objects in boxes; category ids, which have gaps, become labels 0, 1, 2, ..."""

    Options = CocoDetectionOptions

    def __init__(self, options: CocoDetectionOptions, base: Path) -> None:
        path = from_spec(base, options.annotations)
        file = read_coco(path, group_by=options.group_by)
        if options.classes is not None:
            unknown = [name for name in options.classes if name not in file.classes]
            if unknown:
                raise DataError(f"{path}: has no category '{unknown[0]}'; {did_you_mean(unknown[0], file.classes)}")
            file = file.only(unique_names(path, options.classes))
        super().__init__("coco-detection", options, base, file, extra=())


class CocoPose(_CocoImages):
    """People, or whatever else the categories give keypoints.

    A target also holds ``keypoints`` (n, k, 3) float64: x, y in pixels and visibility 0 (not labelled), 1 (hidden) or 2; and
    ``num_keypoints`` (n,) int64. The context holds ``boxes`` (m, 4) float64, the labelled boxes of those that are no crowd,
    for top-down models (the protocol "with ground-truth boxes"); ``keypoints`` names the k points.
    """

    Options = CocoPoseOptions

    def __init__(self, options: CocoPoseOptions, base: Path) -> None:
        file = read_coco(from_spec(base, options.annotations), keypoints=True, group_by=options.group_by)
        self.keypoints = file.keypoints
        super().__init__("coco-pose", options, base, file, extra=file.keypoints)

    def _target(self, image: CocoImage) -> dict[str, Any]:
        points = np.array([one.keypoints for one in image.objects], dtype=np.float64)
        return {
            **super()._target(image),
            "keypoints": points.reshape(-1, len(self.keypoints), 3),
            "num_keypoints": np.array([one.num_keypoints for one in image.objects], dtype=np.int64),
        }

    def _context(self, target: dict[str, Any]) -> dict[str, Any]:
        return {"boxes": target["boxes"][target["iscrowd"] == 0]}
