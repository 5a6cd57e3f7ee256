"""Data sets of MAITE's protocols for image classification and object detection."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.data.base import Sample, SourceInfo, UInt8Array
from pytest_lossy.data.maite_values import detections, metadata_of, plain_array
from pytest_lossy.errors import DataError

__all__ = ["MaiteDataset", "is_maite_dataset"]

_ROUNDING = 1e-6


def is_maite_dataset(candidate: Any) -> bool:
    """Whether an object has what MAITE's ``Dataset`` protocol asks for."""
    return metadata_of(candidate) is not None and hasattr(candidate, "__getitem__") and hasattr(candidate, "__len__")


class MaiteDataset:
    """A MAITE data set: items ``(image, target, datum metadata)``.

    Images are (C, H, W), one or three channels, RGB, uint8, or floats in 0..1, which are rounded to 8 bits. Targets are
    (classes,) arrays with one largest value, or ``ObjectDetectionTarget``. Class names are the metadata's ``index2label``.

    Samples are named by the ``id`` of their metadata where the data set is a ``FieldwiseDataset``, whose metadata can be
    read without the image, and by their position elsewhere. Such metadata may also have a ``group``: what the sample is
    not independent of (a video, a camera).

    Args:
        dataset: the MAITE object; it is called by one thread at a time.
        origin: what the spec names, for messages.

    Raises:
        DataError: the object is none, or two samples have one id.
    """

    def __init__(self, dataset: Any, origin: str) -> None:
        metadata = metadata_of(dataset)
        if metadata is None or not is_maite_dataset(dataset):
            raise DataError(
                f"'{origin}' returned {type(dataset).__name__}, which is no MAITE data set; return an object with "
                "__getitem__, __len__ and metadata = {'id': ...}"
            )
        self._dataset, self._origin = dataset, origin
        self._lock = threading.Lock()
        self.name = str(metadata["id"])
        self.classes = _class_names(metadata.get("index2label"), origin)
        facts = self._facts()
        self._ids = tuple(str(fact["id"]) for fact in facts) if facts else ()
        self._groups = tuple(str(fact["group"]) if "group" in fact else None for fact in facts)
        twice = [name for name, count in Counter(self._ids).items() if count > 1]
        if twice:
            raise DataError(f"'{origin}': id '{twice[0]}' occurs twice ({len(twice)} such ids); make them unique")

    def _facts(self) -> list[Mapping[str, Any]]:
        """The metadata of every sample, where they can be had without its image."""
        read = getattr(self._dataset, "get_metadata", None)
        if not callable(read):
            return []
        facts: list[Mapping[str, Any]] = []
        for index in range(len(self)):
            fact = read(index)
            if not isinstance(fact, Mapping) or "id" not in fact:
                raise DataError(f"'{self._origin}': get_metadata({index}) has no 'id'; MAITE's DatumMetadata needs one")
            facts.append(fact)
        return facts

    def __len__(self) -> int:
        return len(self._dataset)

    def sample_id(self, index: int) -> str:
        """The ``id`` that ``load(index)`` will carry."""
        return self._ids[index] if self._ids else f"{index:06}"

    def group(self, index: int) -> str | None:
        """The ``group`` that ``load(index)`` will carry."""
        return self._groups[index] if self._groups else None

    def load(self, index: int) -> Sample:
        """One sample.

        Raises:
            DataError: the item is no datum of the two protocols; names the sample.
        """
        image, target = self._item(index)
        media, notes = self._pixels(image, index)
        return Sample(
            id=self.sample_id(index),
            media=media,
            target=self._target(target, index),
            group=self.group(index),
            source=SourceInfo(f"MAITE {image.dtype}", mode="RGB" if len(image) == 3 else "L", notes=notes),
        )

    def fingerprint(self) -> str:
        """The data set's own ``fingerprint()`` if it has one; else a hash of every image, target and id, which loads all."""
        own = getattr(self._dataset, "fingerprint", None)
        if callable(own):
            return str(own())
        digest = hashlib.sha256(repr((self.name, self.classes, len(self))).encode("utf-8", "surrogatepass"))
        for index in range(len(self)):
            image, target = self._item(index)
            digest.update(repr((self.sample_id(index), self.group(index), image.dtype.str, image.shape)).encode())
            digest.update(np.ascontiguousarray(image).tobytes())
            found = self._target(target, index)
            for part in (found["boxes"], found["labels"]) if isinstance(found, dict) else (np.asarray(found),):
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def _item(self, index: int) -> tuple[npt.NDArray[Any], Any]:
        with self._lock:
            item = self._dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 3:
            raise self._wrong(index, f"is a {type(item).__name__}, not a tuple (image, target, metadata)")
        return plain_array(item[0]), item[1]

    def _pixels(self, image: npt.NDArray[Any], index: int) -> tuple[UInt8Array, tuple[str, ...]]:
        """(H, W, 3) uint8, and what was converted."""
        if image.ndim != 3 or len(image) not in (1, 3) or 0 in image.shape:
            raise self._wrong(index, f"has an image {image.shape}, not (3, H, W) or (1, H, W); channels come first")
        notes = []
        if image.dtype != np.uint8:
            if not np.issubdtype(image.dtype, np.floating):
                raise self._wrong(index, f"has {image.dtype} pixels; give uint8, or floats in 0..1")
            low, high = float(image.min()), float(image.max())
            if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
                raise self._wrong(index, f"has floats from {low:g} to {high:g}; give uint8, or floats in 0..1")
            image = np.rint(np.clip(image, 0, 1).astype(np.float64) * 255).astype(np.uint8)
            notes.append("floats rounded to 8 bits")
        if len(image) == 1:
            image = np.repeat(image, 3, axis=0)
            notes.append("grey repeated")
        return np.ascontiguousarray(image.transpose(1, 2, 0)), tuple(notes)

    def _target(self, target: Any, index: int) -> Any:
        if hasattr(target, "boxes"):
            found = detections(target, scored=False)
            if isinstance(found, str):
                raise self._wrong(index, found)
            return found
        scores = plain_array(target)
        if scores.ndim != 1 or len(scores) < 2 or not np.issubdtype(scores.dtype, np.number):
            raise self._wrong(
                index,
                f"has a target {scores.dtype} {scores.shape}; give (classes,) with 1 for the class and 0 elsewhere, or an "
                "ObjectDetectionTarget",
            )
        best = np.flatnonzero(scores == scores.max())
        if len(best) != 1:
            raise self._wrong(
                index, f"has {len(best)} classes of the largest value {scores.max():g}; one must stand out"
            )
        return int(best[0])

    def _wrong(self, index: int, what: str) -> DataError:
        return DataError(f"sample {self.sample_id(index)} of '{self._origin}' {what}")


def _class_names(names: Any, origin: str) -> tuple[str, ...]:
    """Names in label order; labels without a name are called by their number."""
    if names is None:
        return ()
    try:
        by_label = {int(label): str(name) for label, name in names.items()}
    except (AttributeError, TypeError, ValueError):
        raise DataError(
            f"'{origin}': metadata['index2label'] must map whole numbers to names, got {names!r:.80}; "
            "write {0: 'car', 1: 'person'} for example"
        ) from None
    if by_label and min(by_label) < 0:
        raise DataError(
            f"'{origin}': metadata['index2label'] names class {min(by_label)}; labels start at 0; number them so"
        )
    return tuple(by_label.get(label, str(label)) for label in range(max(by_label, default=-1) + 1))
