"""The knee of one curve as a case of its own: from every level of the spec, or by a search among the codec's levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pytest_lossy.analysis.curves import CurveData, curve_retention, knee_finding, limit_finding
from pytest_lossy.analysis.knee import locate_knee
from pytest_lossy.analysis.knee_bounds import knee_bounds, level_at
from pytest_lossy.analysis.requirements import Measured
from pytest_lossy.analysis.search import LevelScale, Reading, search
from pytest_lossy.cases import CodecPlan
from pytest_lossy.results.document import Knee
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.thresholds.knees import KneeLevels

__all__ = ["Curve", "FoundKnee", "find_knee", "knee_of", "search_knee"]

LevelOf = Callable[[float], Measured]
"""Evaluates a level of the curve, or loads what was measured there."""


@dataclass(frozen=True)
class Curve:
    """What is the same for every level of a curve."""

    plan: CodecPlan
    clean: Callable[[], StoredReplicates | None]
    """Called once a level is there."""
    metric: str
    higher_is_better: bool
    tolerance: float
    confidence: float
    searched: bool = False

    def data(self, levels: Mapping[float, Measured]) -> CurveData:
        """The curve through some levels, in any order."""
        return CurveData(
            [levels[level] for level in sorted(levels, key=self.plan.grid.severity)],
            self.clean(),
            self.metric,
            self.higher_is_better,
            self.tolerance,
            self.confidence,
            self.searched,
        )


@dataclass(frozen=True)
class FoundKnee:
    """A knee with what judging it needs."""

    knee: Knee
    place: KneeLevels
    levels: tuple[Measured, ...]
    """Mild to severe."""
    samples: str
    """Digest of the samples."""

    @property
    def tried(self) -> tuple[float, ...]:
        """The levels measured, mild to severe."""
        return tuple(entry.row.level for entry in self.levels if entry.row.level is not None)


def find_knee(curve: Curve, level_of: LevelOf) -> FoundKnee:
    """The knee among all levels of the spec, or of ``--lossy-level``."""
    return knee_of(curve.data({level: level_of(level) for level in curve.plan.levels}))


def search_knee(curve: Curve, level_of: LevelOf) -> FoundKnee:
    """The knee and the operating limit by bisection between the mildest and the most severe level of the spec."""
    curve, known = replace(curve, searched=True), dict[float, Measured]()

    def evaluate(levels: tuple[float, ...]) -> Reading:
        for level in levels:
            if level not in known:
                known[level] = level_of(level)
        return _read(curve, curve.data(known))

    search(evaluate, LevelScale(curve.plan.levels, curve.plan.grid.integral))
    found = knee_of(curve.data(known))
    mild, severe = (f"{curve.plan.parameter}{level:g}" for level in curve.plan.ends)
    note = f"Bisection evaluated {len(known)} levels between {mild} and {severe}."
    explanation = f"{found.knee.explanation} {note}".strip()
    told = {"explanation": explanation, "evaluations": len(known)}
    return FoundKnee(found.knee.model_copy(update=told), found.place, found.levels, found.samples)


def _read(curve: Curve, data: CurveData) -> Reading:
    levels = [entry.row.level for entry in data.levels]
    retention = curve_retention(data)
    if retention is None:
        return Reading([None] * len(levels), [False] * len(levels))
    located = locate_knee(retention, tolerance=curve.tolerance, confidence=curve.confidence)
    fit = dict(zip(retention.levels, located.fit, strict=True))
    limit = limit_finding(data)
    ended = levels.index(limit.ended_by) if limit.ended_by is not None else len(levels)
    if limit.status == "undefined":
        ended = 0
    interval = None
    if located.place is not None:
        interval = (level_at(located.place.low, retention.levels), level_at(located.place.high, retention.levels))
    return Reading(
        above=[_above(fit.get(level or 0.0, math.nan), curve.tolerance) for level in levels],
        safe=[index < ended for index in range(len(levels))],
        interval=interval,
    )


def _above(fit: float, tolerance: float) -> bool | None:
    return None if math.isnan(fit) else fit >= 1 - tolerance


def knee_of(data: CurveData) -> FoundKnee:
    """The knee of a curve whose levels are measured."""
    retention = curve_retention(data)
    samples = data.levels[0].stored.samples if data.levels[0].stored is not None else ""
    if retention is None:
        explanation = "There is no retention here: the clean metric is missing, 0, or its interval contains 0."
        knee = Knee(metric=data.metric, status="undefined", tolerance=data.tolerance, explanation=explanation)
        return FoundKnee(knee, KneeLevels(math.nan, -math.inf, math.inf), tuple(data.levels), samples)
    located = locate_knee(retention, tolerance=data.tolerance, confidence=data.confidence)
    place = knee_bounds(located, retention, tolerance=data.tolerance, confidence=data.confidence)
    value, mild, severe = (level_at(end, retention.levels) for end in (place.value, place.low, place.high))
    return FoundKnee(
        knee_finding(data, retention, located), KneeLevels(value, mild, severe), tuple(data.levels), samples
    )
