"""Score intervals of plain proportions: one, and two of the same samples.

Bootstrap percentiles collapse where every sample, or none, is right, and where few samples differ between two levels. Score
intervals invert the test whose variance is that of the hypothesis and not of the estimate, so they never do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from pytest_lossy.tasks.base import FloatArray

__all__ = ["MOST_SAMPLES", "Paired", "outcomes_of", "paired", "paired_ratio", "tango", "wilson"]

MOST_SAMPLES = 2000
"""Beyond this many samples the bootstrap stands: scoring samples one by one costs n^2, and score intervals gain nothing."""

_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Paired:
    """A 2x2 table of the same n samples: how many are right under both, the first alone, the second alone, neither."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def count(self) -> int:
        """Samples in all."""
        return self.both + self.first + self.second + self.neither


def outcomes_of(
    reduce: Callable[[FloatArray], Mapping[str, FloatArray]],
    count: int,
    metrics: Collection[str],
    point: Mapping[str, float],
) -> dict[str, FloatArray]:
    """Each sample's outcome, of the metrics that declare themselves plain proportions, and of their slices.

    Args:
        reduce: (B, n) weights -> metric -> (B,); asked about each sample alone.
        count: n.
        metrics: names of aggregate metrics.
        point: the metrics on all samples; a slice that is not their mean after all is left out.

    Returns:
        metric -> (n,) 1, 0, or NaN where the sample does not count; nothing beyond :data:`MOST_SAMPLES`.
    """
    if not metrics or not 1 <= count <= MOST_SAMPLES:
        return {}
    found = {}
    for name, values in reduce(np.eye(count)).items():
        if name.partition("[")[0].partition("{")[0] not in metrics:
            continue
        defined = values[~np.isnan(values)]
        plain = len(defined) and np.isin(defined, (0.0, 1.0)).all()
        if plain and abs(float(defined.mean()) - point.get(name, math.nan)) < 1e-9:
            found[name] = values
    return found


def paired(first: FloatArray, second: FloatArray) -> Paired | None:
    """The table of two measurements of the same samples; None where they are not defined on the same ones."""
    known = ~np.isnan(first)
    if first.shape != second.shape or not known.any() or not np.array_equal(known, ~np.isnan(second)):
        return None
    one, two = first[known] == 1, second[known] == 1
    counts = [int(np.count_nonzero(table)) for table in (one & two, one & ~two, ~one & two, ~one & ~two)]
    return Paired(*counts)


def wilson(successes: int, count: int, confidence: float) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), without continuity correction.

    Args:
        successes: of ``count``, 1 or more.
        count: independent trials.
        confidence: two-sided.
    """
    z = _quantile(confidence)
    share = successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At the ends the interval reaches exactly to them, which rounding would miss.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == count else middle + half)


def tango(table: Paired, confidence: float) -> tuple[float, float]:
    """The score interval of the difference of two paired proportions, first - second (Tango 1998, equations 4 and 6).

    Args:
        table: of 1 or more samples.
        confidence: two-sided.
    """
    n, b, c = table.count, table.first, table.second

    def score(difference: float) -> float:
        linear = -b - c + (2 * n - b + c) * difference
        constant = -c * difference * (1 - difference)
        share = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
        return _over_root(b - c - n * difference, n * (2 * share + difference * (1 - difference)))

    return _invert(score, (b - c) / n, -1.0, 1.0, confidence)


def paired_ratio(table: Paired, confidence: float) -> tuple[float, float] | None:
    """The score interval of the ratio of two paired proportions, first / second (Nam & Blackwelder 2002; Tang et al. 2003).

    Args:
        table: of 1 or more samples.
        confidence: two-sided.

    Returns:
        None where the second proportion is 0, or the interval has no upper end.
    """
    n, a, b, c = table.count, table.both, table.first, table.second
    if a + c == 0:
        return None

    def score(ratio: float) -> float:
        quadratic = n * (1 + ratio)
        linear = (a + c) * ratio * ratio - (a + b + 2 * c)
        constant = c * (1 - ratio) * (a + b + c) / n
        root = math.sqrt(max(0.0, linear * linear - 4 * quadratic * constant))
        share = (root - linear) / (2 * quadratic)
        return _over_root(a + b - ratio * (a + c), n * (1 + ratio) * share + (a + b + c) * (ratio - 1))

    # The score tends to -sqrt(second / (1 - second)) times sqrt(n) or so: it may never reach the quantile.
    top = max(2.0, 2 * (a + b) / (a + c))
    while score(top) > -_quantile(confidence):
        top *= 2
        if top > 1e9:
            return None
    return _invert(score, (a + b) / (a + c), 0.0, top, confidence)


def _quantile(confidence: float) -> float:
    return float(ndtri((1 + confidence) / 2))


def _over_root(difference: float, variance: float) -> float:
    """A score statistic; its sign where the hypothesis leaves no variance."""
    if variance > _TOLERANCE:
        return difference / math.sqrt(variance)
    return 0.0 if abs(difference) <= 1e-9 else math.copysign(math.inf, difference)


def _invert(
    score: Callable[[float], float], estimate: float, lowest: float, highest: float, confidence: float
) -> tuple[float, float]:
    """The values whose falling score lies between the two quantiles."""
    from scipy.optimize import brentq  # costs every worker's start a fifth of a second, and few runs need it

    z = _quantile(confidence)

    def end(bound: float, target: float) -> float:
        def miss(value: float) -> float:
            return float(np.clip(score(value) - target, -1e6, 1e6))

        if estimate == bound or miss(bound) * miss(estimate) >= 0:
            return bound
        return float(brentq(miss, *sorted((bound, estimate)), xtol=1e-14, rtol=1e-14))

    return end(lowest, z), end(highest, -z)
