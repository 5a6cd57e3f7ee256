"""COCO's average precision and recall as a weighted reduce of matched detections.

Definitions and arithmetic follow ``COCOeval.accumulate`` and ``summarize`` (pycocotools 2.0) down to the order in which
numbers are summed, so that with unit weights every figure is the same float; a whole weight is the same as that many
copies of the sample. Where pycocotools says -1, for want of ground truth, the value is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import Evidence, FloatArray
from pytest_lossy.tasks.matching import OVERLAPS, IndexArray, Protocol
from pytest_lossy.tasks.ranking import Ranking, precision_curve, rankings, sample_order

__all__ = ["AveragePrecision", "average_precision"]

_RECALLS: FloatArray = np.linspace(0.0, 1.0, 101)
_SETTINGS = len(OVERLAPS)
_VALUES = _SETTINGS * len(_RECALLS)
_AT_75 = slice(5 * len(_RECALLS), 6 * len(_RECALLS))

_CHUNK_BYTES = 48_000_000
"""Interpolated precisions held at once."""


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """COCO's numbers under B weightings; A area ranges, K classes with ground truth. NaN where undefined."""

    ap: FloatArray
    """(A, B), over the ten overlaps; the first range takes everything."""
    ap50: FloatArray
    """(B,)"""
    ap75: FloatArray
    """(B,)"""
    ar: FloatArray
    """(A, B), with the most detections that the protocol lets count."""
    ar50: FloatArray
    """(B,)"""
    ar75: FloatArray
    """(B,)"""
    ar_at: dict[int, FloatArray]
    """Fewer detections per image and class -> (B,)."""
    labels: tuple[int, ...]
    """The K classes."""
    class_ap: FloatArray
    """(K, B)"""
    class_ap50: FloatArray
    """(K, B)"""


