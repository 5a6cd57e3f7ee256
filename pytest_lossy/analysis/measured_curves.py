"""The curves of a run beside their replicates, for what compares whole curves: resilience and rate differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_lossy.results.document import CaseRow, Curve, ModelInfo, ResultsDocument
from pytest_lossy.results.replicates import StoredReplicates

__all__ = ["Measured", "MeasuredCurve", "ReplicatesOf", "measured_curves"]

ReplicatesOf = Callable[[CaseRow | None], StoredReplicates | None]
"""What a row measured under every weighting; None where nothing is stored."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One level of the grid that was measured."""

    level: float
    row: CaseRow
    stored: StoredReplicates


@dataclass(frozen=True, slots=True)
class MeasuredCurve:
    """One (model, codec) of a run."""

    position: int
    """In ``ResultsDocument.curves``."""
    curve: Curve
    model: ModelInfo
    levels: tuple[Measured, ...]
    """Mild to severe. Probes of the search for a knee are left out: where they lie depends on what they found, and curves
    compare only over the same levels."""
    clean: StoredReplicates | None

    @property
    def codec(self) -> tuple[str, str | None]:
        """Label and fingerprint: two specs may mean different things by one label."""
        return self.curve.codec, self.levels[0].row.fingerprint if self.levels else None

    @property
    def higher_is_better(self) -> bool:
        """Of the curve's metric; one that nobody described is taken for a score."""
        found = next((metric for metric in self.model.metrics if metric.name == self.curve.metric), None)
        return found is None or found.higher_is_better


def measured_curves(document: ResultsDocument, replicates: ReplicatesOf) -> list[MeasuredCurve]:
    """Every curve of the document whose model it describes, in the document's order."""
    models = {model.name: model for model in document.models}
    rows = {row.id: row for row in document.cases}
    clean = {row.model: row for row in document.cases if row.codec == "clean"}
    falling = {codec.label for codec in document.codecs if not codec.higher_is_more_compressed}
    found = []
    for position, curve in enumerate(document.curves):
        if curve.model not in models:
            continue
        levels = []
        for point in curve.points:
            row = rows.get(point.case)
            if row is None or "probe" in (row.role, point.role):
                continue
            stored = replicates(row)
            if stored is not None and curve.metric in stored.point:
                levels.append(Measured(point.level, row, stored))
        levels.sort(key=lambda entry: entry.level, reverse=curve.codec in falling)
        reference = replicates(clean.get(curve.model))
        found.append(MeasuredCurve(position, curve, models[curve.model], tuple(levels), reference))
    return found
