"""One curve of the results, completed: band, isotonic fit, knee, second opinion, operating limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.breakpoint import two_segment_break
from pytest_lossy.analysis.knee import LocatedKnee, locate_knee
from pytest_lossy.analysis.limit import Step, Walk, walk
from pytest_lossy.analysis.positions import Scale, locate
from pytest_lossy.analysis.requirements import Measured, gates_on, level_step, tags_of
from pytest_lossy.analysis.retention import RetentionCurve, retention_curve
from pytest_lossy.analysis.search import LIMIT_TESTS
from pytest_lossy.results.document import Curve, Estimate, Knee, Limit
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.tasks.base import FloatArray

__all__ = ["CurveData", "complete_curve", "curve_retention", "knee_finding", "limit_finding"]


@dataclass(frozen=True, slots=True)
class CurveData:
    """What the findings of one curve are made of."""

    levels: Sequence[Measured]
    """Every level that the run planned, measured or not, mild to severe."""
    clean: StoredReplicates | None
    metric: str
    higher_is_better: bool
    tolerance: float
    """Share of the clean metric that the knee allows to lose."""
    confidence: float
    """Of the band and of two-sided intervals; one-sided bounds have the same."""
    searched: bool = False
    """Whether the levels were chosen one by one, by what those before them showed."""

    @property
    def limit_confidence(self) -> float:
        """Of the one-sided bounds that the operating limit rests on."""
        return 1 - (1 - self.confidence) / LIMIT_TESTS if self.searched else self.confidence

    def name(self, level: float) -> str:
        """A level as node ids print it: ``q15``."""
        parameter = next((entry.row.parameter for entry in self.levels if entry.row.level == level), None)
        return f"{parameter or ''}{level:g}"

    @property
    def bytes_of(self) -> float | None:
        """The mildest level with known bytes."""
        return next((entry.row.level for entry in self.levels if entry.row.bpp), None)

    def byte_share(self, bpp: float | None) -> float | None:
        """Bytes relative to those of the mildest level."""
        whole = next((entry.row.bpp for entry in self.levels if entry.row.bpp), None)
        return bpp / whole if bpp is not None and whole else None


def complete_curve(curve: Curve, data: CurveData) -> Curve:
    """Add to a curve what its replicates say."""
    retention = curve_retention(data)
    bands: dict[float, tuple[float | None, float | None, float | None]] = {}
    if retention is None:
        knee = Knee(
            metric=data.metric, status="undefined", tolerance=data.tolerance, explanation="There is no retention here."
        )
    else:
        located = locate_knee(retention, tolerance=data.tolerance, confidence=data.confidence)
        knee = knee_finding(data, retention, located)
        columns = zip(located.band.low, located.band.high, located.fit, strict=True)
        for level, (low, high, fit) in zip(retention.levels, columns, strict=True):
            bands[level] = (_finite(low), _finite(high), _finite(fit))
    points = [
        point.model_copy(update=dict(zip(("band_low", "band_high", "isotonic"), bands[point.level], strict=True)))
        if point.level in bands
        else point
        for point in curve.points
    ]
    return curve.model_copy(
        update={
            "points": points,
            "bytes_of": data.bytes_of,
            "knee": knee,
            "limit": limit_finding(data),
            "slice_limits": [limit_finding(data, tag) for tag in tags_of(data.metric, data.levels)],
        }
    )


def curve_retention(data: CurveData) -> RetentionCurve | None:
    """The retention of a curve; None in label-free mode, and where the clean metric is not distinguishable from 0."""
    measured = [
        (entry.row.level, entry.stored, entry.row.bpp)
        for entry in data.levels
        if entry.row.level is not None
        and entry.stored is not None
        and entry.row.reference == "labels"
        and data.metric in entry.row.metrics
        and entry.row.metrics[data.metric].retention is not None
    ]
    if data.clean is None or not measured:
        return None
    return retention_curve(measured, data.clean, data.metric, higher_is_better=data.higher_is_better)


def knee_finding(data: CurveData, retention: RetentionCurve, located: LocatedKnee) -> Knee:
    """A located knee in the units and words of the results."""
    levels = np.array(retention.levels)
    rates = {entry.row.level: entry.row.kbps for entry in data.levels}
    whole = next((entry.row.bpp for entry in data.levels if entry.row.bpp), None)
    scale = Scale(
        levels,
        retention.log_bpp,
        _logarithms([rates.get(level) for level in retention.levels]),
        math.log(whole) if whole else math.nan,
    )
    opinion = two_segment_break(
        levels, retention.point, retention.replicates, confidence=data.confidence, units=retention.units
    )
    return Knee(
        metric=data.metric,
        status=located.status,
        tolerance=data.tolerance,
        position=None if located.place is None else locate(located.place, scale),
        censored=located.censored,
        censored_mild=located.censored_mild,
        band_width=_finite(located.band_width),
        explanation=_explain(data, retention, located),
        second_opinion=None if opinion is None else Estimate(value=opinion.level, low=opinion.low, high=opinion.high),
    )


def _explain(data: CurveData, retention: RetentionCurve, located: LocatedKnee) -> str:
    line = f"{100 * (1 - data.tolerance):.6g}% of clean"
    mild, severe = data.name(retention.levels[0]), data.name(retention.levels[-1])
    if math.isfinite(located.crossing):
        before = min(math.floor(located.crossing), len(retention.levels) - 2)
        where = f"between {data.name(retention.levels[before])} and {data.name(retention.levels[before + 1])}"
    else:
        where = severe if located.crossing > 0 else mild
    width = f"{100 * located.band_width:.3g} points of retention"
    if located.reason == "crossed":
        return f"{data.metric} falls below {line} {where}."
    if located.reason == "beyond_severe":
        return f"{data.metric} stays at or above {line} down to {severe}, the most severe level tried."
    if located.reason == "milder_than_range":
        return f"{data.metric} is below {line} at {mild} already, the mildest level tried."
    if located.reason == "no_replicates":
        return "One independent unit gives no interval, so the knee cannot be told from noise."
    if located.reason == "wide_band":
        crossing = "" if math.isinf(located.crossing) else f"The curve crosses {line} {where}, but "
        near = "near there" if crossing else f"at {where}"
        return (
            f"{crossing}{'t' if crossing else 'T'}he simultaneous band is {width} wide {near}, not below the tolerance of "
            f"{100 * data.tolerance:.6g}; more samples, or a larger --lossy-tolerance, would resolve it."
        )
    if located.reason == "unbounded":
        return f"The curve crosses {line} {where}, but too few bootstrap replicates cross there to bound the place."
    return "There is no retention here."


def limit_finding(data: CurveData, tag: str | None = None) -> Limit:
    """The operating limit of a curve, or of the samples that carry a tag."""
    metric = data.metric if tag is None else f"{data.metric}{{{tag}}}"
    steps = [
        level_step(entry, data.clean, metric, higher_is_better=data.higher_is_better, tolerance=data.tolerance)
        for entry in data.levels
    ]
    found = walk(steps, confidence=data.limit_confidence)
    # The level that decided says what was required; where every level passed, the last one.
    decisive = found.ended if found.ended is not None else found.last
    if decisive is not None and not steps[decisive].requirements:
        decisive = found.last  # that level was not measured
    words = _words(steps[decisive]) if decisive is not None else ""
    row = data.levels[found.last].row if found.last is not None else None
    return Limit(
        metric=data.metric,
        slice=tag,
        status=found.status,
        requirement=f"{words}, shown at one-sided {100 * data.limit_confidence:.4g}%" if words else "",
        gated=decisive is not None and bool(gates_on(data.levels[decisive].row, metric)),
        level=row.level if row else None,
        case=row.id if row else None,
        bpp=row.bpp if row else None,
        kbps=row.kbps if row else None,
        byte_share=data.byte_share(row.bpp) if row else None,
        ended_by=steps[found.ended].level if found.ended is not None else None,
        explanation=f"{_explain_limit(data, found)}{_other_requirement(data, steps, found, decisive, metric)}",
    )


def _words(step: Step) -> str:
    return " and ".join(requirement.text for requirement in step.requirements)


def _other_requirement(data: CurveData, steps: Sequence[Step], found: Walk, decisive: int | None, metric: str) -> str:
    """Where the last safe level was held to a gate and the next to the tolerance, or the other way round."""
    if found.last is None or decisive is None:
        return ""
    last = bool(gates_on(data.levels[found.last].row, metric))
    if last == bool(gates_on(data.levels[decisive].row, metric)):
        return ""
    name = data.name(steps[found.last].level)
    held = f"{name} was held to its gate" if last else f"{name} has no gate and was held to the tolerance"
    return f" {held}: {_words(steps[found.last])}."


def _explain_limit(data: CurveData, found: Walk) -> str:
    if found.status == "undefined":
        return "Nothing is required that could be bounded: there is neither retention nor a gate on this metric."
    if found.ended is None:
        return "Every level tried is shown to be safe."
    name = data.name(data.levels[found.ended].row.level or 0.0)
    if found.missing is None:
        row = data.levels[found.ended].row
        why = {"not_run": "it did not run", "crashed": "its process died", "error": "it is in error"}
        return f"{name} cannot be judged: {why.get(row.verdict, 'it has no such metric')}."
    if found.bound is None:
        return f"At {name}, {found.missing.text} cannot be judged: no one-sided bound can be given."
    side = "lower" if found.missing.at_least else "upper"
    return f"At {name} the one-sided {side} bound is {found.bound:.4g}, and {found.missing.required:.4g} is required."


def _logarithms(rates: Sequence[float | None]) -> FloatArray:
    return np.array([math.log(rate) if rate else math.nan for rate in rates])


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
