"""What ``--lossy-knee`` saves and what it costs, where the truth is known: evaluations, error, unsafe limits.

    python benchmarks/knee_search.py [--runs=200] [--replicates=1000]

Each run draws samples at every JPEG quality from 95 to 5 (tests/unit/analysis/simulated_curves.py) and finds knee and limit
twice: from a dense grid of every fifth quality, 19 levels, and by the search, which sees only what it asks for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_lossy.analysis.knee import LocatedKnee, locate_knee
from pytest_lossy.analysis.knee_bounds import level_at
from pytest_lossy.analysis.search import LIMIT_TESTS, LevelScale, Reading, search
from tests.unit.analysis.simulated_curves import Cliff, Samples, Shoulder, Slope, draw, flat, limit_of

TOLERANCE, CONFIDENCE = 0.05, 0.95
CORRECTED = 1 - (1 - CONFIDENCE) / LIMIT_TESTS
EVERY = tuple(float(level) for level in range(95, 4, -1))
DENSE = tuple(float(level) for level in range(95, 4, -5))
SPEC = (95.0, 75.0, 50.0, 30.0, 15.0, 10.0, 5.0)


def part(samples: Samples, levels: tuple[float, ...]) -> Samples:
    """The same draw, seen at some levels only."""
    columns = [0, *(samples.levels.index(level) + 1 for level in levels)]
    return Samples(levels, samples.above[:, columns], samples.below)


def knee_of(samples: Samples, replicates: int) -> LocatedKnee:
    """The knee of a draw."""
    return locate_knee(samples.curve(replicates), tolerance=TOLERANCE, confidence=CONFIDENCE)


def searched(samples: Samples, replicates: int) -> tuple[float, ...]:
    """The levels that the search evaluates, mild to severe."""

    def read(levels: tuple[float, ...]) -> Reading:
        seen = part(samples, levels)
        located = knee_of(seen, replicates)
        last = limit_of(seen, TOLERANCE, CORRECTED, replicates)
        place = located.place
        return Reading(
            [bool(value >= 1 - TOLERANCE) for value in located.fit],
            [last is not None and level >= last for level in levels],
            None if place is None else (level_at(place.low, levels), level_at(place.high, levels)),
        )

    return tuple(sorted(search(read, LevelScale(SPEC, integral=True)), reverse=True))


def compare(
    title: str, make: Callable[[np.random.Generator], Callable[[float], float]], runs: int, replicates: int
) -> None:
    """One family of curves."""
    random = np.random.default_rng(4)
    counts, errors, dense_errors, inside, both, unsafe, dense_unsafe = [], [], [], 0, 0, 0, 0
    for _ in range(runs):
        truth = make(random)
        samples = draw(random, 300, truth, kind="overlap", levels=EVERY, correlation=0.98)
        levels = searched(samples, replicates)
        counts.append(len(levels))
        found, dense = (knee_of(part(samples, one), replicates) for one in (levels, DENSE))
        if isinstance(truth, Shoulder | Slope):
            target = truth.crossing(TOLERANCE)
            place, dense_place = (level_at(one.crossing, of) for one, of in ((found, levels), (dense, DENSE)))
            errors.append(abs(place - target))
            dense_errors.append(abs(dense_place - target))
            if found.place is not None and dense.place is not None:
                both += 1
                ends = level_at(dense.place.high, DENSE), level_at(dense.place.low, DENSE)
                inside += (ends[0] if np.isfinite(ends[0]) else 5) <= place <= (ends[1] if np.isfinite(ends[1]) else 95)
        for seen, is_search in ((levels, True), (DENSE, False)):
            confidence = CORRECTED if is_search else CONFIDENCE
            last = limit_of(part(samples, seen), TOLERANCE, confidence, replicates)
            wrong = last is not None and truth(last) < 1 - TOLERANCE
            unsafe, dense_unsafe = unsafe + (wrong and is_search), dense_unsafe + (wrong and not is_search)
    knees = (
        f"; mean error {np.mean(errors):.2f} (dense {np.mean(dense_errors):.2f}); within the dense interval "
        f"{inside / max(1, both):.1%} of {both}"
        if errors
        else ""
    )
    print(
        f"{title:24}: {np.mean(counts):.1f} evaluations, at most {max(counts)}, against {len(DENSE)}{knees}; unsafe limit "
        f"{unsafe / runs:.1%} (dense {dense_unsafe / runs:.1%})"
    )


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=1000)
    given = parser.parse_args()
    families: dict[str, Callable[[np.random.Generator], Callable[[float], float]]] = {
        "flat": lambda _: flat,
        "shoulder": lambda random: Shoulder(float(random.uniform(20, 70))),
        "slope": lambda random: Slope(float(random.uniform(8, 22))),
        "cliff to 94.9 % at q50": lambda _: Cliff(50, 0.949),
    }
    for title, make in families.items():
        compare(title, make, given.runs, given.replicates)


if __name__ == "__main__":
    main()
