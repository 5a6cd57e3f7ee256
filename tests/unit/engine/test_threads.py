"""Batches in one thread or several, begun anywhere: the data's order, the first failure, and torch's threads as before."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import CLASSES, FirstChannel, Pictures

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.engine.pipeline import Pipeline
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.engine.threads import one_torch_thread, run_here, run_in_threads
from pytest_lossy.tasks.segmentation import SegmentationTask

RUNS = [(run_here, 1), (run_in_threads, 2), (run_in_threads, 5)]
SIZES = [3, 3, 3, 1]


@pytest.mark.parametrize(("run", "threads"), RUNS)
@pytest.mark.parametrize("first", [0, 1, 3])
def test_results_are_in_the_datas_order(run: Callable[..., Any], threads: int, first: int) -> None:
    begun: list[int] = []
    seen: list[tuple[int, int]] = []

    def work(number: int) -> list[int]:
        begun.append(number)
        return [number] * SIZES[number]

    order = [*range(first, 4), *range(first)]
    found = run(work, order, SIZES, threads, lambda done, total: seen.append((done, total)))
    assert found == [[0] * 3, [1] * 3, [2] * 3, [3]]
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)
    if threads == 1:
        assert begun == order


@pytest.mark.parametrize(("run", "threads"), RUNS)
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("bad", [(0,), (3,), (1, 3), (0, 1, 2, 3)])
def test_the_first_failure_in_order_is_raised(
    run: Callable[..., Any], threads: int, first: int, bad: tuple[int, ...]
) -> None:
    def work(number: int) -> list[int]:
        if number in bad:
            time.sleep(0.01 * (4 - number))  # later ones fail sooner
            raise ValueError(f"batch {number}")
        return []

    with pytest.raises(ValueError, match=f"batch {bad[0]}"):
        run(work, [*range(first, 4), *range(first)], SIZES, threads, None)


def test_what_comes_after_a_failure_is_not_begun() -> None:
    begun = []

    def work(number: int) -> list[int]:
        begun.append(number)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        run_here(work, [2, 3, 4, 0, 1], [1] * 5, 1, None)
    assert begun == [2, 0]


def test_torch_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
        assert run_here(lambda number: [torch.get_num_threads()], [0], [1], 1, None) == [[1]]
        assert run_in_threads(lambda number: [torch.get_num_threads()], [0], [1], 2, None) == [[1]]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_where_a_worker_begins_changes_no_bit(tmp_path: Path, threads: int) -> None:
    def evaluated(first: float, data: Pictures) -> Any:
        line = Pipeline(
            FirstChannel(),
            SegmentationTask(CLASSES),
            SourceStore(data, tmp_path, 10**9),
            range(10),
            batch_size=3,
            threads=threads,
            concurrent_inference=threads,
            first=first,
        )
        return line.evaluate(JpegCodec(), 20)

    data = Pictures()
    plain, moved = evaluated(0.0, data), evaluated(0.5, data)
    assert (plain.ids, plain.costs, plain.groups, plain.meta) == (moved.ids, moved.costs, moved.groups, moved.meta)
    assert all((a["pixels"] == b["pixels"]).all() for a, b in zip(plain.evidence, moved.evidence, strict=True))
    assert set(data.loads.values()) == {1}
