"""Image tasks on single frames of clips, and the flicker rate of their predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.tasks.agreement import AgreementTask, CleanPrediction
from pytest_lossy.tasks.frames import FLICKER, FrameTask, Window, frame_metrics, has_flicker
from pytest_lossy.tasks.registry import TASKS, build_task, task_metrics
from pytest_lossy.tasks.segmentation import SegmentationTask

CLASSES = ("a", "b", "c")
CLIP = hnp.arrays(np.uint8, (5, 2, 3), elements=st.sampled_from([0, 1, 2, 255]))


def windows(clip: np.ndarray) -> list[Window]:
    last = len(clip) - 1
    return [
        Window(clip[t], clip[t - 1] if t > 0 else None, clip[t + 1] if t < last else None) for t in range(len(clip))
    ]


@given(CLIP, hnp.arrays(np.float64, (3, 5), elements=st.integers(0, 4)))
@settings(max_examples=50, deadline=None)
def test_flicker_equals_a_slow_oracle_under_any_weights(clip: np.ndarray, weights: np.ndarray) -> None:
    task = FrameTask(SegmentationTask(CLASSES))
    labels = np.zeros((2, 3), dtype=np.uint8)
    found = task.reduce([task.evidence(window, labels) for window in windows(clip)], weights)["flicker"]
    for row, rate in zip(weights, found, strict=True):
        kept = lost = 0.0
        for t in range(1, 4):
            for y in range(2):
                for x in range(3):
                    before, now, after = (int(clip[at, y, x]) for at in (t - 1, t, t + 1))
                    if before == after != 255:
                        kept, lost = (kept + row[t], lost) if now == before else (kept, lost + row[t])
        if kept + lost:
            assert rate == pytest.approx(lost / (kept + lost), rel=1e-12)
        else:
            assert np.isnan(rate)


@given(CLIP)
@settings(max_examples=20, deadline=None)
def test_the_image_tasks_metrics_are_untouched(clip: np.ndarray) -> None:
    plain = SegmentationTask(CLASSES)
    task = FrameTask(plain)
    labels = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    found = task.reduce([task.evidence(window, labels) for window in windows(clip)], np.ones((1, 5)))
    expected = plain.reduce([plain.evidence(frame, labels) for frame in clip], np.ones((1, 5)))
    assert set(found) == {*expected, "flicker"}
    for name, values in expected.items():
        assert np.array_equal(found[name], values, equal_nan=True)


def test_which_tasks_score_frames_and_which_flicker() -> None:
    for name in TASKS.builtin:
        task = build_task(name, CLASSES, clips=True)
        names = {metric.name for metric in task_metrics(name, clips=True)}
        assert isinstance(task, FrameTask) is (name != "action")
        assert ("flicker" in names) is (name in ("detection", "pose", "segmentation"))
        assert names == {metric.name for metric in task.metrics}
        assert "flicker" not in {metric.name for metric in task_metrics(name)}
        assert isinstance(build_task(name, CLASSES), TASKS.load(name))
    assert not FLICKER.higher_is_better


@pytest.mark.parametrize("name", ["classification", "depth"])
def test_tasks_without_flicker_are_passed_through(name: str) -> None:
    task = build_task(name, CLASSES, clips=True)
    assert isinstance(task, FrameTask)
    assert not task.needs_neighbours
    prediction: Any = np.array([0.1, 0.7, 0.2]) if name == "classification" else np.full((2, 2), 3.0)
    target: Any = 1 if name == "classification" else np.full((2, 2), 3.0)
    window = Window(prediction)
    assert task.check(window, target) is None
    assert set(task.evidence(window, target)) == set(task.task.evidence(prediction, target))
    assert "flicker" not in task.reduce([task.evidence(window, target)], np.ones((1, 1)))


def test_check_looks_at_the_frame() -> None:
    task = FrameTask(SegmentationTask(CLASSES))
    labels = np.zeros((2, 3), dtype=np.uint8)
    good = labels.copy()
    assert task.check(Window(good), labels) is None
    assert "class 7 is predicted" in str(task.check(Window(good + 7), labels))


def test_without_neighbours_nothing_is_counted() -> None:
    task = FrameTask(SegmentationTask(CLASSES))
    labels = np.zeros((2, 3), dtype=np.uint8)
    for window in (Window(labels), Window(labels, labels, None), Window(labels, None, labels)):
        assert task.evidence(window, labels)["flicker"].tolist() == [[0, 0]]
    assert task.evidence(Window(labels, labels, labels), labels)["flicker"].tolist() == [[6, 0]]
    assert task.evidence(Window(labels + 1, labels, labels), labels)["flicker"].tolist() == [[0, 6]]


def test_label_free_frames_agree_and_still_flicker() -> None:
    task = build_task("segmentation", CLASSES, clips=True, label_free=True)
    assert isinstance(task, FrameTask)
    assert isinstance(task.task, AgreementTask)
    assert has_flicker(task.task)
    steady, other = np.zeros((2, 3), dtype=np.uint8), np.ones((2, 3), dtype=np.uint8)
    evidence = [task.evidence(Window(other, steady, steady), CleanPrediction(other))]
    reduced = task.reduce(evidence, np.ones((1, 1)))
    assert (reduced["miou"][0], reduced["flicker"][0]) == (1, 1)
    assert task.task.answers(evidence)["b"] == 1
    assert [metric.name for metric in frame_metrics(task.task)][-1] == "flicker"
    assert np.array_equal(task.as_target(Window(other)), other)
    assert np.array_equal(task.as_target(other), other)
