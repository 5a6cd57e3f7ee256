"""What each level of a curve must show: the gates of thresholds.yaml, or else the knee's tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_lossy.analysis.limit import Bounded, Requirement, Step
from pytest_lossy.analysis.proportions import Paired, paired, paired_ratio, tango, wilson
from pytest_lossy.results.document import CaseRow, GateResult
from pytest_lossy.results.replicates import StoredReplicates

__all__ = ["Measured", "gate_text", "gates_on", "level_step", "tags_of"]

Score = Callable[[float], tuple[float, float] | None]
"""Two-sided confidence -> interval."""

_NO_RETENTION = "a gate of thresholds.yaml, since there is no retention here"


@dataclass(frozen=True, slots=True)
class Measured:
    """One level of a curve: its row, and its replicates where they are stored."""

    row: CaseRow
    stored: StoredReplicates | None


def tags_of(metric: str, levels: Sequence[Measured]) -> list[str]:
    """The user tags for which ``metric{tag}`` was measured, sorted."""
    prefix = f"{metric}{{"
    names = {name for level in levels if level.stored for name in level.stored.point if name.startswith(prefix)}
    return sorted(name.removeprefix(prefix).removesuffix("}") for name in names)


def gates_on(row: CaseRow, metric: str) -> list[GateResult]:
    """The gates of a level that a walk over ``metric`` must show: its own, or for a tag's metric those of the whole.

    A tag without gates inherits, so that its limit and that of all samples mean the same.
    """
    own = [gate for gate in row.gates if gate.metric == metric]
    return own or [gate for gate in row.gates if gate.metric == metric.partition("{")[0]]


def gate_text(gate: GateResult, metric: str) -> str:
    """A gate in words, such as ``miou drops by at most 5%``."""
    limit = (
        f"{100 * gate.limit:.6g}%" if gate.bound == "max_drop" and gate.quantity == "retention" else f"{gate.limit:.6g}"
    )
    return {
        "min": f"{metric} at least {limit}",
        "max": f"{metric} at most {limit}",
        "max_drop": f"{metric} drops by at most {limit}",
        "max_loss": f"{metric} loses at most {limit}",
    }[gate.bound]


def level_step(
    level: Measured,
    clean: StoredReplicates | None,
    metric: str,
    *,
    higher_is_better: bool,
    tolerance: float,
) -> Step:
    """One step of the walk to the operating limit.

    Args:
        level: what was measured.
        clean: the same without a codec.
        metric: the primary one, or a tag's such as ``miou{night}``.
        higher_is_better: its direction.
        tolerance: where no gate names the metric, retention must be at least ``1 - tolerance``.

    Returns:
        A step without requirements where the level was not measured.
    """
    row, value = level.row, level.row.level
    assert value is not None  # noqa: S101 - curves are made of levels
    if metric not in row.metrics:
        return Step(value, ())
    sources = _Quantities(level, clean, metric, higher_is_better)
    requirements = [
        Requirement(gate_text(gate, metric), gate.required, gate.comparison == ">=", sources.of(gate.quantity))
        for gate in gates_on(row, metric)
    ]
    if not requirements and row.reference == "labels":
        text = f"{metric} retention at least {100 * (1 - tolerance):.6g}%"
        requirements = [Requirement(text, round(1 - tolerance, 12), True, sources.of("retention"))]
    return Step(value, requirements or [Requirement(_NO_RETENTION, math.nan, True, None)])


class _Quantities:
    """Value, retention and loss of one metric at one level, ready to be bounded."""

    def __init__(self, level: Measured, clean: StoredReplicates | None, metric: str, higher_is_better: bool) -> None:
        stored = level.stored
        self._row, self._metric, self._higher = level.row, metric, higher_is_better
        self._case = stored if stored is not None and metric in stored.point else None
        paired = clean is not None and self._case is not None and metric in clean.point
        self._clean = clean if paired and clean is not None and stored and clean.samples == stored.samples else None

    def of(self, quantity: str) -> Bounded | None:
        """None where the quantity is undefined."""
        case, clean, name = self._case, self._clean, self._metric
        if case is None or not math.isfinite(case.point[name]):
            return None
        tag = name.partition("{")[2].removesuffix("}")
        units = case.tag_units.get(tag, case.units) if tag else case.units
        nothing = np.zeros(0)
        point, drawn = case.point[name], case.replicates.get(name, nothing)
        # Unseen units: a score in [0, 1] may fall to 0, an error is taken to double, which halves retention.
        unseen = 1.0 if self._higher else abs(point)
        if quantity == "value":
            return Bounded(point, drawn, units, unseen, self._score_of_value())
        if clean is None or not math.isfinite(clean.point[name]):
            return None
        base, base_drawn = clean.point[name], clean.replicates.get(name, nothing)
        if not len(drawn) or not len(base_drawn):
            drawn = base_drawn = nothing
        if quantity == "loss":
            sign = 1.0 if self._higher else -1.0
            losses = sign * (base_drawn - drawn)
            return Bounded(sign * (base - point), losses, units, unseen, self._score_of_loss())
        if self._row.metrics[name].retention is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = drawn / base_drawn if self._higher else base_drawn / drawn
            ratio = np.divide(point, base) if self._higher else np.divide(base, point)
        return Bounded(float(ratio), ratios, units, 1 / abs(base) if self._higher else 1.0, self._score_of_ratio())

    def _score_of_value(self) -> Score | None:
        outcomes = self._case.outcomes.get(self._metric) if self._case is not None else None
        if outcomes is None:
            return None
        known = outcomes[~np.isnan(outcomes)]
        return lambda confidence: wilson(int(known.sum()), len(known), confidence)

    def _score_of_loss(self) -> Score | None:
        table = self._table()
        return None if table is None else lambda confidence: tango(table, confidence)

    def _score_of_ratio(self) -> Score | None:
        table = self._table(swapped=True)
        return None if table is None else lambda confidence: paired_ratio(table, confidence)

    def _table(self, *, swapped: bool = False) -> Paired | None:
        """Better against worse, clean against the level for a score; ``swapped`` the other way round."""
        pair = [stored.outcomes.get(self._metric) if stored else None for stored in (self._clean, self._case)]
        if swapped == self._higher:
            pair.reverse()
        first, second = pair
        return None if first is None or second is None else paired(first, second)
