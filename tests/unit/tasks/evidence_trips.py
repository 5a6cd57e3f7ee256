"""What the tests of every task do with evidence: to disk and back, and reduced in other batches and layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pytest_lossy.results.evidence import CaseEvidence, SampleCost, load_evidence, save_evidence
from pytest_lossy.tasks.base import Evidence, Task


def stored_and_loaded(evidence: Sequence[Evidence], path: Path) -> tuple[Evidence, ...]:
    """Evidence after a round trip through a file, which must not change a bit or a type."""
    count = len(evidence)
    case = CaseEvidence(
        ids=tuple(f"sample-{index}" for index in range(count)),
        groups=(None,) * count,
        evidence=tuple(evidence),
        costs=(SampleCost(0, 0, 1, 0, "digest"),) * count,
    )
    save_evidence(path, case)
    loaded = load_evidence(path).evidence
    for before, after in zip(evidence, loaded, strict=True):
        assert set(before) == set(after)
        for name, array in before.items():
            assert after[name].dtype == array.dtype
            assert np.array_equal(after[name], array)
    return loaded


def assert_rows_are_independent(task: Task, evidence: Sequence[Evidence], weights: np.ndarray) -> None:
    """(B, n) weights at once equal any chunks, single rows and another memory layout, bit for bit."""
    together = task.reduce(evidence, weights)
    halves = [task.reduce(evidence, part) for part in np.array_split(weights, 3) if len(part)]
    columns = task.reduce(evidence, np.asfortranarray(weights))
    strided = task.reduce(evidence, np.repeat(weights, 2, axis=1)[:, ::2])
    alone = [task.reduce(evidence, weights[row : row + 1]) for row in range(len(weights))]
    for name, values in together.items():
        assert values.shape == (len(weights),)
        assert values.dtype == np.float64
        for other in (
            np.concatenate([part[name] for part in halves]),
            columns[name],
            strided[name],
            np.concatenate([row[name] for row in alone]),
        ):
            assert np.array_equal(values, other, equal_nan=True), name
