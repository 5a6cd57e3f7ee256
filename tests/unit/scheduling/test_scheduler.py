"""The scheduler against a model of xdist: a crash at every position, with every number of workers, and nothing hangs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lossy.scheduling.agenda import Work
from pytest_lossy.scheduling.scheduler import AffinityScheduling, group_of_test

CASES = [f"specs/{model}.yaml::{model}::{case}" for model in "abc" for case in ("clean", "q50", "q20", "q10", "mix")]


@dataclass(eq=False)
class Node:
    """A worker as xdist's controller sees it: it begins an item once it holds the next, or was told to end."""

    name: str
    queue: list[int] = field(default_factory=list)
    shutting_down: bool = False

    @property
    def gateway(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down, "xdist drops what is sent after a shutdown"
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        return len(self.queue) >= (1 if self.shutting_down else 2)


def describe(node_ids: Any) -> list[Work]:
    return [
        Work(index, name.split("::")[1], 1.0, 0 if name.endswith("clean") else 2 if name.endswith("mix") else 1)
        for index, name in enumerate(node_ids)
    ]


def scheduler(workers: int) -> tuple[AffinityScheduling, list[Node]]:
    options = {"tx": ["popen"] * workers, "maxschedchunk": None, "dist": "load"}
    config = SimpleNamespace(
        getoption=options.get, getvalue=options.get, option=SimpleNamespace(**options), hook=SimpleNamespace()
    )
    found = AffinityScheduling(config, None, describe)  # type: ignore[arg-type]
    return found, [Node(f"gw{number}") for number in range(workers)]


def start(sched: AffinityScheduling, node: Node, collection: list[str]) -> None:
    sched.add_node(node)
    sched.add_node_collection(node, collection)
    if sched.collection_is_completed:
        sched.schedule()


def session(
    workers: int, crash_at: set[int], collection: list[str] = CASES
) -> tuple[list[str], list[str], list[list[str]]]:
    """Run everything; the worker that begins the n-th item dies in it. What passed, what crashed, each worker's items."""
    sched, alive = scheduler(workers)
    lists: dict[str, list[str]] = {}
    for node in alive:
        start(sched, node, collection)
    passed, crashed, begun, turn = [], [], 0, 0
    for _ in range(20 * len(collection) + 20):
        if sched.tests_finished:
            for node in alive:
                node.shutdown()
        alive = [node for node in alive if not (node.shutting_down and not node.queue)]
        if not alive:
            break
        ready = [node for node in alive if node.can_run]
        assert ready, "every worker waits for an item that nobody sends"
        node = ready[turn % len(ready)]
        turn += 1
        index = node.queue[0]
        lists.setdefault(node.name, []).append(collection[index])
        begun += 1
        if begun - 1 in crash_at:
            alive.remove(node)
            item = sched.remove_node(node)
            assert item == collection[index]
            crashed.append(item)
            clone = Node(f"{node.name}+")
            alive.append(clone)
            start(sched, clone, collection)
            continue
        node.queue.pop(0)
        passed.append(collection[index])
        sched.mark_test_complete(node, index, 0.1)
    assert sched.tests_finished
    assert not sched.has_pending
    return passed, crashed, list(lists.values())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_crash_at_every_position_loses_that_case_alone(workers: int) -> None:
    for crash_at in range(len(CASES)):
        passed, crashed, _ = session(workers, {crash_at})
        assert len(crashed) == 1
        assert sorted(passed + crashed) == sorted(CASES)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_two_crashes_at_any_positions_lose_those_two(workers: int) -> None:
    for first, second in combinations(range(len(CASES)), 2):
        passed, crashed, _ = session(workers, {first, second})
        assert len(crashed) == 2
        assert sorted(passed + crashed) == sorted(CASES)


def test_a_suite_in_which_everything_crashes_ends() -> None:
    passed, crashed, _ = session(2, set(range(len(CASES))))
    assert (passed, sorted(crashed)) == ([], sorted(CASES))


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_few_items_for_many_workers(workers: int, count: int) -> None:
    passed, _, lists = session(workers, set(), CASES[:count])
    assert sorted(passed) == sorted(CASES[:count])
    assert len(lists) == min(workers, count)


@pytest.mark.parametrize("workers", [1, 2])
def test_clean_first_and_models_together(workers: int) -> None:
    _, _, lists = session(workers, set())
    for items in lists:
        models = [item.split("::")[1] for item in items]
        assert len(models) - sum(a == b for a, b in pairwise(models)) == len(set(models))
    firsts = [item.split("::")[2] for items in lists for item in items[:1]]
    assert firsts == ["clean"] * workers


def test_a_rerun_of_a_crashed_item_runs_again() -> None:
    sched, [node] = scheduler(1)
    start(sched, node, CASES)
    crashed = sched.remove_node(node)
    assert crashed is not None
    sched.mark_test_pending(crashed)
    clone = Node("gw1")
    start(sched, clone, CASES)
    ran = []
    while clone.can_run:
        index = clone.queue.pop(0)
        ran.append(CASES[index])
        sched.mark_test_complete(clone, index)
    assert sorted(ran) == sorted(CASES)


def test_different_collections_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sched, [first, second] = scheduler(2)
    sched.config.hook.pytest_collectreport = lambda report: None
    start(sched, first, CASES)
    start(sched, second, CASES[:-1])
    assert sched.tests_finished
    assert not first.queue


@pytest.mark.parametrize(
    ("node_id", "dist", "group"),
    [
        ("t/a.py::T::test[x::y]", "loadfile", "t/a.py"),
        ("t/a.py::T::test[x::y]", "loadscope", "t/a.py::T"),
        ("t/a.py::test@db", "loadgroup", "@db"),
        ("t/a.py::test[a@b]", "loadgroup", "t/a.py::test[a@b]"),
        ("t/a.py::test[a@b]@db", "loadgroup", "@db"),
        ("t/a.py::test", "load", "t/a.py::test"),
    ],
)
def test_ordinary_tests_keep_the_users_grouping(node_id: str, dist: str, group: str) -> None:
    assert group_of_test(node_id, dist) == group
