"""A model that workers of a cluster have loaded, as judging sees it: its task is here, its evidence comes from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.cluster.pool import Pool
from pytest_lossy.cluster.requests import CaseRequest
from pytest_lossy.cluster.work import Facts, Pictures
from pytest_lossy.codecs.base import Codec
from pytest_lossy.engine.loaded import PictureStore, measure_evidence
from pytest_lossy.engine.runtime import task_of
from pytest_lossy.results.document import ModelInfo
from pytest_lossy.results.evidence import CaseEvidence

if TYPE_CHECKING:
    from pytest_lossy.engine.gallery import GalleryOfCase

__all__ = ["RemoteModel"]


class RemoteModel:
    """See :class:`~pytest_lossy.engine.loaded.LoadedModel`.

    Args:
        spec: of the model.
        facts: what loading it showed.
        pool: where it is loaded.
        plan: gives the codec of a label.
    """

    def __init__(self, spec: IndexedSpec, facts: Facts, pool: Pool, plan: Callable[[str], CodecPlan | None]) -> None:
        self.spec, self._facts, self._pool, self._plan = spec, facts, pool, plan
        self.task = task_of(spec, facts.classes)
        self.clean: Replicates | None = None
        self._pictures: dict[str, Pictures] = {}

    def info(self) -> ModelInfo:
        """What the results say of this model."""
        return self._facts.info

    def inputs(self) -> str:
        """A digest of everything that this model's evidence follows from, but the codec."""
        return self._facts.inputs

    def higher_is_better(self) -> dict[str, bool]:
        """Direction of each aggregate metric."""
        return {metric.name: metric.higher_is_better for metric in self.task.metrics}

    def evaluate(
        self, case: Case, codec: Codec | None, progress: Callable[[int, int], None] | None = None
    ) -> CaseEvidence:
        """The evidence of one case: workers are asked for what they were not asked for before."""
        return self._pool.evidence(self._request(case))

    def measure(self, case: Case, evidence: CaseEvidence, replicates: int) -> Replicates:
        """The replicates that a worker drew of a case; whatever the cluster has not, or no longer, is drawn here."""
        finished = self._pool.finished(case.slug)
        if finished is None:
            return measure_evidence(self.task, evidence, replicates)
        if finished.pictures is not None:
            self._pictures[case.slug] = finished.pictures
        return finished.replicates

    def show(self, measured: GalleryOfCase, clean: CaseEvidence, store: PictureStore, count: int) -> str:
        """Store the pictures that a worker drew of a case."""
        case = measured.case
        pictures = self._pictures.pop(case.slug, None)
        if pictures is None:
            finished = self._pool.finish(self._request(case, measured.node_id, count))
            pictures = finished.pictures if finished is not None else None
        if pictures is None:
            return "no pictures of samples: no worker could draw them"
        for name, content in pictures.files.items():
            store.write_picture(name, content)
        if pictures.samples:
            store.write_gallery(case.slug, pictures.samples)
        return pictures.note

    def close(self) -> None:
        """Forget what is kept of cases; workers free the model when they load another."""
        self.clean = None
        self._pictures.clear()

    def _request(self, case: Case, node_id: str = "", pictures: int = 0) -> CaseRequest:
        name = node_id or f"{self.spec.shown}::{self.spec.name}::{case.name}"
        return CaseRequest(self.spec, case, self._plan(case.label), name, pictures=pictures)
