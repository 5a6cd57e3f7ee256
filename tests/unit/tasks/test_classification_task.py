"""Classification metrics against torchmetrics and against plain readings of their definitions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from evidence_trips import assert_rows_are_independent, stored_and_loaded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.classification import ClassificationOptions, ClassificationTask, top_confidence
from pytest_lossy.tasks.registry import build_task, known_metrics, task_metrics, task_options, task_primary

Samples = list[tuple[np.ndarray, int]]

SEVEN = ClassificationTask(tuple("abcdefg"))


def reduced(task: ClassificationTask, samples: Samples, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    for scores, label in samples:
        assert task.check(scores, label) is None
    evidence = [task.evidence(scores, label) for scores, label in samples]
    return task.reduce(evidence, np.ones((1, len(samples))) if weights is None else weights)


@st.composite
def samples_without_ties(draw: st.DrawFn, classes: int = 7, most: int = 30) -> Samples:
    """Scores that are all different, on a scale from flat to saturated; labels from a drawn pool."""
    pool = sorted(draw(st.sets(st.integers(0, classes - 1), min_size=1)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, scale = draw(st.integers(1, most)), draw(st.sampled_from([0.1, 1.0, 5.0, 40.0]))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    ranked = generator.permuted(np.tile(np.arange(classes), (count, 1)), axis=1)
    scores = (scale * (ranked / classes + generator.random((count, classes)) / (2 * classes) - 0.5)).astype(kind)
    return [(row, int(label)) for row, label in zip(scores, generator.choice(pool, count), strict=True)]


@st.composite
def tied_samples(draw: st.DrawFn) -> Samples:
    count = draw(st.integers(1, 12))
    scores = draw(hnp.arrays(np.float32, (count, 7), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])))
    labels = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    return list(zip(scores, labels, strict=True))


def tensors(samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.stack([s for s, _ in samples])), torch.tensor([label for _, label in samples])


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def near_an_edge(scores: np.ndarray) -> bool:
    """Whether a confidence is so close to a bin's edge that two libraries may round it to either side."""
    distance = np.abs(scores.max(axis=1)[:, None] - np.arange(16) / 15)
    return bool((distance < 1e-5).any())


@settings(max_examples=60, deadline=None)
@given(samples=samples_without_ties())
def test_accuracies_equal_torchmetrics(samples: Samples) -> None:
    found = reduced(SEVEN, samples)
    scores, labels = tensors(samples)
    for name, top_k in (("top1", 1), ("top5", 5)):
        oracle = MulticlassAccuracy(7, top_k=top_k, average="micro")(scores, labels)
        assert found[name][0] == pytest.approx(float(oracle), abs=1e-6)
    per_class = MulticlassAccuracy(7, average="none")(scores, labels)
    present = sorted(set(labels.tolist()))
    assert found["mean_class_accuracy"][0] == pytest.approx(float(per_class[present].mean()), abs=1e-6)
    if len(present) == 7:
        macro = MulticlassAccuracy(7, average="macro")(scores, labels)
        assert found["mean_class_accuracy"][0] == pytest.approx(float(macro), abs=1e-6)
    for label in range(7):
        name = SEVEN.classes[label]
        assert (f"top1[{name}]" in found) == (label in present)
        if label in present:
            assert found[f"top1[{name}]"][0] == pytest.approx(float(per_class[label]), abs=1e-6)
            assert found[f"mean_class_accuracy[{name}]"][0] == found[f"top1[{name}]"][0]


