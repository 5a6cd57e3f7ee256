"""What retraining on compressed data wins back, against a control that was trained as long on clean data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.results.values import Estimate
from pytest_lossy.tasks.base import FloatArray

__all__ = ["NOTHING", "NO_INTERVAL", "Arms", "Measured", "Recovered", "recover"]

NOTHING = "nothing to recover: it is not certain that the control loses anything here"
NO_INTERVAL = "no interval: too few independent units, or undefined in most replicates"


class Measured(Protocol):
    """One case's metrics: on the full data, and under each bootstrap weighting."""

    @property
    def point(self) -> Mapping[str, float]:
        """Metric -> value; NaN where it is undefined."""

    @property
    def replicates(self) -> Mapping[str, FloatArray]:
        """Metric -> (B,)."""

    @property
    def units(self) -> int:
        """Independent units that were resampled."""


@dataclass(frozen=True)
class Arms:
    """The models that a recovery compares, at one level and clean, all on the same samples."""

    retrained: Measured
    retrained_clean: Measured
    control: Measured
    control_clean: Measured
    parent: Measured
    parent_clean: Measured


@dataclass(frozen=True)
class Recovered:
    """What one retraining changed at one level, of one metric; intervals are paired over the samples."""

    recovery: Estimate
    """(retrained - control) / (control on clean - control); never clipped."""
    gain: Estimate
    """Retrained - control, signed so that better is positive."""
    naive: Estimate
    """(retrained - parent) / (parent on clean - parent)."""
    clean_cost: Estimate
    """Control - retrained on clean samples, signed so that worse is positive."""
    note: str = ""
    """Why recovery is null."""


def recover(arms: Arms, metric: str, *, higher_is_better: bool, confidence: float) -> Recovered:
    """Recovery, gain, naive recovery and cost at one level, with paired intervals.

    They describe the sampling of the data: how much another training run would differ is not in them.

    Args:
        arms: measured at the same level, and clean.
        metric: of which to speak.
        higher_is_better: its direction.
        confidence: two-sided.

    Returns:
        null wherever a number is undefined; recovery is, unless the lower end of the paired interval of the control's
        loss lies above 0.
    """
    sign = 1.0 if higher_is_better else -1.0

    def minus(first: Measured, second: Measured) -> _Paired:
        return _difference(first, second, metric, sign, confidence)

    gain, loss = minus(arms.retrained, arms.control), minus(arms.control_clean, arms.control)
    naive_gain, naive_loss = minus(arms.retrained, arms.parent), minus(arms.parent_clean, arms.parent)
    recovery = _ratio(gain, loss)
    note = ""
    if recovery.value is None:
        known = gain.replicates is not None and loss.bounds is not None
        note = NOTHING if known else NO_INTERVAL
    return Recovered(
        recovery=recovery,
        gain=gain.estimate,
        naive=_ratio(naive_gain, naive_loss),
        clean_cost=minus(arms.control_clean, arms.retrained_clean).estimate,
        note=note,
    )


@dataclass(frozen=True)
class _Paired:
    """A number on the full data, and under each bootstrap weighting."""

    point: float
    replicates: FloatArray | None
    units: int
    confidence: float

    @property
    def bounds(self) -> tuple[float, float] | None:
        if self.replicates is None or not math.isfinite(self.point):
            return None
        return bias_corrected(self.point, self.replicates, self.confidence, self.units)

    @property
    def estimate(self) -> Estimate:
        if not math.isfinite(self.point):
            return Estimate(value=None)
        low, high = self.bounds or (None, None)
        return Estimate(value=self.point, low=low, high=high)


def _difference(first: Measured, second: Measured, metric: str, sign: float, confidence: float) -> _Paired:
    point = sign * (first.point.get(metric, math.nan) - second.point.get(metric, math.nan))
    drawn = None
    if metric in first.replicates and metric in second.replicates:
        drawn = sign * (first.replicates[metric] - second.replicates[metric])
    return _Paired(point, drawn, first.units, confidence)


def _ratio(part: _Paired, whole: _Paired) -> Estimate:
    """Part of a loss, where the loss is there for certain."""
    bounds = whole.bounds
    if bounds is None or bounds[0] <= 0 or part.replicates is None or whole.replicates is None:
        return Estimate(value=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = part.replicates / whole.replicates
    return _Paired(part.point / whole.point, drawn, part.units, part.confidence).estimate
