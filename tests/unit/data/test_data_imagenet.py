"""imagenet: one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save

from pytest_lossy.errors import DataError, MissingInputError


def tree(root: Path) -> Path:
    for index, name in enumerate(("n02/a.JPEG", "n01/b.JPEG", "n01/deep/c.png")):
        save(root / "val" / name, colours(16, 16, seed=index), format="PNG")
    (root / "val" / ".cache").mkdir()
    return root


def test_folders_are_classes(tmp_path: Path) -> None:
    data = build("imagenet", tree(tmp_path), root="val")
    assert data.classes == ("n01", "n02")
    assert ids(data) == ["n01/b.JPEG", "n01/deep/c.png", "n02/a.JPEG"]
    assert groups(data) == [None] * 3
    assert [data.load(index).target for index in range(3)] == [0, 0, 1]
    assert np.array_equal(data.load(2).media, colours(16, 16, seed=0))
    assert_protocol(data)
    assert_listing_needs_no_decoder("imagenet", tmp_path, (".JPEG", ".png"), root="val")


def test_labels_are_those_of_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    data = build("imagenet", tree(tmp_path), root="val")
    (tmp_path / "val" / ".cache").rmdir()  # a class without images, for torchvision
    theirs = ImageFolder(str(tmp_path / "val"))
    assert list(data.classes) == theirs.classes
    ours = [(str(tmp_path / "val" / data.sample_id(index)), data.load(index).target) for index in range(3)]
    assert ours == theirs.samples


def test_a_class_list_gives_the_labels(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "list.txt").write_text("n02 tench, Tinca tinca\n\nn07 shark\nn01\n", encoding="utf-8")
    data = build("imagenet", tmp_path, root="val", class_list="list.txt")
    assert data.classes == ("n02", "n07 shark", "n01")
    assert [data.load(index).target for index in range(3)] == [0, 2, 2]
    assert data.notes == ("1 of 3 listed classes have no folder",)
    assert data.fingerprint() != build("imagenet", tmp_path, root="val").fingerprint()


def test_class_lists_that_do_not_fit(tmp_path: Path) -> None:
    tree(tmp_path)
    path = tmp_path / "list.txt"
    for text, message in (
        ("n01\n", r"list\.txt: does not list the class folder 'n02' \(1 of 2 are not listed\)"),
        ("n01\nn01\nn02\n", r"list\.txt: class 'n01' is listed twice"),
        ("\n", r"list\.txt: this class list is empty"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            build("imagenet", tmp_path, root="val", class_list="list.txt")
    path.unlink()
    with pytest.raises(MissingInputError, match=r"list\.txt: no such class list"):
        build("imagenet", tmp_path, root="val", class_list="list.txt")


def test_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="val: no such folder; place the class folders there"):
        build("imagenet", tmp_path, root="val")
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="val: holds no class folder"):
        build("imagenet", tmp_path, root="val")
    (tmp_path / "val" / "n01").mkdir()
    with pytest.raises(DataError, match="n01: holds no image"):
        build("imagenet", tmp_path, root="val")


def test_damaged_images_are_named(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "val" / "n02" / "a.JPEG").write_bytes(b"no")
    with pytest.raises(DataError, match=r"n02/a\.JPEG: is not an image"):
        build("imagenet", tmp_path, root="val").load(2)


def test_fingerprint_follows_the_files(tmp_path: Path) -> None:
    before = build("imagenet", tree(tmp_path), root="val").fingerprint()
    (tmp_path / "val" / "n02" / "a.JPEG").rename(tmp_path / "val" / "n01" / "a.JPEG")
    save(tmp_path / "val" / "n02" / "z.png", colours())
    assert build("imagenet", tmp_path, root="val").fingerprint() != before
