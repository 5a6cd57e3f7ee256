"""Action metrics against torchmetrics on averaged scores, and what weights of clips mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evidence_trips import assert_rows_are_independent, stored_and_loaded
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torchmetrics.classification import MulticlassAccuracy

from pytest_lossy.analysis.bootstrap import independent_units, resample_weights
from pytest_lossy.tasks.action import ActionOptions, ActionTask
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.registry import build_task, task_metrics, task_options, task_primary

Clips = list[tuple[np.ndarray, Any]]

CLASSES = ("archery", "bowling", "climbing", "diving", "fencing", "golf")
TASK = ActionTask(CLASSES)
COUNT = len(CLASSES)


def reduced(clips: Clips, weights: np.ndarray | None = None, task: ActionTask = TASK) -> dict[str, np.ndarray]:
    for scores, target in clips:
        assert task.check(scores, target) is None
    evidence = [task.evidence(scores, target) for scores, target in clips]
    return task.reduce(evidence, np.ones((1, len(clips))) if weights is None else weights)


@st.composite
def videos(draw: st.DrawFn) -> list[tuple[int, np.ndarray]]:
    """(label, (clips, C) scores) of each video."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    pool = sorted(draw(st.sets(st.integers(0, COUNT - 1), min_size=1)))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    return [(int(generator.choice(pool)), generator.normal(size=(size, COUNT)).astype(kind)) for size in sizes]


def clips_of(data: list[tuple[int, np.ndarray]], seed: int | None = 0) -> Clips:
    """The clips of all videos, mixed unless ``seed`` is None; lone clips sometimes have a plain target."""
    clips: Clips = []
    for number, (label, scores) in enumerate(data):
        plain = len(scores) == 1 and number % 2
        clips += [(row, label if plain else {"label": label, "video": f"video-{number}"}) for row in scores]
    if seed is None:
        return clips
    return [clips[index] for index in np.random.default_rng(seed).permutation(len(clips))]


def check_against_torchmetrics(found: dict[str, np.ndarray], scores: np.ndarray, labels: list[int]) -> None:
    tensor, target = torch.from_numpy(scores), torch.tensor(labels)
    for name, top_k in (("top1", 1), ("top5", 5)):
        oracle = MulticlassAccuracy(COUNT, top_k=top_k, average="micro")(tensor, target)
        assert found[name][0] == pytest.approx(float(oracle), abs=1e-6)
    per_class = MulticlassAccuracy(COUNT, average="none")(tensor, target)
    present = sorted(set(labels))
    assert found["mean_class_accuracy"][0] == pytest.approx(float(per_class[present].mean()), abs=1e-6)
    for label in present:
        assert found[f"top1[{CLASSES[label]}]"][0] == pytest.approx(float(per_class[label]), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=videos(), seed=st.integers(0, 99))
def test_accuracies_of_videos_equal_torchmetrics(data: list[tuple[int, np.ndarray]], seed: int) -> None:
    means = np.stack([scores.astype(np.float64).mean(axis=0) for _, scores in data])
    check_against_torchmetrics(reduced(clips_of(data, seed)), means, [label for label, _ in data])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=videos())
def test_softmax_before_the_average(data: list[tuple[int, np.ndarray]]) -> None:
    task = ActionTask(CLASSES, ActionOptions(average="softmax"))
    data = [(label, 10 * scores) for label, scores in data]
    soft = [torch.softmax(torch.from_numpy(scores).double(), dim=1).mean(dim=0).numpy() for _, scores in data]
    gaps = np.diff(np.sort(np.stack(soft), axis=1), axis=1)
    assume(gaps.min() > 1e-6)
    check_against_torchmetrics(reduced(clips_of(data), task=task), np.stack(soft), [label for label, _ in data])


def test_softmax_and_scores_can_disagree() -> None:
    clips = [(np.array([9.0, 0.0]), 1), (np.array([0.0, 4.0]), 1), (np.array([0.0, 4.0]), 1)]
    clips = [(scores, {"label": label, "video": "v"}) for scores, label in clips]
    assert reduced(clips, task=ActionTask(("a", "b")))["top1"][0] == 0
    assert reduced(clips, task=ActionTask(("a", "b"), ActionOptions(average="softmax")))["top1"][0] == 1


@settings(max_examples=30, deadline=None)
@given(data=videos(), draws=st.data())
def test_whole_weights_equal_repeated_videos(data: list[tuple[int, np.ndarray]], draws: st.DataObject) -> None:
    weights = draws.draw(st.lists(st.integers(0, 3), min_size=len(data), max_size=len(data)))
    assume(sum(weights) > 0)
    by_clip = [weight for weight, (_, scores) in zip(weights, data, strict=True) for _ in scores]
    found = reduced(clips_of(data, None), np.array([by_clip], dtype=np.float64))
    copies = [one for one, weight in zip(data, weights, strict=True) for _ in range(weight)]
    repeated = reduced(clips_of(copies, None))
    for name, values in found.items():
        expected = repeated[name][0] if name in repeated else np.nan
        assert values[0] == pytest.approx(expected, abs=1e-12, nan_ok=True), name


