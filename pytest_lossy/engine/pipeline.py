"""The evaluation of one case: decode, codec, inference and scoring of batches, overlapped, in bounded memory.

Each thread takes whole batches through all stages, so that one batch's codec work runs beside another's inference; what
may run inference at once is limited. Batches are cut from the data set's order: how many threads or workers there are
never changes what the network sees together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lossy.codecs.base import Codec, UInt8Array
from pytest_lossy.data.base import SourceInfo
from pytest_lossy.data.source_quality import quality_counts
from pytest_lossy.engine.compression import compress
from pytest_lossy.engine.inference import Inference
from pytest_lossy.engine.media_cache import MediaCache
from pytest_lossy.engine.memory import Shelf
from pytest_lossy.engine.references import ReferenceStore
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.engine.threads import Progress, one_torch_thread, run_here, run_in_threads
from pytest_lossy.engine.views import View, view_of
from pytest_lossy.errors import DataError, LossyError, ModelError
from pytest_lossy.models.base import Model, Prediction
from pytest_lossy.results.evidence import CaseEvidence, SampleCost
from pytest_lossy.tasks.agreement import CleanPrediction
from pytest_lossy.tasks.base import Evidence, Task
from pytest_lossy.usercode import explain_exception

__all__ = ["Observation", "Pipeline"]

Predictions = Mapping[int | None, Prediction]
"""By frame; None for the whole medium."""


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is kept of one sample, or of one frame of it."""

    row_id: str
    group: str | None
    tags: tuple[str, ...]
    evidence: Evidence
    cost: SampleCost
    source: SourceInfo | None


@dataclass(frozen=True, slots=True)
class Observation:
    """One sample, or one frame of it, looked at again: what went into the model and what it said."""

    source: UInt8Array
    """(H, W, 3); of a clip that is scored as a whole its labelled or middle frame."""
    compressed: UInt8Array
    """The same after the codec."""
    clean: Prediction
    """On the source."""
    prediction: Prediction
    target: Any


