"""VOC's average precision against a plain reading of VOCevaldet.m, one detection at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from box_images import CLASSES, COUNT, images
from coco_oracle import Pair, repeated
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.tasks.detection import DetectionTask

TASK = DetectionTask(CLASSES)


def reduced(pairs: list[Pair], weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    evidence = [TASK.evidence(prediction, target) for prediction, target in pairs]
    return TASK.reduce(evidence, np.ones((1, len(pairs))) if weights is None else weights)


def devkit(pairs: list[Pair], label: int) -> tuple[float, float] | None:
    """VOC 2007's and VOC 2010's AP of one class; None without positives."""
    positives = 0
    objects: list[list[dict[str, object]]] = []
    detections: list[tuple[float, int, list[float]]] = []
    for image, (prediction, target) in enumerate(pairs):
        difficult = np.zeros(len(target["labels"])) + target.get("difficult", 0)
        difficult = np.maximum(difficult, target.get("iscrowd", 0))
        here: list[dict[str, object]] = []
        for box, name, hard in zip(target["boxes"].tolist(), target["labels"], difficult, strict=True):
            if name == label:
                here.append({"box": box, "difficult": bool(hard), "detected": False})
                positives += not hard
        objects.append(here)
        for box, name, score in zip(
            prediction["boxes"].tolist(), prediction["labels"], prediction["scores"].tolist(), strict=True
        ):
            if name == label:
                detections.append((score, image, box))
    if not positives:
        return None
    true, false = 0, 0
    points: list[tuple[Fraction, Fraction]] = []
    for _, image, (x1, y1, x2, y2) in sorted(detections, key=lambda one: -one[0]):
        most, match = -math.inf, None
        for one in objects[image]:
            a1, b1, a2, b2 = one["box"]  # type: ignore[misc]
            width, height = min(x2, a2) - max(x1, a1) + 1, min(y2, b2) - max(y1, b1) + 1
            if width > 0 and height > 0:
                area = (x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1) - width * height
                if width * height / area > most:
                    most, match = width * height / area, one
        if match is not None and most >= 0.5:
            if not match["difficult"]:
                if match["detected"]:
                    false += 1
                else:
                    true += 1
                    match["detected"] = True
        else:
            false += 1
        if true + false:
            points.append((Fraction(true, positives), Fraction(true, true + false)))
    eleven = sum(max((p for r, p in points if r >= Fraction(level, 10)), default=Fraction(0)) for level in range(11))
    area, before = Fraction(0), Fraction(0)
    for index, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[index:])
        before = recall
    return float(eleven / 11), float(area)


def wanted(pairs: list[Pair], kept: list[int]) -> tuple[float, float]:
    found = [one for one in (devkit(pairs, label) for label in kept) if one is not None]
    return (math.nan, math.nan) if not found else tuple(np.mean(found, axis=0))


@settings(max_examples=150, deadline=None)
@given(pairs=images())
def test_both_average_precisions_equal_the_devkit(pairs: list[Pair]) -> None:
    found = reduced(pairs)
    old, new = wanted(pairs, list(range(COUNT)))
    assert found["voc07_ap50"][0] == pytest.approx(old, abs=1e-12, nan_ok=True)
    assert found["voc_ap50"][0] == pytest.approx(new, abs=1e-12, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(pairs=images(), data=st.data())
def test_whole_weights_are_the_same_as_repeated_images(pairs: list[Pair], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    found = reduced(pairs, np.array([weights], dtype=np.float64))
    old, new = wanted(repeated(pairs, weights), list(range(COUNT)))
    assert found["voc07_ap50"][0] == pytest.approx(old, abs=1e-12, nan_ok=True)
    assert found["voc_ap50"][0] == pytest.approx(new, abs=1e-12, nan_ok=True)


def one_class(boxes: list[list[float]], scores: list[float], true: list[list[float]], **more: list[int]) -> Pair:
    return (
        {
            "boxes": np.array(boxes, dtype=np.float64).reshape(-1, 4),
            "labels": np.zeros(len(boxes), int),
            "scores": np.array(scores),
        },
        {
            "boxes": np.array(true, dtype=np.float64).reshape(-1, 4),
            "labels": np.zeros(len(true), int),
            **{name: np.array(values) for name, values in more.items()},
        },
    )


def test_end_pixels_belong_to_a_box() -> None:
    # 10 and 20 pixels wide with both ends counted: an overlap of exactly 1/2; 9 / 19 without.
    pair = one_class([[1, 1, 10, 5]], [0.9], [[1, 1, 20, 5]])
    found = reduced([pair])
    assert found["voc_ap50"][0] == 1
    assert found["ap50"][0] == 0


def test_a_detection_looks_at_its_best_object_only() -> None:
    # The second detection overlaps the taken object most; COCO lets it have the other one, VOC does not.
    true = [[0, 0, 99, 99], [0, 0, 99, 69]]
    pair = one_class([[0, 0, 99, 99], [0, 0, 99, 96]], [0.9, 0.8], true)
    found = reduced([pair])
    assert found["voc_ap50"][0] == pytest.approx(0.5)
    assert found["ap50"][0] == pytest.approx(1)


def test_difficult_objects_count_neither_way_for_voc_and_are_objects_for_coco() -> None:
    true = [[0, 0, 50, 50], [100, 0, 150, 50]]
    pair = one_class([[0, 0, 50, 50], [100, 0, 150, 50]], [0.9, 0.8], true, difficult=[1, 0])
    found = reduced([pair])
    assert found["voc_ap50"][0] == 1
    assert found["ap50"][0] == pytest.approx(1)
    missed = reduced([one_class([[100, 0, 150, 50]], [0.8], true, difficult=[1, 0])])
    assert missed["voc_ap50"][0] == 1
    assert missed["ap50"][0] == pytest.approx(51 / 101)


def test_recall_of_exactly_three_tenths_reaches_the_fourth_of_eleven_levels() -> None:
    true = [[100 * index, 0, 100 * index + 50, 50] for index in range(10)]
    pair = one_class(true[:3], [0.9, 0.8, 0.7], true)
    assert reduced([pair])["voc07_ap50"][0] == pytest.approx(4 / 11, abs=1e-15)
    assert reduced([pair])["voc_ap50"][0] == pytest.approx(3 / 10, abs=1e-15)
