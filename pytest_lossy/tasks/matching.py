"""Matching of detections to ground truth in one image, as pycocotools does it, kept as bits per detection.

The rules are those of ``COCOeval.evaluateImg`` (pycocotools 2.0): detections of one class take, highest score first, the
free object that they overlap most; an object counted in this area range comes before any ignored one, whatever the
overlap; a crowd region may be taken many times. What has matched an ignored object, or nothing while being itself outside
the area range, counts neither for nor against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import Evidence, FloatArray

__all__ = [
    "BOXES",
    "OVERLAPS",
    "PEOPLE",
    "Instances",
    "Protocol",
    "box_overlap",
    "match_image",
    "order_by_score",
]

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]

OVERLAPS: FloatArray = np.linspace(0.5, 0.95, 10)
"""COCO's overlap thresholds; the very numbers of pycocotools, which come from ``linspace`` and not ``arange``."""

_BITS = (1 << np.arange(len(OVERLAPS))).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class Protocol:
    """What COCO fixes for one kind of object."""

    areas: tuple[tuple[str, float, float], ...]
    """Name, smallest and largest area in square pixels, both included; the first range takes everything."""
    max_detections: int
    """How many detections of one class count per image, best scores first."""


_ALL = ("all", 0.0, 1e5**2)
_MEDIUM = ("medium", 32.0**2, 96.0**2)
_LARGE = ("large", 96.0**2, 1e5**2)

BOXES = Protocol((_ALL, ("small", 0.0, 32.0**2), _MEDIUM, _LARGE), 100)
PEOPLE = Protocol((_ALL, _MEDIUM, _LARGE), 20)


@dataclass(frozen=True, slots=True)
class Instances:
    """One image: d detections and g ground-truth objects."""

    labels: npt.NDArray[np.int64]
    """(d,)"""
    scores: FloatArray
    """(d,)"""
    areas: FloatArray
    """(d,) square pixels."""
    true_labels: npt.NDArray[np.int64]
    """(g,)"""
    true_areas: FloatArray
    """(g,) square pixels."""
    crowd: BoolArray
    """(g,) regions that any number of detections may match."""
    ignored: BoolArray
    """(g,) objects that count neither way; crowds are among them."""


def box_overlap(boxes: FloatArray, true_boxes: FloatArray, crowd: BoolArray) -> FloatArray:
    """Intersection over union, or over the detection's own area where the object is a crowd.

    The arithmetic is ``bbIou`` of pycocotools' maskApi.c, operation by operation, so that no overlap falls on the other
    side of a threshold.

    Args:
        boxes: (d, 4), x, y, width, height in pixels.
        true_boxes: (g, 4), the same.
        crowd: (g,).

    Returns:
        (d, g).
    """
    ours, theirs = boxes[:, None, :], true_boxes[None, :, :]
    width, height = (
        np.minimum(ours[..., axis + 2] + ours[..., axis], theirs[..., axis + 2] + theirs[..., axis])
        - np.maximum(ours[..., axis], theirs[..., axis])
        for axis in (0, 1)
    )
    common = width * height
    own_area = ours[..., 2] * ours[..., 3]
    either = np.where(crowd[None, :], own_area, own_area + theirs[..., 2] * theirs[..., 3] - common)
    overlapping = (width > 0) & (height > 0)
    overlap: FloatArray = np.divide(common, either, out=np.zeros_like(common), where=overlapping)
    return overlap


def order_by_score(scores: FloatArray) -> IndexArray:
    """Indices from the highest score to the lowest; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")


def match_image(
    instances: Instances,
    similarity: Callable[[IndexArray, IndexArray], FloatArray],
    protocol: Protocol,
    always_kept: float = np.inf,
) -> Evidence:
    """Match one image's detections, class by class, at every overlap threshold and area range.

    Args:
        instances: what was detected and what is there.
        similarity: called with the indices of a class's detections and objects -> their (d, g) overlap.
        protocol: area ranges and how many detections count.
        always_kept: detections with at least this score are kept beyond ``max_detections``.

    Returns:
        ``label`` (k,) int32, ``score`` (k,) float64, ``hit`` and ``miss`` (k, A) uint16: kept detections, by class and
        then by falling score, with one bit per overlap threshold saying that it is a true or a false positive in that
        area range (neither where it is ignored); ``true_label`` (c,) int32 and ``true_count`` (c, A) int32: per class with
        ground truth the number of objects that are not ignored.
    """
    areas = protocol.areas
    low, high = (np.array([area[side] for area in areas])[:, None] for side in (1, 2))
    outside = (instances.areas < low) | (instances.areas > high)
    ignored = instances.ignored | (instances.true_areas < low) | (instances.true_areas > high)
    labels, scores, hits, misses, true_labels, true_counts = [], [], [], [], [], []
    for label in np.union1d(instances.labels, instances.true_labels):
        found = np.flatnonzero(instances.labels == label)
        found = found[order_by_score(instances.scores[found])]
        found = found[: max(protocol.max_detections, int((instances.scores[found] >= always_kept).sum()))]
        true = np.flatnonzero(instances.true_labels == label)
        hit, miss = _match(
            similarity(found, true) if len(found) and len(true) else np.zeros((len(found), len(true))),
            outside[:, found],
            ignored[:, true],
            instances.crowd[true],
        )
        labels.append(np.full(len(found), label))
        scores.append(instances.scores[found])
        hits.append(hit)
        misses.append(miss)
        if len(true):
            true_labels.append(label)
            true_counts.append((~ignored[:, true]).sum(axis=1))
    nothing = np.zeros((0, len(areas)), dtype=np.uint16)
    return {
        "label": np.concatenate([*labels, []]).astype(np.int32),
        "score": np.concatenate([*scores, []]).astype(np.float64),
        "hit": np.concatenate([*hits, nothing]),
        "miss": np.concatenate([*misses, nothing]),
        "true_label": np.array(true_labels, dtype=np.int32),
        "true_count": np.array(true_counts, dtype=np.int32).reshape(-1, len(areas)),
    }


def _match(
    overlap: FloatArray, outside: BoolArray, ignored: BoolArray, crowd: BoolArray
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """True and false positives of one class, (d, A) bits each.

    Args:
        overlap: (d, g), rows by falling score.
        outside: (A, d) detections outside each area range.
        ignored: (A, g).
        crowd: (g,).
    """
    limits = np.minimum(OVERLAPS, 1 - 1e-10)
    matched = np.zeros((len(overlap), len(ignored), len(limits)), dtype=bool)
    regular = np.zeros_like(matched)
    free = np.ones((len(ignored), len(limits), overlap.shape[1]), dtype=bool)
    candidates = overlap.max(axis=1, initial=0.0) >= limits[0]
    for index in np.flatnonzero(candidates):
        near = np.flatnonzero(overlap[index] >= limits[0])
        row = overlap[index, near]
        possible = free[:, :, near] & (row >= limits[:, None])
        counted = possible & ~ignored[:, None, near]
        regular[index] = counted.any(axis=2)
        allowed = np.where(regular[index][:, :, None], counted, possible)
        matched[index] = allowed.any(axis=2)
        # Of equal overlaps pycocotools takes the last object.
        best = near[len(near) - 1 - np.argmax(np.where(allowed, row, -1.0)[:, :, ::-1], axis=2)]
        area, limit = np.nonzero(matched[index] & ~crowd[best])
        free[area, limit, best[area, limit]] = False
    missed = ~matched & ~outside.T[:, :, None]
    return (regular @ _BITS).astype(np.uint16), (missed @ _BITS).astype(np.uint16)
