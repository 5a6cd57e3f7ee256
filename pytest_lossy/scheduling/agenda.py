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
        self._place: dict[Hashable, str] = {}
        self._waiting = 0
        for work in self._works.values():
            self._enter(work)

    def __len__(self) -> int:
        return self._waiting

    def take(self, worker: Hashable) -> int | None:
        """The next item for ``worker``; None where nothing waits that it may have.

        Its own group first, since its model is loaded; else the costliest group that no worker has; else, so that nobody is
        idle, the group with the most waiting for each of its workers, which is split.
        """
        if not self._waiting:
            return None
        here = self._place.get(worker)
        if here is None or not self._groups[here].waiting:
            self.leave(worker)
            open_groups = [
                name for name, group in self._groups.items() if group.waiting and (group.splits or not group.workers)
            ]
            if not open_groups:
                return None
            # Of equal costs the first group of the collection: dictionaries keep that order, and max the first of equals.
            here = max(
                open_groups,
                key=lambda name: (
                    not self._groups[name].workers,
                    self._groups[name].cost / (1 + len(self._groups[name].workers)),
                ),
            )
            self._place[worker] = here
            self._groups[here].workers.add(worker)
        group = self._groups[here]
        _, negative_cost, index = heapq.heappop(group.waiting)
        group.cost += negative_cost
        self._waiting -= 1
        if not group.waiting:
            group.cost = 0.0  # no rounding error is left behind
        return index

    def give_back(self, index: int) -> None:
        """An item that was taken waits again: its worker died before it began, or it is to be run once more."""
        self._enter(self._works[index])

    def leave(self, worker: Hashable) -> None:
        """A worker no longer has a group: it goes elsewhere, or it is gone."""
        place = self._place.pop(worker, None)
        if place is not None:
            self._groups[place].workers.discard(worker)

    def _enter(self, work: Work) -> None:
        group = self._groups.setdefault(work.group, _Group(splits=work.splits))
        heapq.heappush(group.waiting, (work.rank, -work.cost, work.index))
        group.cost += work.cost
        self._waiting += 1
