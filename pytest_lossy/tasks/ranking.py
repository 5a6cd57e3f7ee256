"""Detections of a whole data set by falling score, and what weights of samples make of that order.

A sample of weight w stands for w copies of it next to each other. For a precision-recall curve that is a weight on each
detection, except where one image holds true and false positives of equal score: copies of such an image interleave them
(hit, miss, hit, miss), and so they do here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import Evidence, FloatArray
from pytest_lossy.tasks.matching import BoolArray, IndexArray

__all__ = ["CurvePlan", "Ranking", "plan_curves", "rankings", "sample_order"]

_MOST_COPIES = 64
"""Tied detections are interleaved exactly up to this weight."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """One class: d detections of all samples, highest score first; equal scores in the samples' order."""

    label: int
    sample: IndexArray
    """(d,)"""
    rank: IndexArray
    """(d,) position among the sample's own detections of this class, from 0."""
    score: FloatArray
    """(d,)"""
    hit: BoolArray
    """(d, S) true positives under each of S settings."""
    miss: BoolArray
    """(d, S) false positives."""
    true_sample: IndexArray
    """(c,) samples with ground truth."""
    true_count: FloatArray
    """(c, A) their number of objects, per area range."""
    tied: tuple[tuple[int, int], ...]
    """Runs (start, stop) of detections of one sample with one score, among them true and false positives."""

    def positives(self, weights: FloatArray) -> FloatArray:
        """Weighted number of objects: (B, n) -> (B, A)."""
        total: FloatArray = weights[:, self.true_sample] @ self.true_count
        return total

    def columns(self, weights: FloatArray) -> tuple[IndexArray, FloatArray]:
        """Detections in the order of the weighted data, and their weights.

        Args:
            weights: (B, n) of the samples.

        Returns:
            (e,) indices of detections, which repeat where copies of a sample interleave, and (B, e) weights.
        """
        index = np.arange(len(self.sample))
        if not self.tied:
            return index, weights.take(self.sample, axis=1)
        parts, copies, done = [], [], 0
        for start, stop in self.tied:
            heaviest = weights[:, self.sample[start]].max(initial=0.0)
            count = int(min(max(1.0, np.ceil(heaviest)), _MOST_COPIES))
            parts += [index[done:start], np.tile(index[start:stop], count)]
            copies += [np.full(start - done, -1), np.repeat(np.arange(count), stop - start)]
            done = stop
        order = np.concatenate([*parts, index[done:]])
        copy = np.concatenate([*copies, np.full(len(index) - done, -1)])
        result = weights.take(self.sample[order], axis=1)
        split = np.flatnonzero(copy >= 0)
        largest = np.where(copy[split] == _MOST_COPIES - 1, np.inf, 1.0)
        result[:, split] = np.clip(result[:, split] - copy[split], 0.0, largest)
        return order, result


