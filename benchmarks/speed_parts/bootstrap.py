"""Processor time of a case's metrics with their bootstrap replicates: segmentation, 500 pictures, 19 classes."""

from __future__ import annotations

import time

import numpy as np

from pytest_lossy.analysis.comparison import measure
from pytest_lossy.tasks.segmentation import SegmentationTask

SAMPLES, CLASSES, SIDE, REPLICATES = 500, 19, 64, 1000


def main() -> None:
    """Measure and print."""
    task = SegmentationTask(tuple(f"class-{number}" for number in range(CLASSES)))
    random = np.random.default_rng(0)
    evidence = []
    for _ in range(SAMPLES):
        truth = random.integers(0, CLASSES, (SIDE, SIDE))
        predicted = np.where(random.random((SIDE, SIDE)) < 0.7, truth, random.integers(0, CLASSES, (SIDE, SIDE)))
        evidence.append(task.evidence(predicted.astype(np.uint8), truth.astype(np.uint8)))
    times = []
    for _ in range(5):
        before = time.process_time()
        measure(lambda weights: task.reduce(evidence, weights), [None] * SAMPLES, REPLICATES)
        times.append(time.process_time() - before)
    print(
        f"  {REPLICATES} replicates of mIoU, {SAMPLES} pictures, {CLASSES} classes: first case {1000 * times[0]:.0f} ms, "
        f"each further {1000 * min(times[1:]):.0f} ms"
    )


if __name__ == "__main__":
    main()
