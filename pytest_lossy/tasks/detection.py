"""Object detection: COCO's and PASCAL VOC's average precision, and what the shipped score threshold makes of the model.

AP looks at all scores at once and hides a collapse of scores: a model whose every score is halved by compression keeps its
AP and, with the threshold it ships with, finds nothing. Hence both kinds of metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, FiniteFloat
from pydantic import Field as Option

from pytest_lossy.drawing.boxes import draw_boxes
from pytest_lossy.tasks.average_precision import average_precision
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, UInt8Array
from pytest_lossy.tasks.flicker import flicker_of_boxes
from pytest_lossy.tasks.instances import (
    Field,
    check_boxes,
    check_fields,
    check_image_id,
    check_labels,
    class_slices,
    flags,
    image_id,
    numbers,
    other_cuts,
    to_width_height,
)
from pytest_lossy.tasks.matching import BOXES, Instances, box_overlap, match_image
from pytest_lossy.tasks.ordered_sums import ratio
from pytest_lossy.tasks.pictures import box_marks
from pytest_lossy.tasks.voc import match_voc, voc_average_precision

__all__ = ["DetectionOptions", "DetectionTask"]

_COCO = "COCOeval of pycocotools 2.0"
_BOXES = Field("boxes", "numbers", (4,), True, "give x1, y1, x2, y2 in pixels, (0, 4) where there is none")
_LABELS = Field("labels", "integers", (), True, "give one class index per box")
_PREDICTED = (_BOXES, _LABELS, Field("scores", "numbers", (), True, "give one finite score per box"))
_LABELLED = (
    _BOXES,
    _LABELS,
    Field("iscrowd", "flags", meaning="give 1 for crowd regions and 0 for objects"),
    Field("area", "numbers", meaning="give each object's area in square pixels, or none", lowest=0.0),
    Field("difficult", "flags", meaning="give 1 for objects that VOC leaves out and 0 for others"),
)


class DetectionOptions(BaseModel):
    """``task_kwargs`` of a detection spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score_threshold: Annotated[
        FiniteFloat,
        Option(description="the score from which the shipped model reports a box: precision, recall, F1, FP"),
    ] = 0.5
    reference_score: Annotated[
        FiniteFloat,
        Option(description="label-free mode: boxes of the clean prediction with this score are the reference"),
    ] = 0.5


