"""What evaluating and judging a case needs of a loaded model, wherever that is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pytest_lossy.analysis.comparison import Replicates, measure
from pytest_lossy.analysis.slices import tagged_reduce
from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.codecs.base import Codec
from pytest_lossy.results.document import GallerySample, ModelInfo
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.tasks.base import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_lossy.engine.gallery import GalleryOfCase

__all__ = ["LoadedModel", "PictureStore", "measure_evidence"]


class PictureStore(Protocol):
    """Where pictures of samples go."""

    def write_picture(self, name: str, content: bytes) -> str:
        """Store a picture; its path relative to ``results.json``."""

    def write_gallery(self, slug: str, samples: Sequence[GallerySample]) -> None:
        """Store what a case's pictures show, after the pictures themselves."""


class LoadedModel(Protocol):
    """A model ready to evaluate cases: in this process, or in others."""

    spec: IndexedSpec
    task: Task
    clean: Replicates | None
    """Bootstrap replicates of the clean case, kept for the other cases of this model."""

    def info(self) -> ModelInfo:
        """What the results say of this model."""

    def inputs(self) -> str:
        """A digest of everything that this model's evidence follows from, but the codec."""

    def higher_is_better(self) -> dict[str, bool]:
        """Direction of each aggregate metric."""

    def evaluate(
        self, case: Case, codec: Codec | None, progress: Callable[[int, int], None] | None = None
    ) -> CaseEvidence:
        """The evidence of one case.

        Raises:
            LossyError: it could not be evaluated.
        """

    def measure(self, case: Case, evidence: CaseEvidence, replicates: int) -> Replicates:
        """The metrics of a case and their bootstrap replicates."""

    def show(self, measured: GalleryOfCase, clean: CaseEvidence, store: PictureStore, count: int) -> str:
        """Draw and store samples of a case; what went wrong, in one line, empty where nothing did."""

    def close(self) -> None:
        """Free the model."""


def measure_evidence(task: Task, evidence: CaseEvidence, replicates: int) -> Replicates:
    """The metrics of a case and their bootstrap replicates, from its evidence alone."""
    return measure(
        tagged_reduce(task.reduce, evidence.evidence, evidence.tags),
        evidence.groups,
        replicates,
        proportions={metric.name for metric in task.metrics if metric.proportion},
    )
