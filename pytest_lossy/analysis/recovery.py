"""What retraining on compressed data wins back, against a control that was trained as long on clean data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.results.document import MetricValue
from pytest_lossy.tasks.base import FloatArray, Metric

__all__ = ["GAIN", "NAIVE", "RECOVERY", "RECOVERY_METRICS", "Arms", "recover"]

RECOVERY = Metric(
    "recovery",
    "recovery",
    description="(retrained - control) / (control on clean - control) of the primary metric; the control was trained as "
    "many iterations on clean data; undefined where the control loses nothing for certain",
)
GAIN = Metric(
    "retraining_gain",
    "gain over the control",
    description="retrained - control of the primary metric, signed so that better is positive",
)
NAIVE = Metric(
    "naive_recovery",
    "naive recovery",
    description="(retrained - parent) / (parent on clean - parent): it counts mere extra training as recovery",
)
RECOVERY_METRICS = (RECOVERY, GAIN, NAIVE)


@dataclass(frozen=True)
class Arms:
    """One metric of the models that a recovery compares, all on the same samples."""

    retrained: Replicates
    control: Replicates
    control_clean: Replicates
    parent: Replicates
    parent_clean: Replicates


def recover(arms: Arms, metric: str, *, higher_is_better: bool, confidence: float) -> dict[str, MetricValue]:
    """Recovery, gain and naive recovery at one level, with paired intervals.

    They describe the sampling of the data: how much another training run would differ is not in them.

    Args:
        arms: measured at the same level, and clean.
        metric: of which to speak.
        higher_is_better: its direction.
        confidence: two-sided.

    Returns:
        name of :data:`RECOVERY_METRICS` -> value; null where it is undefined.
    """
    sign = 1.0 if higher_is_better else -1.0
    gain = _difference(arms.retrained, arms.control, metric, sign)
    loss = _difference(arms.control_clean, arms.control, metric, sign)
    naive_gain = _difference(arms.retrained, arms.parent, metric, sign)
    naive_loss = _difference(arms.parent_clean, arms.parent, metric, sign)
    return {
        RECOVERY.name: _ratio(gain, loss, confidence),
        GAIN.name: _value(gain, confidence),
        NAIVE.name: _ratio(naive_gain, naive_loss, confidence),
    }


Paired = tuple[float, FloatArray | None]
"""A number on the full data, and under each bootstrap weighting."""


def _difference(first: Replicates, second: Replicates, metric: str, sign: float) -> Paired:
    point = sign * (first.point.get(metric, math.nan) - second.point.get(metric, math.nan))
    if metric not in first.replicates or metric not in second.replicates:
        return point, None
    return point, sign * (first.replicates[metric] - second.replicates[metric])


def _ratio(part: Paired, whole: Paired, confidence: float) -> MetricValue:
    """Part of a loss, where the loss is there for certain."""
    bounds = _interval(whole, confidence)
    if bounds is None or bounds[0] <= 0 or part[1] is None or whole[1] is None:
        return MetricValue(value=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _value((part[0] / whole[0], part[1] / whole[1]), confidence)


def _value(paired: Paired, confidence: float) -> MetricValue:
    if not math.isfinite(paired[0]):
        return MetricValue(value=None)
    bounds = _interval(paired, confidence)
    return MetricValue(value=paired[0], low=bounds[0] if bounds else None, high=bounds[1] if bounds else None)


def _interval(paired: Paired, confidence: float) -> tuple[float, float] | None:
    point, replicates = paired
    if replicates is None or not math.isfinite(point):
        return None
    return bias_corrected(point, replicates, confidence)
