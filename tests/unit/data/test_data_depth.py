"""rgbd, kitti-depth and nyu-depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save

from pytest_lossy.data.base import Dataset
from pytest_lossy.errors import DataError, MissingInputError

VALUES = np.resize(np.array([0, 1, 1500, 10_000, 10_001, 65_535], np.uint16), (6, 8))


def frames(folder: Path, kind: str = "jpg", count: int = 2) -> Path:
    for index in range(count):
        save(folder / f"frame-{index:06}.color.{kind}", colours(seed=index))
        save(folder / f"frame-{index:06}.depth.png", VALUES)
    return folder


# RGB-D folders


def test_millimetres_become_metres(tmp_path: Path) -> None:
    data = build("rgbd", frames(tmp_path / "office").parent, root="office")
    assert ids(data) == ["frame-000000.color.jpg", "frame-000001.color.jpg"]
    assert data.classes == ()
    depth = data.load(0).target
    assert (depth.shape, depth.dtype) == ((6, 8), np.float32)
    np.testing.assert_array_equal(depth.ravel()[:6], np.array([0, 0.001, 1.5, 10, 0, 0], np.float32))
    assert groups(data) == ["office", "office"]
    assert_protocol(data)
    assert_listing_needs_no_decoder("rgbd", tmp_path, (".jpg", ".png"), root="office")


def test_depth_beyond_the_limit_is_unknown(tmp_path: Path) -> None:
    frames(tmp_path)
    near, far = (build("rgbd", tmp_path, root=".", max_depth=limit) for limit in (1.0, 100.0))
    assert near.load(0).target.max() == np.float32(0.001)
    assert far.load(0).target.max() == np.float32(65.535)
    assert near.fingerprint() != far.fingerprint()


def test_sequences_and_cameras(tmp_path: Path) -> None:
    frames(tmp_path / "seq-01", "png", 1)
    frames(tmp_path / "seq-02", "png", 1)
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[585, 0, 320], [0, 585, 240], [0, 0, 1]])
    np.savetxt(tmp_path / "seq-02" / "camera-intrinsics.txt", [[500, 0, 300], [0, 500, 200], [0, 0, 1]])
    data = build("rgbd", tmp_path, root=".")
    assert groups(data) == ["seq-01", "seq-02"]
    assert data.load(0).context["intrinsics"].tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    assert data.load(1).context["intrinsics"][0, 0] == 500
    assert_protocol(data)
    before = data.fingerprint()
    for text in ("1 2\n3 4\n", "a b c\n", "nan 0 0\n0 1 0\n0 0 1\n", "1 2 3\n4 5\n"):
        (tmp_path / "camera-intrinsics.txt").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"camera-intrinsics\.txt: expected 3 x 3 numbers"):
            build("rgbd", tmp_path, root=".")
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[584, 0, 320], [0, 585, 240], [0, 0, 1]])
    assert build("rgbd", tmp_path, root=".").fingerprint() != before


def test_rgbd_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="gone: no such folder"):
        build("rgbd", tmp_path, root="gone")
    with pytest.raises(DataError, match=r"holds no <frame>\.color\.png"):
        build("rgbd", tmp_path, root=".")
    frames(tmp_path)
    (tmp_path / "frame-000001.depth.png").unlink()
    with pytest.raises(MissingInputError, match=r"frame-000001\.depth\.png: no such depth map \(1 of 2 are missing\)"):
        build("rgbd", tmp_path, root=".")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((6, 8), np.uint8), r"depth\.png: a depth map is a 16-bit grey image, this one is L"),
        (colours(), r"depth\.png: a depth map is a 16-bit grey image, this one is RGB"),
        (np.zeros((8, 6), np.uint16), r"depth\.png: the depth map is 6x8, the image is 8x6; they must match"),
    ],
    ids=["8 bits", "colours", "another size"],
)
def test_depth_maps_that_are_none(tmp_path: Path, pixels: np.ndarray, message: str) -> None:
    frames(tmp_path)
    save(tmp_path / "frame-000000.depth.png", pixels)
    with pytest.raises(DataError, match=message):
        build("rgbd", tmp_path, root=".").load(0)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    data = build("rgbd", frames(tmp_path), root=".")
    (tmp_path / "frame-000000.depth.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"frame-000000\.depth\.png: is not an image"):
        data.load(0)
    (tmp_path / "frame-000001.depth.png").unlink()
    with pytest.raises(DataError, match=r"frame-000001\.depth\.png: no such file"):
        data.load(1)


def test_targets_satisfy_the_task(tmp_path: Path) -> None:
    from pytest_lossy.tasks.registry import build_task

    target = build("rgbd", frames(tmp_path), root=".").load(0).target
    assert build_task("depth", ()).check(np.ones_like(target), target) is None


# KITTI

DRIVE = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/{}.png"
TRUTH = "2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/{}.png"


def kitti(root: Path, split: str | None = None) -> Dataset:
    for number in ("0000000005", "0000000069"):
        save(root / "raw" / DRIVE.format(number), colours())
        save(root / "gt" / TRUTH.format(number), np.full((6, 8), 256 * 3 + 128, np.uint16))
    if split is None:
        split = (
            f"{DRIVE.format('0000000069')} {TRUTH.format('0000000069')} 721.5377\n"
            f"{DRIVE.format('0000000031')} None 721.5377\n"
            f"/{DRIVE.format('0000000005')} /{TRUTH.format('0000000005')}\n"
        )
    (root / "eigen.txt").write_text(split, encoding="utf-8")
    options: dict[str, Any] = {"images": "raw", "depth": "gt", "split": "eigen.txt"}
    return build("kitti-depth", root, **options)


def test_kitti(tmp_path: Path) -> None:
    data = kitti(tmp_path)
    assert ids(data) == [DRIVE.format("0000000069"), DRIVE.format("0000000005")]
    assert groups(data) == ["2011_09_26_drive_0002_sync"] * 2
    assert (data.load(0).target == 3.5).all()
    assert data.load(0).context == {"focal": 721.5377}
    assert data.load(1).context == {}
    assert data.notes == ("1 of 3 listed images have no ground truth and were left out",)
    assert_protocol(data)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("2011_09_26/2011_09_26_drive_0001_sync\n", r"eigen\.txt:1: expected '<image> <depth map> \[focal length\]'"),
        ("a.png b.png\n\na.png 0000000473 l\n", r"eigen\.txt:3: expected .* got 'a\.png 0000000473 l'"),
        ("a.png b.png -1\n", r"eigen\.txt:1: expected"),
        ("a.png b.png 1 2\n", r"eigen\.txt:1: expected"),
        ("a.png None\n", r"raw: no sample is left"),
        ("", r"eigen\.txt: this split file is empty"),
        ("a.png b.png\n", r"gt/b\.png: no such depth map \(1 of 1 are missing\)"),
    ],
)
def test_split_files_that_are_wrong(tmp_path: Path, split: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kitti(tmp_path, split)


# NYU


def nyu(root: Path) -> Path:
    for scene, number in (("kitchen_0004", "00045"), ("bath_0001", "00046")):
        save(root / "nyu" / scene / f"rgb_{number}.jpg", colours())
        save(root / "nyu" / scene / f"sync_depth_{number}.png", np.full((6, 8), 2500, np.uint16))
    return root


def test_nyu_by_folder(tmp_path: Path) -> None:
    data = build("nyu-depth", nyu(tmp_path), root="nyu")
    assert ids(data) == ["bath_0001/rgb_00046.jpg", "kitchen_0004/rgb_00045.jpg"]
    assert groups(data) == ["bath_0001", "kitchen_0004"]
    assert (data.load(0).target == 2.5).all()
    assert_protocol(data)
    (tmp_path / "nyu" / "bath_0001" / "sync_depth_00046.png").unlink()
    with pytest.raises(MissingInputError, match=r"sync_depth_00046\.png: no such depth map"):
        build("nyu-depth", tmp_path, root="nyu")


def test_nyu_by_list(tmp_path: Path) -> None:
    nyu(tmp_path)
    (tmp_path / "test.txt").write_text(
        "/kitchen_0004/rgb_00045.jpg /kitchen_0004/sync_depth_00045.png 518.8579\n", encoding="utf-8"
    )
    data = build("nyu-depth", tmp_path, root="nyu", split="test.txt")
    assert ids(data) == ["kitchen_0004/rgb_00045.jpg"]
    assert data.load(0).context == {"focal": 518.8579}


def test_nyu_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="nyu: no such folder"):
        build("nyu-depth", tmp_path, root="nyu")
    (tmp_path / "nyu").mkdir()
    with pytest.raises(DataError, match=r"nyu: holds no rgb_N\.jpg"):
        build("nyu-depth", tmp_path, root="nyu")
    with pytest.raises(MissingInputError, match=r"test\.txt: no such split file"):
        build("nyu-depth", tmp_path, root="nyu", split="test.txt")