def average_precision(
    evidence: Sequence[Evidence], weights: FloatArray, protocol: Protocol, fewer: Sequence[int] = ()
) -> AveragePrecision:
    """Reduce the evidence of :func:`pytest_lossy.tasks.matching.match_image`.

    Classes averaged in an area range are those with an object of that range in the full data, under every weighting; a
    class without one in a weighting leaves that weighting's averages.

    Args:
        evidence: n samples, each with also ``image``, its id (1,) or nothing (0,).
        weights: (B, n), non-negative.
        protocol: that was matched with.
        fewer: smaller numbers of detections per image and class to report recall for.
    """
    classes = [
        one
        for one in rankings(evidence, "", _SETTINGS, sample_order(evidence))
        if one.true_count[:, 0].sum() > 0
    ]
    step = max(1, _CHUNK_BYTES // (8 * _VALUES * max(1, len(classes))))
    parts = [
        _reduce(classes, np.ascontiguousarray(weights[start : start + step]), protocol, tuple(fewer))
        for start in range(0, max(1, len(weights)), step)
    ]
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    at = {count: joined.pop(f"ar_at_{count}") for count in fewer}
    return AveragePrecision(labels=tuple(one.label for one in classes), ar_at=at, **joined)


def _reduce(
    classes: Sequence[Ranking], weights: FloatArray, protocol: Protocol, fewer: tuple[int, ...]
) -> dict[str, FloatArray]:
    """One chunk of weightings; the names are those of the result."""
    replicates, areas = len(weights), len(protocol.areas)
    positives = np.zeros((len(classes), replicates, areas))
    recall = np.zeros((areas + len(fewer), replicates, len(OVERLAPS), len(classes)))
    precision = np.zeros((len(classes), replicates, _VALUES))
    columns = []
    for k, one in enumerate(classes):
        positives[k] = one.positives(weights)
        columns.append(one.columns(weights))
        limits = [protocol.max_detections] * areas + list(fewer)
        for row, limit in enumerate(limits):
            area = row if row < areas else 0
            recall[row, :, :, k] = _recall(one, columns[k], positives[k, :, area], area, limit)
    result = {name: np.full((areas, replicates), np.nan) for name in ("ap", "ar")}
    single = ("ap50", "ap75", "ar50", "ar75", *(f"ar_at_{count}" for count in fewer))
    result |= {name: np.full(replicates, np.nan) for name in single}
    for area in range(areas):
        valid = positives[:, :, area] > 0
        for k, one in enumerate(classes):
            if valid[k].any():
                _interpolate(one, columns[k], positives[k, :, area], area, protocol, precision[k])
        if area == 0:
            result["class_ap"] = np.where(valid, precision.mean(axis=2), np.nan)
            result["class_ap50"] = np.where(valid, precision[:, :, : len(_RECALLS)].mean(axis=2), np.nan)
        for row in np.flatnonzero(valid.any(axis=0)):
            kept = np.flatnonzero(valid[:, row])
            # pycocotools averages an array with the classes last, and the order of a float sum is part of its value.
            values = np.ascontiguousarray(precision[kept, row].T)
            result["ap"][area, row] = values.ravel().mean()
            recalls = recall[:, row][:, :, kept]
            result["ar"][area, row] = recalls[area].ravel().mean()
            if area == 0:
                result["ap50"][row] = values[: len(_RECALLS)].ravel().mean()
                result["ap75"][row] = values[_AT_75].ravel().mean()
                result["ar50"][row], result["ar75"][row] = recalls[0, 0].mean(), recalls[0, 5].mean()
                for index, count in enumerate(fewer):
                    result[f"ar_at_{count}"][row] = recalls[areas + index].ravel().mean()
    return result


def _settings(area: int) -> slice:
    """The columns of a ranking that belong to one area range."""
    return slice(area * _SETTINGS, (area + 1) * _SETTINGS)


def _recall(
    one: Ranking, columns: tuple[IndexArray, FloatArray], positives: FloatArray, area: int, limit: int
) -> FloatArray:
    """(B, T) final recall of one class, with at most ``limit`` detections per image."""
    order, weights = columns
    hit = one.hit[order, _settings(area)] & (one.rank[order] < limit)[:, None]
    # Whole numbers: the sum is exact in any order.
    hits = weights @ hit.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall: FloatArray = hits / positives[:, None]
    return recall


def _interpolate(
    one: Ranking,
    columns: tuple[IndexArray, FloatArray],
    positives: FloatArray,
    area: int,
    protocol: Protocol,
    out: npt.NDArray[np.float64],
) -> None:
    """Write one class's precision at 101 recalls, overlap by overlap, into ``out`` (B, T * 101)."""
    order, weights = columns
    counts = one.rank[order] < protocol.max_detections
    hit = (one.hit[order, _settings(area)] & counts[:, None]).T
    counted = hit | (one.miss[order, _settings(area)] & counts[:, None]).T
    # Detections that never count are most of a small area range: leave them out before the running sums.
    ever = np.flatnonzero(counted.any(axis=0))
    hit, counted, weights = hit[:, ever], counted[:, ever], weights[:, ever]
    seen = weights.cumsum(axis=1)
    sizes = hit.sum(axis=1) + 1
    stops = np.cumsum(sizes)
    # Each overlap has a column per true positive and one for the recalls that are never reached.
    precision = np.zeros((len(weights), stops[-1]))
    recall = np.full_like(precision, 2.0)
    for t, (stop, size) in enumerate(zip(stops, sizes, strict=True)):
        if size == 1:
            continue
        part = slice(stop - size, stop - 1)
        curve = precision_curve(weights, hit[t], seen, ~counted[t])
        value = curve.hits / (curve.seen + np.spacing(1))
        precision[:, part] = np.maximum.accumulate(value[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            recall[:, part] = curve.hits / positives[:, None]
    reached = np.searchsorted(_RECALLS, recall, side="right")
    repeats = np.diff(reached, axis=1, prepend=0)
    repeats[:, stops[:-1]] += len(_RECALLS)
    # Without ground truth recall is 0 / 0, which compares above everything, and the row is not used.
    out[:] = np.repeat(precision.ravel(), repeats.ravel()).reshape(out.shape)
