"""What a gate may ask for, given what was measured: the limit a margin beyond the interval, rounded outward.

Every limit is a decimal number, since it becomes text: 0.1 in binary is none, and no limit may be stricter than it reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from pytest_lossy.codecs.base import Levels
from pytest_lossy.results.document import Knee, MetricValue, Reference
from pytest_lossy.thresholds.knees import KneeLevels, judge_knee
from pytest_lossy.thresholds.rules import NO_MILDER_THAN, Bound, Gate
from pytest_lossy.thresholds.verdicts import judge

__all__ = ["MeasuredKnee", "NoLimit", "knee_limit", "limit_text", "metric_limit", "new_bound", "passes", "value_of"]

_DIGITS = 3
"""Significant digits of a limit: coarse enough to read, and finer than the default margin."""
_DROP_STEP, _FINEST = Decimal("0.001"), Decimal("0.0000001")
"""Of a drop: a tenth of a percent, or finer where that would be all of it."""


class NoLimit(ValueError):  # noqa: N818 - an answer, not a failure
    """No gate of this kind can be met by what was measured; the message says why."""


@dataclass(frozen=True, slots=True)
class MeasuredKnee:
    """Where a knee lies, and what judging it needs."""

    knee: Knee
    place: KneeLevels
    tried: tuple[float, ...]
    """Levels measured, mild to severe."""
    grid: Levels


def metric_limit(bound: Bound, metric: MetricValue | None, margin: float, reference: Reference) -> Decimal:
    """The limit of ``bound`` that a case with this metric passes, by its whole interval and a margin.

    ``min`` lies the margin below the lower end, ``max`` above the upper one, each as a share of that end; ``max_drop`` asks
    for a retention the same share below its lower end; ``max_loss``, as ``max_drop`` in label-free mode, allows that share
    of the metric itself beyond the upper end of the loss.

    Args:
        bound: of a metric.
        metric: as measured; None where the case does not have it.
        margin: a share, 0 or more and less than 1.
        reference: what the case was scored against.

    Raises:
        NoLimit: the metric or its interval is undefined, or no limit that may be written is loose enough.
    """
    share = Decimal(str(margin))
    quantity = "value"
    if bound == "max_loss" or (bound == "max_drop" and reference == "clean"):
        quantity = "loss"
    elif bound == "max_drop":
        quantity = "retention"
    prefix = "" if quantity == "value" else f"{quantity}_"
    observed, low, high = (getattr(metric, name, None) for name in (quantity, f"{prefix}low", f"{prefix}high"))
    if metric is None or observed is None:
        raise NoLimit(f"its {quantity} is undefined")
    if low is None or high is None:
        raise NoLimit(f"its {quantity} has no interval")
    floor, ceiling = Decimal(str(low)), Decimal(str(high))  # as they print: the last bit of a number is no measurement
    if bound == "min":
        return _rounded(floor - share * abs(floor), ROUND_FLOOR)
    if bound == "max":
        return _rounded(ceiling + share * abs(ceiling), ROUND_CEILING)
    if quantity == "loss":
        room = share * abs(Decimal(str(metric.value or 0)))
        if bound == "max_loss":
            return _rounded(ceiling + room, ROUND_CEILING)
        return _drop(ceiling + room, "its disagreement may be complete")
    return _drop(1 - floor * (1 - share), "its retention may be 0")


def _rounded(number: Decimal, direction: str) -> Decimal:
    """Three significant digits, towards ``direction``."""
    if number == 0:
        return Decimal(0)
    return number.quantize(Decimal(1).scaleb(number.adjusted() - _DIGITS + 1), rounding=direction)


def _drop(number: Decimal, otherwise: str) -> Decimal:
    """A share that ``max_drop`` may have: 0 or more, less than 1, in tenths of a percent or as fine as it takes."""
    step = _DROP_STEP
    while number < 1 and step > _FINEST:
        drop = max(number, Decimal(0)).quantize(step, rounding=ROUND_CEILING)
        if drop < 1:
            return drop
        step /= 10
    raise NoLimit(f"{otherwise}: a drop of 100% cannot be gated")


def knee_limit(found: MeasuredKnee, margin: float) -> Decimal:
    """The level that ``no_milder_than`` may name: the mild end of the knee's interval, and a margin milder.

    A knee lies among levels, whose numbers have no share of their own: the margin is a share of the codec's whole range.

    Raises:
        NoLimit: the knee is not resolved, or may be milder than every level tried.
    """
    if found.knee.status not in ("resolved", "beyond_range"):
        raise NoLimit(found.knee.explanation or "the knee is not resolved")
    grid = found.grid
    mild = found.place.mild
    if mild == math.inf:  # the whole interval lies beyond what was tried, and shows no more than that
        mild = found.tried[-1]
    if not math.isfinite(mild):
        raise NoLimit("the knee may be milder than every level tried; try a milder one")
    room = Decimal(str(margin)) * Decimal(str(grid.maximum - grid.minimum))
    rises = grid.higher_is_more_compressed
    number = Decimal(str(mild)) - room if rises else Decimal(str(mild)) + room
    outward = ROUND_FLOOR if rises else ROUND_CEILING
    limit = number.quantize(Decimal(1), rounding=outward) if grid.integral else _rounded(number, outward)
    return min(max(limit, Decimal(str(grid.minimum))), Decimal(str(grid.maximum)))


def new_bound(metric: MetricValue | None, margin: float, reference: Reference, *, clean: bool, higher: bool) -> Bound:
    """The kind of gate that a case without one gets: what compression may cost, else what the metric must reach.

    A retention is paired with clean and so has the narrower interval; clean itself, label-free mode, and what has no
    retention are gated by the metric.

    Args:
        metric: the primary one.
        margin: a share.
        reference: what the case was scored against.
        clean: whether it is the case without a codec.
        higher: whether more of the metric is better.

    Raises:
        NoLimit: neither kind could be met, or missed.
    """
    if not clean and reference == "labels":
        try:
            metric_limit("max_drop", metric, margin, reference)
        except NoLimit:
            pass
        else:
            return "max_drop"
    bound: Bound = "min" if higher else "max"
    if metric_limit(bound, metric, margin, reference) == 0 and higher:
        raise NoLimit("its interval reaches 0: a gate there could never fail")
    return bound


def passes(gate: Gate, measured: MetricValue | MeasuredKnee | None, reference: Reference) -> bool:
    """Whether the whole interval meets a gate."""
    if isinstance(measured, MeasuredKnee):
        rises = measured.grid.higher_is_more_compressed
        result = judge_knee(gate, measured.knee, measured.place, tried=measured.tried, higher_is_more_compressed=rises)
    else:
        result = judge(gate, measured, reference=reference)
    return result.verdict == "passed"


def limit_text(limit: Decimal, bound: Bound, like: str | None = None) -> str:
    """A limit as YAML has it, in the spelling of what it replaces: ``10%`` or ``0.1``.

    Args:
        limit: the number.
        bound: a new ``max_drop`` is a percentage.
        like: the text replaced, without quotes; None for a new gate.
    """
    percent = like.strip().endswith("%") if like is not None else bound == "max_drop"
    if bound == NO_MILDER_THAN or not percent:
        return _plain(limit)
    return f"{_plain(limit * 100)}%"


def _plain(number: Decimal) -> str:
    """Without an exponent and without zeros that say nothing."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def value_of(text: str) -> float:
    """The number that the reader makes of a limit's text."""
    share = text.strip()
    return float(share[:-1]) / 100 if share.endswith("%") else float(share)
