"""What a run's cases say together: loads stored replicates and hands them to ``analysis``; the controller calls it once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property

from pytest_lossy.analysis.curves import CurveData, complete_curve
from pytest_lossy.analysis.rate_differences import add_rate_differences
from pytest_lossy.analysis.recoveries import add_recoveries
from pytest_lossy.analysis.requirements import Measured
from pytest_lossy.analysis.resilience import add_resilience
from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import CaseRow, CodecInfo, Curve, ModelInfo, ResultsDocument
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.results.store import RunStore
from pytest_lossy.thresholds.rules import Thresholds

__all__ = ["Evaluated", "conclude"]


_KEPT_BYTES = 512 << 20
"""Replicates in memory at once, whatever the number of cases; what was used longest ago is read again when it is needed."""


class Evaluated:
    """A run's rows with their replicates, which are read when first asked for.

    Args:
        document: rows, models, codecs and curves of the run.
        store: where the replicates are.
        kept_bytes: of replicates, at most, but for the last; None for half a gigabyte.
    """

    def __init__(self, document: ResultsDocument, store: RunStore, kept_bytes: int | None = None) -> None:
        self.document = document
        self._store, self._room = store, _KEPT_BYTES if kept_bytes is None else kept_bytes
        self._loaded: OrderedDict[str, StoredReplicates | None] = OrderedDict()

    @cached_property
    def clean(self) -> Mapping[str, CaseRow]:
        """The clean row of each model that has one."""
        return {row.model: row for row in self.document.cases if row.codec == "clean"}

    @cached_property
    def models(self) -> Mapping[str, ModelInfo]:
        """Every model by its name."""
        return {model.name: model for model in self.document.models}

    def replicates(self, row: CaseRow | None) -> StoredReplicates | None:
        """What a row measured, under every weighting; None where nothing is stored, or the file is damaged."""
        return None if row is None else self.measured(row.model, row.id.rpartition("::")[2])

    def measured(self, model: str, case: str) -> StoredReplicates | None:
        """The same of a case by its model and name, whether or not it has a row."""
        slug = f"{model}@{case}"
        if slug in self._loaded:
            self._loaded.move_to_end(slug)
            return self._loaded[slug]
        try:
            found = self._store.load_replicates(slug)
        except ResultsError:
            found = None
        self._loaded[slug] = found
        self._room -= _size(found)
        while self._room < 0 and len(self._loaded) > 1:
            self._room += _size(self._loaded.popitem(last=False)[1])
        return found

    @cached_property
    def rows(self) -> Mapping[tuple[str, str], Sequence[CaseRow]]:
        """The rows of each (model, codec), in the document's order."""
        found: dict[tuple[str, str], list[CaseRow]] = {}
        for row in self.document.cases:
            found.setdefault((row.model, row.codec), []).append(row)
        return found

    @cached_property
    def codecs(self) -> Mapping[str, CodecInfo]:
        """Every codec by its label."""
        return {codec.label: codec for codec in self.document.codecs}


def conclude(document: ResultsDocument, store: RunStore, thresholds: Thresholds) -> ResultsDocument:
    """Add what only all cases together can say.

    Args:
        document: the run's rows, models, codecs and plain curves.
        store: the run's files, still in place.
        thresholds: the gates of the run.
    """
    run = Evaluated(document, store)
    document = document.model_copy(update={"curves": [_completed(curve, run) for curve in document.curves]})
    document = add_recoveries(document, run.measured)
    document = add_resilience(document, run.replicates)
    return add_rate_differences(document, run.replicates)


def _completed(curve: Curve, run: Evaluated) -> Curve:
    """A curve with its band, knee and limits."""
    model = run.models[curve.model]
    codec = run.codecs.get(curve.codec)
    everything = run.rows.get((curve.model, curve.codec), ())
    rows = [row for row in everything if row.level is not None]
    if codec is not None:  # rows come mild to severe as planned, but for levels that were measured in between
        sign = 1 if codec.higher_is_more_compressed else -1
        rows.sort(key=lambda row: sign * (row.level or 0.0))
    data = CurveData(
        levels=[Measured(row, run.replicates(row)) for row in rows],
        clean=run.replicates(run.clean.get(curve.model)),
        metric=curve.metric,
        higher_is_better=next(
            (metric.higher_is_better for metric in model.metrics if metric.name == curve.metric), True
        ),
        tolerance=run.document.run.tolerance,
        confidence=run.document.run.confidence,
        searched=any(row.knee is not None and row.knee.evaluations is not None for row in everything),
    )
    return complete_curve(curve, data)


def _size(stored: StoredReplicates | None) -> int:
    """Bytes of what is large in it."""
    arrays = () if stored is None else (*stored.replicates.values(), *stored.outcomes.values())
    return sum(array.nbytes for array in arrays)
