"""How often 95 % intervals of AP, mIoU, their retention and loss hold the truth.

    python benchmarks/interval_coverage.py [--runs=300] [--population=20000] [--replicates=1000] [--only=ap]

A population of images is evaluated once: its metrics are the truth. Each run draws n of them at random and computes the
intervals that a row of the results would have. Both arms see the same images, as clean and a level do. Beside the coverage
stand the shares of intervals that end below the truth and that begin above it, and what plain percentiles would cover.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_lossy.analysis.comparison import Replicates, compare, measure
from pytest_lossy.tasks.average_precision import average_precision
from pytest_lossy.tasks.detection import DetectionTask
from pytest_lossy.tasks.matching import BOXES
from pytest_lossy.tasks.segmentation import SegmentationTask

Evidence = dict[str, np.ndarray]
Reduce = Callable[[Sequence[Evidence], np.ndarray], dict[str, np.ndarray]]
Arms = tuple[list[Evidence], list[Evidence]]
"""Clean and compressed, of the same images."""


def detection(random: np.random.Generator, images: int, classes: int) -> Arms:
    """Images with 1 to about 8 objects of uneven classes; each image has a difficulty that both arms share."""
    task = DetectionTask(tuple(f"c{index}" for index in range(classes)))
    frequency = 1 / np.arange(1, classes + 1) ** 0.7
    frequency /= frequency.sum()
    arms: Arms = ([], [])
    for _ in range(images):
        count = 1 + random.poisson(2.5)
        labels = random.choice(classes, count, p=frequency)
        side = np.exp(random.uniform(np.log(16), np.log(200), (count, 1)))
        corner = random.uniform(0, 400, (count, 2))
        boxes = np.hstack([corner, corner + side])
        ease, luck = random.beta(6, 2), random.random(count)
        jitter, guess = random.normal(size=(count, 4)), random.random(count)
        strays = random.poisson(1.5)
        stray_boxes, stray_labels = random.uniform(0, 400, (strays, 2)), random.choice(classes, strays, p=frequency)
        for arm, (recall, noise) in zip(arms, ((0.95, 0.05), (0.8, 0.08)), strict=True):
            found = luck < recall * ease
            near = boxes[found] + noise * side[found] * jitter[found]
            near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
            predicted = {
                "boxes": np.vstack([near, np.hstack([stray_boxes, stray_boxes + 40])]),
                "labels": np.concatenate([labels[found], stray_labels]),
                "scores": np.concatenate([0.3 + 0.7 * guess[found], 0.6 * random.random(strays)]),
            }
            arm.append(dict(task.evidence(predicted, {"boxes": boxes, "labels": labels})))
    return arms


def segmentation(random: np.random.Generator, images: int, classes: int) -> Arms:
    """Confusion tables: content and difficulty differ between images, and both arms share them."""
    shares = 1 / np.arange(1, classes + 1) ** 1.5
    shares /= shares.sum()
    arms: Arms = ([], [])
    for _ in range(images):
        truth = random.multinomial(1000, random.dirichlet(shares * 6))
        ease = random.beta(8, 2) / 0.8
        for arm, accuracy in zip(arms, (0.9, 0.75), strict=True):
            table = np.zeros((classes, classes + 1), dtype=np.int64)
            right = random.binomial(truth, min(1.0, accuracy * ease))
            for label in range(classes):
                others = [other for other in range(classes) if other != label]
                table[label, others] = random.multinomial(
                    truth[label] - right[label], np.full(classes - 1, 1 / (classes - 1))
                )
                table[label, label] = right[label]
            flat = table.ravel()
            pairs = np.flatnonzero(flat)
            arm.append({"pairs": pairs.astype(np.int32), "pixels": flat[pairs]})
    return arms


def ap(evidence: Sequence[Evidence], weights: np.ndarray) -> dict[str, np.ndarray]:
    """AP alone."""
    return {"m": average_precision(evidence, weights, BOXES).ap[0]}


def miou(classes: int) -> Reduce:
    """MIoU alone."""
    task = SegmentationTask(tuple(f"c{index}" for index in range(classes)))
    return lambda evidence, weights: {"m": task.reduce(evidence, weights)["miou"]}


def percentile(measured: Replicates) -> tuple[float, float]:
    """What the plain percentiles say of the metric."""
    low, high = np.nanquantile(measured.replicates["m"], [0.025, 0.975])
    return float(low), float(high)


def report(title: str, arms: Arms, reduce: Reduce, count: int, given: argparse.Namespace) -> None:
    """Print one line per quantity."""
    started = time.process_time()
    random = np.random.default_rng(1)
    clean, case = (float(reduce(arm, np.ones((1, len(arm))))["m"][0]) for arm in arms)
    truth = {"": case, "retention_": case / clean, "loss_": clean - case}
    below, above, plain = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0), 0
    for _ in range(given.runs):
        chosen = random.integers(0, len(arms[0]), count)
        measured = [
            measure(lambda weights, part=part: reduce(part, weights), [None] * count, given.replicates)
            for part in ([arm[index] for index in chosen] for arm in arms)
        ]
        row: Any = compare(measured[1], measured[0], higher_is_better={"m": True}, confidence=0.95)["m"]
        for name, value in truth.items():
            below[name] += getattr(row, f"{name}high") < value
            above[name] += getattr(row, f"{name}low") > value
        low, high = percentile(measured[1])
        plain += low <= case <= high
    for name in truth:
        held = 1 - (below[name] + above[name]) / given.runs
        beside = f"; plain percentiles {plain / given.runs:.1%}" if not name else ""
        print(
            f"{title} n={count:4} {(name or 'value').rstrip('_'):9}: {held:6.1%} "
            f"(ends below {below[name] / given.runs:.1%}, begins above {above[name] / given.runs:.1%}){beside}"
        )
    print(f"  {time.process_time() - started:.0f} s")
    sys.stdout.flush()


def main() -> None:
    """Print every coverage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--population", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--only", choices=["ap", "miou"])
    given = parser.parse_args()
    for classes in (4, 11):
        if given.only in (None, "miou"):
            arms = segmentation(np.random.default_rng(classes), given.population, classes)
            for count in (100, 300):
                report(f"mIoU, {classes:2} classes", arms, miou(classes), count, given)
    for classes in (3, 10, 40):
        if given.only in (None, "ap"):
            arms = detection(np.random.default_rng(classes), given.population, classes)
            for count in (100, 300):
                report(f"AP, {classes:2} classes", arms, ap, count, given)


if __name__ == "__main__":
    main()
