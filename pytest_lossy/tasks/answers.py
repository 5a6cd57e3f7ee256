"""What a model answers, counted in fixed bins: shown in label-free mode, where a model that always gives the same answer
agrees with itself perfectly.

Counts are whole numbers of fixed bins, so that those of samples, shards and frames add up. Tasks of other packages, and
tasks whose classes have no names, have no bins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.instances import numbers
from pytest_lossy.tasks.segmentation import IGNORED

__all__ = ["answer_bins", "count_answers"]

Counts = npt.NDArray[np.int64]

_NO_LABEL = "none"
_NO_BOX = "images without a box"
_PEOPLE = (("no people", 0), ("1 person", 1), ("2 people", 2), ("3-5 people", 3), ("6+ people", 6))
"""Name, and the smallest number of people."""
_FIRST_OCTAVE, _LAST_OCTAVE = -2, 6
"""Depth is counted by powers of two, from 0.25 to 128 metres; a bin holds its lower edge and not its upper one."""
_UNKNOWN = "unknown"


def answer_bins(task: Task) -> tuple[str, ...]:
    """The names of what :func:`count_answers` counts; empty where a task's answers cannot be counted.

    Segmentation: pixels per class, and ``none``; detection: boxes per class, and images without a box; pose: images by
    number of people; action and classification: samples by first class; depth: pixels by distance, and ``unknown``. A
    class whose name is taken, by another class or by a bin, has its label appended (``crane#134``).
    """
    histogram = _HISTOGRAMS.get(task.name)
    return histogram.bins(getattr(task, "classes", ())) if histogram is not None else ()


def count_answers(task: Task, target: Any) -> Counts:
    """Count one answer.

    Args:
        task: one with bins.
        target: a prediction as ``task.as_target`` returns it.

    Returns:
        (K,), one count per name of :func:`answer_bins`.
    """
    return _HISTOGRAMS[task.name].count(target, len(answer_bins(task)))


@dataclass(frozen=True, slots=True)
class _Histogram:
    bins: Callable[[Sequence[str]], tuple[str, ...]]
    """Class names -> names of bins."""
    count: Callable[[Any, int], Counts]
    """Target and number of bins -> (K,)"""


def _classes_and(*others: str) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Bins of the classes, in label order, and after them those of ``others``."""

    def bins(classes: Sequence[str]) -> tuple[str, ...]:
        taken = Counter([*classes, *others])
        names = [name if taken[name] == 1 else f"{name}#{label}" for label, name in enumerate(classes)]
        return (*names, *others) if classes else ()

    return bins


def _pixels_by_label(target: npt.NDArray[np.integer[Any]], bins: int) -> Counts:
    counts = np.bincount(target.ravel(), minlength=max(bins, IGNORED + 1)).astype(np.int64)
    counts[IGNORED] = 0
    return np.append(counts[: bins - 1], target.size - counts[: bins - 1].sum())


def _boxes_by_class(target: Mapping[str, Any], bins: int) -> Counts:
    labels = numbers(target, "labels").astype(np.int64)
    return np.append(np.bincount(labels, minlength=bins - 1), len(labels) == 0).astype(np.int64)


def _by_people(target: Mapping[str, Any], bins: int) -> Counts:
    lowest = [fewest for _, fewest in _PEOPLE]
    return _one_of(int(np.searchsorted(lowest, len(target["keypoints"]), side="right")) - 1, bins)


def _by_class(target: Any, bins: int) -> Counts:
    """A label, or ``{"label": int, ...}`` of a clip."""
    return _one_of(int(target["label"] if isinstance(target, Mapping) else target), bins)


def _one_of(index: int, bins: int) -> Counts:
    counts = np.zeros(bins, dtype=np.int64)
    counts[index] = 1
    return counts


def _depth_bins(classes: Sequence[str]) -> tuple[str, ...]:
    edges = [f"{2.0**octave:g}" for octave in range(_FIRST_OCTAVE, _LAST_OCTAVE + 2)]
    between = (f"{low}-{high} m" for low, high in pairwise(edges))
    return (f"below {edges[0]} m", *between, f"from {edges[-1]} m", _UNKNOWN)


def _pixels_by_depth(target: npt.NDArray[np.floating[Any]], bins: int) -> Counts:
    known = target[np.isfinite(target) & (target > 0)]
    # A number is m * 2^e with 0.5 <= m < 1: its octave without the rounding of a logarithm.
    octave = np.frexp(known)[1].astype(np.int64) - 1
    places = np.clip(octave - _FIRST_OCTAVE + 1, 0, bins - 2)
    return np.append(np.bincount(places, minlength=bins - 1), target.size - known.size).astype(np.int64)


_HISTOGRAMS = {
    "action": _Histogram(_classes_and(), _by_class),
    "classification": _Histogram(_classes_and(), _by_class),
    "depth": _Histogram(_depth_bins, _pixels_by_depth),
    "detection": _Histogram(_classes_and(_NO_BOX), _boxes_by_class),
    "pose": _Histogram(lambda classes: tuple(name for name, _ in _PEOPLE), _by_people),
    "segmentation": _Histogram(_classes_and(_NO_LABEL), _pixels_by_label),
}
