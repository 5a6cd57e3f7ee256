"""Label-free mode of the tasks: what their targets, evidence, metrics and answers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.tasks.agreement import SINGLE_ANSWER, AgreementTask, CleanPrediction, agreement_metrics
from pytest_lossy.tasks.detection import DetectionTask
from pytest_lossy.tasks.registry import TASKS, build_task, task_metrics

CLASSES = ("a", "b", "c")
MAPS = hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 2))


def boxes(*scores: float) -> dict[str, Any]:
    count = len(scores)
    corners = np.array([[20.0 * index, 0, 20.0 * index + 15, 12] for index in range(count)]).reshape(-1, 4)
    return {"boxes": corners, "labels": np.arange(count) % 3, "scores": np.array(scores)}


def value(task: AgreementTask, metric: str, pairs: list[tuple[Any, Any]]) -> float:
    evidence = [task.evidence(now, CleanPrediction(clean)) for now, clean in pairs]
    return float(task.reduce(evidence, np.ones((1, len(pairs))))[metric][0])


@given(st.lists(st.tuples(MAPS, MAPS), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_segmentation_agreement_is_the_labelled_metric_with_the_clean_map_as_label(
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    task = build_task("segmentation", CLASSES, label_free=True)
    assert isinstance(task, AgreementTask)
    overlap = np.array([sum(np.sum((now == c) & (clean == c)) for now, clean in pairs) for c in range(3)])
    union = np.array([sum(np.sum((now == c) | (clean == c)) for now, clean in pairs) for c in range(3)])
    asked = np.array([any((clean == c).any() for _, clean in pairs) for c in range(3)])
    assert value(task, "miou", pairs) == pytest.approx(np.mean(overlap[asked] / union[asked]), rel=1e-12)
    assert value(task, "miou", [(clean, clean) for _, clean in pairs]) == 1
    shares = task.answers([task.evidence(now, CleanPrediction(clean)) for now, clean in pairs])
    counted = np.concatenate([clean.ravel() for _, clean in pairs])
    assert shares == {**{name: np.mean(counted == c) for c, name in enumerate(CLASSES)}, "none": 0}


@given(
    st.lists(
        hnp.arrays(np.float32, 3, elements=st.floats(-9, 9, width=32), unique=True), min_size=2, max_size=6
    ).filter(lambda scores: len(scores) % 2 == 0)
)
@settings(max_examples=30, deadline=None)
def test_classification_agreement_counts_equal_first_classes(scores: list[np.ndarray]) -> None:
    task = build_task("classification", CLASSES, label_free=True)
    pairs = list(zip(scores[::2], scores[1::2], strict=True))
    assert value(task, "top1", pairs) == np.mean([np.argmax(now) == np.argmax(clean) for now, clean in pairs])


def test_what_needs_labels_is_left_out() -> None:
    task = build_task("classification", CLASSES, label_free=True)
    assert "ece" not in {metric.name for metric in task.metrics}
    scores = np.array([0.2, 0.5, 0.3], dtype=np.float32)
    evidence = [task.evidence(scores, CleanPrediction(scores))]
    reduced = task.reduce(evidence, np.ones((2, 1)))
    assert not [name for name in reduced if name.startswith("ece")]
    assert "top1[b]" in reduced
    assert "ece" in {metric.name for metric in task_metrics("classification")}
    assert "ece" not in {metric.name for metric in task_metrics("classification", label_free=True)}


def test_titles_say_agreement() -> None:
    for name in TASKS.builtin:
        labelled = {metric.name: metric for metric in task_metrics(name)}
        for metric in agreement_metrics(task_metrics(name)):
            assert metric.title == f"{labelled[metric.name].title} (agreement)"
            assert metric.higher_is_better is labelled[metric.name].higher_is_better


def test_the_reference_are_the_boxes_above_the_cut() -> None:
    task = build_task("detection", CLASSES, label_free=True)
    clean = boxes(0.9, 0.6, 0.45, 0.1)
    strongest = {key: array[:1] for key, array in clean.items()}
    strongest["scores"] = np.array([0.9])
    assert value(task, "recall", [(clean, clean)]) == 1
    assert value(task, "ap", [(clean, clean)]) == pytest.approx(1, abs=1e-15)  # pycocotools divides by n + 2e-16
    assert value(task, "recall", [(strongest, clean)]) == 0.5  # 0.9 of 0.9 and 0.6
    nothing = boxes()
    assert value(task, "recall", [(nothing, clean)]) == 0
    assert value(task, "fp_per_image", [(clean, nothing)]) == 2  # those above the shipped threshold


def test_a_lower_cut_asks_for_more() -> None:
    """Where a model keeps its strongest boxes only, the recall of the reference falls as the cut admits weaker ones."""
    task = build_task("detection", CLASSES, {"reference_score": 0.5}, label_free=True)
    clean = boxes(0.9, 0.6, 0.45, 0.1)
    kept = {key: array[:1] for key, array in clean.items()}
    evidence = [task.evidence(kept, CleanPrediction(clean))]
    at = task.sensitivity(evidence)
    assert set(at) == {"0.3", "0.7"}
    middle = float(task.reduce(evidence, np.ones((1, 1)))["ap"][0])
    assert at["0.3"] < middle < at["0.7"] == pytest.approx(1, abs=1e-15)
    plain = DetectionTask(CLASSES)
    for cut, found in at.items():
        own = plain.evidence(kept, plain.as_target(clean, float(cut)))
        assert found == float(plain.reduce([own], np.ones((1, 1)))["ap"][0])


def test_a_cut_of_nothing_has_no_other_cuts() -> None:
    task = build_task("detection", CLASSES, {"reference_score": 0}, label_free=True)
    assert task.cuts == ()
    assert task.sensitivity([task.evidence(boxes(0.5), CleanPrediction(boxes(0.5)))]) == {}


def test_tensors_agree_with_arrays() -> None:
    import torch

    task = build_task("detection", CLASSES, label_free=True)
    clean, now = boxes(0.9, 0.6), boxes(0.8)
    tensors = {key: torch.from_numpy(array) for key, array in clean.items()}
    first, second = (task.evidence(now, CleanPrediction(item)) for item in (clean, tensors))
    assert set(first) == set(second)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_video_is_passed_on_to_action() -> None:
    task = build_task("action", CLASSES, label_free=True)
    one, other = np.array([3.0, 0, 0]), np.array([0, 1.0, 0])
    # Each clip alone agrees; together the video's clean answer is a, and what is seen now is b.
    now = [np.array([1.0, 0, 0]), np.array([0, 4.0, 0])]
    for video, expected in ((None, 1), ("v", 0)):
        evidence = [
            task.evidence(seen, CleanPrediction(clean, video)) for seen, clean in zip(now, (one, other), strict=True)
        ]
        assert task.reduce(evidence, np.ones((1, 2)))["top1"][0] == expected


@pytest.mark.parametrize("share", [SINGLE_ANSWER, SINGLE_ANSWER - 0.01])
def test_monotony_is_noted_from_a_share_on(share: float) -> None:
    task = build_task("segmentation", CLASSES, label_free=True)
    clean = np.zeros(100, dtype=np.uint8)
    clean[: round(100 * (1 - share))] = 1
    notes = task.notes([task.evidence(clean[None], CleanPrediction(clean[None]))])
    assert (notes == []) is (share < SINGLE_ANSWER)
    if notes:
        assert notes == ["95% of the clean answers are 'a': such a model agrees with itself whatever it sees"]


def test_check_names_the_fault_of_the_prediction_first() -> None:
    task = build_task("detection", CLASSES, label_free=True)
    faulty = {"boxes": np.zeros((1, 4)), "labels": np.zeros(1, dtype=int)}
    assert "prediction['scores'] is missing" in str(task.check(faulty, CleanPrediction(faulty)))
    assert "a prediction must be a mapping" in str(task.check(3, CleanPrediction(3)))
    assert task.check(boxes(0.5), CleanPrediction(boxes(0.5))) is None


class Foreign:
    """A task of another package: neither bins nor cuts nor notes."""

    name, primary, metrics = "foreign", "size", ()

    def check(self, prediction: Any, target: Any) -> str | None:
        return None

    def evidence(self, prediction: Any, target: Any) -> dict[str, np.ndarray]:
        return {"gap": np.array([abs(prediction - target)])}

    def reduce(self, evidence: Any, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"size": weights @ np.concatenate([item["gap"] for item in evidence])}

    def as_target(self, prediction: Any) -> Any:
        return prediction


def test_foreign_tasks_need_only_the_protocol() -> None:
    task = AgreementTask(Foreign())
    evidence = [task.evidence(3.0, CleanPrediction(1.0))]
    assert set(evidence[0]) == {"gap"}
    assert task.reduce(evidence, np.ones((1, 1)))["size"] == 2
    assert (task.answers(evidence), task.sensitivity(evidence), list(task.notes(evidence))) == ({}, {}, [])
    assert not hasattr(task, "flicker")
