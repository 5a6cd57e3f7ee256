"""coco-detection and coco-pose."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import colours, save
from PIL import Image

from pytest_lossy.errors import DataError, MissingInputError

POINTS = ["nose", "left_eye"]


def document() -> dict[str, Any]:
    """Three images in no order, the second without annotations; category ids with a gap."""
    return {
        "info": {},
        "images": [
            {"id": 30, "file_name": "c.png", "width": 8, "height": 6, "video": 7},
            {"id": 10, "file_name": "sub/a.png", "width": 8, "height": 6, "video": 5},
            {"id": 20, "file_name": "b.png", "width": 8, "height": 6, "video": 5},
        ],
        "categories": [
            {"id": 90, "name": "toothbrush"},
            {"id": 1, "name": "person", "keypoints": POINTS, "skeleton": [[1, 2]]},
        ],
        "annotations": [
            {"id": 1, "image_id": 30, "category_id": 90, "bbox": [1, 2, 3.5, 4], "area": 9.5, "iscrowd": 0},
            {
                "id": 2,
                "image_id": 30,
                "category_id": 1,
                "bbox": [0, 0, 8, 6],
                "area": 40,
                "iscrowd": 1,
                "segmentation": {"counts": [1, 2], "size": [6, 8]},
                "keypoints": [0] * 6,
                "num_keypoints": 0,
            },
            {
                "id": 3,
                "image_id": 10,
                "category_id": 1,
                "bbox": [1, 1, 2, 2],
                "keypoints": [1.5, 2, 2, 3, 1, 1],
            },
        ],
    }


def coco(root: Path, changed: dict[str, Any] | None = None) -> Path:
    for index, name in enumerate(("sub/a.png", "b.png", "c.png")):
        save(root / "images" / name, colours(seed=index))
    (root / "a.json").write_text(json.dumps(document() if changed is None else changed), encoding="utf-8")
    return root


def data(root: Path, name: str = "coco-detection", **options: Any) -> Any:
    return build(name, root, images="images", annotations="a.json", **options)


def test_images_are_ordered_by_id_and_kept_without_annotations(tmp_path: Path) -> None:
    found = data(coco(tmp_path))
    assert ids(found) == ["sub/a.png", "b.png", "c.png"]
    assert groups(found) == [None] * 3
    target = found.load(1).target
    assert target["boxes"].shape == (0, 4)
    assert {name: target[name].shape for name in ("labels", "iscrowd", "area")} == {
        "labels": (0,),
        "iscrowd": (0,),
        "area": (0,),
    }


def test_targets_follow_torchvision(tmp_path: Path) -> None:
    found = data(coco(tmp_path))
    assert found.classes == ("person", "toothbrush")
    sample = found.load(2)
    target = sample.target
    assert np.array_equal(sample.media, colours(seed=2))
    assert target["boxes"].dtype == np.float64
    assert target["boxes"].tolist() == [[1, 2, 4.5, 6], [0, 0, 8, 6]]
    assert (target["labels"].dtype, target["labels"].tolist()) == (np.int64, [1, 0])
    assert target["iscrowd"].tolist() == [0, 1]
    assert target["area"].tolist() == [9.5, 40]
    assert target["image_id"] == 30
    assert found.load(0).target["area"].tolist() == [4], "of the box, where the file has none"


def test_protocol(tmp_path: Path) -> None:
    coco(tmp_path)
    for name in ("coco-detection", "coco-pose"):
        assert_protocol(data(tmp_path, name))
    assert_listing_needs_no_decoder("coco-pose", tmp_path, (".png",), images="images", annotations="a.json")


def test_keypoints(tmp_path: Path) -> None:
    found = data(coco(tmp_path), "coco-pose")
    assert found.classes == ("person",)
    assert found.keypoints == tuple(POINTS)
    assert len(found) == 3
    first, empty, crowd = (found.load(index) for index in range(3))
    assert first.target["keypoints"].tolist() == [[[1.5, 2, 2], [3, 1, 1]]]
    assert first.target["num_keypoints"].tolist() == [2], "counted, where the file does not say"
    assert first.context["boxes"].tolist() == [[1, 1, 3, 3]]
    assert empty.target["keypoints"].shape == (0, 2, 3)
    assert crowd.target["iscrowd"].tolist() == [1]
    assert crowd.target["labels"].tolist() == [0]
    assert crowd.context["boxes"].shape == (0, 4)


def test_targets_satisfy_the_tasks(tmp_path: Path) -> None:
    from pytest_lossy.tasks.registry import build_task

    coco(tmp_path)
    found = data(tmp_path)
    task = build_task("detection", found.classes)
    people = data(tmp_path, "coco-pose")
    pose = build_task("pose", people.classes, {"keypoints": POINTS, "sigmas": [0.1, 0.1]})
    for index in range(3):
        target = found.load(index).target
        assert task.check({**target, "scores": np.ones(len(target["labels"]))}, target) is None
        target = people.load(index).target
        assert pose.check({**target, "scores": np.ones(len(target["labels"]))}, target) is None


def test_classes_choose_and_order(tmp_path: Path) -> None:
    found = data(coco(tmp_path), classes=["toothbrush"])
    assert found.classes == ("toothbrush",)
    assert len(found) == 3
    assert found.load(2).target["labels"].tolist() == [0]
    assert found.notes == ("2 of 3 annotations are of categories that 'classes' leaves out",)
    assert data(tmp_path, classes=["toothbrush", "person"]).load(2).target["labels"].tolist() == [0, 1]
    with pytest.raises(DataError, match=r"a\.json: has no category 'persons'; did you mean 'person'"):
        data(tmp_path, classes=["persons"])
    with pytest.raises(DataError, match="class 'person' is listed twice"):
        data(tmp_path, classes=["person", "person"])


def test_groups_come_from_the_records(tmp_path: Path) -> None:
    coco(tmp_path)
    assert groups(data(tmp_path, group_by="video")) == ["5", "5", "7"]
    with pytest.raises(DataError, match=r"images: id 30 has no 'camera', which 'group_by' names; found file_name"):
        data(tmp_path, group_by="camera")


def test_annotations_of_unlisted_images_are_counted(tmp_path: Path) -> None:
    changed = document()
    changed["images"] = changed["images"][:1]
    found = data(coco(tmp_path, changed))
    assert found.notes == ("1 annotations are of images that the file does not list, and were left out",)


def put(part: str, index: int, **values: Any) -> dict[str, Any]:
    changed = document()
    changed[part][index].update(values)
    return changed


def without(part: str, index: int, key: str) -> dict[str, Any]:
    changed = document()
    del changed[part][index][key]
    return changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([], r"is a mapping with 'images', 'annotations' and 'categories', this one holds a list"),
        ({"images": []}, r"'annotations' is missing, found 'images'"),
        ({**document(), "images": {}}, r"'images' must be a list of mappings"),
        ({**document(), "images": []}, r"no sample is left"),
        (without("images", 0, "file_name"), r"images: id 30 needs 'file_name', a text, got None"),
        (without("images", 0, "id"), r"images: an entry without id \(file_name, height, video, width\) needs 'id'"),
        (put("images", 1, id=30), r"images: id 30 is listed twice"),
        (put("images", 1, file_name="c.png"), r"sample 'c.png' is listed twice"),
        (put("categories", 0, name="person"), r"class 'person' is listed twice"),
        (without("annotations", 0, "bbox"), r"annotations: id 1 needs 'bbox', 4 finite numbers, got None"),
        (put("annotations", 0, bbox=[1, 2, 3]), r"annotations: id 1 needs 'bbox', 4 finite"),
        (put("annotations", 0, bbox=[1, 2, 3, float("nan")]), r"annotations: id 1 needs 'bbox', 4 finite"),
        (put("annotations", 0, bbox=[1, 2, -3, 4]), r"annotations: id 1 has bbox \[1, 2, -3, 4\], of negative size"),
        (put("annotations", 0, area=-1), r"annotations: id 1 has area -1"),
        (put("annotations", 0, iscrowd=2), r"annotations: id 1 has iscrowd 2; it is 0 or 1"),
        (put("annotations", 0, category_id=4), r"annotations: id 1 has category_id 4, which is none"),
        (put("annotations", 0, image_id="x"), r"annotations: id 1 needs 'image_id', a whole number, got 'x'"),
    ],
)  # fmt: skip
def test_wrong_files_are_explained(tmp_path: Path, changed: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data(coco(tmp_path, changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (without("annotations", 2, "keypoints"), r"annotations: id 3 needs 'keypoints', 6 finite numbers"),
        (put("annotations", 2, keypoints=[1, 1, 3, 0, 0, 0]), r"id 3 has a keypoint of visibility 3; it is 0, 1 or 2"),
        (without("categories", 1, "keypoints"), r"a\.json: no category has 'keypoints'"),
        (put("categories", 1, keypoints=[1]), r"'keypoints' must be a list of names"),
        (put("categories", 0, keypoints=["bristle"]), r"categories differ in their keypoints"),
    ],
)  # fmt: skip
def test_wrong_keypoints_are_explained(tmp_path: Path, changed: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data(coco(tmp_path, changed), "coco-pose")


ODD = [None, True, -1, 0, 3, 2**70, 10**400, 0.5, float("nan"), float("inf"), "", "x", [], [1], {}]


@settings(max_examples=150, deadline=None)
@given(drawn=st.data())
def test_no_content_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, drawn: st.DataObject) -> None:
    root = tmp_path_factory.getbasetemp() / "coco"
    changed: Any = document()
    part = drawn.draw(st.sampled_from(["images", "annotations", "categories"]))
    entry = drawn.draw(st.sampled_from(changed[part]))
    key = drawn.draw(st.sampled_from(list(entry)))
    odd = drawn.draw(st.sampled_from(ODD))
    if isinstance(entry[key], list) and drawn.draw(st.booleans()):
        entry[key][0] = odd
    else:
        entry[key] = odd
    coco(root, changed)
    for name in ("coco-detection", "coco-pose"):
        with contextlib.suppress(DataError):
            found = data(root, name, group_by=drawn.draw(st.sampled_from([None, "video"])))
            for index in range(len(found)):
                found.load(index)


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / "a.json").write_text('{"images": [],\n"annotations"', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json:2: is not valid JSON"):
        data(tmp_path)
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"a\.json: this annotation file is not UTF-8"):
        data(tmp_path)
    (tmp_path / "a.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json"):
        data(tmp_path)


def test_missing_files_are_missing_input(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    with pytest.raises(MissingInputError, match=r"b\.png: no such file \(1 of 3 are missing\)"):
        data(tmp_path)
    (tmp_path / "a.json").unlink()
    with pytest.raises(MissingInputError, match=r"a\.json: no such annotation file"):
        data(tmp_path)


def test_images_of_another_size_or_orientation(tmp_path: Path) -> None:
    coco(tmp_path)
    save(tmp_path / "images" / "b.png", colours(5, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "images" / "c.png", colours(), exif=exif.tobytes())
    found = data(tmp_path)
    with pytest.raises(DataError, match=r"b\.png: the image is 8x5, its annotations are for 8x6"):
        found.load(1)
    with pytest.raises(DataError, match=r"c\.png: the image is 6x8 \(its EXIF orientation was applied\)"):
        found.load(2)


def test_damaged_images_are_named(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / "images" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.png: is not an image"):
        data(tmp_path).load(1)


def test_fingerprint_follows_what_is_loaded(tmp_path: Path) -> None:
    coco(tmp_path)
    prints = [data(tmp_path).fingerprint(), data(tmp_path, classes=["person"]).fingerprint()]
    prints.append(data(tmp_path, group_by="video").fingerprint())
    coco(tmp_path, put("annotations", 0, bbox=[1, 2, 3.5, 3]))  # as many bytes
    prints.append(data(tmp_path).fingerprint())
    save(tmp_path / "images" / "b.png", np.zeros((6, 8, 3), np.uint8))
    prints.append(data(tmp_path).fingerprint())
    assert len(set(prints)) == len(prints)