@settings(max_examples=25, deadline=None)
@given(data=videos(), seed=st.integers(0, 2**16), kind=st.sampled_from(["group", "whole", "any"]))
def test_many_weightings_equal_one_by_one_bit_for_bit(data: list[tuple[int, np.ndarray]], seed: int, kind: str) -> None:
    clips = clips_of(data, seed)
    generator = np.random.default_rng(seed)
    weights = generator.random((9, len(clips)))
    if kind == "whole":
        weights = np.floor(3 * weights)
    if kind == "group":
        groups = [target["video"] if isinstance(target, dict) else None for _, target in clips]
        units, count = independent_units(groups)
        weights = resample_weights(units, count, 9, seed).astype(np.float64)
    evidence = [TASK.evidence(scores, target) for scores, target in clips]
    assert_rows_are_independent(TASK, evidence, weights)


@settings(max_examples=30, deadline=None)
@given(data=videos(), seed=st.integers(0, 2**16))
def test_uneven_weights_average_the_clips_by_their_weights(data: list[tuple[int, np.ndarray]], seed: int) -> None:
    clips = clips_of(data, None)
    weights = np.random.default_rng(seed).integers(0, 3, len(clips)).astype(np.float64)
    assume(weights.sum() > 0)
    hits, shares, start = [], [], 0
    for label, scores in data:
        own = weights[start : start + len(scores)]
        start += len(scores)
        hits.append(np.argmax(own @ scores.astype(np.float64)) == label)
        shares.append(own.mean())
    expected = np.dot(hits, shares) / np.sum(shares)
    assert reduced(clips, weights[None])["top1"][0] == pytest.approx(expected, abs=1e-12)


def test_one_clip_alone_is_judged_by_itself() -> None:
    target = {"label": 0, "video": "v"}
    clips = [(np.array([5.0, 0.0]), target), (np.array([0.0, 1.0]), target)]
    found = reduced(clips, np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), ActionTask(("a", "b")))
    assert found["top1"][:3].tolist() == [1, 1, 0]
    assert np.isnan(found["top1"][3])


def test_ties_of_the_average_go_to_the_lowest_class() -> None:
    target = {"label": 1, "video": "v"}
    clips = [(np.array([1.0, 0.0, 0.0]), target), (np.array([0.0, 1.0, 0.0]), target)]
    assert reduced(clips, task=ActionTask(("a", "b", "c")))["top1"][0] == 0


def test_plain_targets_are_videos_of_their_own() -> None:
    clips = [(np.eye(COUNT)[label], 1) for label in (1, 1, 0, 0)]
    found = reduced(clips)
    assert found["top1"][0] == 0.5


def test_clips_of_one_video_with_two_labels_are_two_videos() -> None:
    clips = [
        (np.array([3.0, 0.0]), {"label": 0, "video": "v"}),
        (np.array([0.0, 1.0]), {"label": 1, "video": "v"}),
    ]
    found = reduced(clips, task=ActionTask(("a", "b")))
    assert found["top1"][0] == 1


def test_a_prediction_agrees_with_itself() -> None:
    scores = np.random.default_rng(0).normal(size=(8, COUNT))
    assert reduced([(row, TASK.as_target(row)) for row in scores])["top1"][0] == 1


def test_evidence_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    data = [(index % COUNT, generator.normal(size=(1 + index % 3, COUNT)).astype(np.float32)) for index in range(10)]
    clips = [*clips_of(data), (generator.normal(size=COUNT).astype(np.float32), {"label": 2, "video": "\ud800é\0"})]
    evidence = [TASK.evidence(scores, target) for scores, target in clips]
    assert {name: array.dtype for name, array in evidence[0].items()} == {"scores": "f4", "label": "i4", "video": "u8"}
    loaded = stored_and_loaded(evidence, tmp_path / "evidence.npz")
    weights = generator.random((3, len(clips)))
    before, after = TASK.reduce(evidence, weights), TASK.reduce(loaded, weights)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


def test_evidence_does_not_hold_on_to_the_batch() -> None:
    batch = np.zeros((2, COUNT), np.float32)
    evidence = TASK.evidence(batch[0], 1)
    batch[:] = 1
    assert not evidence["scores"].any()


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0.0] * COUNT, 0, "float array, got list"),
        (np.zeros(COUNT + 1), 0, r"must be \(6,\), one per class of the data, got \(7,\); select"),
        (np.full(COUNT, np.nan), 0, "score of class 0 is nan; check"),
        (np.zeros(COUNT), 6, r"label 6 is not one of the classes 0..5"),
        (np.zeros(COUNT), "archery", "label must be an integer, got str 'archery'"),
        (np.zeros(COUNT), {"label": 9, "video": "v"}, "label 9 is not"),
        (
            np.zeros(COUNT),
            {"label": 1},
            r"must be a label or \{'label': int, 'video': str\}, got \{'label': 1\}; correct",
        ),
        (np.zeros(COUNT), {"label": 1, "video": 7}, "'video': str"),
        (np.zeros(COUNT), {"label": 1, "video": "v", "clip": 2}, "'clip': 2"),
    ],
)
def test_what_cannot_be_scored_is_explained(prediction: object, target: object, message: str) -> None:
    found = TASK.check(prediction, target)
    assert found is not None
    assert re.search(message, found)


def test_registry() -> None:
    task = build_task("action", ["a", "b"], {"average": "softmax"})
    assert isinstance(task, Task)
    assert task.primary == task_primary("action") == "top1"
    assert [metric.name for metric in task_metrics("action")] == ["top1", "top5", "mean_class_accuracy"]
    assert task_options("action") is ActionOptions
    with pytest.raises(ValidationError):
        build_task("action", ["a", "b"], {"mean": "softmax"})
