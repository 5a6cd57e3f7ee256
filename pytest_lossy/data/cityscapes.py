"""Cityscapes: ``leftImg8bit/<split>/<city>/`` and ``gtFine/<split>/<city>/``, 19 classes; stills or snippets of video.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding" (CVPR 2016); the mapping of labels is that of
``cityscapesscripts/helpers/labels.py``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_lossy.data.base import Sample
from pytest_lossy.data.cityscapes_sequence import FRAME_RATE, FRAMES_AFTER, FRAMES_BEFORE, neighbours, stack_frames
from pytest_lossy.data.folder import IGNORED, LabelImages
from pytest_lossy.data.images import file_fingerprint, list_images
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
    sequence: Annotated[
        int,
        Field(
            ge=0,
            description="0: stills. n: clips of n frames (6 MB each) of leftImg8bit_sequence/ with one labelled frame, the "
            "last one, or the last but frames_after",
        ),
    ] = 0
    frames_after: Annotated[
        int, Field(ge=0, le=FRAMES_AFTER, description="for sequence: how many of its frames follow the labelled one")
    ] = 0

    @property
    def frames_before(self) -> int:
        """How many frames of a clip precede the labelled one."""
        return max(0, self.sequence - 1 - self.frames_after)

    @model_validator(mode="after")
    def _within_a_snippet(self) -> CityscapesOptions:
        if self.frames_after > max(0, self.sequence - 1):
            raise ValueError(
                f"frames_after: {self.frames_after} and the labelled frame are no clip of {self.sequence} frames; raise "
                "'sequence'"
            )
        if self.frames_before > FRAMES_BEFORE:
            raise ValueError(
                f"sequence: needs {self.frames_before} frames before the labelled one, and a snippet has {FRAMES_BEFORE}; "
                "lower it, or raise 'frames_after'"
            )
        return self


class Cityscapes(LabelImages):
    """One split with fine labels. The independent unit is the sequence of a city, ``frankfurt/000000``.

    With ``sequence`` a sample is a clip, and its target the label map of the one frame that ``Sample.frame`` names. The
    samples are then those with labels, so that ``leftImg8bit/`` need not be there.
    """

    Options = CityscapesOptions

    def __init__(self, options: CityscapesOptions, base: Path) -> None:
        self._options = options
        root = from_spec(base, options.root)
        kind = "leftImg8bit_sequence" if options.sequence else "leftImg8bit"
        images, labels = (root / part / options.split for part in (kind, "gtFine"))
        for folder in (images, labels):
            if not folder.is_dir():
                raise MissingInputError(f"{folder}: no such folder; place Cityscapes there or change 'root' or 'split'")
        self._around: list[tuple[tuple[Path, ...], tuple[Path, ...]]] = []
        if options.sequence:
            pairs = _labelled_frames(images, labels, options.labels)
            self._around = [neighbours(path, options.frames_before, options.frames_after) for path, _ in pairs]
            require_files(self._files(pairs), "frame", "add the sequence, or ask for fewer frames")
        else:
            pairs = _labelled_stills(images, labels, options.labels)
            require_files([label for _, label in pairs], "label map", "add them, or change 'labels'")
        super().__init__("cityscapes", pairs, images, tuple(CITYSCAPES_CLASSES), lookup=_lookup(options.labels))

    @staticmethod
    def media_of(options: CityscapesOptions) -> Literal["stills", "clips"]:
        """What the samples are."""
        return "clips" if options.sequence else "stills"

    def group(self, index: int) -> str | None:
        """City and sequence."""
        city, *rest = self._pairs[index][0].name.split("_")
        return f"{city}/{rest[0]}"

    def load(self, index: int) -> Sample:
        """Decode one image, or the frames of one clip, and the label map.

        Returns:
            A sample with ``media`` (H, W, 3), or (T, H, W, 3) with the labelled frame's place in ``frame`` and ``fps`` in
            the context; target (H, W) trainIds, 255 ignored.

        Raises:
            DataError: a file is missing or damaged, sizes differ, or a label is not a class.
        """
        sample = super().load(index)
        if not self._around or sample.source is None:
            return sample
        before, after = self._around[index]
        media, source = stack_frames(before, (sample.media, sample.source), after, max_pixels=self._max_pixels)
        context = {"fps": FRAME_RATE}
        return dataclasses.replace(sample, media=media, context=context, frame=len(before), source=source)

    def fingerprint(self) -> str:
        """A hash over the names and sizes of all files, the classes, the label mapping, and which frames a clip has."""
        own = super().fingerprint()
        if not self._around:
            return own
        shape = f"{self._options.frames_before} {self._options.frames_after}"
        return file_fingerprint(self._root, self._files(self._pairs), own, shape)

    def _files(self, pairs: list[tuple[Path, Path]]) -> list[Path]:
        """Every frame of every clip."""
        return [
            frame
            for (labelled, _), (before, after) in zip(pairs, self._around, strict=True)
            for frame in (*before, labelled, *after)
        ]


def _labelled_stills(images: Path, labels: Path, kind: str) -> list[tuple[Path, Path]]:
    """Every image with its label map."""
    pairs = []
    for path in list_images(images, recursive=True):
        if not path.name.endswith(_IMAGE):
            raise DataError(f"{path}: is not named <city>_<sequence>_<frame>{_IMAGE}; remove or rename the file")
        name = path.name.removesuffix(_IMAGE)
        pairs.append((path, labels / path.parent.name / f"{name}_gtFine_{kind}.png"))
    return pairs


def _labelled_frames(images: Path, labels: Path, kind: str) -> list[tuple[Path, Path]]:
    """Every label map with its frame, which most frames of a sequence do not have."""
    ending = f"_gtFine_{kind}.png"
    found = [path for path in list_images(labels, recursive=True) if path.name.endswith(ending)]
    if not found:
        raise MissingInputError(f"{labels}: holds no label map *{ending}; add them, or change 'labels'")
    return [(images / path.parent.name / f"{path.name.removesuffix(ending)}{_IMAGE}", path) for path in found]


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
