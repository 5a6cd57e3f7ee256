"""COCO's detection metrics against pycocotools: the same floats, on plain, repeated and reordered images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from box_images import CLASSES, COUNT, SCORES, crowded, images
from coco_oracle import BOX_STATS, Pair, class_ap, differences, evaluator, expected, repeated
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.tasks import average_precision as module
from pytest_lossy.tasks.detection import DetectionOptions, DetectionTask

TASK = DetectionTask(CLASSES)
SLICES = ("car", "dog", "class:small")


def reduced(pairs: list[Pair], weights: np.ndarray | None = None, task: DetectionTask = TASK) -> dict[str, np.ndarray]:
    evidence = []
    for prediction, target in pairs:
        assert task.check(prediction, target) is None
        evidence.append(task.evidence(prediction, target))
    return task.reduce(evidence, np.ones((1, len(pairs))) if weights is None else weights)


@settings(max_examples=120, deadline=None)
@given(pairs=images())
def test_every_number_is_that_of_pycocotools(pairs: list[Pair]) -> None:
    found, run = reduced(pairs), evaluator(pairs, COUNT)
    assert differences(found, expected(run, BOX_STATS)) == {}
    for label, name in enumerate(SLICES):
        for metric, overlap in (("ap", None), ("ap50", 0)):
            wanted = class_ap(run, label, overlap)
            assert (f"{metric}[{name}]" in found) == (not np.isnan(wanted))
            if not np.isnan(wanted):
                assert found[f"{metric}[{name}]"][0] == wanted


@pytest.mark.parametrize("seed", range(4))
def test_only_the_best_hundred_detections_of_a_class_count(seed: int) -> None:
    pairs = crowded(seed)
    run = evaluator(pairs, COUNT)
    assert max(len(one["dtIds"]) for one in run.evalImgs if one) == 100
    assert differences(reduced(pairs), expected(run, BOX_STATS)) == {}
    # What the score threshold lets through beyond the hundred counts for precision and recall alone.
    generous = DetectionTask(CLASSES, DetectionOptions(score_threshold=0.0))
    assert differences(reduced(pairs, task=generous), expected(run, BOX_STATS)) == {}
    weights = np.random.default_rng(seed).integers(0, 3, (1, len(pairs))).astype(np.float64)
    again = evaluator(repeated(pairs, weights[0]), COUNT)
    assert differences(reduced(pairs, weights), expected(again, BOX_STATS)) == {}


@settings(max_examples=120, deadline=None)
@given(pairs=images(), data=st.data())
def test_whole_weights_are_the_same_as_repeated_images(pairs: list[Pair], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    found = reduced(pairs, np.array([weights], dtype=np.float64))
    copies = repeated(pairs, weights)
    if not copies:
        assert all(np.isnan(found[name][0]) for name in BOX_STATS)
        return
    run = evaluator(copies, COUNT)
    assert differences(found, expected(run, BOX_STATS)) == {}
    for label, name in enumerate(SLICES):
        if f"ap[{name}]" in found:
            assert differences(found, {f"ap[{name}]": class_ap(run, label)}) == {}


def test_of_equal_overlaps_the_last_object_is_taken() -> None:
    left, right = [0.0, 0, 10, 10], [4.0, 0, 14, 10]
    prediction = {
        "boxes": np.array([[2.0, 0, 12, 10], right]),
        "labels": np.zeros(2, int),
        "scores": np.array([0.9, 0.8]),
    }
    for objects, recall in (([left, right], 0.5), ([right, left], 1)):
        pairs = [(prediction, {"boxes": np.array(objects), "labels": np.zeros(2, int)})]
        found = reduced(pairs)
        assert found["recall"][0] == recall
        assert differences(found, expected(evaluator(pairs, COUNT), BOX_STATS)) == {}


def test_copies_of_an_image_interleave_its_ties() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    miss = np.array([[50.0, 50, 60, 60]])
    prediction = {"boxes": np.concatenate([miss, box]), "labels": np.zeros(2, int), "scores": np.full(2, 0.5)}
    pairs = [(prediction, {"boxes": box, "labels": np.zeros(1, int)})]
    found = reduced(pairs, np.array([[1.0], [2.0], [3.0]]))
    for row in range(3):
        run = evaluator(repeated(pairs, [row + 1]), COUNT)
        assert differences(found, expected(run, BOX_STATS), row) == {}
    # hit, miss, hit, miss: precision 1 up to half of the recall and then 2/3; 2 hits, 2 misses would be 1 throughout.
    prediction = {**prediction, "boxes": np.concatenate([box, miss])}
    pairs = [(prediction, pairs[0][1])]
    assert reduced(pairs, np.array([[2.0]]))["ap50"][0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


@settings(max_examples=40, deadline=None)
@given(pairs=images(), seed=st.integers(0, 2**16))
def test_many_weightings_equal_one_by_one_bit_for_bit(pairs: list[Pair], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 5, (6, len(pairs))).astype(np.float64)
    together = reduced(pairs, weights)
    for row in range(len(weights)):
        alone = reduced(pairs, weights[row : row + 1])
        assert set(alone) == set(together)
        for name in alone:
            assert np.array_equal(alone[name], together[name][row : row + 1], equal_nan=True), name


def test_recalls_fall_between_the_same_steps_as_in_pycocotools() -> None:
    recall = np.unique([hits / objects for objects in range(1, 202) for hits in range(objects + 1)])
    beside = np.concatenate([recall, np.nextafter(recall, 0), np.nextafter(recall, 1)])
    steps = np.linspace(0.0, 1.0, 101)
    assert np.array_equal(module._recalls_reached(beside), np.searchsorted(steps, beside, side="right"))


def test_memory_bounds_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = crowded(7, count=5, found=30)
    weights = np.random.default_rng(0).integers(0, 4, (40, 5)).astype(np.float64)
    whole = reduced(pairs, weights)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 50_000)
    monkeypatch.setattr("pytest_lossy.tasks.voc._CHUNK_VALUES", 100)
    parts = reduced(pairs, weights)
    assert all(np.array_equal(whole[name], parts[name], equal_nan=True) for name in whole)


@settings(max_examples=60, deadline=None)
@given(pairs=images(numbered=True), data=st.data())
def test_with_image_ids_the_order_of_samples_changes_no_bit(pairs: list[Pair], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(pairs))))
    weights = np.random.default_rng(len(pairs)).integers(0, 3, (3, len(pairs))).astype(np.float64)
    weights[0] = 1
    first, second = reduced(pairs, weights), reduced([pairs[index] for index in order], weights[:, order])
    assert set(first) == set(second)
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)
    run = evaluator(pairs, COUNT, image_ids=[target["image_id"] for _, target in pairs])
    assert differences(first, expected(run, BOX_STATS)) == {}


def test_without_image_ids_ties_merge_in_the_order_of_the_data() -> None:
    box, elsewhere = np.array([[0.0, 0, 10, 10]]), np.array([[50.0, 50, 60, 60]])
    label, score = np.zeros(1, int), np.full(1, 0.5)
    target = {"boxes": box, "labels": label}
    hit = ({"boxes": box, "labels": label, "scores": score}, target)
    miss = ({"boxes": elsewhere, "labels": label, "scores": score}, target)
    assert reduced([hit, miss])["ap50"][0] == pytest.approx(51 / 101)
    assert reduced([miss, hit])["ap50"][0] == pytest.approx(51 / 101 / 2)
    numbered = [(hit[0], {**target, "image_id": 2}), (miss[0], {**target, "image_id": 1})]
    assert reduced(numbered)["ap50"][0] == pytest.approx(51 / 101 / 2)


@settings(max_examples=25, deadline=None)
@given(pairs=images(st.floats(0, 1, width=32)), scale=st.sampled_from([2.0**-6, 0.5, 2.0, 1024.0]))
def test_a_common_factor_of_all_weights_changes_nothing(pairs: list[Pair], scale: float) -> None:
    used: set[float] = set()
    for prediction, _ in pairs:
        # Ties interleave by whole copies: without ties alone is AP a function of the weights' ratios.
        fresh = prediction["scores"] + np.arange(len(prediction["scores"])) * 1e-9
        prediction["scores"] = fresh
        used |= set(fresh.tolist())
    if len(used) < sum(len(prediction["scores"]) for prediction, _ in pairs):
        return
    one, other = reduced(pairs), reduced(pairs, np.full((1, len(pairs)), scale))
    for name, values in one.items():
        assert other[name][0] == pytest.approx(values[0], abs=1e-12, nan_ok=True), name


def test_no_detections_at_all_are_an_ap_of_0() -> None:
    nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    target = {"boxes": np.array([[0.0, 0, 10, 10]]), "labels": np.array([1])}
    found = reduced([(nothing, target)])
    for name in ("ap", "ap50", "ap75", "ap[small]", "ar100", "voc_ap50", "voc07_ap50", "recall", "f1", "ap[dog]"):
        assert found[name][0] == 0, name
    assert np.isnan(found["ap[large]"][0])
    assert np.isnan(found["precision"][0])
    assert found["fp_per_image"][0] == 0


def test_without_ground_truth_nothing_is_defined_but_false_positives() -> None:
    prediction = {"boxes": np.array([[0.0, 0, 9, 9]]), "labels": np.array([1]), "scores": np.array([0.9])}
    target = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}
    found = reduced([(prediction, target)])
    assert set(found) >= {metric.name for metric in TASK.metrics}
    assert not [name for name in found if name.startswith("ap[") and name[3:-1] in SLICES]
    defined = {name for name, values in found.items() if not np.isnan(values[0])}
    assert defined == {"precision", "f1", "fp_per_image"}
    assert found["fp_per_image"][0] == 1


def test_a_class_without_ground_truth_in_a_replicate_leaves_that_replicate() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    car = ({"boxes": box, "labels": np.array([0]), "scores": np.array([0.9])}, {"boxes": box, "labels": np.array([0])})
    dog = ({"boxes": box, "labels": np.array([0]), "scores": np.array([0.8])}, {"boxes": box, "labels": np.array([1])})
    found = reduced([car, dog], np.array([[1.0, 1], [1, 0], [0, 1], [0, 0]]))
    assert found["ap50"][:3] == pytest.approx([0.5, 1.0, 0.0])
    assert np.isnan(found["ap50"][3])
    assert np.isnan(found["ap50[dog]"][1])
    assert found["ap50[car]"][1] == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(pairs=images(SCORES))
def test_detections_of_float32_are_scored_as_their_values(pairs: list[Pair]) -> None:
    narrow = [
        (
            {
                **prediction,
                "boxes": prediction["boxes"].astype(np.float32),
                "scores": prediction["scores"].astype("f4"),
            },
            target,
        )
        for prediction, target in pairs
    ]
    assert differences(reduced(narrow), expected(evaluator(narrow, COUNT), BOX_STATS)) == {}


@pytest.mark.real
@pytest.mark.parametrize("seed", [0, 1])
def test_real_annotations_with_perturbed_boxes(real_data: Path, seed: int) -> None:
    document = json.loads((real_data / "coco-mini/annotations/instances_train2017.json").read_text())
    categories = sorted(category["id"] for category in document["categories"])
    rng = np.random.default_rng(seed)
    pairs = []
    for image in sorted(one["id"] for one in document["images"]):
        labelled = [one for one in document["annotations"] if one["image_id"] == image]
        sides = np.array([one["bbox"] for one in labelled], dtype=np.float64).reshape(-1, 4)
        true = np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)
        labels = np.array([categories.index(one["category_id"]) for one in labelled], dtype=np.int64)
        source = rng.integers(0, max(1, len(labelled)), 4 * len(labelled))
        noise = rng.normal(0, 0.1, (len(source), 4)) * np.tile(sides[source, 2:], 2)
        boxes = true[source] + noise
        boxes[:, 2:] = np.maximum(boxes[:, :2], boxes[:, 2:])
        wrong = rng.random(len(source)) < 0.2
        prediction = {
            "boxes": boxes,
            "labels": np.where(wrong, rng.integers(0, len(categories), len(source)), labels[source]),
            "scores": rng.beta(2, 2, len(source)).round(2),
        }
        target = {
            "boxes": true,
            "labels": labels,
            "iscrowd": np.array([one["iscrowd"] for one in labelled], dtype=np.int64),
            "area": np.array([one["area"] for one in labelled], dtype=np.float64),
            "image_id": image,
        }
        pairs.append((prediction, target))
    task = DetectionTask(tuple(f"class{index}" for index in categories))
    weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), 2).astype(np.float64)
    found = reduced(pairs, np.concatenate([np.ones((1, len(pairs))), weights]), task)
    run = evaluator(pairs, len(categories))
    assert 0.02 < run.stats[0] < 0.98
    assert differences(found, expected(run, BOX_STATS)) == {}
    for row in (0, 1):
        again = evaluator(repeated(pairs, weights[row]), len(categories))
        assert differences(found, expected(again, BOX_STATS), row + 1) == {}
