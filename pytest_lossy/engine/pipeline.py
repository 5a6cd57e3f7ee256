"""The evaluation of one case: decode, codec, inference and scoring of batches, overlapped, in bounded memory.

Each thread takes whole batches through all stages, so that one batch's codec work runs beside another's inference; what
may run inference at once is limited by a semaphore. Batches are cut from the data set's order: how many threads or
workers there are never changes what the network sees together.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pytest_lossy.codecs.base import Codec, UInt8Array, round_trip
from pytest_lossy.data.base import Sample
from pytest_lossy.engine.sources import LoadedSample, SourceStore
from pytest_lossy.errors import CodecError, DataError, LossyError, ModelError
from pytest_lossy.models.base import Model, Prediction
from pytest_lossy.results.evidence import CaseEvidence, SampleCost
from pytest_lossy.tasks.base import Evidence, Task
from pytest_lossy.usercode import explain_exception

__all__ = ["Pipeline", "squared_error"]

Progress = Callable[[int, int], None]
"""Called with samples done and samples in all."""

_POLL_SECONDS = 0.25  # how soon Ctrl-C is noticed while batches run


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is kept of one sample."""

    sample_id: str
    group: str | None
    tags: tuple[str, ...]
    evidence: Evidence
    cost: SampleCost
    source: str


