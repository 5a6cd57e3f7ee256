"""The data sets of this package on real files: what they load is plausible, and counts equal pycocotools'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.data.registry import build_dataset

pytestmark = pytest.mark.real


def load_all(data: Dataset) -> list[Sample]:
    return [data.load(index) for index in range(len(data))]


def assert_boxes_inside(sample: Sample, slack: float = 1.0) -> None:
    boxes = sample.target["boxes"]
    height, width = sample.media.shape[:2]
    assert boxes.dtype == np.float64
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert (boxes >= -slack).all()
    assert (boxes <= np.array([width, height, width, height]) + slack).all()


@pytest.mark.parametrize("kind", ["instances", "person_keypoints"])
def test_coco_equals_pycocotools(real_data: Path, kind: str) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="counts are compared with pycocotools")
    name = {"instances": "coco-detection", "person_keypoints": "coco-pose"}[kind]
    file = f"coco-mini/annotations/{kind}_train2017.json"
    data = build_dataset(name, {"images": "coco-mini/images", "annotations": file}, real_data)
    reference = coco.COCO(str(real_data / file))
    samples = load_all(data)
    assert len(samples) == 80
    assert [sample.target["image_id"] for sample in samples] == sorted(reference.getImgIds())
    assert list(data.classes) == [one["name"] for one in reference.loadCats(sorted(reference.getCatIds()))]
    for sample in samples:
        assert_boxes_inside(sample)
        theirs = reference.loadAnns(reference.getAnnIds(imgIds=[sample.target["image_id"]]))
        target = sample.target
        assert len(target["labels"]) == len(theirs)
        names = [reference.loadCats([one["category_id"]])[0]["name"] for one in theirs]
        assert [data.classes[label] for label in target["labels"]] == names
        np.testing.assert_allclose(target["boxes"][:, :2], [one["bbox"][:2] for one in theirs] or np.zeros((0, 2)))
        np.testing.assert_allclose(target["area"], [one["area"] for one in theirs], rtol=1e-6)
        assert target["iscrowd"].tolist() == [one["iscrowd"] for one in theirs]
        if kind == "person_keypoints":
            assert target["num_keypoints"].tolist() == [one["num_keypoints"] for one in theirs]
            assert target["keypoints"].shape == (len(theirs), 17, 3)
            assert ((target["keypoints"][:, :, 2] > 0).sum(axis=1) == target["num_keypoints"]).all()
    total = {"instances": 739, "person_keypoints": 172}[kind]
    assert sum(len(sample.target["labels"]) for sample in samples) == total


def test_7scenes(real_data: Path) -> None:
    data = build_dataset("rgbd", {"root": "7scenes"}, real_data)
    samples = load_all(data)
    assert len(samples) == 58
    assert len({sample.group for sample in samples}) == 1
    for sample in samples:
        depth = sample.target
        assert sample.media.shape == (480, 640, 3)
        assert (depth.shape, depth.dtype) == ((480, 640), np.float32)
        known = depth[depth > 0]
        assert known.size > 0.5 * depth.size
        assert 0.3 < np.median(known) < 6, "metres in a room"
        assert known.max() <= 10
        assert sample.context["intrinsics"].tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]


def test_kinetics_tiny(real_data: Path) -> None:
    data = build_dataset("kinetics", {"root": "kinetics-tiny", "frames": 8, "max_frames": 24}, real_data)
    assert data.classes == ("exercise", "typing")
    assert len(data) == 12
    labels = []
    for index in range(len(data)):  # one at a time: a clip of 24 frames takes up to 105 MB
        sample = data.load(index)
        labels.append(sample.target["label"])
        assert sample.media.shape[0] == 24
        assert 360 <= sample.media.shape[1] <= 1350
        assert 24 < sample.context["fps"] < 31
        assert sample.context["frames"].tolist() == [1, 4, 7, 10, 13, 16, 19, 22]
        assert 20 < sample.media.mean() < 235
        still, moving = np.abs(np.diff(sample.media[:2].astype(np.int16), axis=0)).mean(), sample.media.std()
        assert still < moving, "neighbouring frames resemble each other"
        assert sample.source is not None
        assert sample.source.format == "H264"
    assert labels == [0] * 6 + [1] * 6
    whole = build_dataset("kinetics", {"root": "kinetics-tiny"}, real_data).load(7)
    assert whole.id == "typing/typing32.mp4"
    assert whole.media.shape == (300, 360, 640, 3)
    assert whole.source is not None
    assert whole.source.notes == ("frames 38-337 of 376",)


def test_coco128_as_yolo(real_data: Path) -> None:
    classes = [f"c{index}" for index in range(80)]
    data = build_dataset("yolo", {"images": "coco128/images", "classes": classes}, real_data)
    samples = load_all(data)
    assert len(samples) == 128
    for sample in samples:
        assert_boxes_inside(sample)
        assert ((sample.target["labels"] >= 0) & (sample.target["labels"] < 80)).all()
    assert sum(len(sample.target["labels"]) for sample in samples) == 929, "as Ultralytics counts COCO128"
    assert data.notes == (
        "2 of 128 images have no label file: they hold no objects",
        "2 label files have no image and were left out",
    )