class DetectionTask:
    """Boxes in torchvision's conventions.

    A prediction is a mapping with ``boxes`` (n, 4), x1, y1, x2, y2 in pixels of the source; ``labels`` (n,), indices of
    ``classes``; ``scores`` (n,). A target has ``boxes`` (m, 4) and ``labels`` (m,), and may have ``iscrowd`` (m,), ``area``
    (m,) in square pixels, for the size slices (default: the box's), ``difficult`` (m,), and ``image_id``, an integer by
    which samples are ordered where scores tie, as pycocotools orders them (default: the data's order). Arrays and tensors
    both do; other keys are ignored.

    Slices: ``ap[small]``, ``ap[medium]``, ``ap[large]`` and the same of ``ar100`` (COCO's ranges, 32 and 96 pixels squared);
    ``ap``, ``ap50``, ``precision`` and ``recall`` per class, such as ``ap[car]``, for classes with ground truth. A class
    that is itself called small, medium or large is ``ap[class:small]``.

    COCO's metrics know no ``difficult`` objects and count them, as pycocotools does; VOC's know no crowds and treat them as
    difficult.

    Args:
        classes: C class names in label order.
        options: see :class:`DetectionOptions`.
    """

    Options = DetectionOptions
    name = "detection"
    primary = "ap"
    per_frame = True
    metrics = (
        Metric("ap", "AP", per_class=True, description=f"mean over IoU .50:.05:.95 and classes; {_COCO}"),
        Metric("ap50", "AP50", per_class=True, description=f"AP at IoU .50; {_COCO}"),
        Metric("ap75", "AP75", description=f"AP at IoU .75; {_COCO}"),
        Metric("ar1", "AR1", description=f"recall, at most 1 box per image and class; {_COCO}"),
        Metric("ar10", "AR10", description=f"recall, at most 10 boxes per image and class; {_COCO}"),
        Metric("ar100", "AR100", description=f"recall, at most 100 boxes per image and class; {_COCO}"),
        Metric(
            "voc07_ap50",
            "VOC07 AP50",
            description="mean over classes of the mean best precision at 11 recalls; VOCevaldet.m, VOC 2007",
        ),
        Metric(
            "voc_ap50",
            "VOC AP50",
            description="mean over classes of the area under the precision envelope; VOCevaldet.m, VOC 2010",
        ),
        Metric(
            "precision",
            "precision",
            per_class=True,
            description="TP / (TP + FP) at IoU .50 and the score threshold, all classes pooled; "
            "undefined where nothing is detected",
        ),
        Metric(
            "recall",
            "recall",
            per_class=True,
            description="TP / objects at IoU .50 and the score threshold, all classes pooled",
        ),
        Metric("f1", "F1", description="2 TP / (2 TP + FP + FN) at IoU .50 and the score threshold"),
        Metric(
            "fp_per_image",
            "FP per image",
            higher_is_better=False,
            unit="boxes/image",
            description="false positives at IoU .50 and the score threshold, of any class",
        ),
    )

    def __init__(self, classes: tuple[str, ...], options: DetectionOptions | None = None) -> None:
        self.classes = classes
        self.options = options or DetectionOptions()
        self._slices = class_slices(classes, [name for name, *_ in BOXES.areas])

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a prediction or with its target, or None."""
        return (
            check_fields("prediction", prediction, _PREDICTED)
            or check_boxes("prediction", prediction)
            or check_labels("prediction", prediction, len(self.classes))
            or check_fields("target", target, _LABELLED)
            or check_boxes("target", target)
            or check_labels("target", target, len(self.classes))
            or check_image_id(target)
        )

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Match the boxes of one image by COCO's and by VOC's rules.

        Args:
            prediction: see the class.
            target: see the class.

        Returns:
            The arrays of :func:`~pytest_lossy.tasks.matching.match_image` (area ranges all, small, medium, large) and of
            :func:`~pytest_lossy.tasks.voc.match_voc`, and ``image``, (1,) int64 or (0,).
        """
        corners, true_corners = numbers(prediction, "boxes"), numbers(target, "boxes")
        boxes, true_boxes = to_width_height(corners), to_width_height(true_corners)
        labels, true_labels = (numbers(item, "labels").astype(np.int64) for item in (prediction, target))
        scores = numbers(prediction, "scores")
        crowd = flags(target, "iscrowd", len(true_boxes))
        own_area = target.get("area") is None
        instances = Instances(
            labels=labels,
            scores=scores,
            areas=boxes[:, 2] * boxes[:, 3],
            true_labels=true_labels,
            true_areas=true_boxes[:, 2] * true_boxes[:, 3] if own_area else numbers(target, "area"),
            crowd=crowd,
            ignored=crowd,
        )

        def overlap(found: npt.NDArray[np.intp], true: npt.NDArray[np.intp]) -> FloatArray:
            return box_overlap(boxes[found], true_boxes[true], crowd[true])

        difficult = flags(target, "difficult", len(true_boxes)) | crowd
        return {
            **match_image(instances, overlap, BOXES, always_kept=self.options.score_threshold),
            **match_voc(corners, labels, scores, true_corners, true_labels, difficult),
            "image": image_id(target),
        }

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Every metric and slice under each weighting.

        Args:
            evidence: n samples of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric -> (B,); NaN where there is no ground truth to find, 0 where there is and nothing is found.
        """
        coco = average_precision(evidence, weights, BOXES, fewer=(1, 10))
        result = {
            "ap": coco.ap[0],
            "ap50": coco.ap50,
            "ap75": coco.ap75,
            "ar1": coco.ar_at[1],
            "ar10": coco.ar_at[10],
            "ar100": coco.ar[0],
            **voc_average_precision(evidence, weights),
        }
        at_threshold, per_class = self._at_threshold(evidence, weights, coco.labels)
        result |= at_threshold
        for index, (size, *_) in enumerate(BOXES.areas[1:], start=1):
            result[f"ap[{size}]"], result[f"ar100[{size}]"] = coco.ap[index], coco.ar[index]
        for index, label in enumerate(coco.labels):
            result[f"ap[{self._slices[label]}]"] = coco.class_ap[index]
            result[f"ap50[{self._slices[label]}]"] = coco.class_ap50[index]
        return result | per_class

    @property
    def reference_cuts(self) -> tuple[float, ...]:
        """Confidences around ``reference_score`` for which label-free mode also gives AP."""
        return other_cuts(self.options.reference_score)

    def as_target(self, prediction: Any, cut: float | None = None) -> Any:
        """The boxes whose score reaches ``cut`` (default ``reference_score``), without those of no area, which nothing
        can match.
        """
        boxes = numbers(prediction, "boxes")
        least = self.options.reference_score if cut is None else cut
        kept = (numbers(prediction, "scores") >= least) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return {"boxes": boxes[kept], "labels": numbers(prediction, "labels").astype(np.int64)[kept]}

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array:
        """What the shipped score threshold reports: found, false (dashed) and missed (dotted), at IoU .50."""
        return draw_boxes(image, box_marks(prediction, target, self.classes, self.options.score_threshold))

    def flicker(self, before: Any, now: Any, after: Any) -> tuple[int, int]:
        """Objects at the shipped score threshold before and after a frame that are in the frame too, and that are not."""
        return flicker_of_boxes(before, now, after, score_threshold=self.options.score_threshold)

    def _at_threshold(
        self, evidence: Sequence[Evidence], weights: FloatArray, labels: Sequence[int]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Metrics of what the shipped model reports: of all classes, and of those in ``labels``."""
        hit = self._table(evidence, "label", [item["hit"][:, 0] & 1 for item in evidence], "score")
        miss = self._table(evidence, "label", [item["miss"][:, 0] & 1 for item in evidence], "score")
        true = self._table(evidence, "true_label", [item["true_count"][:, 0] for item in evidence])
        hits, misses, objects = (weights @ table for table in (hit, miss, true))
        images = weights.sum(axis=1)
        all_hits, all_misses, all_objects = (table.sum(axis=1) for table in (hits, misses, objects))
        pooled = {
            "precision": ratio(all_hits, all_hits + all_misses),
            "recall": ratio(all_hits, all_objects),
            "f1": ratio(2 * all_hits, all_hits + all_misses + all_objects),
            "fp_per_image": ratio(all_misses, images),
        }
        per_class = {}
        for label in labels:
            name, found = self._slices[label], hits[:, label]
            per_class[f"precision[{name}]"] = ratio(found, found + misses[:, label])
            per_class[f"recall[{name}]"] = ratio(found, objects[:, label])
        return pooled, per_class

    def _table(
        self,
        evidence: Sequence[Evidence],
        label: str,
        counts: Sequence[npt.NDArray[Any]],
        score: str | None = None,
    ) -> FloatArray:
        """(n, C): ``counts`` summed per sample and class, of those whose ``score`` reaches the threshold."""
        classes = len(self.classes)
        sample = np.repeat(np.arange(len(evidence)), [len(count) for count in counts])
        cell = sample * classes + np.concatenate([item[label] for item in evidence])
        count = np.concatenate(counts).astype(np.float64)
        if score is not None:
            count *= np.concatenate([item[score] for item in evidence]) >= self.options.score_threshold
        # Without detections bincount forgets its weights, and with them their type.
        table: FloatArray = np.bincount(cell, count, len(evidence) * classes).astype(np.float64)
        return table.reshape(len(evidence), classes)
