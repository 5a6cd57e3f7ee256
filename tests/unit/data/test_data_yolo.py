"""yolo: images/ and labels/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save
from pydantic import ValidationError

from pytest_lossy.errors import DataError, MissingInputError


def yolo(root: Path, first: str = "1 0.5 0.5 0.25 0.5\n0 0.75 0.5 0.5 1\n") -> Path:
    for index, name in enumerate(("a.jpg", "b.png", "c.png")):
        save(root / "data" / "images" / "val" / name, colours(seed=index))
    labels = root / "data" / "labels" / "val"
    labels.mkdir(parents=True, exist_ok=True)
    (labels / "a.txt").write_text(first, encoding="utf-8")
    (labels / "b.txt").write_text("\n", encoding="utf-8")
    return root


def data(root: Path, **options: Any) -> Any:
    if "names" not in options:
        options.setdefault("classes", ["cat", "dog"])
    return build("yolo", root, **{"images": "data/images/val", **options})


def test_shares_become_pixels(tmp_path: Path) -> None:
    found = data(yolo(tmp_path))
    assert found.classes == ("cat", "dog")
    assert ids(found) == ["a.jpg", "b.png", "c.png"]
    assert groups(found) == [None] * 3
    target = found.load(0).target
    assert target["boxes"].dtype == np.float64
    assert target["boxes"].tolist() == [[3, 1.5, 5, 4.5], [4, 0, 8, 6]]
    assert (target["labels"].dtype, target["labels"].tolist()) == (np.int64, [1, 0])
    for index in (1, 2):
        assert found.load(index).target["boxes"].shape == (0, 4)
    assert found.notes == ("1 of 3 images have no label file: they hold no objects",)
    assert_protocol(found)
    assert_listing_needs_no_decoder("yolo", tmp_path, (".jpg", ".png"), images="data/images/val", classes=["a", "b"])


def test_targets_satisfy_the_task(tmp_path: Path) -> None:
    from pytest_lossy.tasks.registry import build_task

    found = data(yolo(tmp_path))
    task = build_task("detection", found.classes)
    for index in range(3):
        target = found.load(index).target
        assert task.check({**target, "scores": np.ones(len(target["labels"]))}, target) is None


def test_labels_without_images_are_counted(tmp_path: Path) -> None:
    (yolo(tmp_path) / "data" / "labels" / "val" / "z.txt").write_text("0 0.5 0.5 1 1\n", encoding="utf-8")
    assert data(tmp_path).notes[-1] == "1 label files have no image and were left out"


def test_polygons_and_repeated_lines(tmp_path: Path) -> None:
    found = data(yolo(tmp_path, "0 0.25 0.5 0.5 0.5 0.5 1\n1 0.5 0.5 1 1\n1 0.5 0.5 1 1\n"))
    target = found.load(0).target
    assert target["boxes"].tolist() == [[2, 3, 4, 6], [0, 0, 8, 6]]
    assert target["labels"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 1", r"a\.txt:2: expected 'class cx cy w h', got '0 0\.5 0\.5 1'"),
        ("0 0.5 0.5 x 1", r"a\.txt:2: expected"),
        ("2 0.5 0.5 1 1", r"a\.txt:2: class 2 is none of the 2 classes \(0\.\.1\)"),
        ("0.5 0.5 0.5 1 1", r"a\.txt:2: class 0\.5 is none"),
        ("0 4 3 2 2", r"a\.txt:2: '0 4 3 2 2' leaves 0\.\.1; coordinates are shares"),
        ("0 0.5 nan 1 1", r"a\.txt:2: .* leaves 0\.\.1"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data(yolo(tmp_path, f"\n{line}\n")).load(0)


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}"])
def test_names_of_a_data_yaml(tmp_path: Path, names: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"path: x\nval: images/val\nnames: {names}\n", encoding="utf-8")
    assert data(tmp_path, names="data.yaml").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nc: 2\n", r"data\.yaml: needs 'names'"),
        ("names: {1: cat}\n", r"data\.yaml: needs 'names'"),
        ("names: [cat, cat]\n", r"data\.yaml: class 'cat' is listed twice"),
        ("nc: 2\nnames: [cat\n", r"data\.yaml:\d: is not valid YAML"),
    ],
)
def test_names_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        data(tmp_path, names="data.yaml")


def test_names_are_given_once(tmp_path: Path) -> None:
    yolo(tmp_path)
    for options in ({}, {"classes": ["cat"], "names": "data.yaml"}):
        with pytest.raises(ValidationError, match="either as 'classes' or as 'names'"):
            build("yolo", tmp_path, images="data/images/val", **options)


def test_folders(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data" / "labels").rename(tmp_path / "boxes")
    with pytest.raises(MissingInputError, match=r"data/labels/val: no such folder"):
        data(tmp_path)
    assert len(data(tmp_path, labels="boxes/val").load(0).target["boxes"]) == 2
    (tmp_path / "data" / "images" / "val").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="pictures: no part of this path is 'images'"):
        data(tmp_path, images="pictures")
    assert len(data(tmp_path, images="pictures", labels="boxes/val")) == 3


def test_fingerprint_follows_the_labels(tmp_path: Path) -> None:
    prints = {data(yolo(tmp_path)).fingerprint(), data(tmp_path, classes=["dog", "cat"]).fingerprint()}
    yolo(tmp_path, "1 0.5 0.5 0.25 0.5\n0 0.75 0.5 0.4 1\n")  # as many bytes
    prints.add(data(tmp_path).fingerprint())
    (tmp_path / "data" / "labels" / "val" / "b.txt").unlink()
    prints.add(data(tmp_path).fingerprint())
    assert len(prints) == 4
