"""Fake data sets, models and tasks for engine tests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_lossy.data.base import Sample, SourceInfo
from pytest_lossy.engine.pipeline import Pipeline
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.tasks.segmentation import SegmentationTask

CLASSES = ("a", "b", "c")


class Pictures:
    """Random images whose labels are their first channel modulo 3; counts what it decodes."""

    name = "pictures"
    classes = CLASSES

    def __init__(self, count: int = 10, *, size: tuple[int, int] = (9, 7), tag: str = "") -> None:
        self.count, self.size, self.tag = count, size, tag
        self.loads: Counter[int] = Counter()
        self.change: Callable[[int, Sample], Any] = lambda index, sample: sample
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count

    def sample_id(self, index: int) -> str:
        return f"p{index}"

    def group(self, index: int) -> str | None:
        return None if index % 3 else "g"

    def load(self, index: int) -> Sample:
        with self._lock:
            self.loads[index] += 1
        media = np.random.default_rng(index).integers(0, 256, (*self.size, 3), dtype=np.uint8)
        sample = Sample(
            id=f"p{index}",
            media=media,
            target=media[..., 0] % 3,
            context={"fps": 25.0, "k": np.eye(3)},
            group=self.group(index),
            tags=("night",),
            source=SourceInfo("PNG", "RGB", 3, ("alpha dropped",)),
        )
        return self.change(index, sample)

    def fingerprint(self) -> str:
        return f"pictures-{self.count}-{self.size}-{self.tag}"


class FirstChannel:
    """Predicts labels from the first channel; records its batches."""

    thread_safe = True

    def __init__(self, delay: float = 0.0) -> None:
        self.batches: list[int] = []
        self.inside = self.most = 0
        self.delay = delay
        self.before: Callable[[Sequence[np.ndarray]], None] = lambda media: None
        self._lock = threading.Lock()

    def predict(self, media: Sequence[np.ndarray], context: Sequence[Any]) -> list[np.ndarray]:
        assert len(media) == len(context)
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.batches.append(len(media))
        try:
            time.sleep(self.delay)
            self.before(media)
            return [image[..., 0] % 3 for image in media]
        finally:
            with self._lock:
                self.inside -= 1

    def close(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {}


def pipeline(data: Any, model: Any, *, batch: int = 3, threads: int = 2, concurrent: int = 2, **store: Any) -> Pipeline:
    sources = SourceStore(data, store.get("folder"), store.get("limit", 0))
    return Pipeline(
        model,
        SegmentationTask(CLASSES),
        sources,
        range(len(data)),
        batch_size=batch,
        threads=threads,
        concurrent_inference=concurrent,
    )
