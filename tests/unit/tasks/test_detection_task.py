"""The detection task beyond AP: the score threshold, malformed input, label-free mode, evidence on disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from box_images import CLASSES, COUNT, crowded, images
from coco_oracle import Pair, evaluator
from hypothesis import given, settings
from pydantic import ValidationError

from pytest_lossy.results.evidence import CaseEvidence, SampleCost, load_evidence, save_evidence
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.detection import DetectionOptions, DetectionTask
from pytest_lossy.tasks.registry import build_task, known_metrics, task_metrics, task_options, task_primary

TASK = DetectionTask(CLASSES)


def reduced(pairs: list[Pair], task: DetectionTask = TASK, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    evidence = [task.evidence(prediction, target) for prediction, target in pairs]
    return task.reduce(evidence, np.ones((1, len(pairs))) if weights is None else weights)


def counts(pairs: list[Pair], threshold: float) -> np.ndarray:
    """(C, 3): true and false positives and objects at IoU .5, by pycocotools on what reaches the threshold."""
    reported = []
    for prediction, target in pairs:
        kept = prediction["scores"] >= threshold
        reported.append(({name: values[kept] for name, values in prediction.items()}, target))
    table = np.zeros((COUNT, 3))
    for one in evaluator(reported, COUNT).evalImgs:
        if one is not None and one["aRng"] == [0, 1e10]:
            hit, ignored = one["dtMatches"][0] > 0, one["dtIgnore"][0]
            row = ((hit & ~ignored).sum(), (~hit & ~ignored).sum(), (one["gtIgnore"] == 0).sum())
            table[one["category_id"] - 1] += row
    return table


@settings(max_examples=80, deadline=None)
@given(pairs=images())
def test_what_the_shipped_threshold_makes_of_the_model(pairs: list[Pair]) -> None:
    for threshold in (0.5, 0.8):
        found = reduced(pairs, DetectionTask(CLASSES, DetectionOptions(score_threshold=threshold)))
        table = counts(pairs, threshold)
        hits, misses, objects = table.sum(axis=0)
        assert found["fp_per_image"][0] == misses / len(pairs)
        for name, part, whole in (
            ("precision", hits, hits + misses),
            ("recall", hits, objects),
            ("f1", 2 * hits, hits + misses + objects),
        ):
            assert found[name][0] == (part / whole if whole else pytest.approx(np.nan, nan_ok=True)), name
        for label, name in enumerate(("car", "dog", "class:small")):
            assert (f"recall[{name}]" in found) == bool(table[label, 2])
            if table[label, 2]:
                assert found[f"recall[{name}]"][0] == table[label, 0] / table[label, 2]


def test_false_positives_beyond_a_hundred_are_counted_at_the_threshold() -> None:
    count = 130
    prediction = {
        "boxes": np.tile([[0.0, 0, 10, 10]], (count, 1)),
        "labels": np.zeros(count, int),
        "scores": np.full(count, 0.9),
    }
    target = {"boxes": np.array([[50.0, 50, 60, 60]]), "labels": np.zeros(1, int)}
    assert reduced([(prediction, target)])["fp_per_image"][0] == count
    # Behind a hundred false positives an object is not found: COCO's limit holds, whatever else is kept.
    prediction["boxes"][count - 1] = [50, 50, 60, 60]
    found = reduced([(prediction, target)])
    assert found["recall"][0] == 1
    assert found["ar100"][0] == 0


def test_a_collapse_of_scores_is_seen_at_the_threshold_alone() -> None:
    pairs = crowded(3, found=40)
    halved = [({**prediction, "scores": prediction["scores"] / 2.5}, target) for prediction, target in pairs]
    before, after = reduced(pairs), reduced(halved)
    assert after["ap"][0] == before["ap"][0] > 0
    assert after["recall"][0] == 0 < before["recall"][0]


def test_threshold_metrics_are_weighted() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    label = np.zeros(1, int)
    hit = ({"boxes": box, "labels": label, "scores": np.array([0.9])}, {"boxes": box, "labels": label})
    miss = ({"boxes": box + 50, "labels": label, "scores": np.array([0.5])}, {"boxes": box, "labels": label})
    found = reduced([hit, miss], weights=np.array([[1.0, 1], [3, 1], [0, 2]]))
    assert found["precision"].tolist() == [0.5, 0.75, 0]
    assert found["recall"].tolist() == [0.5, 0.75, 0]
    assert found["fp_per_image"].tolist() == [0.5, 0.25, 1]


def test_evidence_survives_the_disk(tmp_path: Path) -> None:
    nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}
    empty = ({**nothing, "scores": np.zeros(0)}, nothing)
    numbered = [
        (prediction, {**target, "image_id": 9 - index}) for index, (prediction, target) in enumerate(crowded(5))
    ]
    for pairs in (crowded(5), [empty, *crowded(6), empty], [empty], numbered):
        evidence = tuple(TASK.evidence(prediction, target) for prediction, target in pairs)
        cost = SampleCost(0, 0, 1, 0, "")
        ids = tuple(map(str, range(len(pairs))))
        path = tmp_path / "case.npz"
        save_evidence(path, CaseEvidence(ids, (None,) * len(pairs), evidence, (cost,) * len(pairs)))
        loaded = load_evidence(path).evidence
        assert [set(one) for one in loaded] == [set(one) for one in evidence]
        for one, other in zip(loaded, evidence, strict=True):
            for name in one:
                assert one[name].dtype == other[name].dtype, name
                assert np.array_equal(one[name], other[name]), name
        weights = np.array([[1.0] * len(pairs), [2.0] * len(pairs)])
        first, second = TASK.reduce(evidence, weights), TASK.reduce(loaded, weights)
        assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def good() -> tuple[dict[str, Any], dict[str, Any]]:
    boxes = np.array([[0.0, 0, 10, 10], [5, 5, 20, 20]])
    return (
        {"boxes": boxes, "labels": np.array([0, 1]), "scores": np.array([0.9, 0.2])},
        {"boxes": boxes, "labels": np.array([0, 1])},
    )


BAD_PREDICTIONS = [
    ([1, 2], "a prediction must be a mapping with 'boxes', 'labels', 'scores', got list; return what torchvision's"),
    ({"scores": None}, "prediction['scores'] is missing, found 'boxes', 'labels'; give one finite score"),
    ({"boxes": np.zeros((2, 5))}, "prediction['boxes'] must be (n, 4), got (2, 5); give x1, y1, x2, y2 in pixels"),
    ({"boxes": np.zeros(0)}, "prediction['boxes'] must be (n, 4), got (0,); give x1, y1, x2, y2 in pixels, (0, 4)"),
    ({"boxes": [[0, 0, 1, 1], [0]]}, "prediction['boxes'] cannot be read as an array ("),
    ({"boxes": np.full((2, 4), "x")}, "prediction['boxes'] must hold floating-point numbers, got <U1; give x1"),
    ({"labels": np.array([0.0, 1.0])}, "prediction['labels'] must hold integers, got float64; give one class index"),
    ({"labels": np.array([True, False])}, "prediction['labels'] must hold integers, got bool"),
    ({"labels": np.array([0])}, "prediction['labels'] has 1 entries but 'boxes' has 2; give one per instance"),
    ({"labels": np.array([0, 3])}, "prediction['labels'] holds 3 but the data has classes 0..2; map the model's"),
    ({"labels": np.array([-1, 0])}, "prediction['labels'] holds -1 but the data has classes 0..2"),
    ({"scores": np.array([0.5, np.nan])}, "prediction['scores'] holds nan at 1; check the weights and the input range"),
    ({"scores": np.zeros((2, 1))}, "prediction['scores'] must be (n,), got (2, 1); give one finite score per box"),
    ({"boxes": np.array([[0, 0, np.inf, 1], [0, 0, 1, 1]])}, "prediction['boxes'] holds inf at [0, 2]; check the"),
    (
        {"boxes": np.array([[0, 0, 1, 1], [5, 8, 3, 9.5]])},
        "prediction['boxes'][1] is (5, 8, 3, 9.5), which has a negative width or height; boxes are x1, y1, x2, y2: convert",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_PREDICTIONS)
def test_a_malformed_prediction_is_explained(change: Any, message: str) -> None:
    prediction, target = good()
    assert TASK.check(prediction, target) is None
    broken = {**prediction, **change} if isinstance(change, dict) else change
    assert message in str(TASK.check(broken, target))


BAD_TARGETS = [
    (
        {"labels": np.array([0, 7])},
        "target['labels'] holds 7 but the data has classes 0..2; mend the labels of the data",
    ),
    ({"iscrowd": np.array([0, 2])}, "target['iscrowd'] holds 2 at 1; give 1 for crowd regions and 0 for objects"),
    ({"iscrowd": np.array([0.0, 1.0])}, "target['iscrowd'] must hold 0 or 1, got float64"),
    ({"area": np.array([4.0, -1.0])}, "target['area'] holds -1.0 at 1; give each object's area in square pixels"),
    ({"difficult": np.array([0])}, "target['difficult'] has 1 entries but 'boxes' has 2"),
    (
        {"image_id": "0001"},
        "target['image_id'] must be one integer, got '0001'; number the images, or leave the key out",
    ),
    ({"boxes": np.array([[0.0, 0, 10, 10], [9, 0, 0, 1]])}, "target['boxes'][1] is (9, 0, 0, 1), which has a negative"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TARGETS)
def test_a_malformed_target_is_explained(change: dict[str, Any], message: str) -> None:
    prediction, target = good()
    assert message in str(TASK.check(prediction, {**target, **change}))
    assert TASK.check(prediction, None) == (
        "a target must be a mapping with 'boxes', 'labels', got NoneType; mend the labels of the data set"
    )


def test_tensors_and_extra_keys_are_as_good_as_arrays() -> None:
    prediction, target = good()
    as_tensors = {
        name: torch.from_numpy(values).requires_grad_(name == "scores") for name, values in prediction.items()
    }
    as_tensors["masks"] = torch.zeros(2, 1, 8, 8)
    tensor_target = {
        "boxes": torch.from_numpy(target["boxes"]),
        "labels": torch.tensor([0, 1]),
        "image_id": torch.tensor([3]),
    }
    assert TASK.check(as_tensors, tensor_target) is None
    ours, theirs = TASK.evidence(prediction, {**target, "image_id": 3}), TASK.evidence(as_tensors, tensor_target)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_boxes_of_no_size_and_empty_images_can_be_scored() -> None:
    prediction, target = good()
    prediction["boxes"] = np.zeros((2, 4))
    assert TASK.check(prediction, target) is None
    assert reduced([(prediction, target)])["ap"][0] == 0


def test_label_free_mode_takes_confident_boxes_as_the_reference() -> None:
    task = DetectionTask(CLASSES, DetectionOptions(reference_score=0.6))
    prediction = {
        "boxes": np.array([[0.0, 0, 10, 10], [20, 20, 40, 40], [5, 5, 5, 9]]),
        "labels": np.array([0, 1, 1]),
        "scores": np.array([0.6, 0.59, 0.9]),
    }
    target = task.as_target(prediction)
    assert target["boxes"].tolist() == [[0, 0, 10, 10]]
    assert target["labels"].tolist() == [0]
    assert task.check(prediction, target) is None
    assert prediction["boxes"].shape == (3, 4)
    sure = {name: values[:1] for name, values in prediction.items()}
    assert reduced([(sure, target)], task)["ap"][0] == pytest.approx(1)
    nobody = task.as_target({"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)})
    assert task.check(sure, nobody) is None
    assert np.isnan(reduced([(sure, nobody)], task)["ap"][0])


def test_a_class_named_like_a_size_is_reachable() -> None:
    box = np.array([[0.0, 0, 200, 200]])
    pair = ({"boxes": box, "labels": np.array([2]), "scores": np.array([0.9])}, {"boxes": box, "labels": np.array([2])})
    found = reduced([pair])
    assert np.isnan(found["ap[small]"][0])
    assert found["ap[class:small]"][0] == found["ap[large]"][0] == pytest.approx(1)


def test_the_registry_knows_the_task_and_its_options() -> None:
    task = build_task("detection", CLASSES, {"score_threshold": 0.25})
    assert isinstance(task, Task)
    assert isinstance(task, DetectionTask)
    assert task.options.score_threshold == 0.25
    assert task_primary("detection") == "ap"
    assert task_options("detection") is DetectionOptions
    assert {metric.name for metric in task_metrics("detection")} <= known_metrics()
    worse = [metric.name for metric in task.metrics if not metric.higher_is_better]
    assert worse == ["fp_per_image"]
    with pytest.raises(ValidationError, match=re.escape("Extra inputs are not permitted")):
        DetectionOptions(score_treshold=0.5)
    with pytest.raises(ValidationError, match="finite number"):
        DetectionOptions(score_threshold=float("nan"))


@settings(max_examples=30, deadline=None)
@given(pairs=images())
def test_every_name_belongs_to_a_metric(pairs: list[Pair]) -> None:
    names = {metric.name for metric in TASK.metrics}
    found = reduced(pairs, weights=np.ones((2, len(pairs))))
    assert names <= set(found)
    assert {name.partition("[")[0] for name in found} == names
    assert all(values.shape == (2,) and values.dtype == np.float64 for values in found.values())
    for name in names:
        assert ((found[name] >= 0) | np.isnan(found[name])).all()
