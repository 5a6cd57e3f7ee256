"""Depth data sets: RGB-D folders, KITTI, NYU Depth v2.

``rgbd`` is the layout of 7-Scenes (Shotton et al., CVPR 2013): ``<frame>.color.png`` beside ``<frame>.depth.png`` in
millimetres. ``kitti-depth`` is KITTI's (Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017): 16-bit PNG, value / 256 =
metres, 0 unknown, with the split of Eigen et al. (NeurIPS 2014) as a list of pairs. ``nyu-depth`` is NYU Depth v2 (Silberman
et al., ECCV 2012) as PNG pairs in millimetres, as packed by BTS (2019).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.depth_files import DepthFile, DepthPairs, ListedPair, read_pair_list
from pytest_lossy.data.listing import Entry, read_text
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["KittiDepth", "KittiDepthOptions", "NyuDepth", "NyuDepthOptions", "RgbdFolder", "RgbdOptions"]

MILLIMETRES = 1000
_KITTI_UNITS = 256
_KITTI_DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}_[a-z]+")
_COLOUR = re.compile(r"(?P<frame>.+)\.color\.(png|jpe?g)", re.IGNORECASE)
_INTRINSICS = "camera-intrinsics.txt"


class RgbdOptions(BaseModel):
    """Keyword arguments of ``rgbd``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder of frames, or of one folder per sequence, relative to the spec")]
    max_depth: Annotated[float, Field(gt=0, description="metres; depth beyond is unknown")] = 10.0


class RgbdFolder(DepthPairs):
    """Frames of an RGB-D camera. A folder is a sequence, the independent unit.

    ``camera-intrinsics.txt`` (3 x 3 numbers, pixels) in the folder of a frame, or in the root, is handed to the model.
    """

    Options = RgbdOptions

    def __init__(self, options: RgbdOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        if not root.is_dir():
            raise MissingInputError(f"{root}: no such folder; place the frames there or change the path in the spec")
        cameras: dict[Path, tuple[tuple[float, ...], ...] | None] = {}
        entries = []
        for path in sorted(root.rglob("*")):
            match = _COLOUR.fullmatch(path.name)
            if match is None or not path.is_file():
                continue
            if path.parent not in cameras:
                cameras[path.parent] = _read_intrinsics(path.parent) or _read_intrinsics(root)
            label = DepthFile(path.with_name(f"{match['frame']}.depth.png"), intrinsics=cameras[path.parent])
            folder = path.parent.relative_to(root).as_posix()
            group = root.name if folder == "." else folder
            entries.append(Entry(path.relative_to(root).as_posix(), path, label, group))
        if not entries:
            raise DataError(f"{root}: holds no <frame>.color.png or .color.jpg; choose the folder of an RGB-D sequence")
        super().__init__("rgbd", root, entries, units=MILLIMETRES, limit=options.max_depth)


class KittiDepthOptions(BaseModel):
    """Keyword arguments of ``kitti-depth``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[
        str, Field(description="the folder to which the split's images are relative, relative to the spec")
    ]
    depth: Annotated[
        str, Field(description="the folder to which the split's depth maps are relative, relative to the spec")
    ]
    split: Annotated[
        str, Field(description="a text file with lines '<image> <depth map> [focal length]', relative to the spec")
    ]


class KittiDepth(DepthPairs):
    """The pairs of a split file. The independent unit is the drive: neighbouring frames show one street."""

    Options = KittiDepthOptions

    def __init__(self, options: KittiDepthOptions, base: Path) -> None:
        images, depth = from_spec(base, options.images), from_spec(base, options.depth)
        pairs, notes = read_pair_list(from_spec(base, options.split))
        entries = [_entry(pair, images, depth, _drive(pair.image)) for pair in pairs]
        super().__init__("kitti-depth", images, entries, units=_KITTI_UNITS, notes=notes)


class NyuDepthOptions(BaseModel):
    """Keyword arguments of ``nyu-depth``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder of scene folders, relative to the spec")]
    split: Annotated[
        str | None,
        Field(
            description="a text file with lines '<image> <depth map> [focal length]', relative to the spec; default: every "
            "rgb_N.jpg or .png below the root with its sync_depth_N.png"
        ),
    ] = None


class NyuDepth(DepthPairs):
    """Pairs in millimetres. The independent unit is the scene's folder."""

    Options = NyuDepthOptions

    def __init__(self, options: NyuDepthOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        notes: tuple[str, ...] = ()
        if options.split is not None:
            pairs, notes = read_pair_list(from_spec(base, options.split))
        else:
            if not root.is_dir():
                raise MissingInputError(
                    f"{root}: no such folder; place the scenes there or change the path in the spec"
                )
            names = sorted(
                path.relative_to(root).as_posix() for path in root.rglob("rgb_*") if path.suffix in (".jpg", ".png")
            )
            if not names:
                raise DataError(f"{root}: holds no rgb_N.jpg or rgb_N.png; choose the folder of scenes")
            pairs = [ListedPair(name, re.sub(r"rgb_([^/]*)\.\w+$", r"sync_depth_\1.png", name), None) for name in names]
        entries = [_entry(pair, root, root, Path(pair.image).parent.as_posix()) for pair in pairs]
        super().__init__("nyu-depth", root, entries, units=MILLIMETRES, notes=notes)


def _entry(pair: ListedPair, images: Path, depth: Path, group: str) -> Entry[DepthFile]:
    return Entry(pair.image, images / pair.image, DepthFile(depth / pair.depth, pair.focal), group)


def _drive(image: str) -> str:
    """``2011_09_26_drive_0002_sync`` of a path of KITTI's raw data, else the folder."""
    match = _KITTI_DRIVE.search(image)
    return match[0] if match else Path(image).parent.as_posix()


def _read_intrinsics(folder: Path) -> tuple[tuple[float, ...], ...] | None:
    """A 3 x 3 matrix, None where there is no file."""
    path = folder / _INTRINSICS
    if not path.is_file():
        return None
    try:
        rows = [[float(word) for word in line.split()] for line in read_text(path, "camera file").splitlines()]
        matrix = np.array([row for row in rows if row])
    except ValueError:
        matrix = np.empty(0)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise DataError(f"{path}: expected 3 x 3 numbers in pixels; mend or remove the file")
    return tuple(map(tuple, matrix.tolist()))