class Pipeline:
    """Evaluates cases of one loaded model.

    Args:
        model: ready for inference.
        task: how predictions are scored.
        sources: the samples.
        indices: which samples, in the data set's order.
        batch_size: samples per call of ``model.predict``.
        threads: batches in flight.
        concurrent_inference: how many of them may be in ``model.predict`` at once.
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
    ) -> None:
        self._model, self._task, self._sources = model, task, sources
        self._indices = tuple(indices)
        self._batch_size, self._threads = batch_size, threads
        self._slots = threading.Semaphore(concurrent_inference)
        self._fitting = batch_size
        """The batch size that fits GPU memory, lowered when one did not."""

    def evaluate(self, codec: Codec | None, level: float | None, progress: Progress | None = None) -> CaseEvidence:
        """Evaluate every sample once.

        Args:
            codec: None for the clean case.
            level: of the codec.
            progress: called from the calling thread.

        Raises:
            LossyError: a sample, the codec or the model failed; of several failures the first in the data's order.
        """
        batches = [
            self._indices[start : start + self._batch_size] for start in range(0, len(self._indices), self._batch_size)
        ]
        stop = threading.Event()

        def run(batch: Sequence[int]) -> list[_Scored]:
            return [] if stop.is_set() else self._batch(batch, codec, level)

        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="lossy", initializer=_one_torch_thread)
        try:
            futures = [pool.submit(run, batch) for batch in batches]
            _follow(futures, [len(batch) for batch in batches], progress)
            scored = [sample for future in futures for sample in future.result()]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        notes = []
        if self._fitting < self._batch_size:
            notes.append(f"GPU memory ran out: batches of {self._fitting} instead of {self._batch_size}")
        return CaseEvidence(
            ids=tuple(sample.sample_id for sample in scored),
            groups=tuple(sample.group for sample in scored),
            tags=tuple(sample.tags for sample in scored) if any(sample.tags for sample in scored) else (),
            evidence=tuple(sample.evidence for sample in scored),
            costs=tuple(sample.cost for sample in scored),
            meta={
                "batch_size": self._fitting,
                "notes": notes,
                "sources": dict(Counter(sample.source for sample in scored)),
            },
        )

    def _batch(self, indices: Sequence[int], codec: Codec | None, level: float | None) -> list[_Scored]:
        loaded = [self._sources.load(index) for index in indices]
        media, costs = [], []
        for one in loaded:
            seen, cost = _compress(one, codec, level)
            media.append(seen)
            costs.append(cost)
        samples = [one.sample for one in loaded]
        with self._slots:
            predictions = self._predict(media, samples)
        return [
            _Scored(
                sample.id, sample.group, tuple(sample.tags), self._score(prediction, sample), cost, _source_kind(sample)
            )
            for sample, prediction, cost in zip(samples, predictions, costs, strict=True)
        ]

    def _predict(self, media: list[UInt8Array], samples: Sequence[Sample]) -> list[Prediction]:
        predictions: list[Prediction] = []
        while len(predictions) < len(media):
            start = len(predictions)
            part = slice(start, start + self._fitting)
            contexts = [sample.context for sample in samples[part]]
            try:
                answer = list(self._model.predict(media[part], contexts))
            except torch.OutOfMemoryError as error:
                if len(media[part]) == 1:
                    raise ModelError(
                        f"one sample does not fit GPU memory ({error}); use a smaller input or another device"
                    ) from None
                self._fitting = max(1, len(media[part]) // 2)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            except LossyError as error:
                raise type(error)(f"{error} [{_names(samples[part])}]") from None
            except Exception as error:  # noqa: BLE001  a user's model may raise anything
                raise ModelError(f"the model raised {explain_exception(error)}\n  on {_names(samples[part])}") from None
            if len(answer) != len(contexts):
                raise ModelError(
                    f"the model returned {len(answer)} predictions for {len(contexts)} samples "
                    f"({_names(samples[part])}); return one per sample"
                )
            predictions += answer
        return predictions

    def _score(self, prediction: Prediction, sample: Sample) -> Evidence:
        try:
            wrong = self._task.check(prediction, sample.target)
            if wrong is None:
                return self._task.evidence(prediction, sample.target)
        except LossyError as error:
            raise type(error)(f"{error} [{sample.id}]") from None
        except Exception as error:  # noqa: BLE001  a third-party task or target may be anything
            raise DataError(f"task '{self._task.name}' raised {explain_exception(error)}\n  on {sample.id}") from None
        raise ModelError(f"{wrong} [{sample.id}]")


def _one_torch_thread() -> None:
    """Convolutions give other bits with another number of intra-op threads; parallelism comes from batches."""
    torch.set_num_threads(1)


def _follow(futures: list[Future[list[_Scored]]], sizes: list[int], progress: Progress | None) -> None:
    """Wait for all batches, or for the first that failed, and report progress."""
    total, pending = sum(sizes), set(futures)
    size_of = dict(zip(futures, sizes, strict=True))
    done = 0
    while pending:
        finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        done += sum(size_of[future] for future in finished)
        if progress is not None:
            progress(done, total)
        if any(future.exception() is not None for future in finished):
            # Batches before the failed one run on: of several failures the first in order is reported.
            first = min(index for index, future in enumerate(futures) if future.done() and future.exception())
            wait(futures[:first])
            return


def _compress(loaded: LoadedSample, codec: Codec | None, level: float | None) -> tuple[UInt8Array, SampleCost]:
    media = loaded.sample.media
    pixels = int(np.prod(media.shape[:-1]))
    if codec is None or level is None:
        return media, SampleCost(0, 0, pixels, 0, loaded.digest)
    fps = loaded.sample.context.get("fps")
    try:
        result = round_trip(codec, media, level, fps=fps)
    except LossyError as error:
        raise CodecError(f"{error} [{loaded.sample.id}]") from None
    except Exception as error:  # noqa: BLE001  a third-party codec may raise anything
        raise CodecError(f"codec '{codec.name}' raised {explain_exception(error)}\n  on {loaded.sample.id}") from None
    if result.media.shape != media.shape or result.media.dtype != np.uint8:
        raise CodecError(
            f"codec '{codec.name}' returned {result.media.dtype} {result.media.shape} for uint8 {media.shape} "
            f"[{loaded.sample.id}]"
        )
    return result.media, SampleCost(
        result.payload_bits, result.header_bits, pixels, squared_error(media, result.media), loaded.digest
    )


def squared_error(first: UInt8Array, second: UInt8Array) -> int:
    """Sum of squared differences, exact.

    Works frame by frame and row block by row block, so that temporaries stay in the processor's cache.
    """
    rows_a, rows_b = first.reshape(-1, first.shape[-2] * 3), second.reshape(-1, first.shape[-2] * 3)
    step = max(1, 65_536 // max(1, rows_a.shape[1]))
    total = 0
    for start in range(0, len(rows_a), step):
        difference = np.subtract(rows_a[start : start + step], rows_b[start : start + step], dtype=np.int16)
        flat = difference.ravel().astype(np.float64)  # sums of whole numbers below 2**53 are exact in any order
        total += int(flat @ flat)
    return total


def _source_kind(sample: Sample) -> str:
    info = sample.source
    return f"{info.format} {info.mode}" if info else "unknown"


def _names(samples: Sequence[Any]) -> str:
    ids = [str(sample.id) for sample in samples]
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