@dataclass(frozen=True, slots=True)
class CurvePlan:
    """Where precision-recall curves under S settings have their points: at true positives, where alone recall rises.

    The points of one setting follow those of the one before; each setting ends with a column of its own for what is never
    reached, so that there are t columns, S more than true positives.
    """

    used: IndexArray
    """(u,) columns of detections that count under any setting."""
    at: IndexArray
    """(t,) position in ``used`` of each point; of no meaning in the last column of a setting."""
    stops: IndexArray
    """(S,) where each setting ends."""
    skipped: tuple[tuple[slice, IndexArray, IndexArray], ...]
    """Per setting that ignores some of ``used``: its points, how many of these lie before each, and their positions."""

    @property
    def parts(self) -> list[slice]:
        """The points of each setting that has any."""
        starts = [0, *self.stops[:-1].tolist()]
        parts = [slice(start, stop - 1) for start, stop in zip(starts, self.stops.tolist(), strict=True)]
        return [part for part in parts if part.stop > part.start]

    def follow(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum up to each point.

        Args:
            weights: (B, e) of the detections.

        Returns:
            (B, t) true positives, and (B, t) true and false positives.
        """
        # ``take`` lays results out in rows; indexing might not, and row sums would then depend on B.
        weights = weights.take(self.used, axis=1)
        hits = weights.take(self.at, axis=1)
        for part in self.parts:
            np.cumsum(hits[:, part], axis=1, out=hits[:, part])
        seen = weights.cumsum(axis=1).take(self.at, axis=1)
        for part, before, positions in self.skipped:
            surplus = weights.take(positions, axis=1).cumsum(axis=1)
            seen[:, part] -= np.where(before > 0, surplus[:, np.maximum(before - 1, 0)], 0.0)
        return hits, seen


def plan_curves(hit: BoolArray, miss: BoolArray) -> CurvePlan:
    """Find the points of S curves over e detections, given their true and false positives, (e, S) each."""
    counted = hit | miss
    used = np.flatnonzero(counted.any(axis=1))
    hit, passed = hit[used].T, ~counted[used].T
    setting, position = np.nonzero(hit)
    stops = np.cumsum(hit.sum(axis=1) + 1)
    at = np.zeros(stops[-1], dtype=np.intp)
    at[np.arange(len(position)) + setting] = position
    skipped = []
    for index in np.flatnonzero(passed.any(axis=1) & hit.any(axis=1)).tolist():
        part = slice(int(stops[index] - hit[index].sum() - 1), int(stops[index] - 1))
        ignored = np.flatnonzero(passed[index])
        skipped.append((part, np.searchsorted(ignored, at[part]), ignored))
    return CurvePlan(used, at, stops, tuple(skipped))


def sample_order(evidence: Sequence[Evidence]) -> IndexArray:
    """The order in which samples' detections merge where scores tie: by image id where all have one, else as given.

    Args:
        evidence: each with ``image`` (0 or 1,) int64.
    """
    ids = [int(item["image"][0]) for item in evidence if len(item["image"])]
    return np.argsort(ids, kind="stable") if len(ids) == len(evidence) else np.arange(len(evidence))


def rankings(evidence: Sequence[Evidence], prefix: str, settings: int, order: IndexArray) -> Iterator[Ranking]:
    """Merge samples, one ranking for each class with detections or ground truth, in label order.

    Args:
        evidence: n samples with the arrays of :func:`pytest_lossy.tasks.matching.match_image`, each name after
            ``prefix``.
        prefix: of the arrays' names.
        settings: bits used of each number of ``hit`` and ``miss``.
        order: of the samples where scores tie.
    """

    def joined(name: str) -> tuple[npt.NDArray[Any], IndexArray]:
        parts = [evidence[index][prefix + name] for index in order]
        return np.concatenate(parts), np.repeat(order, [len(part) for part in parts])

    label, sample = joined("label")
    score, hit, miss = (joined(name)[0] for name in ("score", "hit", "miss"))
    true_label, true_sample = joined("true_label")
    true_count = joined("true_count")[0].astype(np.float64)
    rank = _rank(label, sample)
    # lexsort is stable: as pycocotools' merge sort, one class at a time.
    by_score = np.lexsort((-score.astype(np.float64), label))
    label, sample, score, hit, miss, rank = (array[by_score] for array in (label, sample, score, hit, miss, rank))
    for one in np.union1d(label, true_label):
        part = slice(*np.searchsorted(label, [one, one + 1]))
        true = np.flatnonzero(true_label == one)
        yield Ranking(
            label=int(one),
            sample=sample[part],
            rank=rank[part],
            score=score[part].astype(np.float64),
            hit=_unpacked(hit[part], settings),
            miss=_unpacked(miss[part], settings),
            true_sample=true_sample[true],
            true_count=true_count[true],
            tied=_mixed_ties(score[part], sample[part], hit[part], miss[part]),
        )


def _rank(label: npt.NDArray[Any], sample: IndexArray) -> IndexArray:
    """Position within each run of one sample and one class."""
    index = np.arange(len(label))
    new = np.ones(len(label), dtype=bool)
    new[1:] = (label[1:] != label[:-1]) | (sample[1:] != sample[:-1])
    rank: IndexArray = index - np.maximum.accumulate(np.where(new, index, 0))
    return rank


def _unpacked(bits: npt.NDArray[Any], settings: int) -> BoolArray:
    """(d, A) numbers to (d, A * settings) truth values."""
    unpacked: BoolArray = (bits.astype(np.uint16)[:, :, None] >> np.arange(settings, dtype=np.uint16)) & 1 == 1
    return unpacked.reshape(len(bits), bits.shape[1] * settings)


def _mixed_ties(
    score: npt.NDArray[Any],
    sample: IndexArray,
    hit: npt.NDArray[Any],
    miss: npt.NDArray[Any],
) -> tuple[tuple[int, int], ...]:
    if len(score) < 2:
        return ()
    starts = np.flatnonzero(np.append(True, (score[1:] != score[:-1]) | (sample[1:] != sample[:-1])))
    stops = np.append(starts[1:], len(score))
    both = np.bitwise_or.reduceat(hit, starts, axis=0) & np.bitwise_or.reduceat(miss, starts, axis=0)
    mixed = (stops - starts > 1) & both.any(axis=1)
    return tuple(zip(starts[mixed].tolist(), stops[mixed].tolist(), strict=True))
