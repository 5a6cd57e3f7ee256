"""Flicker: what is there before and after, and not in between."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.tasks.flicker import flicker_of_boxes, flicker_of_labels, flicker_of_people
from pytest_lossy.tasks.keypoints import COCO_SIGMAS

Frame = dict[str, Any]


def frame(*rows: tuple[float, float, float, float, int, float]) -> Frame:
    """Rows of x1, y1, x2, y2, label, score."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return {"boxes": table[:, :4], "labels": table[:, 4].astype(np.int64), "scores": table[:, 5]}


# Oracles: one object after another, in plain Python


def iou(one: list[Fraction], other: list[Fraction]) -> Fraction:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return Fraction(0)
    sizes = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (sizes - width * height)


def take_best(likeness: Callable[[int], float | Fraction], free: list[int], least: float) -> int | None:
    """The free candidate that is most alike; the first of equals."""
    best = None
    for candidate in free:
        value = likeness(candidate)
        if value >= least and (best is None or value > likeness(best)):
            best = candidate
    return best


def slow_flicker(
    frames: list[list[Any]], alike: Callable[[Any, Any], Any], middle: Any, least: float
) -> tuple[int, int]:
    """Frames are lists of (label, thing), by falling score."""
    past, present, future = frames
    free = list(range(len(future)))
    objects = []
    for label, thing in past:
        same = [index for index in free if future[index][0] == label]
        best = take_best(lambda index, thing=thing: alike(thing, future[index][1]), same, least)
        if best is not None:
            free.remove(best)
            objects.append((label, middle(thing, future[best][1])))
    free = list(range(len(present)))
    kept = 0
    for label, thing in objects:
        same = [index for index in free if present[index][0] == label]
        best = take_best(lambda index, thing=thing: alike(thing, present[index][1]), same, least)
        if best is not None:
            free.remove(best)
            kept += 1
    return kept, len(objects) - kept


def listed(prediction: Frame, threshold: float, thing: Callable[[int], Any]) -> list[Any]:
    scores = [float(score) for score in prediction["scores"]]
    order = sorted(
        (index for index, score in enumerate(scores) if score >= threshold), key=lambda index: -scores[index]
    )
    return [(int(prediction["labels"][index]), thing(index)) for index in order]


def slow_boxes(frames: list[Frame], threshold: float, least: float) -> tuple[int, int]:
    lists = [
        listed(one, threshold, lambda index, one=one: [Fraction(float(side)) for side in one["boxes"][index]])
        for one in frames
    ]
    return slow_flicker(lists, iou, lambda a, b: [(x + y) / 2 for x, y in zip(a, b, strict=True)], least)


# Boxes


def crowd(seed: int, count: int) -> list[Frame]:
    """Three frames of objects close together that stay, move, change their score or class, come and go; doubles, empty
    boxes. Sides are on a grid of half pixels, where overlaps and halfway places are exact, and reach thresholds."""
    random = np.random.default_rng(seed)
    places = random.integers(0, 20, (count, 2)) / 2
    sizes = random.choice([0, 4, 8, 16, 16], (count, 2))
    steps = random.choice([0, 0, 1, 2, 3, 5], (count, 2))
    labels, scores = random.integers(0, 2, count), random.choice([0.2, 0.5, 0.50001, 0.7, 0.9], count)
    frames = []
    for time in range(3):
        rows = random.permutation(np.repeat(np.arange(count), random.choice([0, 1, 1, 1, 2], count)))
        corners = places[rows] + time * steps[rows] + random.choice([0, 0, 0, 1], (len(rows), 2))
        frames.append(
            {
                "boxes": np.concatenate([corners, corners + sizes[rows]], axis=1),
                "labels": np.where(random.random(len(rows)) < 0.1, 1, labels[rows]),
                "scores": np.where(random.random(len(rows)) < 0.2, random.choice([0.2, 0.8]), scores[rows]),
            }
        )
    return frames


CLIPS = st.builds(crowd, st.integers(0, 10**6), st.integers(0, 14))


