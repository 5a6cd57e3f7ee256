"""The operating limit: how far a codec may be turned up before its safety is no longer shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected, bounded_share
from pytest_lossy.tasks.base import FloatArray

__all__ = ["Bounded", "Requirement", "Step", "Walk", "bound_of", "walk"]


@dataclass(frozen=True, slots=True)
class Bounded:
    """A quantity of one level with what its one-sided bounds need."""

    point: float
    replicates: FloatArray
    """(B,); B is 0 where there is a single independent unit."""
    units: int
    unseen: float = 0.0
    """How far the quantity moves if every unit of an unseen kind loses all it can, per share of such units: 1 for the mean
    of a score in [0, 1], 1 / clean for its retention. It counts only where no replicate differs from the estimate."""
    score: Callable[[float], tuple[float, float] | None] | None = None
    """Two-sided confidence -> score interval, of plain proportions: it stands in for the replicates' interval."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One bound on one quantity of a level."""

    text: str
    """In words, such as ``miou drops by at most 5%``."""
    required: float
    at_least: bool
    """Whether the quantity has to be at least, or at most, what is required."""
    quantity: Bounded | None
    """None where it is undefined."""


@dataclass(frozen=True, slots=True)
class Step:
    """One level of the walk."""

    level: float
    requirements: Sequence[Requirement]
    """All of which must be shown; empty where the level was not measured."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How far the walk came."""

    status: Literal["found", "none", "undefined"]
    last: int | None
    """Index of the last step shown to be safe."""
    ended: int | None
    """Index of the step that could not be; None where all could."""
    missing: Requirement | None = None
    """What could not be shown there; None where nothing was measured."""
    bound: float | None = None
    """The one-sided bound that misses it; None where there is none."""


def bound_of(quantity: Bounded, *, at_least: bool, confidence: float) -> float | None:
    """The one-sided bound: lower where the quantity has to be at least something, else upper.

    Bias-corrected, or by a score test for plain proportions, whose replicates are too coarse where few samples change.

    Where no replicate differs from the estimate, resampling says nothing about units of a kind that the sample does not
    hold; the bound assumes that they lose all that they can, and are as many as
    :func:`~pytest_lossy.analysis.bootstrap.bounded_share` allows.

    Returns:
        None where there are no replicates, or fewer than half are defined.
    """
    if not math.isfinite(quantity.point) or not len(quantity.replicates):
        return None
    two_sided = 2 * confidence - 1
    ends = quantity.score(two_sided) if quantity.score is not None else None
    ends = ends or bias_corrected(quantity.point, quantity.replicates, two_sided, quantity.units)
    if ends is None:
        return None
    defined = quantity.replicates[np.isfinite(quantity.replicates)]
    bound = ends[0] if at_least else ends[1]
    if np.ptp(defined) <= 1e-12 * max(1.0, abs(quantity.point)):
        unseen = quantity.unseen * bounded_share(quantity.units, confidence)
        bound = min(bound, quantity.point - unseen) if at_least else max(bound, quantity.point + unseen)
    return bound


def walk(steps: Sequence[Step], *, confidence: float) -> Walk:
    """Walk from mild to severe; stop at the first level that cannot be shown to meet what is required of it.

    The order is fixed before the data are seen and the walk stops at its first failure, so that each level is tested at
    the full ``1 - confidence`` and still the chance of passing any unsafe level is no more than that (fixed-sequence
    procedure: Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001). A level with several requirements passes only
    if each is shown, which needs no correction either (intersection-union: Berger 1982).

    Args:
        steps: mild to severe.
        confidence: one-sided, such as 0.95.
    """
    if not any(requirement.quantity is not None for step in steps for requirement in step.requirements):
        return Walk("undefined", None, None)
    for index, step in enumerate(steps):
        last = index - 1 if index else None
        status: Literal["found", "none"] = "found" if index else "none"
        if not step.requirements:
            return Walk(status, last, index)
        for requirement in step.requirements:
            bound = None
            if requirement.quantity is not None:
                bound = bound_of(requirement.quantity, at_least=requirement.at_least, confidence=confidence)
            met = bound is not None and (
                bound >= requirement.required if requirement.at_least else bound <= requirement.required
            )
            if not met:
                return Walk(status, last, index, requirement, bound)
    return Walk("found", len(steps) - 1, None)
