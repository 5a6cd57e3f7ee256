"""Random detections and ground truth on a coarse grid: overlaps, scores and areas tie, and fall on thresholds."""

from __future__ import annotations

import numpy as np
from coco_oracle import Pair
from hypothesis import strategies as st

COUNT = 3
CLASSES = ("car", "dog", "small")
SIDES = st.sampled_from([0, 4, 8, 16, 31, 32, 33, 64, 96, 97])
SCORES = st.sampled_from([0.1, 0.3, 0.5, 0.5000000001, 0.7, 0.9])


@st.composite
def boxes(draw: st.DrawFn, count: int) -> np.ndarray:
    """(count, 4), among them copies of one another."""
    rows: list[list[float]] = []
    for _ in range(count):
        if rows and draw(st.booleans()):
            left, top, right, bottom = draw(st.sampled_from(rows))
            rows.append([left, top, right, bottom + draw(st.sampled_from([0, 4, 16]))])
            continue
        left, top = (draw(st.sampled_from([0, 4, 10.5])) for _ in range(2))
        rows.append([left, top, left + draw(SIDES), top + draw(SIDES)])
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


@st.composite
def images(draw: st.DrawFn, scores: st.SearchStrategy[float] = SCORES, numbered: bool = False) -> list[Pair]:
    """Up to four images; empty ones, ones without detections, classes without ground truth, crowds."""
    labels = st.sampled_from(sorted(draw(st.sets(st.integers(0, COUNT - 1), min_size=1))))
    pairs = []
    count = draw(st.integers(1, 4))
    numbers = draw(st.permutations(range(1, count + 1)))
    for index in range(count):
        objects, found = draw(st.integers(0, 4)), draw(st.integers(0, 6))
        target = {
            "boxes": draw(boxes(objects)),
            "labels": np.array(draw(st.lists(labels, min_size=objects, max_size=objects)), dtype=np.int64),
        }
        flag = st.lists(st.sampled_from([0, 0, 1]), min_size=objects, max_size=objects)
        if draw(st.booleans()):
            target["iscrowd"] = np.array(draw(flag), dtype=np.int64)
        if draw(st.booleans()):
            areas = st.sampled_from([0.0, 1023.5, 1024.0, 1024.5, 9216.0, 9217.0])
            target["area"] = np.array(draw(st.lists(areas, min_size=objects, max_size=objects)), dtype=np.float64)
        if draw(st.booleans()):
            target["difficult"] = np.array(draw(flag), dtype=np.int64)
        if numbered:
            target["image_id"] = numbers[index]
        guesses = draw(boxes(found))
        copied = draw(st.lists(st.integers(0, objects - 1), max_size=found)) if objects else []
        for place, source in enumerate(copied):
            guesses[place] = target["boxes"][source]
            guesses[place, 2] += draw(st.sampled_from([0, 0, 1, 8]))
        any_label = st.integers(0, COUNT - 1)
        guessed = draw(st.lists(st.one_of(labels, any_label), min_size=found, max_size=found))
        prediction = {
            "boxes": guesses,
            "labels": np.array(guessed, dtype=np.int64),
            "scores": np.array(draw(st.lists(scores, min_size=found, max_size=found)), dtype=np.float64),
        }
        pairs.append((prediction, target))
    return pairs


def crowded(seed: int, count: int = 3, found: int = 150) -> list[Pair]:
    """Images with more detections than count, many of one score, beside few objects."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        objects = int(rng.integers(1, 12))
        corner = rng.integers(0, 60, (objects, 2)).astype(np.float64)
        true = np.concatenate([corner, corner + rng.integers(5, 120, (objects, 2))], axis=1)
        source = rng.integers(0, objects, found)
        guess = true[source] + rng.normal(0, 5, (found, 4)).round()
        guess[:, 2:] = np.maximum(guess[:, :2], guess[:, 2:])
        labels = rng.integers(0, 2, objects)
        pairs.append(
            (
                {
                    "boxes": guess,
                    "labels": np.where(rng.random(found) < 0.9, 0, labels[source]),
                    "scores": rng.integers(1, 20, found) / 20,
                },
                {"boxes": true, "labels": labels, "iscrowd": rng.integers(0, 5, objects) == 0},
            )
        )
    return pairs
