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
from pytest_lossy.tasks.ranking import CurvePlan, Ranking, plan_curves, rankings, sample_order

__all__ = ["AveragePrecision", "average_precision"]

_RECALLS: FloatArray = np.linspace(0.0, 1.0, 101)
_BEYOND: FloatArray = np.append(_RECALLS, np.inf)
_VALUES = len(OVERLAPS) * len(_RECALLS)
_AT_75 = slice(5 * len(_RECALLS), 6 * len(_RECALLS))

_CHUNK_BYTES = 48_000_000
"""Interpolated precisions and weights of detections held at once."""


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
    ranked = rankings(evidence, "", len(OVERLAPS), sample_order(evidence))
    classes = [_Class(one, protocol, tuple(fewer)) for one in ranked if one.true_count[:, 0].sum() > 0]
    values = _VALUES * len(classes) + sum(len(one.ranking.sample) for one in classes)
    step = max(1, _CHUNK_BYTES // (8 * max(1, values)))
    parts = [
        _reduce(classes, np.ascontiguousarray(weights[start : start + step]), protocol, tuple(fewer))
        for start in range(0, max(1, len(weights)), step)
    ]
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    at = {count: joined.pop(f"ar_at_{count}") for count in fewer}
    return AveragePrecision(labels=tuple(one.ranking.label for one in classes), ar_at=at, **joined)


class _Class:
    """One class, and how to sum its detections, which depends on the weights only where scores tie.

    Recall is asked for once per area range and then, over all areas, for each of ``fewer``: R rows.
    """

    def __init__(self, ranking: Ranking, protocol: Protocol, fewer: tuple[int, ...]) -> None:
        self.ranking, self._protocol, self._fewer = ranking, protocol, fewer
        self._fixed = None if ranking.tied else self._plan(np.arange(len(ranking.sample)))

    def sums(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, list[CurvePlan]]:
        """(B, e) weights of detections, (B, R, T) weighted true positives, and the curves of each area range."""
        order, columns = self.ranking.columns(weights)
        rows, found, plans = self._fixed or self._plan(order)
        # Whole numbers: the sum is exact in any order.
        hits = columns.take(rows, axis=1) @ found
        return columns, hits.reshape(len(weights), found.shape[1] // len(OVERLAPS), len(OVERLAPS)), plans

    def _plan(self, order: IndexArray) -> tuple[IndexArray, FloatArray, list[CurvePlan]]:
        """Detections that are true positives under any setting, under which they are, and the curves."""
        limit, count = self._protocol.max_detections, len(OVERLAPS)
        rank = self.ranking.rank[order][:, None]
        hit, miss = (bits[order] & (rank < limit) for bits in (self.ranking.hit, self.ranking.miss))
        found = np.concatenate([hit, *(hit[:, :count] & (rank < few) for few in self._fewer)], axis=1)
        areas = [slice(start, start + count) for start in range(0, hit.shape[1], count)]
        rows = np.flatnonzero(hit.any(axis=1))
        plans = [plan_curves(hit[:, area], miss[:, area]) for area in areas]
        return rows, found[rows].astype(np.float64), plans


def _reduce(
    classes: Sequence[_Class], weights: FloatArray, protocol: Protocol, fewer: tuple[int, ...]
) -> dict[str, FloatArray]:
    """One chunk of weightings; the names are those of the result."""
    replicates, areas = len(weights), len(protocol.areas)
    positives = np.zeros((len(classes), replicates, areas))
    recall = np.zeros((areas + len(fewer), replicates, len(OVERLAPS), len(classes)))
    precision = np.zeros((len(classes), replicates, _VALUES))
    sums = []
    for k, one in enumerate(classes):
        positives[k] = one.ranking.positives(weights)
        columns, found, plans = one.sums(weights)
        sums.append((columns, plans))
        objects = positives[k][:, [*range(areas), *(0 for _ in fewer)]]
        with np.errstate(divide="ignore", invalid="ignore"):
            recall[:, :, :, k] = (found / objects[:, :, None]).transpose(1, 0, 2)
    result: dict[str, FloatArray] = {name: np.full((areas, replicates), np.nan) for name in ("ap", "ar")}
    single = ("ap50", "ap75", "ar50", "ar75", *(f"ar_at_{count}" for count in fewer))
    result |= {name: np.full(replicates, np.nan) for name in single}
    for area in range(areas):
        valid = positives[:, :, area] > 0
        for k, (columns, plans) in enumerate(sums):
            if valid[k].any():
                _interpolate(plans[area], columns, positives[k, :, area], precision[k])
        if area == 0:
            result["class_ap"] = np.where(valid, precision.mean(axis=2), np.nan)
            result["class_ap50"] = np.where(valid, precision[:, :, : len(_RECALLS)].mean(axis=2), np.nan)
        for row in np.flatnonzero(valid.any(axis=0)).tolist():
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


def _interpolate(plan: CurvePlan, weights: FloatArray, positives: FloatArray, out: npt.NDArray[np.float64]) -> None:
    """Write one class's precision at 101 recalls, overlap by overlap, into ``out`` (B, T * 101)."""
    if not plan.parts:
        out[:] = 0.0
        return
    hits, seen = plan.follow(weights)
    ends = plan.stops - 1
    hits[:, ends] = 0.0
    seen += np.spacing(1)
    precision = np.divide(hits, seen, out=seen)
    for part in plan.parts:
        backwards = precision[:, part][:, ::-1]
        np.maximum.accumulate(backwards, axis=1, out=backwards)
    # Where a weighting leaves no ground truth the row is not used, and any divisor does.
    recall = np.divide(hits, np.where(positives > 0, positives, 1.0)[:, None], out=hits)
    reached = _recalls_reached(recall)
    reached[:, ends] = len(_RECALLS)
    repeats = np.empty_like(reached)
    repeats[:, 0] = reached[:, 0]
    np.subtract(reached[:, 1:], reached[:, :-1], out=repeats[:, 1:])
    repeats[:, plan.stops[:-1]] += len(_RECALLS)
    out[:] = np.repeat(precision.ravel(), repeats.ravel()).reshape(out.shape)


def _recalls_reached(recall: FloatArray) -> IndexArray:
    """How many of the 101 recalls are at most each of ``recall``, 0 to 1: ``searchsorted``, but faster."""
    guess = (recall * (len(_RECALLS) - 1)).astype(np.intp)
    # Rounding down loses one, and the product may be off by one.
    guess += _BEYOND[guess] <= recall
    guess += _BEYOND[guess] <= recall
    return guess
