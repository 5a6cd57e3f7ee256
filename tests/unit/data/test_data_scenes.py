"""cityscapes and ade20k."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save
from pydantic import ValidationError

from pytest_lossy.data.cityscapes import CITYSCAPES_CLASSES
from pytest_lossy.errors import DataError, MissingInputError

FRAMES = ("frankfurt_000000_000294", "frankfurt_000001_000538", "munster_000000_000019")


def cityscapes(root: Path, labels: np.ndarray, kind: str = "labelIds") -> Path:
    for name in FRAMES:
        city = name.partition("_")[0]
        save(root / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png", colours())
        save(root / "gtFine" / "val" / city / f"{name}_gtFine_{kind}.png", labels)
    return root


def test_label_ids_become_train_ids(tmp_path: Path) -> None:
    data = build("cityscapes", cityscapes(tmp_path, np.resize(np.arange(34, dtype=np.uint8), (6, 8))), root=".")
    assert ids(data)[0] == "frankfurt/frankfurt_000000_000294_leftImg8bit.png"
    assert groups(data) == ["frankfurt/000000", "frankfurt/000001", "munster/000000"]
    found = data.load(0).target.ravel()[:34].tolist()
    from torchvision.datasets import Cityscapes

    official = {one.id: one for one in Cityscapes.classes}
    assert found == [255 if official[index].ignore_in_eval else official[index].train_id for index in range(34)]
    assert data.classes == tuple(
        one.name for one in sorted(Cityscapes.classes, key=lambda one: one.train_id) if 0 <= one.train_id < 19
    )
    assert_protocol(data)
    assert_listing_needs_no_decoder("cityscapes", tmp_path, (".png",), root=".")


def test_train_ids_are_kept(tmp_path: Path) -> None:
    stored = np.resize(np.array([*range(19), 255], np.uint8), (6, 8))
    data = build("cityscapes", cityscapes(tmp_path, stored, "labelTrainIds"), root=".", labels="labelTrainIds")
    assert np.array_equal(data.load(0).target, stored)
    with pytest.raises(
        MissingInputError, match=r"_gtFine_labelIds\.png: no such label map \(3 of 3 .* change 'labels'"
    ):
        build("cityscapes", tmp_path, root=".")


def test_labels_that_cannot_be(tmp_path: Path) -> None:
    cityscapes(tmp_path, np.full((6, 8), 34, np.uint8))
    with pytest.raises(DataError, match=r"labelIds\.png: label 34 is none of the 19 classes"):
        build("cityscapes", tmp_path, root=".").load(0)
    cityscapes(tmp_path, np.full((6, 8), 19, np.uint8), "labelTrainIds")
    with pytest.raises(DataError, match=r"labelTrainIds\.png: label 19 is none"):
        build("cityscapes", tmp_path, root=".", labels="labelTrainIds").load(0)


def test_the_kinds_of_labels_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    labels = np.zeros((6, 8), np.uint8)
    cityscapes(tmp_path, labels)
    cityscapes(tmp_path, labels, "labelTrainIds")
    prints = {
        build("cityscapes", tmp_path, root=".", labels=kind).fingerprint() for kind in ("labelIds", "labelTrainIds")
    }
    assert len(prints) == 2
    assert len(CITYSCAPES_CLASSES) == 19


def test_cityscapes_that_is_not_there(tmp_path: Path) -> None:
    cityscapes(tmp_path, np.zeros((6, 8), np.uint8))
    with pytest.raises(MissingInputError, match="leftImg8bit/train: no such folder"):
        build("cityscapes", tmp_path, root=".", split="train")
    save(tmp_path / "leftImg8bit" / "val" / "x.png", colours())
    with pytest.raises(DataError, match=r"x\.png: is not named <city>_<sequence>_<frame>_leftImg8bit\.png"):
        build("cityscapes", tmp_path, root=".")
    with pytest.raises(ValidationError):
        build("cityscapes", tmp_path, root=".", split="night")


# ADE20K


def ade(root: Path, labels: np.ndarray | None = None) -> Path:
    for name in ("ADE_val_00000001", "ADE_val_00000002"):
        save(root / "images" / "validation" / f"{name}.jpg", colours())
        stored = np.resize(np.array([0, 1, 2, 3], np.uint8), (6, 8)) if labels is None else labels
        save(root / "annotations" / "validation" / f"{name}.png", stored)
    (root / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
        "1\t0.1576\t11664\t1172\t1\twall\n"
        "2\t0.1072\t6046\t612\t1\tbuilding, edifice\n"
        "3\t0.0878\t8265\t796\t1\tsky\n",
        encoding="utf-8",
    )
    return root


def ade20k(root: Path, **options: Any) -> Any:
    return build("ade20k", root, root=".", **options)


def test_ade_labels_are_shifted(tmp_path: Path) -> None:
    data = ade20k(ade(tmp_path))
    assert data.classes == ("wall", "building", "sky")
    assert ids(data) == ["ADE_val_00000001.jpg", "ADE_val_00000002.jpg"]
    assert groups(data) == [None, None]
    assert data.load(0).target[0, :4].tolist() == [255, 0, 1, 2]
    assert_protocol(data)


def test_ade_classes_of_the_spec(tmp_path: Path) -> None:
    ade(tmp_path)
    data = ade20k(tmp_path, classes=["a", "b"])
    assert data.classes == ("a", "b")
    with pytest.raises(DataError, match=r"ADE_val_00000001\.png: label 3 is none of the 2 classes"):
        data.load(0)
    assert data.fingerprint() != ade20k(tmp_path).fingerprint()
    (tmp_path / "objectInfo150.txt").unlink()
    with pytest.raises(MissingInputError, match=r"objectInfo150\.txt: no such class list; .* or set 'classes'"):
        ade20k(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Idx\tName\n2\twall\n", r"objectInfo150\.txt:2: expected class 1 and its name, got '2\twall'"),
        ("Idx\tName\n1 wall\n", r"objectInfo150\.txt:2: expected class 1"),
        ("Idx\tName\n", r"objectInfo150\.txt: lists 0 classes"),
        ("Idx\tName\n1\twall\n2\twall\n", r"objectInfo150\.txt: class 'wall' is listed twice"),
    ],
)
def test_ade_class_lists_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (ade(tmp_path) / "objectInfo150.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        ade20k(tmp_path)


def test_ade_synonyms_that_are_shared(tmp_path: Path) -> None:
    (ade(tmp_path) / "objectInfo150.txt").write_text(
        "Idx\tName\n1\tscreen, silver screen\n2\tscreen, crt\n3\tsky\n", encoding="utf-8"
    )
    assert ade20k(tmp_path).classes == ("screen, silver screen", "screen, crt", "sky")


def test_ade_files_that_are_missing(tmp_path: Path) -> None:
    (ade(tmp_path) / "annotations" / "validation" / "ADE_val_00000002.png").unlink()
    with pytest.raises(MissingInputError, match=r"ADE_val_00000002\.png: no such label map \(1 of 2"):
        ade20k(tmp_path)
    with pytest.raises(MissingInputError, match="images/training: no such folder"):
        ade20k(tmp_path, split="training")
