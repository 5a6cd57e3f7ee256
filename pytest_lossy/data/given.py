"""Data that a test hands over as objects: any sequence of images with their targets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from PIL import Image

from pytest_lossy.data.base import Dataset, Sample, SourceInfo, UInt8Array
from pytest_lossy.data.maite import MaiteDataset, is_maite_dataset
from pytest_lossy.errors import DataError

__all__ = ["GivenDataset", "adapt_dataset", "media_kind"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""In the printed form of an object: differs between equal runs."""
_IGNORED = 255
_ADVICE = "give Samples, (image, target) pairs, or images alone"


def adapt_dataset(given: Any, name: str, classes: Sequence[str] | None = None) -> Dataset:
    """Make a data set of what a test hands over.

    Args:
        given: a :class:`~pytest_lossy.data.base.Dataset`, a data set of MAITE's protocols, or a sequence (``len`` and
            ``[index]``) of :class:`~pytest_lossy.data.base.Sample`, of pairs (image, target), or of images alone, which only
            label-free mode can use. Images are uint8 arrays (H, W, 3), clips (T, H, W, 3), PIL images, or uint8 tensors
            (3, H, W) or (T, 3, H, W).
        name: what results call it.
        classes: names in label order; default: ``given.classes``, else numbers up to the largest label.

    Raises:
        DataError: it is none of these, is empty, or two samples have one id.
    """
    if is_maite_dataset(given):
        given = MaiteDataset(given, name)
    if isinstance(given, Dataset):
        if classes is not None:
            raise DataError(f"{type(given).__name__} names its classes itself; leave classes=... out")
        if len(given) == 0:
            raise DataError(f"{type(given).__name__} holds no sample; check its folder and split")
        return given
    if not hasattr(given, "__len__") or not hasattr(given, "__getitem__") or isinstance(given, str | bytes | Mapping):
        raise DataError(f"{type(given).__name__} is no sequence of samples; {_ADVICE}, in a list for example")
    return GivenDataset(given, name, classes)


def media_kind(dataset: Dataset) -> Literal["stills", "clips"]:
    """What a data set holds, as its class or its first sample says."""
    declared: Any = getattr(type(dataset), "media", None)
    if declared in ("stills", "clips"):
        return "clips" if declared == "clips" else "stills"
    return "clips" if np.ndim(dataset.load(0).media) == 4 else "stills"


class GivenDataset:
    """A sequence as a data set; items are converted when they are asked for.

    Its fingerprint is that of the content, so that all items are read once more than they are evaluated. Arguments and
    errors are those of :func:`adapt_dataset`.
    """

    def __init__(self, items: Any, name: str, classes: Sequence[str] | None) -> None:
        self._items, self._name = items, name
        if len(items) == 0:
            raise DataError(f"the data of {name} hold no sample; give one at least")
        first = _first(items)
        self._labelled = isinstance(first, Sample) or _is_pair(first)
        named = classes if classes is not None else getattr(items, "classes", None)
        self._named = tuple(map(str, named)) if isinstance(named, Iterable) and not isinstance(named, str) else None

    @property
    def name(self) -> str:
        """As results call it."""
        return self._name

    @property
    def labelled(self) -> bool:
        """Whether items have targets."""
        return self._labelled

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in label order."""
        return self._named if self._named is not None else self._read[2]

    def __len__(self) -> int:
        return len(self._items)

    def sample_id(self, index: int) -> str:
        """A Sample's own id, else the position."""
        return self._read[0][index]

    def group(self, index: int) -> str | None:
        """A Sample's own group."""
        return self._read[1][index]

    def fingerprint(self) -> str:
        """Of ids, pixels, targets and classes."""
        return hashlib.sha256(f"{self._read[3]}\0{self.classes}".encode()).hexdigest()

    def load(self, index: int) -> Sample:
        """Convert one item.

        Raises:
            DataError: it is no image, or no pair with an image.
        """
        item, place = self._items[index], f"item {index} of {self._name}"
        if isinstance(item, Sample):
            return replace(item, media=_media(item.media, place), target=_plain(item.target))
        if self._labelled and not _is_pair(item):
            raise DataError(f"{place} is {_kind(item)}; {_ADVICE}")
        image, target = item if self._labelled else (item, None)
        return Sample(
            id=f"{index:06d}",
            media=_media(image, place),
            target=_plain(target),
            source=SourceInfo(type(image).__name__),
        )

    @cached_property
    def _read(self) -> tuple[tuple[str, ...], tuple[str | None, ...], tuple[str, ...], str]:
        """Ids, groups, numbers up to the largest label, and a digest of the content."""
        ids: list[str] = []
        groups: list[str | None] = []
        largest, digest = -1, hashlib.sha256()
        for index in range(len(self._items)):
            sample = self.load(index)
            ids.append(sample.id)
            groups.append(sample.group)
            largest = max(largest, _largest_label(sample.target))
            digest.update(f"{sample.id}\0{sample.group}\0{sample.frame}\0{sample.media.shape}".encode())
            digest.update(np.ascontiguousarray(sample.media).tobytes())
            _digest(digest, (sample.target, dict(sample.context), sample.tags))
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise DataError(
                f"two samples of {self._name} have the id '{twice}'; ids tell samples apart; make them unique"
            )
        return tuple(ids), tuple(groups), tuple(map(str, range(largest + 1))), digest.hexdigest()


