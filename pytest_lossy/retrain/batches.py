"""Training batches as a pure function of the iteration's number, so that an interrupted run continues bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pytest_lossy.codecs.base import Codec, round_trip
from pytest_lossy.data.base import Dataset, Sample

__all__ = ["Compression", "TrainingBatches"]

_AHEAD = 3  # batches prepared while one is trained on


@dataclass(frozen=True)
class Compression:
    """What training samples go through: each draws one of the codec's levels."""

    codec: Codec
    levels: tuple[float, ...]
    share: float = 1.0
    """Of the samples; the others stay clean."""

    def describe(self) -> str:
        """For checkpoints and reports."""
        levels = ", ".join(f"{level:g}" for level in self.levels)
        return f"{self.codec.fingerprint()} at {levels}, {self.share:.0%} of the samples"


class TrainingBatches:
    """Shuffled batches of a data set, each sample at most once per epoch.

    Args:
        dataset: labelled samples.
        indices: which of them to train on.
        batch_size: samples per iteration, over all processes.
        seed: of the order and of the levels.
        compression: what the samples go through; None for clean ones.
        memory_bytes: decoded samples are kept in memory up to this size, and decoded again beyond it.
        rank: of this process among ``world``, which share each batch.
        world: number of processes.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Sequence[int],
        batch_size: int,
        seed: int,
        *,
        compression: Compression | None = None,
        memory_bytes: int = 4_000_000_000,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if len(indices) < 1 or batch_size < world:
            raise ValueError(f"{len(indices)} samples and batches of {batch_size} do not feed {world} processes")
        self._dataset, self._indices = dataset, tuple(indices)
        self._batch_size = min(batch_size, len(indices))
        self._seed, self._compression = seed, compression
        self._rank, self._world = rank, world
        self._kept: dict[int, Sample] = {}
        self._left = memory_bytes

    @property
    def per_epoch(self) -> int:
        """Iterations in which every sample comes at most once; what does not fill a batch is left for other epochs."""
        return len(self._indices) // self._batch_size

    def batch(self, iteration: int) -> list[Sample]:
        """The samples of one iteration, this process's share of them."""
        epoch, step = divmod(iteration, self.per_epoch)
        order = np.random.Generator(np.random.PCG64((self._seed, 0, epoch))).permutation(len(self._indices))
        chosen = order[step * self._batch_size : (step + 1) * self._batch_size]
        random = np.random.Generator(np.random.PCG64((self._seed, 1, iteration)))
        draws = random.random((len(chosen), 2))
        return [
            self._compressed(self._load(self._indices[position]), *draws[place].tolist())
            for place, position in enumerate(chosen.tolist())
            if place % self._world == self._rank
        ]

    def stream(self, first: int, last: int) -> Iterator[list[Sample]]:
        """The batches of iterations ``first`` to ``last`` - 1, the next ones prepared in a thread meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="lossy-batches") as pool:
            waiting: list[Future[list[Sample]]] = []
            following = first
            try:
                for _ in range(first, last):
                    while following < last and len(waiting) < _AHEAD:
                        waiting.append(pool.submit(self.batch, following))
                        following += 1
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()

    def _compressed(self, sample: Sample, chance: float, draw: float) -> Sample:
        compression = self._compression
        if compression is None or chance >= compression.share:
            return sample
        level = compression.levels[int(draw * len(compression.levels))]
        seen = round_trip(compression.codec, sample.media, level, fps=sample.context.get("fps"))
        return dataclasses.replace(sample, media=seen.media)

    def _load(self, index: int) -> Sample:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        sample = self._dataset.load(index)
        size = sample.media.nbytes + getattr(sample.target, "nbytes", 0)
        if size <= self._left:
            self._left -= size
            self._kept[index] = sample
        return sample
