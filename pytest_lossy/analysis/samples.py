"""Which samples to show of a case: those that lost most, and the one that lost as much as usual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pytest_lossy.tasks.base import Evidence, FloatArray

__all__ = ["Choice", "choose_samples", "sample_values"]

_BLOCK = 64
"""Samples weighed together: one-hot weights of a whole data set would make the work grow with its square."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of evidence, and the metric on it alone."""

    row: int
    kind: Literal["worst", "typical"]
    clean: float
    value: float


def sample_values(
    reduce: Callable[[Sequence[Evidence], FloatArray], dict[str, FloatArray]],
    evidence: Sequence[Evidence],
    metric: str,
) -> FloatArray:
    """A metric of each sample alone, (n,): the task's reduce with all weight on one sample; NaN where it is undefined."""
    values = np.full(len(evidence), np.nan)
    for start in range(0, len(evidence), _BLOCK):
        block = evidence[start : start + _BLOCK]
        values[start : start + len(block)] = reduce(block, np.eye(len(block)))[metric]
    return values


def choose_samples(
    ids: Sequence[str],
    units: Sequence[str],
    clean: FloatArray,
    value: FloatArray,
    *,
    higher_is_better: bool,
    count: int,
) -> list[Choice]:
    """Choose the worst samples, those that lost most against their own clean value, and then the most typical one.

    A sample without a metric, clean or compressed, is never chosen; nor is one that lost nothing called worst. Of equal
    losses the first id comes first. Two samples of one unit (frames of a clip, crops of a picture) look alike, so that each
    choice is of a unit of its own while there is one.

    Args:
        ids: n ids.
        units: n names of what samples belong to; a sample of its own has its own.
        clean: (n,), the metric on each sample alone.
        value: (n,), the same under the codec.
        higher_is_better: the metric's direction.
        count: how many at most; one is the typical one if it is above 1.
    """
    drop = clean - value if higher_is_better else value - clean
    usable = [int(row) for row in np.flatnonzero(np.isfinite(drop))]
    if not usable or count < 1:
        return []
    rows: list[int] = []
    losing = sorted((row for row in usable if drop[row] > 0), key=lambda row: (-drop[row], ids[row]))
    while losing and len(rows) < max(1, count - 1):
        rows.append(_of_another_unit(losing, units, rows))
        losing.remove(rows[-1])
    chosen = [Choice(row, "worst", float(clean[row]), float(value[row])) for row in rows]
    middle = float(np.median(drop[usable]))
    rest = sorted(set(usable) - set(rows), key=lambda row: (abs(drop[row] - middle), ids[row]))
    if rest and len(rows) < count:
        row = _of_another_unit(rest, units, rows)
        chosen.append(Choice(row, "typical", float(clean[row]), float(value[row])))
    return chosen


def _of_another_unit(ordered: Sequence[int], units: Sequence[str], rows: Sequence[int]) -> int:
    """The first row whose unit is not that of any of ``rows``; the first one where all are."""
    seen = {units[row] for row in rows}
    return next((row for row in ordered if units[row] not in seen), ordered[0])