def _first(items: Any) -> Any:
    try:
        return items[0]
    except (KeyError, TypeError) as error:
        raise DataError(f"{type(items).__name__} cannot be indexed by 0 ({error}); give a list") from None


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) == 2


def _kind(item: Any) -> str:
    return f"{item.dtype} {tuple(item.shape)}" if hasattr(item, "dtype") else type(item).__name__


def _media(image: Any, place: str) -> UInt8Array:
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    if _is_tensor(image):
        if str(image.dtype) == "torch.uint8" and image.ndim in (3, 4) and image.shape[-3] == 3:
            channels_last: UInt8Array = np.ascontiguousarray(np.moveaxis(image.detach().cpu().numpy(), -3, -1))
            return channels_last
    elif isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (3, 4) and image.shape[-1] == 3:
        return image
    raise DataError(
        f"{place}: an image must be uint8, an array (H, W, 3) or a tensor (3, H, W), RGB, got {_kind(image)}; convert it "
        "(floats in 0..1: scale by 255 and round)"
    )


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("torch", "torchvision") and hasattr(value, "detach")


def _plain(target: Any) -> Any:
    """Targets as tasks take them: arrays instead of tensors and pictures, numbers instead of arrays without an axis."""
    if _is_tensor(target):
        target = target.detach().cpu().numpy()
    if isinstance(target, Image.Image):
        return np.asarray(target)
    if isinstance(target, np.ndarray | np.generic):
        return target.item() if target.ndim == 0 else target
    if isinstance(target, Mapping):
        return {name: _plain(value) for name, value in target.items()}
    if isinstance(target, list):
        return [_plain(value) for value in target]
    return target


def _largest_label(target: Any) -> int:
    """Of a label, a label map, or the ``labels`` of a mapping; -1 where there is none."""
    if isinstance(target, Mapping):
        return _largest_label(target.get("labels"))
    if isinstance(target, list):
        return max(map(_largest_label, target), default=-1)
    if isinstance(target, bool) or not isinstance(target, int | np.ndarray):
        return -1
    labels = np.asarray(target)
    if not np.issubdtype(labels.dtype, np.integer):
        return -1
    known = labels[labels != _IGNORED] if labels.ndim > 1 else labels
    return int(known.max()) if known.size else -1


def _digest(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes() if value.dtype != object else repr(value.tolist()).encode())
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            digest.update(f"{name}\0".encode())
            _digest(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__}{len(value)}".encode())
        for one in value:
            _digest(digest, one)
    else:
        digest.update(_ADDRESS.sub("", repr(value)).encode())
