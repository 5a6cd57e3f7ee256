"""What a run's cases say together: loads stored replicates and hands them to ``analysis``; the controller calls it once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import CaseRow, ResultsDocument
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.results.store import RunStore
from pytest_lossy.thresholds.rules import Thresholds

__all__ = ["Evaluated", "conclude"]


class Evaluated:
    """A run's rows with their replicates, which are read when first asked for.

    Args:
        document: rows, models, codecs and curves of the run.
        store: where the replicates are.
    """

    def __init__(self, document: ResultsDocument, store: RunStore) -> None:
        self.document = document
        self._store = store
        self._loaded: dict[str, StoredReplicates | None] = {}

    @cached_property
    def clean(self) -> Mapping[str, CaseRow]:
        """The clean row of each model that has one."""
        return {row.model: row for row in self.document.cases if row.codec == "clean"}

    @cached_property
    def by_id(self) -> Mapping[str, CaseRow]:
        """Every row by its node id."""
        return {row.id: row for row in self.document.cases}

    def replicates(self, row: CaseRow | None) -> StoredReplicates | None:
        """What a row measured, under every weighting; None where nothing is stored, or the file is damaged."""
        if row is None:
            return None
        slug = f"{row.model}@{row.id.rpartition('::')[2]}"
        if slug not in self._loaded:
            try:
                self._loaded[slug] = self._store.load_replicates(slug)
            except ResultsError:
                self._loaded[slug] = None
        return self._loaded[slug]


def conclude(document: ResultsDocument, store: RunStore, thresholds: Thresholds) -> ResultsDocument:
    """Add what only all cases together can say.

    Args:
        document: the run's rows, models, codecs and plain curves.
        store: the run's files, still in place.
        thresholds: the gates of the run.
    """
    Evaluated(document, store)
    return document
