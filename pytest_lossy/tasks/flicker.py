"""Flicker: of what a model sees in the frames before and after, the share that it misses in the frame between.

Compression makes detections come and go although nothing in the scene does, which no score of single frames shows. The
functions take the predictions for three consecutive frames t - 1, t and t + 1 and count what is present at t - 1 and t + 1
(kept or lost): a flicker rate is ``lost / (kept + lost)``, summed over frames. No labels are needed. What leaves the scene,
enters it, or moves too far to be recognised two frames later counts neither way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import IGNORED, FloatArray
from pytest_lossy.tasks.instances import numbers, to_width_height
from pytest_lossy.tasks.keypoints import keypoint_similarity
from pytest_lossy.tasks.matching import box_overlap, order_by_score

__all__ = ["flicker_of_boxes", "flicker_of_labels", "flicker_of_people"]

IndexArray = npt.NDArray[np.intp]


def flicker_of_boxes(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    score_threshold: float,
    iou: float = 0.5,
) -> tuple[int, int]:
    """Count the objects at t - 1 and t + 1 that a detector also reports at t, and those that it does not.

    A box at t - 1, highest score first, and the free box of its class at t + 1 that it overlaps most are one object if
    their IoU reaches ``iou``. Objects move: at t it is looked for halfway, at the mean of the two boxes, and there takes the
    free box of its class that overlaps most, again with at least ``iou``. Equal overlaps go to the higher score.

    Args:
        before: prediction at t - 1: ``boxes`` (n, 4), x1, y1, x2, y2 in pixels, ``labels`` (n,) and ``scores`` (n,); arrays
            or tensors.
        now: at t.
        after: at t + 1.
        score_threshold: boxes that score less do not exist.
        iou: above 0, at most 1.

    Returns:
        Objects kept and lost at t.
    """
    past, present, future = (_reported(frame, score_threshold) for frame in (before, now, after))
    objects, partners = _pair(_overlap(past, future), iou)
    kept, _ = _pair(_overlap(_halfway(past, objects, future, partners), present), iou)
    return len(kept), len(objects) - len(kept)


def flicker_of_people(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    score_threshold: float,
    sigmas: FloatArray,
    oks: float = 0.5,
    keypoint_score: float = 0.0,
) -> tuple[int, int]:
    """Count the people at t - 1 and t + 1 whom a pose model also reports at t, and those whom it does not.

    As :func:`flicker_of_boxes`, with object keypoint similarity for IoU: one stray keypoint moves it little, where it would
    blow up the box around all keypoints. OKS counts the keypoints above ``keypoint_score`` in the earlier of two frames, and
    in both of them at the place halfway (without any, the distance to the box, as COCO has it), and measures on the area of
    the predicted box, or of what the keypoints span where no box is predicted. People whose box has no area do not exist.

    Args:
        before: prediction at t - 1: ``keypoints`` (n, k, 3), x, y in pixels and a visibility or confidence, ``scores``
            (n,), and if there are any ``boxes`` (n, 4) and ``labels`` (n,); arrays or tensors.
        now: at t.
        after: at t + 1.
        score_threshold: people who score less do not exist.
        sigmas: (k,), see :data:`~pytest_lossy.tasks.keypoints.COCO_SIGMAS`.
        oks: above 0, at most 1.
        keypoint_score: from which third number, itself excluded, a keypoint counts.

    Returns:
        People kept and lost at t.
    """
    past, present, future = (_reported(frame, score_threshold) for frame in (before, now, after))

    seen = past.keypoints[:, :, 2] > keypoint_score
    people, partners = _pair(_similarity(past, seen, future, sigmas), oks)
    seen = seen[people] & (future.keypoints[partners, :, 2] > keypoint_score)
    kept, _ = _pair(_similarity(_halfway(past, people, future, partners), seen, present, sigmas), oks)
    return len(kept), len(people) - len(kept)


def flicker_of_labels(
    before: npt.NDArray[np.integer[Any]], now: npt.NDArray[np.integer[Any]], after: npt.NDArray[np.integer[Any]]
) -> tuple[int, int]:
    """Count the pixels of one label at t - 1 and t + 1 that have it at t too, and those that do not.

    Args:
        before: (H, W), class labels at t - 1, 255 where there is none.
        now: (H, W), at t.
        after: (H, W), at t + 1.

    Returns:
        Pixels kept and lost at t; pixels without a label at t - 1 or t + 1 count neither way.
    """
    steady = before == after
    steady &= before != IGNORED
    total = np.count_nonzero(steady)
    steady &= before == now
    kept = np.count_nonzero(steady)
    return int(kept), int(total - kept)


@dataclass(frozen=True, slots=True)
class _Instances:
    """What a shipped model reports in one frame, highest score first."""

    boxes: FloatArray
    """(n, 4), x1, y1, x2, y2."""
    labels: npt.NDArray[np.int64]
    """(n,)"""
    keypoints: FloatArray
    """(n, k, 3); k is 0 where there are none."""


def _reported(prediction: Mapping[str, Any], score_threshold: float) -> _Instances:
    scores = numbers(prediction, "scores")
    has_points, has_boxes, has_labels = (prediction.get(name) is not None for name in ("keypoints", "boxes", "labels"))
    keypoints = numbers(prediction, "keypoints") if has_points else np.zeros((len(scores), 0, 3))
    if has_boxes:
        boxes = numbers(prediction, "boxes")
    else:
        boxes = np.concatenate([keypoints[:, :, :2].min(axis=1), keypoints[:, :, :2].max(axis=1)], axis=1)
    labels = numbers(prediction, "labels").astype(np.int64) if has_labels else np.zeros(len(scores), dtype=np.int64)
    order = order_by_score(scores)
    order = order[(scores[order] >= score_threshold) & (boxes[order, 2:] > boxes[order, :2]).all(axis=1)]
    return _Instances(boxes[order], labels[order], keypoints[order])


def _halfway(past: _Instances, rows: IndexArray, future: _Instances, partners: IndexArray) -> _Instances:
    return _Instances(
        (past.boxes[rows] + future.boxes[partners]) / 2,
        past.labels[rows],
        (past.keypoints[rows] + future.keypoints[partners]) / 2,
    )


def _overlap(known: _Instances, found: _Instances) -> FloatArray:
    """IoU (known, found) of boxes of one class, -1 of others."""
    boxes, others = to_width_height(found.boxes), to_width_height(known.boxes)
    overlap = box_overlap(boxes, others, np.zeros(len(others), dtype=bool)).T
    return np.where(known.labels[:, None] == found.labels[None, :], overlap, -1.0)


def _similarity(known: _Instances, seen: npt.NDArray[np.bool_], found: _Instances, sigmas: FloatArray) -> FloatArray:
    """OKS (known, found) of people of one class, -1 of others; ``seen`` (known, k) are the keypoints that count."""
    points = np.concatenate([known.keypoints[:, :, :2], seen[:, :, None]], axis=2)
    boxes = to_width_height(known.boxes)
    similarity = keypoint_similarity(found.keypoints, points, boxes, boxes[:, 2] * boxes[:, 3], sigmas).T
    return np.where(known.labels[:, None] == found.labels[None, :], similarity, -1.0)


def _pair(similarity: FloatArray, least: float) -> tuple[IndexArray, IndexArray]:
    """Row after row takes the free column that is most similar, the first of several; rows and columns that are paired."""
    rows, columns = [], []
    free = similarity.copy()
    for row in np.flatnonzero(similarity.max(axis=1, initial=-1.0) >= least).tolist():
        best = int(np.argmax(free[row]))
        if free[row, best] >= least:
            rows.append(row)
            columns.append(best)
            free[:, best] = -1.0
    return np.array(rows, dtype=np.intp), np.array(columns, dtype=np.intp)
