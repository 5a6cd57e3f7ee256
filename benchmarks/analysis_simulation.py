"""How often the analysis is right where the truth is known: false knees, the knee's interval and error, unsafe limits.

    python benchmarks/analysis_simulation.py [--runs=200] [--replicates=1000] [--only=knees]

Curves come from simulated samples (tests/unit/analysis/simulated_curves.py), never from replicates made up by a formula.
The elbow finder beside ours is kneed's KneeLocator (Satopaa et al. 2011), on the same retention curves.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_lossy.analysis.breakpoint import two_segment_break
from pytest_lossy.analysis.knee import locate_knee
from pytest_lossy.analysis.positions import crossings
from pytest_lossy.analysis.retention import RetentionCurve
from tests.unit.analysis.simulated_curves import (
    GRID,
    LEVELS,
    Cliff,
    Kind,
    Shoulder,
    Slope,
    draw,
    flat,
    limit_of,
)

TOLERANCE, CONFIDENCE = 0.05, 0.95


def elbow(curve: RetentionCurve) -> float | None:
    """The level of kneed's knee; None where it finds none."""
    from kneed import KneeLocator

    severity = -np.array(curve.levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it finds none
        found = KneeLocator(severity, curve.point, curve="concave", direction="decreasing").knee
    return None if found is None else -float(found)


def place_to_level(place: float, levels: tuple[float, ...]) -> float:
    """A fractional index as a level; what lies beyond is the last level."""
    return float(np.interp(np.clip(place, 0, len(levels) - 1), np.arange(len(levels)), levels))


def false_knees(runs: int, replicates: int) -> None:
    """Curves without any loss."""
    print(f"\nFlat noisy curves ({runs} each): knees found")
    for kind, count, correlation in FLAT:
        random = np.random.default_rng(1)
        found, elbows, breaks = Counter[str](), 0, 0
        for _ in range(runs):
            curve = draw(random, count, flat, kind=kind, correlation=correlation).curve(replicates)
            found[locate_knee(curve, tolerance=TOLERANCE, confidence=CONFIDENCE).status] += 1
            elbows += elbow(curve) is not None
            opinion = two_segment_break(
                np.array(curve.levels), curve.point, curve.replicates, confidence=CONFIDENCE, units=count
            )
            breaks += opinion is not None
        print(
            f"  {kind:8} n={count:5} correlation {correlation}: false knees {found['resolved'] / runs:6.1%}, "
            f"beyond range {found['beyond_range'] / runs:6.1%}, not resolved {found['not_resolved'] / runs:6.1%}; "
            f"kneed finds {elbows / runs:6.1%}, two-segment break {breaks / runs:6.1%}"
        )


def known_knees(runs: int, replicates: int) -> None:
    """Curves that cross at a known level."""
    print(f"\nKnown knees ({runs} each, levels {LEVELS}): error of the place in levels, coverage of 95 % intervals")
    for kind, count, correlation in KNOWN:
        for title, make in SHAPES.items():
            random = np.random.default_rng(2)
            errors, rivals, held_line, held_curve, resolved, widths = [], [], 0, 0, 0, []
            breaks = []
            for _ in range(runs):
                truth = make(random)
                curve = draw(random, count, truth, kind=kind, correlation=correlation).curve(replicates)
                found = locate_knee(curve, tolerance=TOLERANCE, confidence=CONFIDENCE)
                target = truth.crossing(TOLERANCE)
                other = elbow(curve)
                # Each against its own truth; the elbow of a shoulder is its edge, that of a slope has no other definition.
                goal = truth.edge if isinstance(truth, Shoulder) else target
                if other is not None:
                    rivals.append(min(abs(other - goal), abs(other - target)))
                opinion = two_segment_break(
                    np.array(curve.levels), curve.point, curve.replicates, confidence=CONFIDENCE, units=count
                )
                if opinion is not None:
                    breaks.append(abs(opinion.level - goal))
                errors.append(abs(place_to_level(found.crossing, curve.levels) - target))
                if found.place is None:
                    continue
                resolved += 1
                line = crossings(np.array([[truth(level) for level in curve.levels]]), 1 - TOLERANCE)[0]
                held_line += found.place.low <= line <= found.place.high
                ends = [
                    np.inf if place == -np.inf else -np.inf if place == np.inf else place_to_level(place, curve.levels)
                    for place in (found.place.high, found.place.low)
                ]
                held_curve += ends[0] <= target <= ends[1]
                widths.append(ends[1] - ends[0])
            shown = max(1, resolved)
            print(
                f"  {kind:8} n={count:5} {title:8}: resolved {resolved / runs:6.1%}; mean error {np.mean(errors):5.2f} "
                f"(kneed {np.mean(rivals):5.2f}, two-segment {np.mean(breaks) if breaks else np.nan:5.2f}); coverage "
                f"{held_line / shown:6.1%} of the interpolated curve's knee, {held_curve / shown:6.1%} of the smooth "
                f"curve's; median width {np.median(widths) if widths else np.nan:5.2f}"
            )


def unsafe_limits(runs: int, replicates: int) -> None:
    """Curves that fall just below what is required: the hardest for the limit."""
    print(f"\nOperating limits ({runs} each): share whose level in truth keeps less than 95 %")
    for kind, count, correlation in LIMITS:
        for title, truth in (("cliff to 94.9 % at q50", Cliff(50, 0.949)), ("slope", Slope(15.0))):
            random = np.random.default_rng(3)
            unsafe, last = 0, Counter[float | None]()
            for _ in range(runs):
                samples = draw(random, count, truth, kind=kind, levels=GRID, correlation=correlation)
                level = limit_of(samples, TOLERANCE, CONFIDENCE, replicates)
                last[level] += 1
                unsafe += level is not None and truth(level) < 1 - TOLERANCE
            common = ", ".join(
                f"{'none' if at is None else f'q{at:g}'} {n / runs:.0%}" for at, n in last.most_common(3)
            )
            print(
                f"  {kind:8} n={count:5} correlation {correlation} {title:22}: unsafe {unsafe / runs:6.1%} ({common})"
            )


FLAT: tuple[tuple[Kind, int, float], ...] = (
    ("overlap", 30, 0.9),
    ("overlap", 100, 0.9),
    ("overlap", 300, 0.9),
    ("overlap", 300, 0.98),
    ("binary", 100, 0.9995),
    ("binary", 1000, 0.98),
    ("binary", 3000, 0.9),
)
KNOWN: tuple[tuple[Kind, int, float], ...] = (
    ("overlap", 100, 0.98),
    ("overlap", 300, 0.9),
    ("overlap", 300, 0.98),
    ("binary", 3000, 0.98),
)
LIMITS: tuple[tuple[Kind, int, float], ...] = (
    ("overlap", 30, 0.95),
    ("overlap", 100, 0.95),
    ("overlap", 300, 0.95),
    ("binary", 50, 0.98),
    ("binary", 60, 0.9995),
    ("binary", 100, 0.98),
    ("binary", 100, 0.9995),
    ("binary", 300, 0.98),
    ("binary", 1000, 0.98),
)
SHAPES: dict[str, Callable[[np.random.Generator], Shoulder | Slope]] = {
    "shoulder": lambda random: Shoulder(float(random.uniform(20, 70))),
    "slope": lambda random: Slope(float(random.uniform(8, 22))),
}


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--only", choices=["flat", "knees", "limits"])
    given = parser.parse_args()
    parts = {"flat": false_knees, "knees": known_knees, "limits": unsafe_limits}
    for name, part in parts.items():
        if given.only in (None, name):
            part(given.runs, given.replicates)


if __name__ == "__main__":
    main()
