"""Resilience: how much of its metric each model keeps over the levels tried, by model, by family and by experiment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pytest_lossy.analysis.arms import contrast
from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.analysis.measured_curves import MeasuredCurve, MeasuredCurves, ReplicatesOf
from pytest_lossy.analysis.retained_area import Areas, Resampled, mean_of, retained_areas
from pytest_lossy.analysis.retention import retention_curve
from pytest_lossy.results.document import (
    ArmDifference,
    ArmMember,
    Curve,
    Estimate,
    Experiment,
    FamilyResilience,
    Resilience,
    ResilienceRow,
    ResultsDocument,
    RetainedArea,
)

__all__ = ["add_resilience"]


@dataclass(frozen=True, eq=False)
class _Entry:
    """One curve with its area."""

    source: MeasuredCurve
    """Without its replicates."""
    levels: tuple[float, ...]
    areas: Areas
    clean: Resampled
    units: int
    samples: str

    @property
    def group(self) -> tuple[object, ...]:
        """What curves must share for their areas to compare: the codec and the levels tried."""
        return (*self.source.codec, self.levels)


def add_resilience(document: ResultsDocument, replicates: ReplicatesOf) -> ResultsDocument:
    """Fill ``Curve.area`` and ``ResultsDocument.resilience``.

    Left out are label-free models, whose agreement is no retention; curves of fewer than two levels, which have no area; and
    curves whose clean metric cannot be told from 0.

    Args:
        document: rows, models, codecs and curves of the run.
        replicates: of a row; None where nothing is stored.
    """
    confidence = document.run.confidence
    entries = [entry for curve in MeasuredCurves(document, replicates) if (entry := _entry(curve)) is not None]
    if not entries:
        return document
    curves: list[Curve] = list(document.curves)
    for entry in entries:
        position = entry.source.position
        curves[position] = curves[position].model_copy(update={"area": _area(entry.areas, entry.units, confidence)})
    resilience = Resilience(
        ranking=_ranking(entries, curves),
        families=_families(entries, confidence),
        experiments=_experiments(entries, confidence),
    )
    return document.model_copy(update={"curves": curves, "resilience": resilience})


def _entry(source: MeasuredCurve) -> _Entry | None:
    if source.model.reference != "labels" or source.clean is None:
        return None
    metric = source.curve.metric
    kept = [
        (entry.level, entry.stored, entry.row.bpp)
        for entry in source.levels
        if metric in entry.row.metrics and entry.row.metrics[metric].retention is not None
    ]
    curve = retention_curve(kept, source.clean, metric, higher_is_better=source.higher_is_better)
    areas = None if curve is None else retained_areas(curve)
    if curve is None or areas is None or areas.over_level is None:
        return None
    drawn = source.clean.replicates.get(metric, areas.over_level.replicates[:0])
    clean = Resampled(source.clean.point[metric], drawn.copy())  # a view would keep all metrics of the case in memory
    return _Entry(source.without_replicates(), curve.levels, areas, clean, curve.units, source.clean.samples)


def _estimate(value: Resampled | None, units: int, confidence: float) -> Estimate | None:
    if value is None:
        return None
    low, high = bias_corrected(value.point, value.replicates, confidence, units) or (None, None)
    return Estimate(value=value.point, low=low, high=high)


def _area(areas: Areas, units: int, confidence: float) -> RetainedArea:
    return RetainedArea(
        over_level=_estimate(areas.over_level, units, confidence),
        over_log_bpp=_estimate(areas.over_log_bpp, units, confidence),
    )


def _bound(area: RetainedArea | None) -> tuple[bool, float]:
    """Sorts by the lower end, largest first; areas without an interval come last."""
    estimate = area.over_level if area else None
    if estimate is None or estimate.value is None:
        return True, math.inf
    return estimate.low is None, -(estimate.value if estimate.low is None else estimate.low)


def _grouped(entries: Iterable[_Entry]) -> list[list[_Entry]]:
    """Entries that compare with each other, in the order in which the groups begin."""
    groups: dict[tuple[object, ...], list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    return list(groups.values())


def _ranking(entries: Sequence[_Entry], curves: Sequence[Curve]) -> list[ResilienceRow]:
    rows = []
    for group in _grouped(entries):
        areas = {entry.source.position: curves[entry.source.position].area or RetainedArea() for entry in group}
        ordered = sorted(group, key=lambda entry: (_bound(areas[entry.source.position]), entry.source.model.name))
        rows += [
            ResilienceRow(
                rank=rank,
                model=entry.source.model.name,
                task=entry.source.model.task,
                architecture=entry.source.model.architecture,
                codec=entry.source.curve.codec,
                levels=list(entry.levels),
                metric=entry.source.curve.metric,
                area=areas[entry.source.position],
            )
            for rank, entry in enumerate(ordered, 1)
        ]
    return rows


def _families(entries: Sequence[_Entry], confidence: float) -> list[FamilyResilience]:
    """By codec and levels, the best bound first. Retrained models are left out: what they keep was taught to them."""
    rows = []
    for group in _grouped(entry for entry in entries if entry.source.model.retrained is None):
        families: dict[str, list[_Entry]] = {}
        for entry in group:
            if entry.source.model.architecture and (name := entry.source.model.architecture.strip()):
                families.setdefault(name.casefold(), []).append(entry)
        found = []
        for members in families.values():
            models = [member.source.model for member in members]
            found.append(
                FamilyResilience(
                    architecture=(models[0].architecture or "").strip(),
                    codec=group[0].source.curve.codec,
                    levels=list(group[0].levels),
                    models=[model.name for model in models],
                    tasks=list(dict.fromkeys(model.task for model in models)),
                    area=_area(_mean_areas(members), min(member.units for member in members), confidence),
                )
            )
        rows += sorted(found, key=lambda row: (_bound(row.area), row.architecture))
    return rows


def _mean_areas(members: Sequence[_Entry]) -> Areas:
    by_level = [area for member in members if (area := member.areas.over_level) is not None]
    by_rate = [area for member in members if (area := member.areas.over_log_bpp) is not None]
    return Areas(mean_of(by_level), mean_of(by_rate) if len(by_rate) == len(members) else None)


@dataclass(frozen=True, eq=False)
class _Member:
    """A curve of a model that takes part in an experiment."""

    entry: _Entry
    experiment: Experiment

    @property
    def name(self) -> str:
        return self.entry.source.model.name

    @property
    def comparable(self) -> tuple[object, ...]:
        source = self.entry.source
        data = source.model.data
        return (*self.entry.group, source.curve.metric, data.name, data.fingerprint, self.entry.samples)


def _experiments(entries: Sequence[_Entry], confidence: float) -> list[ArmDifference]:
    """Each arm of an experiment against the arm that the run names first, for each task and codec."""
    members = [_Member(entry, entry.source.model.experiment) for entry in entries if entry.source.model.experiment]
    keyed: dict[tuple[str, str, str], list[_Member]] = {}
    for member in members:
        source = member.entry.source
        keyed.setdefault((member.experiment.name, source.model.task, source.curve.codec), []).append(member)
    found: list[ArmDifference] = []
    for everybody in keyed.values():
        alike = [
            list(same) for _, same in groupby(sorted(everybody, key=_stable), key=lambda member: member.comparable)
        ]
        chosen = max(alike, key=len)
        kept, doubled = _one_per_seed([member for member in everybody if member in chosen])
        notes = []
        if apart := [member.name for member in everybody if member not in chosen]:
            notes.append(f"left out, for other levels, samples or metric: {', '.join(apart)}")
        if doubled:
            notes.append(f"left out, for a seed that its arm has already: {', '.join(doubled)}")
        arms: dict[str, list[_Member]] = {}
        for member in kept:
            arms.setdefault(member.experiment.arm, []).append(member)
        base, *others = arms
        found += [_difference(arms[arm], arms[base], notes, confidence) for arm in others]
    return found


def _stable(member: _Member) -> str:
    return repr(member.comparable)


def _one_per_seed(members: Sequence[_Member]) -> tuple[list[_Member], list[str]]:
    kept: dict[tuple[str, int], _Member] = {}
    for member in members:
        kept.setdefault((member.experiment.arm, member.experiment.seed), member)
    chosen = list(kept.values())
    return chosen, [member.name for member in members if member not in chosen]


def _difference(
    first: Sequence[_Member], second: Sequence[_Member], notes: Sequence[str], confidence: float
) -> ArmDifference:
    source, units = first[0].entry.source, first[0].entry.units
    parts = [*first, *second]

    def between(values: list[Resampled | None]) -> tuple[Estimate | None, Estimate | None, float | None]:
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None, None, None
        found = contrast(known[: len(first)], known[len(first) :], confidence=confidence, units=units)
        low, high = found.interval or (None, None)
        sampling = None
        if found.sampling is not None:
            sampling = Estimate(value=found.difference, low=found.sampling[0], high=found.sampling[1])
        return Estimate(value=found.difference, low=low, high=high), sampling, found.freedom

    over_level, sampling_only, freedom = between([part.entry.areas.over_level for part in parts])
    over_log_bpp, _, _ = between([part.entry.areas.over_log_bpp for part in parts])
    clean, _, _ = between([part.entry.clean for part in parts])
    seeds = min(len(first), len(second))
    if seeds < 2:
        notes = [*notes, "an arm has one model only: how much another seed would change is unknown"]
    return ArmDifference(
        experiment=first[0].experiment.name,
        task=source.model.task,
        codec=source.curve.codec,
        levels=list(first[0].entry.levels),
        metric=source.curve.metric,
        arm=first[0].experiment.arm,
        against=second[0].experiment.arm,
        seeds=seeds,
        clean=clean or Estimate(value=None),
        over_level=over_level,
        over_log_bpp=over_log_bpp,
        sampling_only=sampling_only,
        freedom=freedom,
        members=[_row(part) for part in parts],
        note="; ".join(notes),
    )


def _row(member: _Member) -> ArmMember:
    areas = member.entry.areas
    return ArmMember(
        model=member.name,
        arm=member.experiment.arm,
        seed=member.experiment.seed,
        clean=member.entry.clean.point,
        over_level=areas.over_level.point if areas.over_level else None,
        over_log_bpp=areas.over_log_bpp.point if areas.over_log_bpp else None,
    )