@settings(max_examples=300, deadline=None)
@given(frames=CLIPS, threshold=st.sampled_from([0.0, 0.5, 0.95]), least=st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_boxes_equal_the_slow_way(frames: list[Frame], threshold: float, least: float) -> None:
    counts = flicker_of_boxes(*frames, score_threshold=threshold, iou=least)
    assert counts == slow_boxes(frames, threshold, least)
    assert all(type(count) is int for count in counts)


@settings(max_examples=50, deadline=None)
@given(frames=CLIPS)
def test_lists_and_tensors_and_order_of_what_does_not_tie(frames: list[Frame]) -> None:
    counts = flicker_of_boxes(*frames, score_threshold=0.5)
    tensors = [{name: torch.as_tensor(value) for name, value in one.items()} for one in frames]
    assert flicker_of_boxes(*tensors, score_threshold=0.5) == counts
    distinct = [{**one, "scores": one["scores"] + 1e-6 * np.arange(len(one["scores"]))} for one in frames]
    turned = [{name: value[::-1] for name, value in one.items()} for one in distinct]
    assert flicker_of_boxes(*turned, score_threshold=0.5) == flicker_of_boxes(*distinct, score_threshold=0.5)


CAR = (10.0, 10.0, 50.0, 30.0, 0, 0.9)


@pytest.mark.parametrize(
    ("now", "counts"),
    [
        ([CAR], (1, 0)),
        ([], (0, 1)),
        ([(*CAR[:5], 0.49)], (0, 1)),
        ([(*CAR[:4], 1, 0.9)], (0, 1)),
        ([(200.0, 10.0, 240.0, 30.0, 0, 0.9)], (0, 1)),
        ([CAR, CAR], (1, 0)),
    ],
    ids=["seen", "nothing", "score collapsed", "other class", "elsewhere", "twice"],
)
def test_what_counts_as_missing(now: list[Any], counts: tuple[int, int]) -> None:
    assert flicker_of_boxes(frame(CAR), frame(*now), frame(CAR), score_threshold=0.5) == counts


def test_two_objects_are_not_one_box() -> None:
    assert flicker_of_boxes(frame(CAR, CAR), frame(CAR), frame(CAR, CAR), score_threshold=0.5) == (1, 1)
    assert flicker_of_boxes(frame(CAR, CAR), frame(CAR, CAR), frame(CAR), score_threshold=0.5) == (1, 0)


def test_objects_are_looked_for_halfway() -> None:
    def at(x: float) -> Frame:
        return frame((x, 0.0, x + 20.0, 20.0, 0, 0.9))

    # 6 of 20 pixels in two frames: IoU 14 / 26 = 0.54; then 3 or 9 away from halfway: 17 / 23 = 0.74, 11 / 29 = 0.38.
    assert flicker_of_boxes(at(0), at(3), at(6), score_threshold=0.5) == (1, 0)
    assert flicker_of_boxes(at(0), at(6), at(6), score_threshold=0.5, iou=0.53) == (1, 0)
    assert flicker_of_boxes(at(0), at(12), at(6), score_threshold=0.5) == (0, 1)
    assert flicker_of_boxes(at(0), at(8), at(6), score_threshold=0.5) == (1, 0), "15 / 25 there, 12 / 28 from the first"
    assert flicker_of_boxes(at(0), at(4), at(8), score_threshold=0.5) == (0, 0), "moves too far to be recognised"


def test_the_surest_object_chooses_first() -> None:
    def at(*things: tuple[float, float]) -> Frame:
        return frame(*[(x, 0.0, x + 20.0, 20.0, 0, score) for x, score in things])

    # Both reach only the one at 3 (IoU 17 / 23, 16 / 24); the one that loses it is no object that lasts.
    surest, other = (0.0, 0.9), (7.0, 0.6)
    now = at((0.0, 0.9))  # 1.5 from halfway of the one, 5 from halfway of the other: IoU 18.5 / 21.5, 15 / 25
    for before in (at(surest, other), at(other, surest)):
        assert flicker_of_boxes(before, now, at((3.0, 0.9)), score_threshold=0.5, iou=0.66) == (1, 0)
    unsure, sure = (0.0, 0.6), (7.0, 0.9)
    for before in (at(unsure, sure), at(sure, unsure)):
        assert flicker_of_boxes(before, now, at((3.0, 0.9)), score_threshold=0.5, iou=0.66) == (0, 1)


def test_the_largest_overlap_is_the_same_object() -> None:
    def at(*things: tuple[float, float]) -> Frame:
        return frame(*[(x, 0.0, x + 20.0, 20.0, 0, score) for x, score in things])

    # Halfway is 10 with the right partner and 12 with the other: IoU 15 / 25 and 13 / 27.
    assert flicker_of_boxes(at((10.0, 0.9)), at((5.0, 0.9)), at((14.0, 0.9), (10.0, 0.6)), score_threshold=0.5) == (
        1,
        0,
    )


def test_what_comes_or_goes_is_no_flicker() -> None:
    nothing = frame()
    for before, now, after in (
        (nothing, nothing, nothing),
        (frame(CAR), nothing, nothing),
        (nothing, frame(CAR), nothing),
    ):
        assert flicker_of_boxes(before, now, after, score_threshold=0.5) == (0, 0)


# People


def people(seed: int, count: int, k: int) -> Frame:
    random = np.random.default_rng(seed)
    centres = random.uniform(0, 300, (count, 1, 2))
    points = centres + random.normal(0, 25, (count, k, 2))
    seen = random.choice([0.0, 0.2, 0.9], (count, k, 1), p=[0.2, 0.2, 0.6])
    return {
        "keypoints": np.concatenate([points, seen], axis=2),
        "labels": random.integers(0, 2, count),
        "scores": random.uniform(0, 1, count).round(1),
    }


def next_frame(past: Frame, seed: int, strength: float) -> Frame:
    """The same people, moved, in another order, some of them gone or doubled."""
    random = np.random.default_rng(seed)
    count = len(past["scores"])
    rows = random.integers(0, count, count + 1) if count else np.zeros(0, dtype=np.int64)
    points = past["keypoints"][rows].copy()
    points[:, :, :2] += random.normal(0, strength, (len(rows), 1, 2)) + random.normal(
        0, strength / 4, (*points.shape[:2], 2)
    )
    points[:, :, 2] = np.where(random.random(points.shape[:2]) < 0.2, 0.0, points[:, :, 2])
    if count:
        points[-1] = points[0]
    scores = np.where(random.random(len(rows)) < 0.3, 0.1, past["scores"][rows])
    return {"keypoints": points, "labels": past["labels"][rows], "scores": scores}


def slow_people(
    frames: list[Frame], threshold: float, sigmas: list[float], least: float, seen: float
) -> tuple[int, int]:
    def box_of(one: Frame, index: int) -> list[float]:
        if "boxes" in one:
            return [float(side) for side in one["boxes"][index]]
        xs, ys = one["keypoints"][index][:, 0], one["keypoints"][index][:, 1]
        return [float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())]

    def person(one: Frame, index: int) -> dict[str, Any]:
        points = one["keypoints"][index].tolist()
        return {
            "points": [(x, y) for x, y, _ in points],
            "seen": [c > seen for *_, c in points],
            "box": box_of(one, index),
        }

    def oks(known: dict[str, Any], found: dict[str, Any]) -> float:
        left, top, right, bottom = known["box"]
        width, height = right - left, bottom - top
        values = []
        for (x, y), (u, v), counts, sigma in zip(known["points"], found["points"], known["seen"], sigmas, strict=True):
            distance = math.hypot(x - u, y - v)
            if not any(known["seen"]):
                beside = max(left - width - u, 0, u - right - width)
                distance = math.hypot(beside, max(top - height - v, 0, v - bottom - height))
            elif not counts:
                continue
            values.append(math.exp(-(distance**2) / (2 * width * height * (2 * sigma) ** 2)))
        return sum(values) / len(values)

    def middle(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        return {
            "points": [
                ((x + u) / 2, (y + v) / 2) for (x, y), (u, v) in zip(one["points"], other["points"], strict=True)
            ],
            "seen": [a and b for a, b in zip(one["seen"], other["seen"], strict=True)],
            "box": [(a + b) / 2 for a, b in zip(one["box"], other["box"], strict=True)],
        }

    def usable(rows: list[Any]) -> list[Any]:
        return [(a, b) for a, b in rows if b["box"][2] > b["box"][0] and b["box"][3] > b["box"][1]]

    lists = [usable(listed(one, threshold, lambda index, one=one: person(one, index))) for one in frames]
    return slow_flicker(lists, oks, middle, least)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 5),
    k=st.sampled_from([1, 2, 5, 17]),
    strength=st.sampled_from([0.0, 4.0, 12.0, 40.0]),
    threshold=st.sampled_from([0.0, 0.4]),
    least=st.sampled_from([0.3, 0.5, 0.8]),
    with_boxes=st.booleans(),
)
def test_people_equal_the_slow_way(
    seed: int, count: int, k: int, strength: float, threshold: float, least: float, with_boxes: bool
) -> None:
    frames = [people(seed, count, k)]
    for index in (1, 2):
        frames.append(next_frame(frames[0], seed + index, strength))
    if with_boxes:
        for one in frames:
            points = one["keypoints"][:, :, :2]
            one["boxes"] = np.concatenate([points.min(axis=1) - 20, points.max(axis=1) + 10], axis=1)
    sigmas = list(COCO_SIGMAS) if k == 17 else [0.05 + 0.02 * index for index in range(k)]
    counts = flicker_of_people(
        *frames, score_threshold=threshold, sigmas=np.array(sigmas), oks=least, keypoint_score=0.1
    )
    assert counts == slow_people(frames, threshold, sigmas, least, 0.1)


