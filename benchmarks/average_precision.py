"""How long bootstrap replicates of COCO's average precision take, beside re-running pycocotools for each.

    python benchmarks/average_precision.py [--images 500] [--classes 80] [--detections 20000] [--replicates 1000]

makes a random data set of that size, matches it once, and prints

* ``evidence``: matching all images, once per case, by COCO's and VOC's rules;
* ``COCO``: all replicates of AP, AP50, AP75, AP by size and class, AR1, AR10 and AR100;
* ``all metrics``: all replicates of everything the detection task reports (also VOC's, precision, recall, F1);
* ``pycocotools``: ``COCOeval`` on a resampled data set, timed on a few replicates and extrapolated: ``evaluate`` and
  ``accumulate`` as one would re-run it, and ``accumulate`` alone, for who keeps and shuffles ``evalImgs``;
* the largest difference between both, on the full data and on those few replicates (it must be 0).

Times are processor time of this one process; set ``OMP_NUM_THREADS=1``, so that it uses one core.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pytest_lossy.tasks.average_precision import average_precision
from pytest_lossy.tasks.detection import DetectionTask
from pytest_lossy.tasks.matching import BOXES

Image = tuple[dict[str, Any], dict[str, Any]]


def data_set(images: int, classes: int, detections: int, seed: int = 0) -> list[Image]:
    """(prediction, target) pairs: half of the objects are found, with noise, among false positives.

    Object counts, class frequencies and sizes are uneven, as COCO's are (7.3 objects of 2.9 classes per image).
    """
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, classes + 1) ** 0.7
    frequency /= frequency.sum()
    per_image = rng.multinomial(detections, np.full(images, 1 / images))
    pairs = []
    for count in per_image:
        objects = 1 + rng.poisson(6.3)
        present = rng.choice(classes, min(3, classes), replace=False, p=frequency)
        labels = rng.choice(present, objects)
        sides = np.exp(rng.uniform(np.log(8), np.log(300), (objects, 2)))
        corner = rng.uniform(0, 400, (objects, 2))
        boxes = np.concatenate([corner, corner + sides], axis=1)
        source = rng.integers(0, objects, count)
        noise = rng.normal(0, 0.12, (count, 4)) * np.tile(sides[source], 2)
        found = boxes[source] + noise * rng.exponential(1.0, (count, 1))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = np.clip(rng.beta(2, 5, count) - np.abs(noise).mean(axis=1) / 100, 0.01, 1).round(3)
        # COCO's detectors also report classes that an image does not show.
        wrong = rng.random(count) < 0.3
        found_labels = np.where(wrong, rng.integers(0, classes, count), labels[source])
        pairs.append(
            (
                {"boxes": found, "labels": found_labels, "scores": scores},
                {"boxes": boxes, "labels": labels},
            )
        )
    return pairs


def reference(pairs: Sequence[Image], classes: int) -> COCOeval:
    """A COCOeval of these images, in this order, ready to be run."""
    annotations, results = [], []
    for number, (prediction, target) in enumerate(pairs, start=1):
        for box, label in zip(_width_height(target["boxes"]), target["labels"].tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        found = zip(
            _width_height(prediction["boxes"]),
            prediction["labels"].tolist(),
            prediction["scores"].tolist(),
            strict=True,
        )
        results += [
            {"image_id": number, "category_id": label, "bbox": box, "score": score} for box, label, score in found
        ]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(1, len(pairs) + 1)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        return COCOeval(truth, truth.loadRes(results), "bbox")


def _width_height(boxes: np.ndarray) -> list[list[float]]:
    sides: list[list[float]] = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
    return sides


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Weighted average precision against re-running pycocotools.")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--detections", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--naive", type=int, default=3, help="replicates that pycocotools runs (default: 3)")
    arguments = parser.parse_args()

    pairs = data_set(arguments.images, arguments.classes, arguments.detections)
    task = DetectionTask(tuple(f"class{index}" for index in range(arguments.classes)))
    started = time.process_time()
    evidence = [task.evidence(prediction, target) for prediction, target in pairs]
    report("evidence", time.process_time() - started)

    share = np.full(arguments.images, 1 / arguments.images)
    weights = np.random.default_rng(1).multinomial(arguments.images, share, arguments.replicates)
    weights = weights.astype(np.float64)
    started = time.process_time()
    average_precision(evidence, weights, BOXES, fewer=(1, 10))
    report(f"COCO, {arguments.replicates} replicates", time.process_time() - started)
    started = time.process_time()
    replicated = task.reduce(evidence, weights)
    ours = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(f"all metrics, {arguments.replicates} replicates", ours, f"peak memory {peak:.0f} MB")

    plain = task.reduce(evidence, np.ones((1, arguments.images)))
    rerun, accumulate, difference = 0.0, 0.0, 0.0
    for row in range(-1, arguments.naive):
        copies = np.ones(arguments.images, dtype=int) if row < 0 else weights[row].astype(int)
        drawn = np.repeat(np.arange(arguments.images), copies)
        evaluator = reference([pairs[index] for index in drawn], arguments.classes)
        with contextlib.redirect_stdout(io.StringIO()):
            started = time.process_time()
            evaluator.evaluate()
            middle = time.process_time()
            evaluator.accumulate()
            stopped = time.process_time()
            evaluator.summarize()
        if row >= 0:
            rerun, accumulate = rerun + stopped - started, accumulate + stopped - middle
        found = {name: values[max(row, 0)] for name, values in (plain if row < 0 else replicated).items()}
        names = (
            *("ap", "ap50", "ap75", "ap[small]", "ap[medium]", "ap[large]"),
            *("ar1", "ar10", "ar100", "ar100[small]", "ar100[medium]", "ar100[large]"),
        )
        differences = [abs(found[name] - value) for name, value in zip(names, evaluator.stats, strict=True)]
        difference = max(difference, *differences)
    for name, seconds in (("evaluate + accumulate", rerun), ("accumulate", accumulate)):
        each = seconds / arguments.naive
        total = each * arguments.replicates
        report(f"pycocotools {name}, extrapolated", total, f"{each:.2f} s each, {total / ours:.0f} x all metrics")
    print(f"largest difference to pycocotools: {difference:g}")


def report(what: str, seconds: float, more: str = "") -> None:
    """Print one line."""
    print(f"{what + ':':52}{seconds:9.2f} s  {more}")


if __name__ == "__main__":
    main()
