"""Which item a worker gets next: items of its own model while there are any, then the costliest model that nobody works on.

Pure bookkeeping, without pytest or xdist, so that it can be tested by simulation. No item is ever withheld: whoever asks is
given one as long as there is one.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

__all__ = ["Agenda", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """One item that has to be done."""

    index: int
    """Its place in the collection."""
    group: str
    """What it shares with others and costs to set up: a model."""
    cost: float
    """Estimated, in any unit."""
    rank: int = 0
    """Lower first within its group, whatever the cost: the clean case, which the others wait for, before them."""
    splits: bool = True
    """Whether several workers may share the group; the first of a group's items speaks for all."""


@dataclass(slots=True)
class _Group:
    name: str
    place: int
    """In the collection: of equal costs the first comes first."""
    waiting: list[tuple[int, float, int]] = field(default_factory=list)
    """A heap of rank, negative cost and index."""
    splits: bool = True
    cost: float = 0.0
    """Of everything that waits."""
    workers: set[Hashable] = field(default_factory=set)


class Agenda:
    """Items that wait, by group.

    Args:
        works: everything that has to be done.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        self._works = {work.index: work for work in works}
        self._groups: dict[str, _Group] = {}
        self._place: dict[Hashable, _Group] = {}
        self._waiting = 0
        for work in self._works.values():
            self._enter(work)
        self._untouched = [(-group.cost, group.place, group.name) for group in self._groups.values()]
        """A heap of the groups that no worker has; entries whose group has a worker or another cost by now are stale."""
        heapq.heapify(self._untouched)

    def __len__(self) -> int:
        return self._waiting

    def take(self, worker: Hashable) -> int | None:
        """The next item for ``worker``; None where nothing waits that it may have.

        Its own group first, since its model is loaded; else the costliest group that no worker has; else, so that nobody is
        idle, the group with the most waiting for each of its workers, which is split.
        """
        if not self._waiting:
            return None
        group = self._place.get(worker)
        if group is None or not group.waiting:
            self.leave(worker)
            group = self._costliest_untouched() or self._largest_shared()
            if group is None:
                return None
            self._place[worker] = group
            group.workers.add(worker)
        _, negative_cost, index = heapq.heappop(group.waiting)
        group.cost += negative_cost
        self._waiting -= 1
        if not group.waiting:
            group.cost = 0.0  # no rounding error is left behind
        return index

    def _costliest_untouched(self) -> _Group | None:
        while self._untouched:
            negative_cost, _, name = heapq.heappop(self._untouched)
            group = self._groups[name]
            if group.waiting and not group.workers and group.cost == -negative_cost:
                return group
        return None

    def _largest_shared(self) -> _Group | None:
        """Of the groups that have workers, which are as many as there are workers at most."""
        shared = {group.place: group for group in self._place.values() if group.waiting and group.splits}
        return max(
            shared.values(), key=lambda group: (group.cost / (1 + len(group.workers)), -group.place), default=None
        )

    def give_back(self, index: int) -> None:
        """An item that was taken waits again: its worker died before it began, or it is to be run once more."""
        self._offer(self._enter(self._works[index]))

    def leave(self, worker: Hashable) -> None:
        """A worker no longer has a group: it goes elsewhere, or it is gone."""
        group = self._place.pop(worker, None)
        if group is not None:
            group.workers.discard(worker)
            self._offer(group)

    def _offer(self, group: _Group) -> None:
        if group.waiting and not group.workers:
            heapq.heappush(self._untouched, (-group.cost, group.place, group.name))

    def _enter(self, work: Work) -> _Group:
        group = self._groups.get(work.group)
        if group is None:
            group = self._groups[work.group] = _Group(work.group, len(self._groups), splits=work.splits)
        heapq.heappush(group.waiting, (work.rank, -work.cost, work.index))
        group.cost += work.cost
        self._waiting += 1
        return group