def walker(x: float, score: float = 0.9) -> Frame:
    """One person, 60 pixels wide and 160 high."""
    random = np.random.default_rng(3)
    points = random.uniform(0, 1, (1, 17, 2)) * np.array([60, 160]) + np.array([x, 50])
    return {"keypoints": np.concatenate([points, np.ones((1, 17, 1))], axis=2), "scores": np.array([score])}


def test_people_who_walk_and_vanish() -> None:
    sigmas = np.array(COCO_SIGMAS)

    def flicker(*frames: Frame) -> tuple[int, int]:
        return flicker_of_people(*frames, score_threshold=0.5, sigmas=sigmas)

    nobody = {"keypoints": np.zeros((0, 17, 3)), "scores": np.zeros(0)}
    assert flicker(walker(0), walker(4), walker(8)) == (1, 0)
    assert flicker(walker(0), walker(4, 0.4), walker(8)) == (0, 1)
    assert flicker(walker(0), nobody, walker(8)) == (0, 1)
    assert flicker(walker(0), walker(90), walker(8)) == (0, 1)
    assert flicker(nobody, walker(4), walker(8)) == (0, 0)
    assert flicker(nobody, nobody, nobody) == (0, 0)
    stray = walker(4)
    stray["keypoints"][0, 16, :2] = 2000, 2000
    assert flicker(walker(0), stray, walker(8)) == (1, 0), "a stray keypoint is no missing person"
    tensors = [{name: torch.as_tensor(value) for name, value in walker(x).items()} for x in (0, 4, 8)]
    assert flicker(*tensors) == (1, 0)


# Label maps

LABELS = st.sampled_from([0, 1, 18, 254, 255])


@given(
    shape=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    data=st.data(),
    dtypes=st.tuples(*[st.sampled_from([np.uint8, np.int32, np.int64])] * 3),
)
def test_label_maps_equal_the_slow_way(shape: tuple[int, int], data: st.DataObject, dtypes: tuple[Any, ...]) -> None:
    size = shape[0] * shape[1]
    rows = [data.draw(st.lists(LABELS, min_size=size, max_size=size)) for _ in range(3)]
    kept = lost = 0
    for before, now, after in zip(*rows, strict=True):
        if before == after and before != 255:
            kept, lost = (kept + 1, lost) if now == before else (kept, lost + 1)
    maps = [np.array(row, dtype).reshape(shape) for row, dtype in zip(rows, dtypes, strict=True)]
    copies = [one.copy() for one in maps]
    counts = flicker_of_labels(*maps)
    assert counts == (kept, lost)
    assert all(type(count) is int for count in counts)
    for one, copy in zip(maps, copies, strict=True):
        assert np.array_equal(one, copy), "the maps are left as they are"
