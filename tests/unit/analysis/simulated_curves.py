"""Curves whose truth is known, from simulated samples: what an evaluation would have found on other draws of the data.

Each sample has a quality of its own that all levels share, by a Gaussian copula, so that levels are correlated and paired
with clean as real ones are. Replicates are reweightings of these samples, by the product's own weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import betaincinv, ndtr

from pytest_lossy.analysis.bootstrap import BOOTSTRAP_SEED, resample_weights
from pytest_lossy.analysis.limit import Bounded, Requirement, Step, walk
from pytest_lossy.analysis.proportions import paired, paired_ratio
from pytest_lossy.analysis.retention import RetentionCurve, retention_curve
from pytest_lossy.results.replicates import StoredReplicates

Kind = Literal["binary", "overlap"]
LEVELS = (95.0, 85.0, 75.0, 65.0, 55.0, 45.0, 35.0, 25.0, 15.0, 10.0, 5.0)
GRID = (95.0, 75.0, 50.0, 30.0, 15.0, 10.0, 5.0)


def flat(_: float) -> float:
    return 1.0


@dataclass(frozen=True)
class Shoulder:
    """Retention 1 down to ``edge``, then a straight fall to ``floor`` at level 0."""

    edge: float
    floor: float = 0.3

    def __call__(self, level: float) -> float:
        return 1 - (1 - self.floor) * max(0.0, self.edge - level) / self.edge

    def crossing(self, tolerance: float) -> float:
        return self.edge * (1 - tolerance / (1 - self.floor))


@dataclass(frozen=True)
class Slope:
    """A fall that quickens, as of task metrics over JPEG quality: 1 - (1 - floor) * exp(-level / scale)."""

    scale: float
    floor: float = 0.2

    def __call__(self, level: float) -> float:
        return 1 - (1 - self.floor) * float(np.exp(-level / self.scale))

    def crossing(self, tolerance: float) -> float:
        return -self.scale * float(np.log(tolerance / (1 - self.floor)))


@dataclass(frozen=True)
class Cliff:
    """Retention 1 above ``edge``, ``below`` from there on."""

    edge: float
    below: float

    def __call__(self, level: float) -> float:
        return 1.0 if level > self.edge else self.below


@dataclass(frozen=True)
class Samples:
    """Numerators and denominators of n samples, clean first: metric = sum of numerators / sum of denominators."""

    levels: tuple[float, ...]
    above: np.ndarray
    """(n, 1 + L)."""
    below: np.ndarray
    """(n,)."""

    def measured(self, replicates: int) -> list[StoredReplicates]:
        """Clean and each level."""
        count = len(self.below)
        weights = _weights(count, replicates)
        drawn = (weights @ self.above) / (weights @ self.below)[:, None]
        point = self.above.sum(axis=0) / self.below.sum()
        return [
            StoredReplicates({"m": float(value)}, {"m": column}, count, "same")
            for value, column in zip(point, drawn.T, strict=True)
        ]

    def curve(self, replicates: int = 1000) -> RetentionCurve:
        clean, *rest = self.measured(replicates)
        rates = np.geomspace(4.0, 0.3, len(rest)).tolist()
        curve = retention_curve(list(zip(self.levels, rest, rates, strict=True)), clean, "m", higher_is_better=True)
        assert curve is not None
        return curve


@lru_cache(maxsize=2)
def _weights(count: int, replicates: int) -> np.ndarray:
    return resample_weights(np.arange(count), count, replicates, BOOTSTRAP_SEED).astype(np.float64)


def draw(
    random: np.random.Generator,
    count: int,
    truth: Callable[[float], float],
    *,
    kind: Kind,
    levels: tuple[float, ...] = LEVELS,
    clean: float = 0.7,
    correlation: float = 0.9,
) -> Samples:
    """Samples whose retention over ``levels`` is exactly ``truth(level)`` in expectation.

    Args:
        random: of this draw.
        count: n.
        truth: level -> retention.
        kind: ``binary``: each sample is right or wrong, as in classification; ``overlap``: each has a union of its own
            size, of which a share is intersection, as in segmentation.
        levels: mild to severe.
        clean: the metric without a codec.
        correlation: of a sample's quality at two levels.
    """
    means = clean * np.array([1.0, *(truth(level) for level in levels)])
    shape = (count, len(means))
    shared = random.normal(size=(count, 1))
    place = ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * random.normal(size=shape))
    if kind == "binary":
        return Samples(levels, (place < means).astype(np.float64), np.ones(count))
    spread = 6.0
    share = betaincinv(spread * means, spread * (1 - means), place)
    union = np.ceil(random.lognormal(7, 0.6, count))
    return Samples(levels, random.binomial(union[:, None].astype(np.int64), share).astype(np.float64), union)


def limit_of(samples: Samples, tolerance: float, confidence: float, replicates: int) -> float | None:
    """The operating limit of simulated samples; None where no level is shown to be safe."""
    curve = samples.curve(replicates)

    def score(index: int) -> Callable[[float], tuple[float, float] | None] | None:
        if not (samples.below == 1).all():
            return None
        table = paired(samples.above[:, index + 1], samples.above[:, 0])
        return None if table is None else lambda two_sided: paired_ratio(table, two_sided)

    steps = [
        Step(
            level,
            [
                Requirement(
                    "retention",
                    1 - tolerance,
                    True,
                    Bounded(
                        float(curve.point[index]), curve.replicates[:, index], curve.units, curve.unseen, score(index)
                    ),
                )
            ],
        )
        for index, level in enumerate(curve.levels)
    ]
    last = walk(steps, confidence=confidence).last
    return None if last is None else curve.levels[last]
