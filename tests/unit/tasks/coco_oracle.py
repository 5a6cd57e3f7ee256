"""pycocotools on predictions and targets in torchvision's conventions: the oracle of the COCO metrics."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Pair = tuple[dict[str, Any], dict[str, Any]]
"""(prediction, target)"""

BOX_STATS = (
    *("ap", "ap50", "ap75", "ap[small]", "ap[medium]", "ap[large]"),
    *("ar1", "ar10", "ar100", "ar100[small]", "ar100[medium]", "ar100[large]"),
)
POSE_STATS = (
    *("ap", "ap50", "ap75", "ap[medium]", "ap[large]"),
    *("ar", "ar50", "ar75", "ar[medium]", "ar[large]"),
)


def evaluator(
    pairs: Sequence[Pair],
    classes: int,
    *,
    image_ids: Sequence[int] | None = None,
    sigmas: Sequence[float] | None = None,
    kind: str = "bbox",
) -> COCOeval:
    """Evaluate and accumulate; images are in the order of their ids, by default that of ``pairs``."""
    ids = list(image_ids or range(1, len(pairs) + 1))
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (prediction, target) in zip(ids, pairs, strict=True):
        annotations += [
            {"id": len(annotations) + 1 + index, "image_id": image, **one}
            for index, one in enumerate(_annotations(target))
        ]
        results += [{"image_id": image, **one} for one in _results(prediction, kind)]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in ids],
        "categories": [{"id": label + 1} for label in range(classes)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes(results) if results else _nothing(truth)
        run = COCOeval(truth, found, kind)
        if sigmas is not None:
            run.params.kpt_oks_sigmas = np.array(sigmas)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def expected(run: COCOeval, names: Sequence[str]) -> dict[str, float]:
    """The summary by our names; -1 is NaN."""
    values = [float(value) for value in run.stats]
    return {name: np.nan if value == -1 else value for name, value in zip(names, values, strict=True)}


def class_ap(run: COCOeval, label: int, overlap: int | None = None) -> float:
    """AP of one class over all areas, or at one of the ten overlaps."""
    precision = run.eval["precision"][:, :, label, 0, -1]
    if overlap is not None:
        precision = precision[overlap]
    return float(np.mean(precision)) if (precision > -1).all() else np.nan


def repeated(pairs: Sequence[Pair], weights: Sequence[int]) -> list[Pair]:
    """Each image as often as its weight says, copies side by side."""
    return [pair for pair, weight in zip(pairs, weights, strict=True) for _ in range(int(weight))]


def differences(found: Mapping[str, np.ndarray], wanted: Mapping[str, float], row: int = 0) -> dict[str, Any]:
    """What is not the very same float; empty where all is well."""
    return {
        name: (float(found[name][row]), value)
        for name, value in wanted.items()
        if not (found[name][row] == value or (np.isnan(found[name][row]) and np.isnan(value)))
    }


def _annotations(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    boxes = np.asarray(target["boxes"], dtype=np.float64)
    found = []
    for index, (left, top, right, bottom) in enumerate(boxes.tolist()):
        one: dict[str, Any] = {
            "category_id": int(target["labels"][index]) + 1 if "labels" in target else 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": int(target["iscrowd"][index]) if "iscrowd" in target else 0,
        }
        if "area" in target:
            one["area"] = float(target["area"][index])
        if "keypoints" in target:
            points = np.asarray(target["keypoints"][index], dtype=np.float64)
            one["keypoints"] = points.ravel().tolist()
            one["num_keypoints"] = int((points[:, 2] > 0).sum())
            if "num_keypoints" in target:
                one["num_keypoints"] = int(target["num_keypoints"][index])
        found.append(one)
    return found


def _results(prediction: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    found = []
    for index, score in enumerate(np.asarray(prediction["scores"], dtype=np.float64).tolist()):
        one: dict[str, Any] = {
            "score": score,
            "category_id": int(prediction["labels"][index]) + 1 if "labels" in prediction else 1,
        }
        if kind == "bbox":
            left, top, right, bottom = np.asarray(prediction["boxes"][index], dtype=np.float64).tolist()
            one["bbox"] = [left, top, right - left, bottom - top]
        else:
            one["keypoints"] = np.asarray(prediction["keypoints"][index], dtype=np.float64).ravel().tolist()
        found.append(one)
    return found


def _nothing(truth: COCO) -> COCO:
    """loadRes fails on an empty list."""
    found = COCO()
    found.dataset = {**truth.dataset, "annotations": []}
    found.createIndex()
    return found
