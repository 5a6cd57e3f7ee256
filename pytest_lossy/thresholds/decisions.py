"""Which rule decides what of a case, and which rules it keeps from deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_lossy.cases import Case
from pytest_lossy.thresholds.rules import Bound, Rule, Thresholds, aggregate

__all__ = ["Decision", "decisions"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Every rule that bears on one bound of one metric of one case."""

    metric: str
    """With ``primary`` resolved."""
    bound: Bound
    winners: tuple[Rule, ...]
    """The most specific ones; several only where equally specific rules say the same, or disagree."""
    losers: tuple[Rule, ...]


def decisions(
    thresholds: Thresholds, case: Case, primary: str, metrics: Mapping[str, bool] | None
) -> dict[tuple[str, Bound], Decision]:
    """The same choice as :meth:`Thresholds.gates_for` makes, with the rules that lost.

    Args:
        thresholds: the gates.
        case: any case.
        primary: the metric that ``primary`` stands for.
        metrics: aggregate metrics of the case's task, and whether more of each is better; None where they are not known,
            as those of a third-party task that was not loaded: any name may then be one.
    """
    ranked: dict[tuple[str, Bound], list[tuple[tuple[float, ...], Rule]]] = {}
    for metric, rank, rule in thresholds.bearing_on(case, primary):
        if metrics is None or aggregate(metric) in metrics:
            ranked.setdefault((metric, rule.bound), []).append((rank, rule))
    found = {}
    for (metric, bound), rules in ranked.items():
        best = max(rank for rank, _ in rules)
        winners = tuple(rule for rank, rule in rules if rank == best)
        found[metric, bound] = Decision(metric, bound, winners, tuple(rule for rank, rule in rules if rank != best))
    return found
