"""Whether one run is worse than another: paired differences of every case, with an allowance for how many are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from pytest_lossy.analysis.bootstrap import bias_corrected
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.tasks.base import FloatArray

__all__ = ["ALPHA", "POWER", "Change", "Pair", "compare_pairs"]

ALPHA = 0.05
"""One-sided: the chance that any of the compared cases is called worse although none is."""
POWER = 0.8
"""With which :attr:`Change.detectable` would be found."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of one case in two runs."""

    key: str
    before: StoredReplicates
    after: StoredReplicates
    metric: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one case; positive differences are improvements."""

    key: str
    difference: float
    low: float | None
    high: float | None
    paired: bool
    """Whether both runs measured the same samples under the same weights."""
    p_worse: float | None
    """One-sided, of this case alone; None where there is no interval."""
    p_worse_adjusted: float | None
    p_better_adjusted: float | None
    detectable: float | None
    """The smallest loss that this comparison finds with :data:`POWER`, in the metric's units."""


def compare_pairs(pairs: Sequence[Pair], confidence: float) -> list[Change]:
    """Test every pair for a loss and for a gain.

    Cases of one data set share their samples, and their bootstrap weights: the largest studentised difference over all of
    them under every weighting is what chance alone produces (Westfall & Young 1993, single-step max-T, here with the
    bootstrap distribution centred at the estimate). Data sets are independent: their p values are adjusted by Holm (1979).

    Args:
        pairs: everything that is compared.
        confidence: two-sided, of the intervals.

    Returns:
        one entry per pair, in order.
    """
    differences = [_difference(pair) for pair in pairs]
    families: dict[tuple[str, str, int], list[int]] = {}
    for index, (pair, (_, drawn)) in enumerate(zip(pairs, differences, strict=True)):
        if drawn is not None:
            families.setdefault((pair.before.samples, pair.after.samples, len(drawn)), []).append(index)
    adjusted: dict[int, tuple[float, float, float, float]] = {}
    for members in families.values():
        found = _max_t([differences[index] for index in members])
        adjusted.update(zip(members, found, strict=True))
    for place in (1, 2):
        _holm(adjusted, list(families.values()), place)
    changes = []
    for index, (pair, (point, drawn)) in enumerate(zip(pairs, differences, strict=True)):
        interval = bias_corrected(point, drawn, confidence) if drawn is not None and math.isfinite(point) else None
        alone, worse, better, detectable = adjusted.get(index, (None, None, None, None))
        changes.append(
            Change(
                pair.key,
                point,
                interval[0] if interval else None,
                interval[1] if interval else None,
                pair.before.samples == pair.after.samples,
                alone,
                worse,
                better,
                detectable,
            )
        )
    return changes


def _difference(pair: Pair) -> tuple[float, FloatArray | None]:
    """After - before, signed so that better is positive: the estimate, and under each weighting."""
    sign = 1.0 if pair.higher_is_better else -1.0
    name = pair.metric
    point = sign * (pair.after.point.get(name, math.nan) - pair.before.point.get(name, math.nan))
    old, new = pair.before.replicates.get(name), pair.after.replicates.get(name)
    if old is None or new is None or len(old) != len(new) or not math.isfinite(point):
        return point, None
    if pair.before.samples != pair.after.samples and pair.before.units == pair.after.units:
        # Other samples, yet equal weights: without a shift they would look paired.
        new = np.roll(new, len(new) // 2)
    drawn = sign * (new - old)
    return point, drawn if 2 * np.isfinite(drawn).sum() >= len(drawn) else None


def _max_t(members: Sequence[tuple[float, FloatArray | None]]) -> list[tuple[float, float, float, float]]:
    """For each member: p of a loss alone, p of a loss and of a gain over all members, and the detectable loss."""
    points = np.array([point for point, _ in members])
    drawn = np.stack([values for _, values in members if values is not None], axis=1)
    count = len(drawn)
    spread = np.nanstd(drawn, axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        centred = np.where(spread > 0, (drawn - points) / spread, 0.0)
        observed = np.where(spread > 0, points / spread, np.where(points == 0, 0.0, np.sign(points) * np.inf))
    centred = np.where(np.isfinite(centred), centred, 0.0)  # a weighting under which one case is undefined
    lowest, highest = centred.min(axis=1), centred.max(axis=1)

    def share(extreme: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
        return (1 + int(extreme.sum())) / (count + 1)

    critical = float(np.quantile(-lowest, 1 - ALPHA))
    found = []
    for place, value in enumerate(observed.tolist()):
        unchanged = points[place] == 0
        found.append(
            (
                1.0 if unchanged else share(centred[:, place] <= value),
                1.0 if unchanged else share(lowest <= value),
                1.0 if unchanged else share(highest >= value),
                (critical + float(ndtri(POWER))) * float(spread[place]),
            )
        )
    return found


def _holm(
    adjusted: dict[int, tuple[float, float, float, float]],
    families: Sequence[list[int]],
    place: int,
) -> None:
    """Multiply the p values at ``place`` of each family by how many families are not yet rejected before it."""
    ordered = sorted(families, key=lambda members: min(adjusted[index][place] for index in members))
    floor = 0.0
    for position, members in enumerate(ordered):
        factor = len(ordered) - position
        smallest = min(adjusted[index][place] for index in members)
        for index in members:
            values = list(adjusted[index])
            values[place] = min(1.0, max(floor, values[place] * factor))
            adjusted[index] = (values[0], values[1], values[2], values[3])
        floor = max(floor, min(1.0, smallest * factor))
