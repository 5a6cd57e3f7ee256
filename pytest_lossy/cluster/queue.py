"""What waits to be done on a cluster, by model, and who gets which piece of it.

Whoever is free gets work of the model that it holds; else of the costliest model that nobody holds; else of the model with
the most work for each of its holders. Near the end of the run cases are cut: a piece is at most half of a worker's fair
share of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987), so that the last workers finish together.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Piece", "WorkQueue"]


@dataclass(frozen=True)
class Piece:
    """Some batches of a case, or another job that cannot be cut."""

    model: str
    owner: Any
    """What the piece is of."""
    rank: int
    """Lower first within its model."""
    cost: float
    """Of the whole piece, in any unit."""
    first: int = 0
    stop: int = 1
    whole: bool = False
    """It is for one worker, whatever its size."""

    def cut(self, batches: int) -> tuple[Piece, Piece]:
        """The first ``batches`` of the piece, and the rest."""
        share = batches / (self.stop - self.first)
        middle = self.first + batches
        head = replace(self, stop=middle, cost=self.cost * share)
        return head, replace(self, first=middle, cost=self.cost * (1 - share))


@dataclass
class _Group:
    waiting: list[tuple[int, int, int, Piece]] = field(default_factory=list)
    """A heap of rank, first batch and sequence number."""
    cost: float = 0.0
    holders: set[Hashable] = field(default_factory=set)


class WorkQueue:
    """Pieces that wait, by model."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._holds: dict[Hashable, str] = {}
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return any(group.waiting for group in self._groups.values())

    def add(self, piece: Piece) -> None:
        """Let a piece wait."""
        group = self._groups.setdefault(piece.model, _Group())
        heapq.heappush(group.waiting, (piece.rank, piece.first, next(self._numbers), piece))
        group.cost += piece.cost

    def discard(self, model: str, unwanted: Callable[[Piece], bool]) -> list[Piece]:
        """Take out those of a model's pieces that ``unwanted`` names, and return them."""
        group = self._groups.get(model, _Group())
        found = [entry[3] for entry in group.waiting if unwanted(entry[3])]
        if found:
            group.waiting = [entry for entry in group.waiting if not unwanted(entry[3])]
            heapq.heapify(group.waiting)
            group.cost = math.fsum(entry[3].cost for entry in group.waiting)
        return found

    def hold(self, worker: Hashable, model: str) -> None:
        """A worker holds this model from now on, and no other."""
        self.leave(worker)
        self._groups.setdefault(model, _Group()).holders.add(worker)
        self._holds[worker] = model

    def leave(self, worker: Hashable) -> None:
        """A worker holds nothing: it is gone."""
        model = self._holds.pop(worker, None)
        if model is not None:
            self._groups[model].holders.discard(worker)

    def take(self, worker: Hashable, workers: int, allowed: Callable[[str], bool] = lambda model: True) -> Piece | None:
        """The next piece for a worker; None where nothing waits that it may have.

        Args:
            worker: who asks; it holds the piece's model afterwards.
            workers: how many share what waits.
            allowed: which models it may have.
        """
        here = self._holds.get(worker)
        if here is None or not self._groups[here].waiting or not allowed(here):
            open_models = [name for name, group in self._groups.items() if group.waiting and allowed(name)]
            if not open_models:
                return None
            # Of equal costs the first model: dictionaries keep that order, and max the first of equals.
            here = max(open_models, key=lambda name: (not self._groups[name].holders, self._load(self._groups[name])))
            self.hold(worker, here)
        left = math.fsum(group.cost for group in self._groups.values())
        group = self._groups[here]
        piece = heapq.heappop(group.waiting)[3]
        group.cost = group.cost - piece.cost if group.waiting else 0.0  # no rounding error is left behind
        batches = piece.stop - piece.first
        if workers > 1 and batches > 1 and not piece.whole:
            fair = max(1, math.ceil(batches * left / (2 * workers * piece.cost)))
            if fair < batches:
                piece, rest = piece.cut(fair)
                self.add(rest)
        return piece

    @staticmethod
    def _load(group: _Group) -> float:
        return group.cost / (1 + len(group.holders))
