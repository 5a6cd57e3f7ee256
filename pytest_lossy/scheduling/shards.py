"""Which machine runs which curves: packed by what the specs say alone, so that every machine comes to the same answer."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence

from pytest_lossy.cases import MIX, Case, IndexedSpec
from pytest_lossy.scheduling.costs import static_cost

__all__ = ["pack", "shard_of_cases"]

_SEARCHED_LEVELS = 8
"""What a search for a knee evaluates, about."""


def pack(costs: Mapping[Hashable, float], shards: int) -> dict[Hashable, int]:
    """Spread units over shards: the costliest first, each to the shard with the least (Graham 1969, LPT).

    Args:
        costs: of each unit; of equal ones the first comes first.
        shards: how many, numbered from 0; the first shards are filled first.
    """
    heap = [(0.0, shard) for shard in range(shards)]
    placed: dict[Hashable, int] = {}
    for unit in sorted(costs, key=lambda unit: -costs[unit]):  # stable
        load, shard = heapq.heappop(heap)
        placed[unit] = shard
        heapq.heappush(heap, (load + costs[unit], shard))
    return placed


def shard_of_cases(specs: Sequence[tuple[IndexedSpec, Sequence[Case]]], shards: int) -> dict[tuple[str, str], set[int]]:
    """The shards of every case.

    A curve is never cut, and the curves of a model whose mix is judged stay together. The clean case, which every curve
    needs, goes wherever a curve of its model goes; where it is computed twice it comes out the same.

    Args:
        specs: each model with all of its cases, in the run's order.
        shards: how many.

    Returns:
        (model, case name) -> 0-based shards.
    """
    costs: dict[Hashable, float] = {}
    units: dict[tuple[str, str], Hashable] = {}
    for spec, cases in specs:
        together = any(case.mix is not None for case in cases)
        for case in cases:
            if case.is_clean:
                continue
            unit = (spec.name, MIX if together else case.label)
            units[case.model, case.name] = unit
            searched = case.knee and not any(other.level is not None for other in cases)
            cost = static_cost(case, spec.media) * (_SEARCHED_LEVELS * 10 if searched else 1)
            costs[unit] = costs.get(unit, 0.0) + cost
    placed = pack(costs, shards)
    found = {key: {placed[unit]} for key, unit in units.items()}
    for spec, cases in specs:
        everywhere = {shard for case in cases for shard in found.get((case.model, case.name), ())}
        found[spec.clean.model, spec.clean.name] = everywhere or {0}
    return found
