"""Pairs of colour images and depth maps: the base of the depth data sets that lie in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_lossy.data.base import Sample
from pytest_lossy.data.images import read_image, read_label_map
from pytest_lossy.data.listing import Entry, MediaListing, read_lines, require_files
from pytest_lossy.errors import DataError

__all__ = ["DepthFile", "DepthPairs", "read_depth", "read_pair_list"]


@dataclass(frozen=True, slots=True)
class DepthFile:
    """The depth map of one image, and what is known of its camera."""

    path: Path
    focal: float | None = None
    """Focal length in pixels."""
    intrinsics: tuple[tuple[float, ...], ...] | None = None
    """3 x 3, row by row, in pixels."""


def read_depth(path: Path, units: float, limit: float | None) -> npt.NDArray[np.float32]:
    """Decode a depth map of whole numbers.

    Args:
        path: a 16-bit grey image.
        units: its values per metre.
        limit: metres; values beyond are unknown. None for none.

    Returns:
        (H, W), metres, 0 where unknown.

    Raises:
        DataError: missing, damaged, or not of 16 bits.
    """
    try:
        with Image.open(path) as image:  # the header alone
            mode = image.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        mode = "I;16"  # the reader below says what is wrong
    if not mode.startswith("I"):
        raise DataError(
            f"{path}: a depth map is a 16-bit grey image, this one is {mode}; 8-bit or coloured depth is for viewing: use "
            "the original files"
        )
    stored = read_label_map(path)
    depth = stored.astype(np.float32) / np.float32(units)
    if limit is not None:
        depth[stored > limit * units] = 0
    return depth


class DepthPairs(MediaListing[DepthFile]):
    """Colour images and depth maps.

    Args:
        name: the registry's name.
        root: what the images' names are relative to.
        entries: in the order of the data set.
        units: stored values per metre.
        limit: metres; depth beyond is unknown. None for none.
        notes: what a reader of the results must know of the selection.

    Raises:
        MissingInputError: an image or a depth map is not there.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        entries: Sequence[Entry[DepthFile]],
        *,
        units: float,
        limit: float | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self._units, self._limit = units, limit
        require_files([entry.label.path for entry in entries], "depth map")
        super().__init__(name, root, entries, notes=notes, extra=(f"{units:g}", f"{limit}"))

    def _labels(self) -> Iterable[str]:
        for entry in self._entries:
            label = entry.label
            yield f"{label.path.name} {label.path.stat().st_size} {label.focal} {label.intrinsics}"

    def load(self, index: int) -> Sample:
        """Decode one pair.

        Returns:
            A sample whose target is (H, W) float32, metres, 0 where unknown; the context holds ``focal`` (pixels) or
            ``intrinsics`` (3, 3) float64 where they are known.

        Raises:
            DataError: a file is missing or damaged, or their sizes differ.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media)
        depth = read_depth(entry.label.path, self._units, self._limit)
        if depth.shape != media.shape[:2]:
            raise DataError(
                f"{entry.label.path}: the depth map is {depth.shape[1]}x{depth.shape[0]}, the image is "
                f"{media.shape[1]}x{media.shape[0]}; they must match pixel for pixel: register depth to colour"
            )
        context: dict[str, Any] = {}
        if entry.label.focal is not None:
            context["focal"] = entry.label.focal
        if entry.label.intrinsics is not None:
            context["intrinsics"] = np.array(entry.label.intrinsics, dtype=np.float64)
        return Sample(entry.id, media, depth, context=context, group=entry.group, source=source)


@dataclass(frozen=True, slots=True)
class ListedPair:
    """One line of a split file."""

    image: str
    depth: str
    focal: float | None


def read_pair_list(path: Path) -> tuple[list[ListedPair], tuple[str, ...]]:
    """A split file with lines ``image depth [focal]``; depth ``None`` means that the image has no ground truth.

    The format of the lists of Lee et al., "From Big to Small" (BTS, 2019), which its successors use. Names that start with
    a slash are relative all the same.

    Returns:
        The pairs, and a note on images without ground truth, which are left out.

    Raises:
        MissingInputError: there is no such file.
        DataError: a line is of another form.
    """
    pairs = []
    without = 0
    for number, line in read_lines(path, "split file"):
        words = line.split()
        focal = None
        try:
            focal = float(words[2]) if len(words) == 3 else None
        except ValueError:
            words = []
        if len(words) not in (2, 3) or (focal is not None and not 0 < focal < float("inf")):
            raise DataError(
                f"{path}:{number}: expected '<image> <depth map> [focal length]', got '{line:.90}'; write one pair per line"
            )
        if words[1] == "None":
            without += 1
        else:
            pairs.append(ListedPair(words[0].lstrip("/"), words[1].lstrip("/"), focal))
    total = without + len(pairs)
    notes = (f"{without} of {total} listed images have no ground truth and were left out",) if without else ()
    return pairs, notes
