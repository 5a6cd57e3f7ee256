"""NYU Depth v2's labelled file, ``nyu_depth_v2_labeled.mat``: 1,449 images with filled-in depth in one HDF5 file.

Silberman, Hoiem, Kohli & Fergus, "Indoor Segmentation and Support Inference from RGBD Images" (ECCV 2012). MATLAB wrote
it, so that h5py sees the axes in reverse: ``images`` (n, 3, W, H) uint8, ``depths`` (n, W, H) metres, ``scenes`` (1, n)
references to names. Needs the package h5py.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_lossy.data.base import Sample, SourceInfo
from pytest_lossy.data.listing import Entry, MediaListing, content_digest
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["NyuLabelled", "NyuLabelledOptions"]

_SHAPES = {"images": "(n, 3, W, H) uint8", "depths": "(n, W, H) float"}
_INDICES = {"train": "trainNdxs", "test": "testNdxs"}


class NyuLabelledOptions(BaseModel):
    """Keyword arguments of ``nyu-depth-labelled``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, Field(description="nyu_depth_v2_labeled.mat, relative to the spec")]
    split: Annotated[Literal["all", "train", "test"], Field(description="which images; train and test need 'splits'")]
    splits: Annotated[str | None, Field(description="splits.mat of the same authors, relative to the spec")] = None

    @model_validator(mode="after")
    def _split_known(self) -> NyuLabelledOptions:
        if self.split != "all" and self.splits is None:
            raise ValueError(f"split '{self.split}' is listed in splits.mat; give its path as 'splits', or choose all")
        return self


class NyuLabelled(MediaListing[int]):
    """Images of one file. The independent unit is the scene, where the file names scenes."""

    Options = NyuLabelledOptions

    def __init__(self, options: NyuLabelledOptions, base: Path) -> None:
        path = from_spec(base, options.file)
        with _opened(path) as file:
            count = _check(path, file)
            scenes = _scenes(path, file, count)
        extra: tuple[str, ...] = (options.split,)
        chosen = list(range(count))
        if options.splits is not None and options.split != "all":
            splits = from_spec(base, options.splits)
            chosen = _read_split(splits, _INDICES[options.split], count)
            extra = (*extra, content_digest(splits))
        entries = [Entry(f"{index + 1:05}", path, index, scenes[index]) for index in chosen]
        super().__init__("nyu-depth-labelled", path.parent, entries, extra=extra)

    def load(self, index: int) -> Sample:
        """Read one image and its depth map.

        Returns:
            A sample whose target is (H, W) float32, metres, 0 where unknown.

        Raises:
            DataError: the file is missing or damaged.
        """
        entry = self._entries[index]
        with _opened(entry.media) as file:
            media = np.ascontiguousarray(file["images"][entry.label].transpose(2, 1, 0))
            depth = np.ascontiguousarray(file["depths"][entry.label].T.astype(np.float32))
        depth[~np.isfinite(depth) | (depth < 0)] = 0
        source = SourceInfo(format="HDF5", notes=("one of several images in a file",))
        return Sample(entry.id, media, depth, group=entry.group, source=source)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open HDF5 file; h5py's errors become ours."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise DataError(
            f"{path}: reading HDF5 needs the package h5py; install it, or convert the file to PNG pairs and use 'nyu-depth'"
        ) from None
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file; place it there or change 'file' in the spec")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({error}); replace the file") from None


def _check(path: Path, file: Any) -> int:
    """The number of images, after a look at the shapes alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, expected in _SHAPES.items():
        shapes[name] = tuple(getattr(file.get(name), "shape", ()))
        kind = getattr(getattr(file.get(name), "dtype", None), "kind", "")
        if len(shapes[name]) != (4 if name == "images" else 3) or kind != ("u" if name == "images" else "f"):
            raise DataError(f"{path}: needs '{name}' {expected}, found {shapes[name] or 'none'}; use the labelled file")
    count, channels, *size = shapes["images"]
    if channels != 3 or shapes["depths"] != (count, *size) or not count:
        raise DataError(
            f"{path}: 'images' {shapes['images']} and 'depths' {shapes['depths']} do not fit together; replace the file"
        )
    return count


def _scenes(path: Path, file: Any, count: int) -> list[str | None]:
    """The scene of each image; None where the file names none."""
    references = file.get("scenes")
    if references is None:
        return [None] * count
    flat = np.asarray(references).ravel()
    if len(flat) != count:
        raise DataError(f"{path}: names {len(flat)} scenes for {count} images; replace the file")
    return ["".join(map(chr, np.asarray(file[reference]).ravel().tolist())) for reference in flat]


def _read_split(path: Path, name: str, count: int) -> list[int]:
    """0-based indices of a MATLAB 5 file that counts from 1."""
    from scipy.io import loadmat

    if not path.is_file():
        raise MissingInputError(f"{path}: no such file; place it there or change 'splits' in the spec")
    try:
        values: npt.NDArray[Any] = np.asarray(loadmat(path, variable_names=[name])[name]).ravel()
    except KeyError:
        raise DataError(f"{path}: has no '{name}'; use the splits.mat of NYU Depth v2") from None
    except Exception as error:  # noqa: BLE001  damaged files raise anything
        raise DataError(f"{path}: cannot be read as a MATLAB file ({error}); replace the file") from None
    wrong = [value for value in values.tolist() if not (isinstance(value, int) and 1 <= value <= count)]
    if wrong:
        raise DataError(
            f"{path}: '{name}' holds {wrong[0]}, and there are images 1..{count}; use the file's own splits"
        )
    return [value - 1 for value in values.tolist()]
