"""Who gets which item: each once, models together, costly ones first, and nobody idle while something waits."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.scheduling.agenda import Agenda, Work

WORKS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.floats(0.1, 100), st.integers(0, 2)), min_size=1, max_size=60
).map(lambda entries: [Work(index, *entry) for index, entry in enumerate(entries)])


def simulate(
    works: Sequence[Work], workers: int, load: float = 0.0
) -> tuple[float, dict[int, list[int]], Counter[str]]:
    """Workers that hold one item while they run another, as xdist's do: the time, who ran what, and loads by group."""
    agenda = Agenda(works)
    held: dict[int, list[int]] = defaultdict(list)
    ran: dict[int, list[int]] = defaultdict(list)
    loads: Counter[str] = Counter()
    now = 0.0
    clock = [(0.0, worker) for worker in range(workers)]
    for _ in range(2):
        for worker in range(workers):
            index = agenda.take(worker)
            if index is not None:
                held[worker].append(index)
    by_index = {work.index: work for work in works}
    while clock:
        moment, worker = heapq.heappop(clock)
        now = max(now, moment)
        while len(held[worker]) < 2 and (index := agenda.take(worker)) is not None:
            held[worker].append(index)
        if not held[worker]:
            continue
        index = held[worker].pop(0)
        work = by_index[index]
        fresh = not ran[worker] or by_index[ran[worker][-1]].group != work.group
        loads[work.group] += fresh
        ran[worker].append(index)
        heapq.heappush(clock, (moment + work.cost + load * fresh, worker))
    return now, ran, loads


@given(WORKS, st.integers(1, 8))
def test_every_item_runs_once_and_time_is_near_the_least(works: list[Work], workers: int) -> None:
    time, ran, _ = simulate(works, workers)
    assert sorted(index for items in ran.values() for index in items) == [work.index for work in works]
    total, largest = sum(work.cost for work in works), max(work.cost for work in works)
    # Graham's bound for list scheduling, and one item more, which waits at a busy worker.
    assert time <= total / workers + 2 * largest + 1e-6


@given(WORKS)
def test_one_worker_loads_each_model_once_the_costliest_first(works: list[Work]) -> None:
    _, ran, loads = simulate(works, 1)
    assert set(loads.values()) == {1}
    costs: Counter[str] = Counter()
    for work in works:
        costs[work.group] += work.cost
    order = list(dict.fromkeys(works[index].group for index in ran[0]))
    assert [costs[group] for group in order] == pytest.approx(sorted(costs.values(), reverse=True))
    for group in order:
        ranks = [(works[index].rank, -works[index].cost, index) for index in ran[0] if works[index].group == group]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_models_stay_together_until_somebody_would_idle(workers: int) -> None:
    works = [Work(index, f"m{index // 9}", 1.0, 0 if index % 9 == 0 else 1) for index in range(9 * 2 * workers)]
    time, _, loads = simulate(works, workers)
    assert time == 18
    assert sum(loads.values()) == 2 * workers, "no model is loaded twice where the work divides evenly"


def test_the_largest_group_is_split_for_idle_workers() -> None:
    works = [Work(index, "big", 1.0) for index in range(40)] + [Work(40 + index, "small", 1.0) for index in range(4)]
    time, _, loads = simulate(works, 4)
    assert loads["big"] == 4
    assert loads["small"] == 1
    assert time <= 12


def test_groups_that_must_not_be_split_stay_on_one_worker() -> None:
    works = [Work(index, f"file{index // 10}", 1.0, splits=False) for index in range(20)]
    _, ran, _ = simulate(works, 4)
    for items in ran.values():
        assert len({works[index].group for index in items}) <= 1
    assert sum(len(items) for items in ran.values()) == 20


def test_what_a_dead_worker_held_goes_to_the_next_one() -> None:
    agenda = Agenda([Work(0, "a", 1), Work(1, "a", 1), Work(2, "b", 5, splits=False), Work(3, "b", 5, splits=False)])
    assert [agenda.take("x"), agenda.take("x")] == [2, 3]
    agenda.leave("x")
    agenda.give_back(3)
    assert len(agenda) == 3
    assert agenda.take("y") == 3
    assert agenda.take("y") == 0
    assert agenda.take("z") == 1, "the group is split"
    assert agenda.take("z") is None


@given(WORKS, st.integers(0, 2**32))
def test_nothing_is_lost_whatever_dies(works: list[Work], seed: int) -> None:
    random = Random(seed)
    agenda, held, done = Agenda(works), defaultdict(list), []
    for step in range(10_000):
        worker = random.randrange(3)
        if step < 300 and random.random() < 0.2:
            agenda.leave(worker)
            for index in held.pop(worker, []):
                agenda.give_back(index)
        elif held[worker] and random.random() < 0.5:
            done.append(held[worker].pop(0))
        elif (index := agenda.take(worker)) is not None:
            held[worker].append(index)
        if not len(agenda) and not any(held.values()):
            break
    assert sorted(done) == [work.index for work in works]
