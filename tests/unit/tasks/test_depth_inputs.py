"""What the depth task accepts, explains and refuses."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.depth import DepthOptions, DepthTask
from pytest_lossy.tasks.registry import build_task, task_metrics, task_options, task_primary


def depth_task(**options: Any) -> DepthTask:
    return DepthTask((), DepthOptions(**options))


def test_a_prediction_is_its_own_target() -> None:
    task = depth_task(min_depth=0.001, max_depth=80)
    prediction = np.array([[1.0, 5.0, -2.0, 0.0, np.inf]], np.float32)
    target = task.as_target(prediction)
    assert target.tolist() == [[1, 5, 0, 0, 0]]
    assert target.dtype == np.float32
    assert task.check(prediction, target) is None
    found = task.reduce([task.evidence(prediction, target)], np.ones((1, 1)))
    assert found["abs_rel"][0] == 0
    assert found["delta1"][0] == 1


def test_a_crop_of_nothing_scores_nothing() -> None:
    task = depth_task(crop="garg", median_scaling=True)
    one = np.ones((1, 1), np.float32)
    assert task.evidence(one, one)["pixels"].tolist() == [0]


ONE = np.ones((2, 3), np.float32)


def changed(value: float) -> np.ndarray:
    depth = ONE.copy()
    depth[1, 2] = value
    return depth


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([[1.0]], ONE, r"predicted depth must be a float array \(H, W\) in metres, got list; convert"),
        (torch.ones(2, 3), ONE, "got torch.float32"),
        (np.ones((2, 3), np.uint16), ONE, r"got uint16 \(2, 3\)"),
        (np.ones((1, 2, 3)), ONE, r"got float64 \(1, 2, 3\)"),
        (ONE, np.ones((2, 3), np.int32), "target depth must be a float array .* got int32"),
        (ONE, 3, "target depth must be .* got int;"),
        (np.ones((3, 2)), ONE, r"must be \(2, 3\) like its target, got \(3, 2\); resize"),
        (changed(np.nan), ONE, r"predicted depth is nan at row 1, column 2 \(1 of 6 pixels\); check the weights"),
        (changed(-np.inf), ONE, "predicted depth is -inf .* check the weights"),
        (changed(np.inf), ONE, "predicted depth is inf .* set 'task_kwargs.max_depth'"),
        (changed(0), ONE, "predicted depth is 0 .* set 'task_kwargs.min_depth'"),
        (changed(-0.5), ONE, r"predicted depth is -0.5 at row 1, column 2 .* not disparity"),
        (ONE, changed(np.nan), "target depth is nan .* 0 where depth is unknown"),
        (ONE, changed(np.inf), "target depth is inf"),
        (ONE, changed(-1), "target depth is -1 at row 1"),
    ],
)
def test_what_cannot_be_scored_is_explained(prediction: object, target: object, message: str) -> None:
    found = DepthTask().check(prediction, target)
    assert found is not None
    assert re.search(message, found)


def test_what_a_cap_clamps_is_no_fault() -> None:
    assert depth_task(max_depth=80).check(changed(np.inf), ONE) is None
    assert depth_task(min_depth=0.001).check(changed(-3), ONE) is None
    assert depth_task(min_depth=0.001).check(changed(np.inf), ONE) is not None
    assert depth_task(min_depth=0.001, max_depth=80).check(changed(np.nan), ONE) is not None


def test_a_median_that_cannot_scale_is_explained() -> None:
    task = depth_task(min_depth=0.001, max_depth=80, median_scaling=True)
    assert re.search("median predicted depth is -1 .* 'task_kwargs.median_scaling'", task.check(-ONE, ONE) or "")
    assert task.check(np.full_like(ONE, np.inf), ONE) is not None
    assert task.check(-ONE, np.zeros_like(ONE)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"pool": "image"},
        {"crop": "center"},
        {"min_depth": 0},
        {"max_depth": float("inf")},
        {"min_depth": 5, "max_depth": 5},
    ],
)
def test_options_are_validated(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build_task("depth", [], options)


def test_registry() -> None:
    task = build_task("depth", [], {"crop": "garg", "max_depth": 80})
    assert isinstance(task, Task)
    assert task.primary == task_primary("depth") == "abs_rel"
    assert tuple(metric.name for metric in task_metrics("depth")) == tuple(
        DepthTask().reduce([task.evidence(ONE, ONE)], np.ones((1, 1)))
    )
    assert all(metric.higher_is_better == metric.name.startswith("delta") for metric in task.metrics)
    assert {metric.name: metric.unit for metric in task.metrics}["rmse"] == "m"
    assert task_options("depth") is DepthOptions
