"""The pose task beyond OKS: correct keypoints, malformed input, label-free mode, evidence on disk."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_lossy.results.evidence import CaseEvidence, SampleCost, load_evidence, save_evidence
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.keypoints import COCO_KEYPOINTS, PoseOptions, assign_people
from pytest_lossy.tasks.pose import PoseTask
from pytest_lossy.tasks.registry import build_task, known_metrics, task_metrics, task_options, task_primary

OPTIONS = PoseOptions(keypoints=("head", "hand"), sigmas=(0.05, 0.1))
TASK = PoseTask((), OPTIONS)


def person(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array([points], dtype=np.float64)


def reduced(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]], weights: np.ndarray | None = None, task: PoseTask = TASK
):
    for prediction, target in pairs:
        assert task.check(prediction, target) is None
    evidence = [task.evidence(prediction, target) for prediction, target in pairs]
    return task.reduce(evidence, np.ones((1, len(pairs))) if weights is None else weights)


def good() -> tuple[dict[str, Any], dict[str, Any]]:
    points = np.array([[[0.0, 0, 2], [100, 50, 1]], [[300, 0, 2], [400, 50, 2]]])
    boxes = np.array([[0.0, 0, 100, 50], [300, 0, 400, 50]])
    return {"keypoints": points, "scores": np.array([0.9, 0.8])}, {"keypoints": points, "boxes": boxes}


def test_pck_reaches_a_fifth_of_the_longer_side() -> None:
    prediction, target = good()
    for shift, share in ((20.0, 1.0), (20.001, 0.75)):
        points = prediction["keypoints"].copy()
        points[0, 0, 0] += shift
        assert reduced([({**prediction, "keypoints": points}, target)])["pck"][0] == share
    found = reduced([({**prediction, "keypoints": points}, target)])
    assert found["pck[head]"][0] == 0.5
    assert found["pck[hand]"][0] == 1
    assert np.isnan(found["pckh"][0])
    assert "pckh[head]" not in found


def test_pckh_reaches_half_of_the_head_and_skips_heads_of_unknown_size() -> None:
    prediction, target = good()
    target["head_size"] = np.array([30.0, 0.0])
    for shift, share in ((15.0, 1.0), (15.001, 0.5)):
        points = prediction["keypoints"].copy()
        points[0, 0, 1] += shift
        points[1] += 500
        assert reduced([({**prediction, "keypoints": points}, target)])["pckh"][0] == share


def test_keypoints_and_people_that_are_not_labelled_do_not_count_for_pck() -> None:
    prediction, target = good()
    points = target["keypoints"].copy()
    points[0, 0] = [900, 900, 0]
    assert reduced([(prediction, {**target, "keypoints": points})])["pck"][0] == 1
    far = {**prediction, "keypoints": prediction["keypoints"] + np.array([[[0.0]], [[500]]])}
    assert reduced([(far, target)])["pck"][0] == 0.5
    assert reduced([(far, {**target, "iscrowd": np.array([0, 1])})])["pck"][0] == 1
    assert reduced([(far, {**target, "num_keypoints": np.array([2, 0])})])["pck"][0] == 1


def test_a_person_without_a_prediction_has_no_correct_keypoint() -> None:
    prediction, target = good()
    one = {name: values[:1] for name, values in prediction.items()}
    nobody = {name: values[:0] for name, values in prediction.items()}
    found = reduced([(one, target), (nobody, target)], np.array([[1.0, 1], [1, 0], [0, 1]]))
    assert found["pck"].tolist() == [0.25, 0.5, 0]
    assert found["ap"][2] == 0


def test_pck_gives_each_person_one_prediction_whatever_its_score() -> None:
    prediction, target = good()
    twice = np.concatenate([prediction["keypoints"][:1] + 3, prediction["keypoints"]])
    both = {"keypoints": twice, "scores": np.array([0.95, 0.1, 0.1])}
    assert reduced([(both, target)])["pck"][0] == 1
    shipped = PoseTask((), OPTIONS.model_copy(update={"score_threshold": 0.5}))
    assert reduced([(both, target)], task=shipped)["pck"][0] == 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 3), st.integers(0, 3))
def test_people_are_assigned_by_the_most_similar_pair_first(seed: int, found: int, true: int) -> None:
    table = np.random.default_rng(seed).choice([-1.0, 0, 0.25, 0.5, 0.75, 1], (found, true))
    left, wanted = table.copy(), [-1] * true
    for _ in range(min(found, true)):
        best = max(left.ravel(), default=-1)
        if best < 0:
            break
        row, column = next(
            (row, column) for row, column in itertools.product(range(found), range(true)) if left[row, column] == best
        )
        wanted[column] = row
        left[row, :] = left[:, column] = -1
    assert assign_people(table).tolist() == wanted


def test_predictions_of_another_class_are_no_match_for_pck() -> None:
    prediction, target = good()
    task = PoseTask(("cat", "dog"), OPTIONS)
    prediction["labels"], target["labels"] = np.array([1, 0]), np.array([0, 0])
    assert reduced([(prediction, target)], task=task)["pck"][0] == 0.5


def test_evidence_survives_the_disk(tmp_path: Path) -> None:
    prediction, target = good()
    nobody = (
        {"keypoints": np.zeros((0, 2, 3)), "scores": np.zeros(0)},
        {"keypoints": np.zeros((0, 2, 3)), "boxes": np.zeros((0, 4))},
    )
    for pairs in (
        [(prediction, target), nobody],
        [nobody],
        [nobody, (prediction, {**target, "head_size": np.ones(2)})],
    ):
        evidence = tuple(TASK.evidence(*pair) for pair in pairs)
        ids = tuple(map(str, range(len(pairs))))
        path = tmp_path / "case.npz"
        costs = (SampleCost(0, 0, 1, 0, ""),) * len(pairs)
        save_evidence(path, CaseEvidence(ids, (None,) * len(pairs), evidence, costs))
        loaded = load_evidence(path).evidence
        for one, other in zip(loaded, evidence, strict=True):
            assert set(one) == set(other)
            assert all(one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one)
        first, second = (TASK.reduce(one, np.ones((2, len(pairs)))) for one in (evidence, loaded))
        assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


BAD_PREDICTIONS = [
    (7, "a prediction must be a mapping with 'keypoints', 'scores', got int; return what torchvision's models return"),
    (
        {"keypoints": None},
        "prediction['keypoints'] is missing, found 'scores'; give x, y and visibility of the 2 keypoints",
    ),
    (
        {"keypoints": np.zeros((2, 17, 3))},
        "prediction['keypoints'] must be (n, 2, 3), got (2, 17, 3); give x, y and visibility of the 2 keypoints (",
    ),
    ({"keypoints": np.full((2, 2, 3), np.nan)}, "prediction['keypoints'] holds nan at [0, 0, 0]; check the weights"),
    ({"scores": np.zeros(3)}, "prediction['scores'] has 3 entries but 'keypoints' has 2; give one per instance"),
    (
        {"labels": np.array([0, 1])},
        "prediction['labels'] holds 1 but the data has classes 0..0; map the model's classes",
    ),
    ({"boxes": np.array([[0.0, 0, -1, 1]] * 2)}, "prediction['boxes'][0] is (0, 0, -1, 1), which has a negative width"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PREDICTIONS)
def test_a_malformed_prediction_is_explained(change: Any, message: str) -> None:
    prediction, target = good()
    assert TASK.check(prediction, target) is None
    broken = {**prediction, **change} if isinstance(change, dict) else change
    assert message in str(TASK.check(broken, target))


BAD_TARGETS = [
    ({"boxes": None}, "target['boxes'] is missing, found 'keypoints'; give x1, y1, x2, y2 in pixels"),
    (
        {"keypoints": np.full((2, 2, 3), 0.5)},
        "target['keypoints'] holds visibility 0.5; it is 0 (not labelled), 1 (hidden)",
    ),
    ({"head_size": np.array([1.0, -3.0])}, "target['head_size'] holds -3.0 at 1; give pixels, 0 where it is unknown"),
    ({"num_keypoints": np.array([1.0, 2.0])}, "target['num_keypoints'] must hold integers, got float64"),
    ({"area": np.zeros((2, 1))}, "target['area'] must be (n,), got (2, 1); give each person's area in square pixels"),
    ({"image_id": 1.5}, "target['image_id'] must be one integer, got 1.5; number the images"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TARGETS)
def test_a_malformed_target_is_explained(change: dict[str, Any], message: str) -> None:
    prediction, target = good()
    assert message in str(TASK.check(prediction, {**target, **change}))


def test_tensors_are_as_good_as_arrays() -> None:
    prediction, target = good()
    tensors = {name: torch.from_numpy(values) for name, values in prediction.items()}
    ours, theirs = TASK.evidence(prediction, target), TASK.evidence(tensors, target)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_label_free_mode_takes_confident_people_as_the_reference() -> None:
    prediction, _ = good()
    prediction["keypoints"][0, 1, 2] = 0.2
    prediction["scores"] = np.array([0.5, 0.4])
    before = prediction["keypoints"].copy()
    target = PoseTask((), OPTIONS.model_copy(update={"reference_keypoint_score": 0.3})).as_target(prediction)
    assert target["keypoints"].tolist() == [[[0, 0, 2], [100, 50, 0]]]
    assert target["boxes"].tolist() == [[0, 0, 100, 50]]
    assert np.array_equal(prediction["keypoints"], before)
    assert TASK.check(prediction, target) is None
    boxed = {**prediction, "boxes": np.array([[-5.0, -5, 105, 55], [0, 0, 1, 1]])}
    assert TASK.as_target(boxed)["boxes"].tolist() == [[-5, -5, 105, 55]]
    both = PoseTask((), OPTIONS.model_copy(update={"reference_score": 0.4}))
    found = reduced([(prediction, both.as_target(prediction))], task=both)
    assert found["ap"][0] == pytest.approx(1)
    assert found["pck"][0] == 1
    nobody = TASK.as_target({"keypoints": np.zeros((0, 2, 3)), "scores": np.zeros(0)})
    assert TASK.check(prediction, nobody) is None
    assert np.isnan(reduced([(prediction, nobody)])["ap"][0])


def test_options_say_what_does_not_fit() -> None:
    assert PoseOptions().keypoint_names == COCO_KEYPOINTS
    assert PoseOptions(sigmas=(0.1, 0.2)).keypoint_names == ("0", "1")
    with pytest.raises(ValidationError, match="3 keypoints have 17 sigmas; give one of each per keypoint"):
        PoseOptions(keypoints=("a", "b", "c"))
    with pytest.raises(ValidationError, match="keypoint 'a' is named twice"):
        PoseOptions(keypoints=("a", "a"), sigmas=(0.1, 0.1))
    with pytest.raises(ValidationError, match="greater than 0"):
        PoseOptions(sigmas=(0.1, 0.0))
    with pytest.raises(ValidationError, match=re.escape("Extra inputs are not permitted")):
        PoseOptions(sigma=(0.1,))


def test_the_registry_knows_the_task() -> None:
    task = build_task("pose", ("person",), {"sigmas": [0.1, 0.2, 0.3]})
    assert isinstance(task, Task)
    assert isinstance(task, PoseTask)
    assert task.keypoints == ("0", "1", "2")
    assert task_primary("pose") == "ap"
    assert task_options("pose") is PoseOptions
    assert {metric.name for metric in task_metrics("pose")} <= known_metrics()
    assert all(metric.higher_is_better and metric.description for metric in task.metrics)


def test_every_name_belongs_to_a_metric() -> None:
    prediction, target = good()
    found = reduced([(prediction, {**target, "head_size": np.ones(2)})])
    assert {name.partition("[")[0] for name in found} == {metric.name for metric in TASK.metrics}
    assert {"ap[medium]", "ap[large]", "ar[medium]", "ar[large]", "pck[head]", "pckh[hand]"} <= set(found)