@settings(max_examples=60, deadline=None)
@given(samples=samples_without_ties())
def test_calibration_error_of_logits_equals_torchmetrics(samples: Samples) -> None:
    scores, labels = tensors(samples)
    # torchmetrics reads a batch within 0..1 as probabilities; one score beyond makes it logits for both.
    scores[0, scores[0].argmax()] += 2.0
    scores[0, scores[0].argmin()] -= 2.0
    assume(not near_an_edge(softmax(scores.double().numpy())) or float(scores.abs().max()) > 15)
    found = reduced(SEVEN, [(row.numpy(), int(label)) for row, label in zip(scores, labels, strict=True)])
    oracle = MulticlassCalibrationError(7, n_bins=15, norm="l1")(scores, labels)
    assert found["ece"][0] == pytest.approx(float(oracle), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(samples=samples_without_ties(), options=st.sampled_from(["auto", "probabilities"]))
def test_calibration_error_of_probabilities_equals_torchmetrics(samples: Samples, options: str) -> None:
    samples = [(softmax(scores), label) for scores, label in samples]
    assume(not near_an_edge(np.stack([scores for scores, _ in samples])))
    task = ClassificationTask(SEVEN.classes, ClassificationOptions.model_validate({"scores": options}))
    oracle = MulticlassCalibrationError(7, n_bins=15, norm="l1")(*tensors(samples))
    assert reduced(task, samples)["ece"][0] == pytest.approx(float(oracle), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_confidences_on_the_edges_of_bins_fall_as_in_torchmetrics(seed: int) -> None:
    # Also a confidence of exactly 1, which has a bin of its own there.
    generator = np.random.default_rng(seed)
    edges = torch.linspace(0, 1, 16).numpy()
    pool = np.concatenate([edges[1:], np.nextafter(edges[1:], np.float32(0)), np.nextafter(edges[1:-1], np.float32(1))])
    samples = [(np.array([confidence, 0, 0], np.float32), int(generator.integers(2))) for confidence in pool]
    task = ClassificationTask(("a", "b", "c"), ClassificationOptions(scores="probabilities"))
    oracle = MulticlassCalibrationError(3, n_bins=15, norm="l1")(*tensors(samples))
    assert reduced(task, samples)["ece"][0] == pytest.approx(float(oracle), abs=1e-6)


def test_calibration_error_by_hand() -> None:
    # Three samples in the bin from 0.6 to 0.667, one of which is right, and one right sample in the bin from 0.8.
    low, high = np.array([0.62, 0.38], np.float64), np.array([0.82, 0.18], np.float64)
    task = ClassificationTask(("a", "b"))
    found = reduced(task, [(low, 0), (low, 1), (low, 1), (high, 0)])
    assert found["ece"][0] == pytest.approx(3 / 4 * abs(1 / 3 - 0.62) + 1 / 4 * 0.18, abs=1e-7)


def test_how_logits_are_told_from_probabilities() -> None:
    distribution = np.array([0.7, 0.2, 0.1], np.float32)
    assert top_confidence(distribution, "auto") == np.float32(0.7)
    assert top_confidence(distribution, "logits") == pytest.approx(softmax(distribution)[0])
    within = np.array([0.9, 0.8, 0.1], np.float32)  # in 0..1, but no distribution
    assert top_confidence(within, "auto") == pytest.approx(softmax(within)[0])
    assert top_confidence(within, "probabilities") == np.float32(0.9)
    negative = np.array([1.5, -0.5, 0.0], np.float32)  # sums to 1, but no distribution
    assert top_confidence(negative, "auto") == pytest.approx(softmax(negative)[0])
    assert top_confidence(np.array([1.0, 2e-7], np.float32), "auto") == 1
    assert top_confidence(np.array([1e308, -1e308]), "auto") == 1


@settings(max_examples=40, deadline=None)
@given(samples=tied_samples())
def test_ties_go_to_the_lowest_class_like_a_stable_sort(samples: Samples) -> None:
    found = reduced(SEVEN, samples)
    order = [np.argsort(-scores, kind="stable").tolist() for scores, _ in samples]
    for name, k in (("top1", 1), ("top5", 5)):
        expected = np.mean([label in ranked[:k] for ranked, (_, label) in zip(order, samples, strict=True)])
        assert found[name][0] == pytest.approx(expected)
    assert [SEVEN.as_target(scores) for scores, _ in samples] == [ranked[0] for ranked in order]


@settings(max_examples=30, deadline=None)
@given(samples=samples_without_ties(), data=st.data())
def test_whole_weights_equal_repeated_samples(samples: Samples, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(samples), max_size=len(samples)))
    assume(sum(weights) > 0)
    found = reduced(SEVEN, samples, np.array([weights], dtype=np.float64))
    repeated = reduced(SEVEN, [one for one, weight in zip(samples, weights, strict=True) for _ in range(weight)])
    for name, values in found.items():
        expected = repeated[name][0] if name in repeated else np.nan
        assert values[0] == pytest.approx(expected, abs=1e-12, nan_ok=True), name


@settings(max_examples=20, deadline=None)
@given(samples=samples_without_ties(), seed=st.integers(0, 2**16), whole=st.booleans())
def test_many_weightings_equal_one_by_one_bit_for_bit(samples: Samples, seed: int, whole: bool) -> None:
    generator = np.random.default_rng(seed)
    weights = generator.random((9, len(samples)))
    evidence = [SEVEN.evidence(scores, label) for scores, label in samples]
    assert_rows_are_independent(SEVEN, evidence, np.floor(4 * weights) if whole else weights)


def test_a_class_without_weight_leaves_the_average() -> None:
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    task = ClassificationTask(("a", "b"))
    found = reduced(task, [(right, 0), (wrong, 0), (right, 1)], np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0.0]]))
    assert found["mean_class_accuracy"][:2] == pytest.approx([0.25, 0.5])
    assert found["top1[b]"][0] == 0
    assert all(np.isnan(found[name][2]) for name in found)
    assert np.isnan(found["top1[b]"][1])


@pytest.mark.parametrize(("classes", "defined"), [(2, False), (4, False), (5, True), (6, True)])
def test_top5_needs_five_classes(classes: int, defined: bool) -> None:
    scores = np.arange(classes, dtype=np.float32)
    found = reduced(ClassificationTask(tuple(map(str, range(classes)))), [(scores, 0)])
    assert np.isfinite(found["top5"][0]) == defined
    if defined:
        assert found["top5"][0] == (1 if classes == 5 else 0)