class Pipeline:
    """Evaluates cases of one loaded model.

    Args:
        model: ready for inference.
        task: how predictions are scored.
        sources: the samples.
        indices: which samples, in the data set's order.
        batch_size: samples in a batch, and inputs per call of ``model.predict``.
        threads: batches in flight.
        concurrent_inference: how many of them may be in ``model.predict`` at once.
        references: label-free mode, in which the clean prediction is the target; None to score against labels.
        cache: of encoded media; None to encode each time.
        first: which share of the batches, 0 or more and below 1, to begin at; the rest follows, and then what lies before.
            Workers that begin at different places decode different sources, and find each other's on disk later.
        device: where the model is.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        sources: SourceStore,
        indices: Sequence[int],
        *,
        batch_size: int,
        threads: int,
        concurrent_inference: int,
        references: ReferenceStore | None = None,
        cache: MediaCache | None = None,
        first: float = 0.0,
        device: str = "cpu",
    ) -> None:
        self._task, self._sources, self._references, self._cache = task, sources, references, cache
        self._first, self._concurrent = first, concurrent_inference
        self._indices = tuple(indices)
        self._batch_size, self._threads = batch_size, threads
        self._inference, self._device = Inference(model, batch_size, concurrent_inference, device), device

    def with_model(self, model: Model) -> Pipeline:
        """The same samples, batches and threads with another model, scored against labels."""
        return Pipeline(
            model,
            self._task,
            self._sources,
            self._indices,
            batch_size=self._batch_size,
            threads=self._threads,
            concurrent_inference=self._concurrent if model.thread_safe else 1,
            first=self._first,
            device=self._device,
        )

    @property
    def batches(self) -> int:
        """How many batches the samples make."""
        return -(-len(self._indices) // self._batch_size)

    def evaluate(
        self,
        codec: Codec | None,
        level: float | None,
        progress: Progress | None = None,
        batches: slice = slice(None),
    ) -> CaseEvidence:
        """Evaluate every sample once.

        Args:
            codec: None for the clean case.
            level: of the codec.
            progress: called from the calling thread.
            batches: which of them, where several processes share a case; see :mod:`engine.parts`.

        Raises:
            LossyError: a sample, the codec or the model failed; of several failures the first in the data's order.
        """
        cut = [
            self._indices[start : start + self._batch_size] for start in range(0, len(self._indices), self._batch_size)
        ][batches]
        shelf = Shelf()
        first = int(len(cut) * self._first)
        order = [*range(first, len(cut)), *range(first)]
        work = run_here if self._threads == 1 else run_in_threads
        done = work(
            lambda number: self._batch(cut[number], codec, level, shelf),
            order,
            [len(batch) for batch in cut],
            self._threads,
            progress,
        )
        scored = [row for rows in done for row in rows]
        sources = [row.source for row in scored if row.cost.pixels]
        return CaseEvidence(
            ids=tuple(row.row_id for row in scored),
            groups=tuple(row.group for row in scored),
            tags=tuple(row.tags for row in scored) if any(row.tags for row in scored) else (),
            evidence=tuple(row.evidence for row in scored),
            costs=tuple(row.cost for row in scored),
            meta={
                "batch_size": self._inference.fitting,
                "notes": self._inference.notes(),
                "sources": dict(Counter(map(_source_kind, sources))),
                "source_quality": quality_counts(sources),
            },
        )

    def observe(self, places: Sequence[tuple[int, int]], codec: Codec, level: float | None) -> list[Observation]:
        """Look at single samples again, for pictures: batches are not those of :meth:`evaluate`, and no number comes of it.

        Args:
            places: which of the evaluated samples, and which of its scored frames (0 for a whole medium).
            codec: of the case.
            level: of the codec.

        Raises:
            LossyError: a sample, the codec or the model failed.
        """
        with one_torch_thread():
            return self._observe(places, codec, level)

    def _observe(self, places: Sequence[tuple[int, int]], codec: Codec, level: float | None) -> list[Observation]:
        loaded = [self._sources.load(self._indices[sample]) for sample, _ in places]
        cache = None if self._cache is None else self._cache.uncounted()
        media = [compress(one, codec, level, cache)[0] for one in loaded]
        views = []
        for one, (_, number) in zip(loaded, places, strict=True):
            whole = view_of(one.sample, self._task, labelled=self._references is None)
            views.append(View(one.sample, (whole.scored[number],), (whole.scored[number],)))
        fitting = self._inference.fitting
        try:
            clean = self._predict(views, [view.sample.media for view in views])
            found = self._predict(views, media)
        finally:
            self._inference.fitting = fitting  # batches of later cases must not depend on what is looked at
        return [
            Observation(
                source=view.still(view.sample.media),
                compressed=view.still(medium),
                clean=before[view.scored[0]],
                prediction=after[view.scored[0]],
                target=view.target(view.scored[0])
                if self._references is None
                else CleanPrediction(before[view.scored[0]], view.video()),
            )
            for view, medium, before, after in zip(views, media, clean, found, strict=True)
        ]

    def _batch(self, indices: Sequence[int], codec: Codec | None, level: float | None, shelf: Shelf) -> list[_Scored]:
        loaded = [self._sources.load(index) for index in indices]
        seen = [compress(one, codec, level, self._cache) for one in loaded]
        labelled = self._references is None
        views = [view_of(one.sample, self._task, labelled=labelled) for one in loaded]
        predictions = self._predict(views, [media for media, _ in seen])
        if self._references is None:
            targets: Sequence[Predictions | None] = [None] * len(views)
        elif codec is None:
            self._keep(self._references, indices, predictions)
            targets = predictions
        else:
            targets = self._clean_predictions(self._references, indices, views)
        return [
            row
            for view, found, target, (_, cost) in zip(views, predictions, targets, seen, strict=True)
            for row in self._rows(view, found, target, cost, shelf)
        ]

    def _predict(self, views: Sequence[View], media: Sequence[UInt8Array]) -> list[Predictions]:
        inputs = [
            (view.row_id(frame), pixels, context)
            for view, medium in zip(views, media, strict=True)
            for frame, (pixels, context) in zip(view.predicted, view.inputs(medium), strict=True)
        ]
        answers = iter(self._inference.predict(inputs))
        return [{frame: next(answers) for frame in view.predicted} for view in views]

    def _clean_predictions(
        self, store: ReferenceStore, indices: Sequence[int], views: Sequence[View]
    ) -> Sequence[Predictions]:
        """What the model says of the same batch without a codec."""
        kept = [store.load(index) for index in indices]
        found = [
            predictions
            for predictions, view in zip(kept, views, strict=True)
            if predictions is not None and tuple(predictions) == view.predicted
        ]
        if len(found) == len(views):
            return found
        predictions = self._predict(views, [view.sample.media for view in views])
        self._keep(store, indices, predictions)
        return predictions

    @staticmethod
    def _keep(store: ReferenceStore, indices: Sequence[int], predictions: Sequence[Predictions]) -> None:
        for index, found in zip(indices, predictions, strict=True):
            store.save(index, found)

    def _rows(
        self, view: View, found: Predictions, clean: Predictions | None, cost: SampleCost, shelf: Shelf
    ) -> list[_Scored]:
        sample, rows = view.sample, []
        for number, frame in enumerate(view.scored):
            target = view.target(frame) if clean is None else CleanPrediction(clean[frame], view.video())
            evidence = self._score(view.prediction(frame, found, self._task), target, view.row_id(frame))
            rows.append(
                _Scored(
                    view.row_id(frame),
                    view.group(),
                    tuple(sample.tags),
                    shelf.keep(evidence),
                    # A clip is compressed once, however many of its frames are scored.
                    cost if number == 0 else SampleCost(0, 0, 0, 0, cost.source_digest),
                    sample.source,
                )
            )
        return rows

    def _score(self, prediction: Prediction, target: Any, row_id: str) -> Evidence:
        try:
            wrong = self._task.check(prediction, target)
            if wrong is None:
                return self._task.evidence(prediction, target)
        except LossyError as error:
            raise type(error)(f"{error} [{row_id}]") from None
        except Exception as error:  # noqa: BLE001  a third-party task or target may be anything
            raise DataError(f"task '{self._task.name}' raised {explain_exception(error)}\n  on {row_id}") from None
        raise ModelError(f"{wrong} [{row_id}]")


def _source_kind(info: SourceInfo | None) -> str:
    return f"{info.format} {info.mode}" if info else "unknown"
