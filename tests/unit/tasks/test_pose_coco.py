"""OKS metrics against pycocotools: the same floats, for COCO's people and for any other set of keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_oracle import POSE_STATS, Pair, class_ap, differences, evaluator, expected, repeated
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import Params

from pytest_lossy.tasks.keypoints import COCO_SIGMAS, PoseOptions
from pytest_lossy.tasks.pose import PoseTask

TRIPLE = PoseOptions(keypoints=("head", "hand", "foot"), sigmas=(0.026, 0.062, 0.107))
TASK, SMALL = PoseTask(("person",)), PoseTask(("cat", "large"), TRIPLE)


def reduced(task: PoseTask, pairs: list[Pair], weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    evidence = []
    for prediction, target in pairs:
        assert task.check(prediction, target) is None
        evidence.append(task.evidence(prediction, target))
    return task.reduce(evidence, np.ones((1, len(pairs))) if weights is None else weights)


def oracle(task: PoseTask, pairs: list[Pair], ids: list[int] | None = None):
    sigmas = task.options.keypoint_sigmas
    return evaluator(pairs, len(task.classes), kind="keypoints", sigmas=sigmas, image_ids=ids)


def scene(rng: np.random.Generator, k: int, classes: int, people: int, found: int, plain: bool) -> Pair:
    """One image of people, some crowded, unlabelled or of a size at a boundary, and of guesses around them."""
    size = rng.choice([20.0, 32.0, 60.0, 96.0, 150.0], (people, 1, 1))
    true = np.concatenate(
        [rng.random((people, k, 2)) * size + rng.integers(0, 80, (people, 1, 2)), np.zeros((people, k, 1))], 2
    )
    true[:, :, 2] = rng.integers(0, 3, (people, k))
    true[rng.random(people) < 0.2, :, 2] = 0
    source = rng.integers(0, max(1, people), found if people else 0)
    guess = true[source] + rng.normal(0, 1, (len(source), k, 3)) * size[source] * rng.choice(
        [0, 0.03, 0.1, 1], (len(source), 1, 1)
    )
    if not people:
        guess = rng.random((found, k, 3)) * 90
    target = {
        "keypoints": true,
        "boxes": np.concatenate([true[:, :, :2].min(1), true[:, :, :2].max(1)], axis=1),
        "labels": rng.integers(0, classes, people),
    }
    if not plain:
        target["area"] = rng.choice([500.0, 1024.0, 1023.9, 9216.0, 9216.5], people)
        target["iscrowd"] = (rng.random(people) < 0.2).astype(int)
        target["num_keypoints"] = np.where(rng.random(people) < 0.1, 0, (true[:, :, 2] > 0).sum(axis=1))
    prediction = {
        "keypoints": guess,
        "scores": rng.choice([0.2, 0.5, 0.8, 0.9], len(guess)),
        "labels": rng.integers(0, classes, len(guess)),
    }
    return prediction, target


@st.composite
def data_sets(draw: st.DrawFn, k: int, classes: int) -> list[Pair]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = st.tuples(st.integers(0, 4), st.integers(0, 6), st.booleans())
    return [scene(rng, k, classes, *one) for one in draw(st.lists(counts, min_size=1, max_size=4))]


@settings(max_examples=80, deadline=None)
@given(pairs=data_sets(17, 1))
def test_every_number_is_that_of_pycocotools(pairs: list[Pair]) -> None:
    assert differences(reduced(TASK, pairs), expected(oracle(TASK, pairs), POSE_STATS)) == {}


@settings(max_examples=80, deadline=None)
@given(pairs=data_sets(3, 2), data=st.data())
def test_other_keypoints_classes_and_weights(pairs: list[Pair], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    found = reduced(SMALL, pairs, np.array([[1.0] * len(pairs), weights]))
    run = oracle(SMALL, pairs)
    assert differences(found, expected(run, POSE_STATS)) == {}
    for label, name in enumerate(("cat", "class:large")):
        wanted = class_ap(run, label)
        assert (f"ap[{name}]" in found) == (not np.isnan(wanted))
        if not np.isnan(wanted):
            assert found[f"ap[{name}]"][0] == wanted
            assert found[f"ap50[{name}]"][0] == class_ap(run, label, 0)
    copies = repeated(pairs, weights)
    if copies:
        assert differences(found, expected(oracle(SMALL, copies), POSE_STATS), row=1) == {}


@pytest.mark.parametrize("seed", range(3))
def test_only_the_best_twenty_people_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [scene(rng, 17, 1, 6, 40, plain=True) for _ in range(3)]
    run = oracle(TASK, pairs)
    assert max(len(one["dtIds"]) for one in run.evalImgs if one) == 20
    assert 0 < run.stats[0] < 1
    assert differences(reduced(TASK, pairs), expected(run, POSE_STATS)) == {}


@settings(max_examples=30, deadline=None)
@given(pairs=data_sets(3, 2), data=st.data())
def test_with_image_ids_the_order_of_samples_changes_no_bit(pairs: list[Pair], data: st.DataObject) -> None:
    ids = data.draw(st.permutations(range(1, len(pairs) + 1)))
    order = data.draw(st.permutations(range(len(pairs))))
    pairs = [
        (prediction, {**target, "image_id": np.int64(one)})
        for (prediction, target), one in zip(pairs, ids, strict=True)
    ]
    first, second = reduced(SMALL, pairs), reduced(SMALL, [pairs[index] for index in order])
    assert set(first) == set(second)
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)
    assert differences(first, expected(oracle(SMALL, pairs, list(ids)), POSE_STATS)) == {}


@settings(max_examples=30, deadline=None)
@given(pairs=data_sets(3, 2), seed=st.integers(0, 2**16))
def test_many_weightings_equal_one_by_one_bit_for_bit(pairs: list[Pair], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(pairs))).astype(np.float64)
    together = reduced(SMALL, pairs, weights)
    for row in range(len(weights)):
        alone = reduced(SMALL, pairs, weights[row : row + 1])
        assert set(alone) == set(together)
        for name in alone:
            assert np.array_equal(alone[name], together[name][row : row + 1], equal_nan=True), name


def test_the_default_sigmas_are_those_of_pycocotools() -> None:
    assert tuple(Params("keypoints").kpt_oks_sigmas.tolist()) == COCO_SIGMAS


@pytest.mark.real
@pytest.mark.parametrize("seed", [0, 1])
def test_real_people_with_perturbed_keypoints(real_data: Path, seed: int) -> None:
    document = json.loads((real_data / "coco-mini/annotations/person_keypoints_train2017.json").read_text())
    assert tuple(document["categories"][0]["keypoints"]) == TASK.keypoints
    rng = np.random.default_rng(seed)
    pairs = []
    for image in sorted(one["id"] for one in document["images"]):
        labelled = [one for one in document["annotations"] if one["image_id"] == image]
        sides = np.array([one["bbox"] for one in labelled], dtype=np.float64).reshape(-1, 4)
        true = np.array([one["keypoints"] for one in labelled], dtype=np.float64).reshape(-1, 17, 3)
        source = np.repeat(np.arange(len(labelled)), 3)
        spread = sides[source, 2:].max(axis=1, initial=0)[:, None, None] * rng.exponential(0.04, (len(source), 1, 1))
        guess = true[source] + rng.normal(0, 1, (len(source), 17, 3)) * spread
        target = {
            "keypoints": true,
            "boxes": np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1),
            "area": np.array([one["area"] for one in labelled], dtype=np.float64),
            "iscrowd": np.array([one["iscrowd"] for one in labelled], dtype=np.int64),
            "num_keypoints": np.array([one["num_keypoints"] for one in labelled], dtype=np.int64),
            "image_id": image,
        }
        pairs.append(({"keypoints": guess, "scores": rng.random(len(source)).round(2)}, target))
    weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), 2).astype(np.float64)
    found = reduced(TASK, pairs, np.concatenate([np.ones((1, len(pairs))), weights]))
    run = oracle(TASK, pairs)
    assert 0.02 < run.stats[0] < 0.98
    assert differences(found, expected(run, POSE_STATS)) == {}
    for row in (0, 1):
        again = oracle(TASK, repeated(pairs, weights[row]))
        assert differences(found, expected(again, POSE_STATS), row + 1) == {}
