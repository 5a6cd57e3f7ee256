"""Segmentation from two folders: images, and label images of the same stems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from pytest_lossy.data.base import Sample
from pytest_lossy.data.images import MAX_PIXELS, file_fingerprint, list_images, read_image, read_label_map
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["FolderSegmentation", "FolderSegmentationOptions", "LabelImages"]

IGNORED = 255


class LabelImages:
    """Pairs of image and label files: the base of the segmentation data sets that lie in folders.

    Args:
        name: the registry's name.
        pairs: (image, label map), in the order of the data set.
        root: what sample ids are relative to.
        classes: class names in label order.
        lookup: (65536,) uint8, stored label -> class; None where they are equal.
        notes: what a reader of the results must know of the selection, such as how many images were left out.
        group: the one independent unit that all samples belong to; None where each is its own.
        max_pixels: largest image that is decoded.
    """

    def __init__(
        self,
        name: str,
        pairs: list[tuple[Path, Path]],
        root: Path,
        classes: tuple[str, ...],
        *,
        lookup: npt.NDArray[np.uint8] | None = None,
        notes: tuple[str, ...] = (),
        group: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.name = name
        self.classes = classes
        self.notes = notes
        self._pairs, self._root, self._lookup = pairs, root, lookup
        self._group, self._max_pixels = group, max_pixels

    def __len__(self) -> int:
        return len(self._pairs)

    def sample_id(self, index: int) -> str:
        """The image's path below the data set's folder."""
        return self._pairs[index][0].relative_to(self._root).as_posix()

    def group(self, index: int) -> str | None:
        """One sequence for all, where the data set is one; else None."""
        return self._group

    def load(self, index: int) -> Sample:
        """Decode one image and its label map.

        Raises:
            DataError: a file is missing or damaged, the sizes differ, or a label is not a class.
        """
        image_path, label_path = self._pairs[index]
        media, source = read_image(image_path, max_pixels=self._max_pixels)
        labels = read_label_map(label_path, max_pixels=self._max_pixels)
        if labels.shape != media.shape[:2]:
            hint = " (its EXIF orientation was applied)" if "EXIF orientation applied" in source.notes else ""
            raise DataError(
                f"{label_path}: the label map is {labels.shape[1]}x{labels.shape[0]}, the image is "
                f"{media.shape[1]}x{media.shape[0]}{hint}; they must match pixel for pixel"
            )
        target = self._lookup[labels] if self._lookup is not None else labels
        unknown = labels[(target != IGNORED) & (target >= len(self.classes))]
        if unknown.size:
            raise DataError(
                f"{label_path}: label {unknown[0]} is none of the {len(self.classes)} classes; map it in "
                "'label_map', or to 255 to ignore it"
            )
        return Sample(
            id=self.sample_id(index),
            media=media,
            target=target.astype(np.uint8, copy=False),
            group=self.group(index),
            source=source,
        )

    def fingerprint(self) -> str:
        """A hash over the names and sizes of all files, the classes and the label mapping."""
        lookup = self._lookup.tobytes().hex() if self._lookup is not None else ""
        files = [path for pair in self._pairs for path in pair]
        return file_fingerprint(self._root, files, *self.classes, lookup)


class FolderSegmentationOptions(BaseModel):
    """Keyword arguments of ``folder-segmentation``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[str, Field(description="folder of images, relative to the spec")]
    labels: Annotated[str, Field(description="folder of label images of the same stems, relative to the spec")]
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=254)]
    label_map: Annotated[
        dict[StrictInt, StrictInt] | None, Field(description="stored label -> class number, 255 to ignore")
    ] = None
    other: Annotated[
        Literal["error", "ignore"] | StrictInt,
        Field(description="what labels outside label_map become: an error, ignored, or this class"),
    ] = "error"
    label_suffix: Annotated[str, Field(description="what follows the image's stem in a label's file name")] = ".png"
    recursive: bool = False
    missing_labels: Annotated[
        Literal["error", "skip"],
        Field(description="what images without a label map do; skipped ones are counted"),
    ] = "error"
    one_sequence: Annotated[
        bool,
        Field(description="whether all images are frames of one sequence and thus no independent samples"),
    ] = False
    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS

    @model_validator(mode="after")
    def _classes_in_range(self) -> FolderSegmentationOptions:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name is listed twice; make the names unique")
        targets = list((self.label_map or {}).values())
        if isinstance(self.other, int):
            targets.append(self.other)
        for value in targets:
            if value != IGNORED and not 0 <= value < len(self.classes):
                raise ValueError(
                    f"label_map: {value} is none of the {len(self.classes)} classes; write 0..{len(self.classes) - 1} "
                    "or 255"
                )
        return self

    def lookup(self) -> npt.NDArray[np.uint8] | None:
        """(65536,) uint8: stored label -> class, None where no mapping is declared.

        With a mapping, ``other`` says what the labels outside it become; where that is an error they become 254, which no
        class can be, so that loading names them. 255 stays 255 unless it is mapped.
        """
        if self.label_map is None and self.other == "error":
            return None
        table = np.full(1 << 16, 254, dtype=np.uint8)
        if self.other == "ignore":
            table[:] = IGNORED
        elif isinstance(self.other, int):
            table[:] = self.other
        if self.label_map is None:
            table[: len(self.classes)] = np.arange(len(self.classes))
        table[IGNORED] = IGNORED
        for stored, value in (self.label_map or {}).items():
            if 0 <= stored < len(table):
                table[stored] = value
        return table


class FolderSegmentation(LabelImages):
    """Images in one folder, label images in another."""

    Options = FolderSegmentationOptions

    def __init__(self, options: FolderSegmentationOptions, base: Path) -> None:
        images, labels = from_spec(base, options.images), from_spec(base, options.labels)
        if not labels.is_dir():
            raise MissingInputError(
                f"{labels}: no such folder; place the label images there or change the path in the spec"
            )
        everything = []
        for path in list_images(images, recursive=options.recursive):
            folder = labels / path.relative_to(images).parent
            everything.append((path, folder / f"{path.stem}{options.label_suffix}"))
        pairs = [(path, label) for path, label in everything if label.is_file()]
        missing = len(everything) - len(pairs)
        if missing and (options.missing_labels == "error" or not pairs):
            first = next(label for _, label in everything if not label.is_file())
            raise MissingInputError(
                f"{first}: no such label map ({missing} of {len(everything)} images have none); add them, or set "
                "'missing_labels: skip'"
            )
        super().__init__(
            "folder-segmentation",
            pairs,
            images,
            options.classes,
            lookup=options.lookup(),
            notes=(f"{missing} of {len(everything)} images have no label map and were left out",) if missing else (),
            group="sequence" if options.one_sequence else None,
            max_pixels=options.max_pixels,
        )
