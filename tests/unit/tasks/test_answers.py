"""The histogram of what a model answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.tasks.answers import answer_bins, count_answers
from pytest_lossy.tasks.registry import build_task


def counted(name: str, prediction: Any, classes: tuple[str, ...] = ("road", "car", "sky")) -> dict[str, int]:
    """Bins that hold something."""
    task = build_task(name, classes)
    counts = count_answers(task, task.as_target(prediction))
    assert counts.dtype == np.int64
    assert counts.shape == (len(answer_bins(task)),)
    return {name: count for name, count in zip(answer_bins(task), counts.tolist(), strict=True) if count}


def test_pixels_per_class() -> None:
    labels = np.array([[0, 0, 255], [2, 0, 255]], np.uint8)
    assert counted("segmentation", labels) == {"road": 3, "sky": 1, "none": 2}
    assert counted("segmentation", labels.astype(np.int64)) == {"road": 3, "sky": 1, "none": 2}
    assert counted("segmentation", np.zeros((0, 4), np.uint8)) == {}


@given(
    labels=st.lists(st.sampled_from([*range(300)]), max_size=60),
    count=st.sampled_from([1, 3, 254, 255, 256, 300]),
)
def test_pixels_per_class_one_by_one(labels: list[int], count: int) -> None:
    classes = tuple(f"c{label}" for label in range(count))
    expected: dict[str, int] = {}
    for label in labels:
        name = f"c{label}" if label < count and label != 255 else "none"
        expected[name] = expected.get(name, 0) + 1
    assert counted("segmentation", np.array(labels, np.int32).reshape(1, -1), classes) == expected


def boxes(*labels: int, score: float = 0.9, array: Any = np.array) -> dict[str, Any]:
    corners = [[0.0, 0.0, 5.0, 5.0]] * len(labels)
    return {
        "boxes": array(corners).reshape(-1, 4),
        "labels": array(labels).reshape(-1).astype(np.int64) if array is np.array else array(labels),
        "scores": array([score] * len(labels)),
    }


def test_boxes_per_class() -> None:
    assert counted("detection", boxes(1, 1, 2)) == {"car": 2, "sky": 1}
    assert counted("detection", boxes(1, 1, 2, array=torch.tensor)) == {"car": 2, "sky": 1}
    assert counted("detection", boxes()) == {"images without a box": 1}
    assert counted("detection", boxes(1, score=0.1)) == {"images without a box": 1}


@pytest.mark.parametrize(
    ("count", "name"),
    [
        (0, "no people"),
        (1, "1 person"),
        (2, "2 people"),
        (3, "3-5 people"),
        (5, "3-5 people"),
        (6, "6+ people"),
        (40, "6+ people"),
    ],
)
def test_images_by_people(count: int, name: str) -> None:
    points = np.random.default_rng(0).uniform(1, 90, (count, 17, 3))
    assert counted("pose", {"keypoints": points, "scores": np.ones(count)}, ()) == {name: 1}


@pytest.mark.parametrize("name", ["action", "classification"])
def test_samples_by_first_class(name: str) -> None:
    assert counted(name, np.array([0.1, 0.7, 0.7], np.float32)) == {"car": 1}
    task = build_task(name, ("road", "car"))
    assert count_answers(task, {"label": 1, "video": "a"}).tolist() == [0, 1]


@given(
    depth=st.lists(
        st.one_of(
            st.floats(0, 1000, width=32),
            st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 64.0, 127.99999, 128.0, np.inf, np.nan, -1.0, 1e-40, 1e30]),
        ),
        max_size=30,
    ),
    kind=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_pixels_by_depth_one_by_one(depth: list[float], kind: Any) -> None:
    with np.errstate(over="ignore", under="ignore"):
        pixels = np.array([depth], kind)
    edges = {"below 0.25 m": (0, 0.25), "0.25-0.5 m": (0.25, 0.5), "0.5-1 m": (0.5, 1), "from 128 m": (128, np.inf)}
    edges |= {f"{low}-{2 * low} m": (low, 2 * low) for low in (1, 2, 4, 8, 16, 32, 64)}
    assert {*edges, "unknown"} == {*answer_bins(build_task("depth", ()))}
    expected: dict[str, int] = {}
    for value in pixels.ravel().tolist():
        known = 0 < value < np.inf
        name = next(name for name, (low, high) in edges.items() if low <= value < high) if known else "unknown"
        expected[name] = expected.get(name, 0) + 1
    assert counted("depth", pixels, ()) == expected


def test_bins_have_names_of_their_own() -> None:
    assert answer_bins(build_task("classification", ("crane", "dog", "crane"))) == ("crane#0", "dog", "crane#2")
    assert answer_bins(build_task("segmentation", ("sky", "none"))) == ("sky", "none#1", "none")
    assert answer_bins(build_task("detection", ("cat",))) == ("cat", "images without a box")


@pytest.mark.parametrize("name", ["segmentation", "detection", "action", "classification"])
def test_no_classes_no_bins(name: str) -> None:
    assert answer_bins(build_task(name, ())) == ()


def test_tasks_of_others_have_no_bins() -> None:
    assert answer_bins(SimpleNamespace(name="tracking", classes=("car",))) == ()  # type: ignore[arg-type]
