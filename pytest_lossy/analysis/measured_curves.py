"""The curves of a run beside their replicates, for what compares whole curves: resilience and rate differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pytest_lossy.results.document import CaseRow, Curve, ModelInfo, ResultsDocument
from pytest_lossy.results.replicates import StoredReplicates

__all__ = ["Measured", "MeasuredCurve", "MeasuredCurves", "ReplicatesOf"]

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
    fingerprint: str | None
    """Of the codec."""

    @property
    def codec(self) -> tuple[str, str | None]:
        """Label and fingerprint: two specs may mean different things by one label."""
        return self.curve.codec, self.fingerprint

    def without_replicates(self) -> MeasuredCurve:
        """What the curve is, to be kept where many are compared, without what it measured."""
        return replace(self, levels=(), clean=None)

    @property
    def higher_is_better(self) -> bool:
        """Of the curve's metric; one that nobody described is taken for a score."""
        found = next((metric for metric in self.model.metrics if metric.name == self.curve.metric), None)
        return found is None or found.higher_is_better


class MeasuredCurves:
    """Every curve of a document whose model it describes, in the document's order.

    A curve's replicates are asked for when it is met, and not kept: all curves of a large run together would not fit
    in memory.

    Args:
        document: rows, models, codecs and curves of the run.
        replicates: of a row; None where nothing is stored.
    """

    def __init__(self, document: ResultsDocument, replicates: ReplicatesOf) -> None:
        self._replicates = replicates
        self._models = {model.name: model for model in document.models}
        self._rows = {row.id: row for row in document.cases}
        self._clean = {row.model: row for row in document.cases if row.codec == "clean"}
        self._falling = {codec.label for codec in document.codecs if not codec.higher_is_more_compressed}
        self._curves = {at: curve for at, curve in enumerate(document.curves) if curve.model in self._models}
        self._positions: dict[tuple[str, str], list[int]] = {}
        for position, curve in self._curves.items():
            self._positions.setdefault((curve.model, curve.codec), []).append(position)

    def __iter__(self) -> Iterator[MeasuredCurve]:
        return map(self.at, self._curves)

    def named(self, model: str, codec: str) -> Iterator[MeasuredCurve]:
        """The curves of a model and a codec's label; none where the document does not describe the model."""
        return map(self.at, self._positions.get((model, codec), ()))

    def at(self, position: int) -> MeasuredCurve:
        """The curve at a position of ``ResultsDocument.curves``, with its replicates."""
        curve = self._curves[position]
        levels = []
        for point in curve.points:
            row = self._rows.get(point.case)
            if row is None or "probe" in (row.role, point.role):
                continue
            stored = self._replicates(row)
            if stored is not None and curve.metric in stored.point:
                levels.append(Measured(point.level, row, stored))
        levels.sort(key=lambda entry: entry.level, reverse=curve.codec in self._falling)
        reference = self._replicates(self._clean.get(curve.model))
        fingerprint = levels[0].row.fingerprint if levels else None
        return MeasuredCurve(position, curve, self._models[curve.model], tuple(levels), reference, fingerprint)
