"""From predictions and targets to what the drawing room draws: what became of each object, person and score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_lossy.drawing.boxes import BoxMark
from pytest_lossy.drawing.skeletons import PersonMark
from pytest_lossy.tasks.base import FloatArray
from pytest_lossy.tasks.instances import flags, numbers, to_width_height
from pytest_lossy.tasks.keypoints import keypoint_similarity
from pytest_lossy.tasks.matching import box_overlap

__all__ = ["box_marks", "class_probabilities", "match_greedily", "people_marks"]

_HIT = 0.5
"""Overlap or similarity from which a picture calls an object found: the loosest of COCO's thresholds."""

BoolArray = npt.NDArray[np.bool_]


def match_greedily(
    scores: FloatArray, same: BoolArray, overlap: FloatArray, ignored: BoolArray
) -> tuple[npt.NDArray[np.intp], BoolArray]:
    """Give each detection, highest score first, the free object that it overlaps most.

    Args:
        scores: (d,)
        same: (d, g) whether detection and object are of one class.
        overlap: (d, g)
        ignored: (g,) objects that count neither way, and may be taken many times.

    Returns:
        (d,) index of the object, -1 for none; (g,) whether an object that counts was taken.
    """
    taken = np.zeros(len(ignored), dtype=bool)
    given = np.full(len(scores), -1, dtype=np.intp)
    for index in np.argsort(-scores, kind="stable"):
        possible = same[index] & (overlap[index] >= _HIT)
        for free in (possible & ~ignored & ~taken, possible & ignored):
            if free.any():
                given[index] = int(np.argmax(np.where(free, overlap[index], -1.0)))
                taken[given[index]] = True
                break
    return given, taken & ~ignored


def box_marks(
    prediction: Mapping[str, Any] | None, target: Mapping[str, Any], classes: Sequence[str], threshold: float
) -> list[BoxMark]:
    """The boxes of one image, the most important last: missed objects, then detections by rising score.

    Args:
        prediction: as the detection task has it; None for the labels alone.
        target: the same.
        classes: C names.
        threshold: detections below this score are left out.
    """
    true_boxes, true_labels = numbers(target, "boxes"), numbers(target, "labels").astype(np.int64)
    if prediction is None:
        return [
            BoxMark(box, classes[label], "truth") for box, label in zip(true_boxes, true_labels.tolist(), strict=True)
        ]
    kept = numbers(prediction, "scores") >= threshold
    boxes, scores = numbers(prediction, "boxes")[kept], numbers(prediction, "scores")[kept]
    labels = numbers(prediction, "labels").astype(np.int64)[kept]
    crowd = flags(target, "iscrowd", len(true_boxes))
    ignored = crowd | flags(target, "difficult", len(true_boxes))
    overlap = box_overlap(to_width_height(boxes), to_width_height(true_boxes), crowd)
    given, taken = match_greedily(scores, labels[:, None] == true_labels[None, :], overlap, ignored)
    marks = [BoxMark(true_boxes[i], classes[true_labels[i]], "missed") for i in np.flatnonzero(~taken & ~ignored)]
    for index in np.argsort(scores, kind="stable").tolist():
        match = int(given[index])
        if match >= 0 and ignored[match]:
            continue
        text = f"{classes[labels[index]]} {scores[index]:.2f}"
        marks.append(BoxMark(boxes[index], text, "found" if match >= 0 else "false"))
    return marks


def people_marks(
    prediction: Mapping[str, Any] | None,
    target: Mapping[str, Any],
    sigmas: FloatArray,
    threshold: float,
    labels_of: Callable[[Mapping[str, Any], int], npt.NDArray[np.int64]],
) -> list[PersonMark]:
    """The people of one image, the most important last: missed ones, then predictions by rising score.

    Args:
        prediction: as the pose task has it; None for the labels alone.
        target: the same.
        sigmas: (k,) of object keypoint similarity.
        threshold: people below this score are left out.
        labels_of: gives the class of each of so many people.
    """
    truth, true_boxes = numbers(target, "keypoints"), numbers(target, "boxes")
    seen = truth[:, :, 2] > 0
    ignored = flags(target, "iscrowd", len(truth)) | ~seen.any(axis=1)
    if prediction is None:
        return [PersonMark(truth[i, :, :2], seen[i], "", "truth") for i in np.flatnonzero(~ignored)]
    kept = numbers(prediction, "scores") >= threshold
    points, scores = numbers(prediction, "keypoints")[kept], numbers(prediction, "scores")[kept]
    labels = labels_of(prediction, len(kept))[kept]
    boxes = to_width_height(true_boxes)
    areas = boxes[:, 2] * boxes[:, 3] if target.get("area") is None else numbers(target, "area")
    similarity = keypoint_similarity(points, truth, boxes, areas, sigmas)
    same = labels[:, None] == labels_of(target, len(truth))[None, :]
    given, taken = match_greedily(scores, same, similarity, ignored)
    marks = [PersonMark(truth[i, :, :2], seen[i], "missed", "missed") for i in np.flatnonzero(~taken & ~ignored)]
    for index in np.argsort(scores, kind="stable").tolist():
        match = int(given[index])
        if match >= 0 and ignored[match]:
            continue
        # The third number is 1 in some models and a confidence in others; where nothing is, it is 0.
        visible = points[index, :, 2] > 0
        status: Literal["found", "false"] = "found" if match >= 0 else "false"
        marks.append(PersonMark(points[index, :, :2], visible, f"{scores[index]:.2f}", status))
    return marks


def class_probabilities(scores: npt.NDArray[np.floating[Any]], kind: str = "auto") -> FloatArray:
    """Class scores as shares of a bar, (C,), 0..1: as they are where they are probabilities, else their softmax."""
    values = np.asarray(scores, dtype=np.float64)
    probabilities = values.min() >= 0 and (kind == "probabilities" or abs(values.sum() - 1) <= 0.01)
    if kind != "logits" and probabilities:
        return np.minimum(values, 1.0)
    with np.errstate(over="ignore"):
        powers = np.exp(values - values.max())
    shares: FloatArray = powers / powers.sum()
    return shares
