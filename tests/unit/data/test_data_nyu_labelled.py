"""nyu-depth-labelled: MATLAB's HDF5 file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_protocol, build, groups, ids
from image_files import colours
from pydantic import ValidationError
from scipy.io import savemat

from pytest_lossy.errors import DataError, MissingInputError

h5py = pytest.importorskip("h5py", reason="reads HDF5")


def labelled(root: Path, **changed: Any) -> Path:
    """Three images of 6x8, stored with reversed axes as MATLAB does."""
    depths = np.stack([np.full((6, 8), 1.5 + index, np.float32) for index in range(3)])
    depths[0, 0, :3] = [np.nan, -1, 0]
    arrays = {
        "images": np.stack([colours(seed=index).transpose(2, 1, 0) for index in range(3)]),
        "depths": depths.transpose(0, 2, 1),
        **changed,
    }
    with h5py.File(root / "nyu.mat", "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
        scenes = ["kitchen_0004", "kitchen_0004", "office_0001"]
        references = file.create_dataset("scenes", (1, 3), dtype=h5py.ref_dtype)
        for index, scene in enumerate(scenes):
            file[f"#refs#/{index}"] = np.array([[ord(letter)] for letter in scene], np.uint16)
            references[0, index] = file[f"#refs#/{index}"].ref
    savemat(root / "splits.mat", {"testNdxs": np.array([[1], [3]], np.uint16), "trainNdxs": np.array([[2]], np.uint16)})
    return root


def nyu(root: Path, **options: Any) -> Any:
    return build("nyu-depth-labelled", root, **{"file": "nyu.mat", "split": "all", **options})


def test_axes_and_units(tmp_path: Path) -> None:
    data = nyu(labelled(tmp_path))
    assert ids(data) == ["00001", "00002", "00003"]
    assert groups(data) == ["kitchen_0004", "kitchen_0004", "office_0001"]
    sample = data.load(0)
    assert np.array_equal(sample.media, colours(seed=0))
    assert (sample.target.shape, sample.target.dtype) == ((6, 8), np.float32)
    assert sample.target[0, :4].tolist() == [0, 0, 0, 1.5]
    assert_protocol(data)


def test_splits_count_from_1(tmp_path: Path) -> None:
    labelled(tmp_path)
    test, train = (nyu(tmp_path, split=split, splits="splits.mat") for split in ("test", "train"))
    assert ids(test) == ["00001", "00003"]
    assert ids(train) == ["00002"]
    assert len({test.fingerprint(), train.fingerprint(), nyu(tmp_path).fingerprint()}) == 3
    with pytest.raises(ValidationError, match=r"split 'test' is listed in splits\.mat"):
        nyu(tmp_path, split="test")


def test_files_that_are_wrong(tmp_path: Path) -> None:
    for changed, message in (
        ({"depths": None}, r"nyu\.mat: needs 'depths' \(n, W, H\) float, found none"),
        ({"images": np.zeros((3, 8, 6), np.uint8)}, r"nyu\.mat: needs 'images'"),
        ({"depths": np.zeros((2, 8, 6), np.float32)}, r"nyu\.mat: 'images' \(3, 3, 8, 6\) and 'depths' \(2, 8, 6\)"),
    ):
        with pytest.raises(DataError, match=message):
            nyu(labelled(tmp_path, **changed))
    labelled(tmp_path)
    savemat(tmp_path / "splits.mat", {"testNdxs": np.array([[4]], np.uint16)})
    with pytest.raises(DataError, match=r"splits\.mat: 'testNdxs' holds 4, and there are images 1\.\.3"):
        nyu(tmp_path, split="test", splits="splits.mat")
    with pytest.raises(DataError, match=r"splits\.mat: has no 'trainNdxs'"):
        nyu(tmp_path, split="train", splits="splits.mat")
    for name in ("splits.mat", "nyu.mat"):
        (tmp_path / name).write_bytes(b"no file of this kind")
        with pytest.raises(DataError, match=rf"{name}: cannot be read as"):
            nyu(tmp_path, split="test", splits="splits.mat")
        (tmp_path / name).unlink()
        with pytest.raises(MissingInputError, match=rf"{name}: no such file"):
            nyu(tmp_path, split="test", splits="splits.mat")
        labelled(tmp_path)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="needs the package h5py; install it"):
        nyu(tmp_path)