def test_half_precision_is_read_in_full() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float16)
    half = reduced(SEVEN, [(row, index % 7) for index, row in enumerate(scores)])
    full = reduced(SEVEN, [(row.astype(np.float32), index % 7) for index, row in enumerate(scores)])
    assert all(np.array_equal(half[name], full[name]) for name in full)


def test_memory_layout_changes_no_bit() -> None:
    scores = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    task = ClassificationTask(tuple(map(str, range(1000))))
    first, second = task.evidence(scores[:, 1], 5), task.evidence(scores[:, 1].copy(), 5)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_names_that_occur_twice_stay_apart() -> None:
    task = ClassificationTask(("crane", "dog", "crane"))
    found = reduced(task, [(np.eye(3)[0], 0), (np.eye(3)[0], 2), (np.eye(3)[1], 1)])
    assert found["top1[crane#0]"][0] == 1
    assert found["top1[crane#2]"][0] == 0
    assert found["top1[dog]"][0] == 1
    assert "top1[crane]" not in found


def test_data_without_class_names_is_scored_by_number() -> None:
    task = ClassificationTask(())
    found = reduced(task, [(np.arange(6.0), 5), (np.arange(6.0), 0)])
    assert found["top1"][0] == 0.5
    assert found["top5"][0] == 0.5
    assert found["top1[5]"][0] == 1


@settings(max_examples=20, deadline=None)
@given(samples=samples_without_ties())
def test_a_prediction_agrees_with_itself(samples: Samples) -> None:
    found = reduced(SEVEN, [(scores, SEVEN.as_target(scores)) for scores, _ in samples])
    assert found["top1"][0] == found["top5"][0] == found["mean_class_accuracy"][0] == 1


def test_evidence_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    samples = [(generator.normal(size=7).astype(np.float32), int(generator.integers(7))) for _ in range(9)]
    evidence = [SEVEN.evidence(scores, label) for scores, label in samples]
    types = {name: array.dtype for name, array in evidence[0].items()}
    assert types == {"label": "i4", "rank": "i4", "classes": "i4", "confidence": "f4"}
    loaded = stored_and_loaded(evidence, tmp_path / "evidence.npz")
    weights = generator.random((3, 9))
    before, after = SEVEN.reduce(evidence, weights), SEVEN.reduce(loaded, weights)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (3, 0, "float array, got int; return the scores"),
        (torch.zeros(7), 0, "float array, got torch.float32"),
        (np.zeros(7, np.int64), 0, "float array, got int64"),
        (np.zeros((1, 7), np.float32), 0, r"must be \(7,\), one per class of the data, got \(1, 7\); select"),
        (np.zeros(8, np.float32), 0, r"got \(8,\)"),
        (np.float32(1), 0, "float array, got float32"),
        (np.array([0, 0, np.nan, 0, 0, 0, 0]), 0, "score of class 2 is nan; check the weights"),
        (np.array([0, 0, 0, 0, 0, -np.inf, 0]), 0, "score of class 5 is -inf.*large negative"),
        (np.zeros(7), 7, r"label 7 is not one of the classes 0..6; correct"),
        (np.zeros(7), -1, "label -1 is not"),
        (np.zeros(7), 1.0, "label must be an integer, got float 1.0; correct"),
        (np.zeros(7), True, "got bool True"),
        (np.zeros(7), None, "got NoneType"),
        (np.zeros(7), {"label": 1}, "got dict"),
    ],
)
def test_what_cannot_be_scored_is_explained(prediction: object, target: object, message: str) -> None:
    found = SEVEN.check(prediction, target)
    assert found is not None
    assert re.search(message, found)


def test_scores_that_are_no_probabilities_are_explained() -> None:
    task = build_task("classification", "ab", {"scores": "probabilities"})
    assert re.search(
        "score of class 1 is 1.5, which is no probability; set 'task_kwargs.scores'",
        task.check(np.array([0.1, 1.5]), 0) or "",
    )
    assert task.check(np.array([-0.1, 0.5]), 0) is not None
    assert task.check(np.array([0.9, 0.9]), 0) is None
    assert "(C,) with C >= 2" in (ClassificationTask(()).check(np.zeros(1), 0) or "")


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int64, int])
def test_labels_of_every_integer_type_pass(kind: type) -> None:
    assert SEVEN.check(np.zeros(7, np.float32), kind(6)) is None
    assert SEVEN.evidence(np.zeros(7, np.float32), kind(6))["rank"].tolist() == [6]


def test_registry() -> None:
    task = build_task("classification", ["a", "b"])
    assert isinstance(task, Task)
    assert task.primary == task_primary("classification") == "top1"
    directions = {metric.name: metric.higher_is_better for metric in task_metrics("classification")}
    assert directions == {"top1": True, "top5": True, "mean_class_accuracy": True, "ece": False}
    assert set(directions) <= known_metrics()
    assert task_options("classification") is ClassificationOptions
    with pytest.raises(ValidationError):
        build_task("classification", ["a", "b"], {"score": "logits"})
