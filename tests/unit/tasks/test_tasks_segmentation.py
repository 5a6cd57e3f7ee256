"""Segmentation metrics against a plain numpy reading of the paper's definitions and against torchmetrics."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from pytest_lossy.errors import DataError
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.registry import build_task, known_metrics, task_metrics, task_primary
from pytest_lossy.tasks.segmentation import IGNORED, SegmentationTask

COUNT = 4
CLASSES = ("road", "car", "tree", "sky")
TASK = SegmentationTask(CLASSES)
labels = st.sampled_from([0, 1, 2, 3, IGNORED])


@st.composite
def data_sets(draw: st.DrawFn, values: st.SearchStrategy[int] = labels) -> list[tuple[np.ndarray, np.ndarray]]:
    """(target, prediction) pairs; the pool of labels is drawn, so that classes are often absent."""
    pool = st.sampled_from(sorted(draw(st.sets(values, min_size=1))))
    pairs = []
    for _ in range(draw(st.integers(1, 5))):
        shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        target = draw(hnp.arrays(np.uint8, shape, elements=pool))
        prediction = draw(hnp.arrays(draw(st.sampled_from([np.uint8, np.int64])), shape, elements=labels))
        pairs.append((target, prediction))
    return pairs


def confusion(pairs: list[tuple[np.ndarray, np.ndarray]], weights: list[int] | None = None) -> np.ndarray:
    """(C, C + 1): label, prediction; the last column is 'no class'."""
    table = np.zeros((COUNT, COUNT + 1), dtype=np.int64)
    for (target, prediction), weight in zip(pairs, weights or [1] * len(pairs), strict=True):
        for true, guess in zip(target.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            if true != IGNORED:
                table[true, COUNT if guess == IGNORED else guess] += weight
    return table


def oracle(table: np.ndarray, kept: list[int]) -> dict[str, float]:
    """Long et al. 2015, section 5, over the classes of ``kept`` that have ground truth in ``table``."""
    present = [label for label in kept if table[label].sum()]
    if not present:
        return {}
    iou = {
        label: table[label, label] / (table[label].sum() + table[:, label].sum() - table[label, label])
        for label in present
    }
    accuracy = {label: table[label, label] / table[label].sum() for label in present}
    total = table.sum()
    return {
        "miou": np.mean(list(iou.values())),
        "pixel_accuracy": np.trace(table) / total,
        "mean_class_accuracy": np.mean(list(accuracy.values())),
        "fw_iou": sum(table[label].sum() * iou[label] for label in present) / total,
        **{f"miou[{CLASSES[label]}]": iou[label] for label in present},
        **{f"mean_class_accuracy[{CLASSES[label]}]": accuracy[label] for label in present},
    }


def reduced(pairs: list[tuple[np.ndarray, np.ndarray]], weights: np.ndarray) -> dict[str, np.ndarray]:
    return TASK.reduce([TASK.evidence(prediction, target) for target, prediction in pairs], weights)


@settings(max_examples=120, deadline=None)
@given(pairs=data_sets())
def test_metrics_equal_the_definitions(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    found = reduced(pairs, np.ones((1, len(pairs))))
    table = confusion(pairs)
    expected = oracle(table, list(range(COUNT)))
    if not expected:
        assert set(found) == {metric.name for metric in TASK.metrics}
        assert all(np.isnan(values).all() for values in found.values())
        return
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == (1,)
        assert found[name][0] == pytest.approx(value, abs=1e-12), name


@settings(max_examples=40, deadline=None)
@given(pairs=data_sets())
def test_evidence_equals_torchmetrics_confusion_matrix(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    # torchmetrics knows no "no class" prediction: such pixels are one more class that is never labelled.
    metric = MulticlassConfusionMatrix(COUNT + 1, ignore_index=IGNORED)
    for target, prediction in pairs:
        guess = np.where(prediction == IGNORED, COUNT, prediction).astype(np.int64)
        metric.update(torch.from_numpy(guess), torch.from_numpy(target.astype(np.int64)))
    table = np.zeros((COUNT, COUNT + 1), dtype=np.int64)
    for target, prediction in pairs:
        evidence = TASK.evidence(prediction, target)
        np.add.at(table.reshape(-1), evidence["pairs"], evidence["pixels"])
    assert np.array_equal(table, metric.compute().numpy()[:COUNT])


@settings(max_examples=25, deadline=None)
@given(pairs=data_sets(st.integers(0, 3)))
def test_accuracies_equal_torchmetrics(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    pairs = [(target, np.where(prediction == IGNORED, 0, prediction)) for target, prediction in pairs]
    guess = torch.cat([torch.from_numpy(p.astype(np.int64)).ravel() for _, p in pairs])
    truth = torch.cat([torch.from_numpy(t.astype(np.int64)).ravel() for t, _ in pairs])
    found = reduced(pairs, np.ones((1, len(pairs))))
    assert found["pixel_accuracy"][0] == pytest.approx(
        float(MulticlassAccuracy(COUNT, average="micro")(guess, truth)), abs=1e-6
    )
    per_class = MulticlassAccuracy(COUNT, average="none")(guess, truth)
    present = [label for label in range(COUNT) if bool((truth == label).any())]
    assert found["mean_class_accuracy"][0] == pytest.approx(float(per_class[present].mean()), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(pairs=data_sets(), data=st.data())
def test_whole_weights_equal_repeated_samples(pairs: list[tuple[np.ndarray, np.ndarray]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    found = reduced(pairs, np.array([weights], dtype=np.float64))
    # Classes averaged are those of the full set; one without ground truth in this weighting leaves it.
    kept = [label for label in range(COUNT) if confusion(pairs)[label].sum()]
    expected = oracle(confusion(pairs, weights), kept)
    for name, values in found.items():
        assert values[0] == pytest.approx(expected.get(name, np.nan), abs=1e-12, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(pairs=data_sets(), seed=st.integers(0, 2**16))
def test_many_weightings_equal_one_by_one_bit_for_bit(pairs: list[tuple[np.ndarray, np.ndarray]], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (7, len(pairs))).astype(np.float64)
    together = reduced(pairs, weights)
    for row in range(len(weights)):
        alone = reduced(pairs, weights[row : row + 1])
        assert set(alone) == set(together)
        for name in alone:
            assert np.array_equal(alone[name], together[name][row : row + 1], equal_nan=True), name


@settings(max_examples=30, deadline=None)
@given(pairs=data_sets(), seed=st.integers(0, 2**16))
def test_the_order_of_samples_changes_no_bit(pairs: list[tuple[np.ndarray, np.ndarray]], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(pairs))
    ones = np.ones((1, len(pairs)))
    first, second = reduced(pairs, ones), reduced([pairs[index] for index in order], ones)
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_a_class_without_ground_truth_is_not_averaged() -> None:
    target = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    prediction = np.array([[0, 0, 1, 3]], dtype=np.uint8)
    found = reduced([(target, prediction)], np.ones((1, 1)))
    assert found["miou"][0] == pytest.approx((1 + 1 / 2) / 2)
    assert "miou[sky]" not in found


def test_false_positives_count_against_the_classes_that_exist() -> None:
    target = np.array([[0, 0], [1, 1]], dtype=np.uint8)
    prediction = np.zeros((2, 2), dtype=np.uint8)
    found = reduced([(target, prediction)], np.ones((1, 1)))
    assert found["miou[road]"][0] == pytest.approx(0.5)
    assert found["miou[car]"][0] == 0


def test_no_class_predictions_are_misses_and_no_false_positives() -> None:
    target = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    prediction = np.array([[0, IGNORED, 1, 1]], dtype=np.uint8)
    found = reduced([(target, prediction)], np.ones((1, 1)))
    assert found["miou[road]"][0] == pytest.approx(0.5)
    assert found["miou[car]"][0] == 1
    assert found["pixel_accuracy"][0] == pytest.approx(0.75)


def test_predictions_on_ignored_pixels_count_nowhere() -> None:
    target = np.array([[0, 1, IGNORED, IGNORED]], dtype=np.uint8)
    for guess in (0, 1, 2, IGNORED):
        prediction = np.array([[0, 1, guess, guess]], dtype=np.uint8)
        assert reduced([(target, prediction)], np.ones((1, 1)))["miou"][0] == 1


def test_miou_is_global_and_not_the_mean_over_images() -> None:
    first = (np.zeros((1, 10), np.uint8), np.zeros((1, 10), np.uint8))
    second = (np.zeros((1, 2), np.uint8), np.ones((1, 2), np.uint8))
    assert reduced([first, second], np.ones((1, 2)))["miou"][0] == pytest.approx(10 / 12)


def test_nothing_labelled_is_undefined() -> None:
    empty = np.full((3, 3), IGNORED, np.uint8)
    found = reduced([(empty, np.zeros((3, 3), np.uint8))], np.ones((2, 1)))
    assert all(np.isnan(values).all() for values in found.values())


def test_weights_that_leave_nothing_are_undefined() -> None:
    target = np.zeros((2, 2), np.uint8)
    found = reduced([(target, target)], np.array([[0.0], [1.0]]))
    assert np.isnan(found["miou"][0])
    assert found["miou"][1] == 1


def test_evidence_is_sparse_and_of_fixed_types() -> None:
    evidence = TASK.evidence(np.zeros((9, 9), np.int64), np.zeros((9, 9), np.uint8))
    assert evidence["pairs"].dtype == np.int32
    assert evidence["pixels"].dtype == np.int64
    assert evidence["pairs"].tolist() == [0]
    assert evidence["pixels"].tolist() == [81]


def test_a_target_is_not_changed() -> None:
    target = np.array([[0, IGNORED]], np.uint8)
    prediction = np.array([[IGNORED, 3]], np.uint8)
    TASK.evidence(prediction, target)
    assert target.tolist() == [[0, IGNORED]]
    assert prediction.tolist() == [[IGNORED, 3]]


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (np.zeros((2, 2), np.float32), "integer array, got float32"),
        ([[0, 0], [0, 0]], "integer array, got list"),
        (torch.zeros((2, 2), dtype=torch.uint8), "integer array, got torch.uint8"),
        (np.zeros((2, 2), bool), "integer array, got bool"),
        (np.zeros((2, 3), np.uint8), r"must be \(2, 2\) like its target, got \(2, 3\)"),
        (np.zeros((1, 2, 2), np.uint8), r"got \(1, 2, 2\)"),
        (np.full((2, 2), 4, np.uint8), "class 4 is predicted but the data has classes 0..3"),
        (np.full((2, 2), -1, np.int64), "class -1 is predicted"),
        (np.full((2, 2), 256, np.int32), "class 256 is predicted"),
    ],
)
def test_predictions_that_cannot_be_scored_are_explained(prediction: object, message: str) -> None:
    found = TASK.check(prediction, np.zeros((2, 2), np.uint8))
    assert found is not None
    assert re.search(message, found)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_predictions_that_can_be_scored_pass(kind: type) -> None:
    assert TASK.check(np.array([[0, 3], [IGNORED, 1]], kind), np.zeros((2, 2), np.uint8)) is None


def test_targets_with_unknown_labels_are_explained() -> None:
    for label in (len(TASK.classes), 9, 254):
        with pytest.raises(DataError, match=f"the target has label {label}, which is none of"):
            TASK.evidence(np.zeros((2, 2), np.uint8), np.array([[0, label], [IGNORED, 0]], np.uint8))


def test_255_classes_do_not_meet_the_ignored_label() -> None:
    task = SegmentationTask(tuple(f"c{index}" for index in range(255)))
    target = np.array([[254, 254, 0, IGNORED]], np.uint8)
    prediction = np.array([[254, IGNORED, 0, 254]], np.uint8)
    found = task.reduce([task.evidence(prediction, target)], np.ones((1, 1)))
    assert found["miou[c254]"][0] == pytest.approx(0.5)
    assert found["miou[c0]"][0] == 1


def test_a_prediction_is_its_own_target() -> None:
    prediction = np.array([[0, 1, IGNORED]], np.uint8)
    target = TASK.as_target(prediction)
    assert reduced([(target, prediction)], np.ones((1, 1)))["miou"][0] == 1


def test_registry() -> None:
    task = build_task("segmentation", ["a", "b"])
    assert isinstance(task, Task)
    assert task.primary == task_primary("segmentation") == "miou"
    assert {metric.name for metric in task_metrics("segmentation")} <= known_metrics()
    assert all(metric.higher_is_better for metric in task.metrics)
