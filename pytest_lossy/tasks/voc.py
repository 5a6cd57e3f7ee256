"""PASCAL VOC's average precision: its own boxes, its own matching, and both of its ways to take the area.

The reference is ``VOCevaldet.m`` of the VOC 2007 and 2010-2012 development kits (Everingham, Van Gool, Williams, Winn &
Zisserman, "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010). Sides of boxes include both end pixels. A
detection looks at the object that it overlaps most and at no other: it is a true positive if that overlap is at least 0.5
and the object is still free, a false positive if it is taken or the overlap is smaller, and neither if the object is
difficult.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import Evidence, FloatArray
from pytest_lossy.tasks.matching import BoolArray, order_by_score
from pytest_lossy.tasks.ranking import Ranking, plan_curves, rankings, sample_order

__all__ = ["LEVELS", "match_voc", "voc_average_precision"]

MIN_OVERLAP = 0.5
LEVELS = 11
"""Recalls 0, 0.1, ..., 1 of VOC 2007, compared as fractions (10 hits >= i objects), free of rounding."""
_CHUNK_VALUES = 2_000_000


def match_voc(
    boxes: FloatArray,
    labels: npt.NDArray[np.int64],
    scores: FloatArray,
    true_boxes: FloatArray,
    true_labels: npt.NDArray[np.int64],
    difficult: BoolArray,
) -> Evidence:
    """Match one image's detections.

    Args:
        boxes: (d, 4), x1, y1, x2, y2 in pixels.
        labels: (d,).
        scores: (d,).
        true_boxes: (g, 4).
        true_labels: (g,).
        difficult: (g,).

    Returns:
        ``voc_label`` (k,) int32, ``voc_score`` (k,) float64, ``voc_hit`` and ``voc_miss`` (k, 1) uint16, by class and
        falling score; ``voc_true_label`` (c,) int32 and ``voc_true_count`` (c, 1) int32 of the objects that are not
        difficult.
    """
    by_class = order_by_score(scores)
    by_class = by_class[np.argsort(labels[by_class], kind="stable")]
    overlap = _overlap(boxes, true_boxes)
    overlap[labels[:, None] != true_labels[None, :]] = -1.0
    hit, miss = np.zeros(len(boxes), dtype=bool), np.zeros(len(boxes), dtype=bool)
    taken = np.zeros(len(true_boxes), dtype=bool)
    for index in by_class:
        best = int(np.argmax(overlap[index])) if len(taken) else -1
        if best < 0 or overlap[index, best] < MIN_OVERLAP:
            miss[index] = True
        elif not difficult[best]:
            hit[index], miss[index] = not taken[best], taken[best]
            taken[best] = True
    counted_labels, counts = np.unique(true_labels[~difficult], return_counts=True)
    return {
        "voc_label": labels[by_class].astype(np.int32),
        "voc_score": scores[by_class].astype(np.float64),
        "voc_hit": hit[by_class, None].astype(np.uint16),
        "voc_miss": miss[by_class, None].astype(np.uint16),
        "voc_true_label": counted_labels.astype(np.int32),
        "voc_true_count": counts[:, None].astype(np.int32),
    }


def _overlap(boxes: FloatArray, true_boxes: FloatArray) -> FloatArray:
    """(d, g) intersection over union of boxes whose end pixels belong to them."""
    ours, theirs = boxes[:, None, :], true_boxes[None, :, :]
    width, height = (
        np.minimum(ours[..., axis + 2], theirs[..., axis + 2]) - np.maximum(ours[..., axis], theirs[..., axis]) + 1
        for axis in (0, 1)
    )
    common = np.where((width > 0) & (height > 0), width * height, 0.0)
    overlap: FloatArray = common / (_area(ours) + _area(theirs) - common)
    return overlap


def _area(boxes: FloatArray) -> FloatArray:
    area: FloatArray = (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)
    return area


def voc_average_precision(evidence: Sequence[Evidence], weights: FloatArray) -> Mapping[str, FloatArray]:
    """Mean over classes of both average precisions; which classes, as for COCO's.

    Args:
        evidence: n samples of :func:`match_voc`, each with also ``image``, its id (1,) or nothing (0,).
        weights: (B, n), non-negative.

    Returns:
        ``voc07_ap50``: the mean of the best precision at or beyond eleven recalls (VOC 2007), and ``voc_ap50``: the area
        under the falling envelope (VOC 2010 and later); each (B,), NaN without ground truth.
    """
    totals = {name: np.zeros(len(weights)) for name in ("voc07_ap50", "voc_ap50")}
    classes = np.zeros(len(weights))
    for one in rankings(evidence, "voc_", 1, sample_order(evidence)):
        if not len(one.true_sample):
            continue
        step = max(1, _CHUNK_VALUES // max(1, len(one.sample)))
        for start in range(0, len(weights), step):
            part = slice(start, start + step)
            positives = one.positives(weights[part])[:, 0]
            eleven, area = _class_precision(one, weights[part], positives)
            defined = positives > 0
            totals["voc07_ap50"][part] += np.where(defined, eleven, 0.0)
            totals["voc_ap50"][part] += np.where(defined, area, 0.0)
            classes[part] += defined
    with np.errstate(invalid="ignore"):
        return {name: np.where(classes > 0, total / classes, np.nan) for name, total in totals.items()}


def _class_precision(one: Ranking, weights: FloatArray, positives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both average precisions of one class, (B,) each."""
    order, columns = one.columns(weights)
    plan = plan_curves(one.hit[order], one.miss[order])
    if not plan.parts:
        return np.zeros(len(weights)), np.zeros(len(weights))
    hits, seen = (values[:, :-1] for values in plan.follow(columns))
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(seen > 0, hits / seen, 0.0)
        rises = np.diff(hits, axis=1, prepend=0.0) / positives[:, None]
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.zeros(hits.shape)
    for level in range(LEVELS):
        reached += (LEVELS - 1) * hits >= level * positives[:, None]
    levels = np.diff(reached, axis=1, prepend=0.0)
    # Running sums: columns without weight, of which heavier weightings beside this one add some, then change no bit.
    eleven = (levels * envelope).cumsum(axis=1)[:, -1] / LEVELS
    area: FloatArray = (rises * envelope).cumsum(axis=1)[:, -1]
    return eleven, area
