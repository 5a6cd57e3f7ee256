"""Human pose: COCO's average precision over object keypoint similarity, and the share of correct keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.drawing.skeletons import draw_people
from pytest_lossy.tasks.average_precision import average_precision
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, UInt8Array
from pytest_lossy.tasks.flicker import flicker_of_people
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
from pytest_lossy.tasks.keypoints import (
    PoseOptions,
    assign_people,
    correct_keypoints,
    keypoint_similarity,
)
from pytest_lossy.tasks.matching import PEOPLE, Instances, match_image
from pytest_lossy.tasks.ordered_sums import ratio
from pytest_lossy.tasks.pictures import people_marks

__all__ = ["PoseTask"]

_COCO = "COCOeval of pycocotools 2.0, iouType keypoints"
_PCK_REACH = 0.2
_PCKH_REACH = 0.5
_BOX = "give x1, y1, x2, y2 in pixels, (0, 4) where there is none"
_LABELS = Field("labels", "integers", meaning="give one class index per person, or none")


class PoseTask:
    """People, or anything else with keypoints, in torchvision's conventions.

    A prediction is a mapping with ``keypoints`` (n, k, 3), x, y in pixels of the source and a visibility or confidence, and
    ``scores`` (n,); it may have ``labels`` (n,), indices of ``classes`` (default 0), and ``boxes`` (n, 4), x1, y1, x2, y2,
    which serve label-free mode only. A target has ``keypoints`` (m, k, 3) with visibility 0 (not labelled), 1 (hidden) or 2,
    and ``boxes`` (m, 4); it may have ``labels`` (m,), ``area`` (m,) in square pixels (default: the box's), ``iscrowd``
    (m,), ``num_keypoints`` (m,), where 0 means that the person is ignored (default: the labelled ones), ``head_size`` (m,)
    in pixels, 0 where unknown, and ``image_id``, an integer by which samples are ordered where scores tie (default: the
    data's order). Arrays and tensors both do; other keys are ignored.

    Slices: ``ap[medium]``, ``ap[large]`` and the same of ``ar`` (COCO's ranges, above 32 and 96 pixels squared), ``pck`` and
    ``pckh`` per keypoint, such as ``pck[nose]``, and with several classes ``ap`` and ``ap50`` per class. A class that is
    itself called medium or large is ``ap[class:large]``.

    For PCK each person gets one prediction, the most similar pairs first; all keypoints of a person without one are wrong.

    Args:
        classes: C class names in label order; none means one.
        options: see :class:`~pytest_lossy.tasks.keypoints.PoseOptions`.
    """

    Options = PoseOptions

    name = "pose"
    primary = "ap"
    per_frame = True
    metrics = (
        Metric("ap", "AP", per_class=True, description=f"mean over OKS .50:.05:.95; {_COCO}"),
        Metric("ap50", "AP50", per_class=True, description=f"AP at OKS .50; {_COCO}"),
        Metric("ap75", "AP75", description=f"AP at OKS .75; {_COCO}"),
        Metric("ar", "AR", description=f"recall, mean over OKS .50:.05:.95, at most 20 people; {_COCO}"),
        Metric("ar50", "AR50", description=f"recall at OKS .50; {_COCO}"),
        Metric("ar75", "AR75", description=f"recall at OKS .75; {_COCO}"),
        Metric(
            "pck",
            "PCK@0.2",
            description="share of labelled keypoints within 0.2 of the box's longer side; Yang & Ramanan, TPAMI 2013",
        ),
        Metric(
            "pckh",
            "PCKh@0.5",
            description="share of labelled keypoints within 0.5 of the head's size; Andriluka et al., CVPR 2014",
        ),
    )

    def __init__(self, classes: tuple[str, ...] = (), options: PoseOptions | None = None) -> None:
        self.classes = classes or ("person",)
        self.options = options or PoseOptions()
        self.keypoints = self.options.keypoint_names
        self._sigmas = np.array(self.options.keypoint_sigmas)
        self._slices = class_slices(self.classes, [name for name, *_ in PEOPLE.areas])
        points = Field(
            "keypoints",
            "numbers",
            (len(self.keypoints), 3),
            True,
            f"give x, y and visibility of the {len(self.keypoints)} keypoints (task_kwargs: keypoints, sigmas)",
        )
        self._predicted = (
            points,
            Field("scores", "numbers", (), True, "give one finite score per person"),
            _LABELS,
            Field("boxes", "numbers", (4,), False, _BOX),
        )
        self._labelled = (
            points,
            Field("boxes", "numbers", (4,), True, _BOX),
            _LABELS,
            Field("iscrowd", "flags", meaning="give 1 for crowd regions and 0 for people"),
            Field("area", "numbers", meaning="give each person's area in square pixels, or none", lowest=0.0),
            Field("num_keypoints", "integers", meaning="give the number of labelled keypoints", lowest=0),
            Field("head_size", "numbers", meaning="give pixels, 0 where it is unknown", lowest=0.0),
        )

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a prediction or with its target, or None."""
        return (
            check_fields("prediction", prediction, self._predicted)
            or check_boxes("prediction", prediction)
            or check_labels("prediction", prediction, len(self.classes))
            or check_fields("target", target, self._labelled)
            or check_boxes("target", target)
            or check_labels("target", target, len(self.classes))
            or check_image_id(target)
            or _check_visibility(target)
        )

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Match the people of one image, and count their correct keypoints.

        Args:
            prediction: see the class.
            target: see the class.

        Returns:
            The arrays of :func:`~pytest_lossy.tasks.matching.match_image` (area ranges all, medium, large); ``image``, (1,)
            int64 or (0,); ``pck_correct``, ``pck_labelled``, ``pckh_correct`` and ``pckh_labelled``, (k,) int32.
        """
        points, true_points = numbers(prediction, "keypoints"), numbers(target, "keypoints")
        scores, boxes = numbers(prediction, "scores"), to_width_height(numbers(target, "boxes"))
        areas = boxes[:, 2] * boxes[:, 3] if target.get("area") is None else numbers(target, "area")
        labels, true_labels = (
            _labels(item, count) for item, count in ((prediction, len(points)), (target, len(true_points)))
        )
        crowd = flags(target, "iscrowd", len(true_points))
        labelled = (true_points[:, :, 2] > 0).sum(axis=1)
        if target.get("num_keypoints") is not None:
            labelled = numbers(target, "num_keypoints")
        ignored = crowd | (labelled == 0)
        # As loadRes of pycocotools: a prediction's area is that which its keypoints span.
        extent = np.ptp(points[:, :, :2], axis=1)
        instances = Instances(
            labels=labels,
            scores=scores,
            areas=extent[:, 0] * extent[:, 1],
            true_labels=true_labels,
            true_areas=areas,
            crowd=crowd,
            ignored=ignored,
        )

        def similarity(found: npt.NDArray[np.intp], true: npt.NDArray[np.intp]) -> FloatArray:
            return keypoint_similarity(points[found], true_points[true], boxes[true], areas[true], self._sigmas)

        evidence = dict(match_image(instances, similarity, PEOPLE))
        reported = np.flatnonzero(scores >= _lowest(self.options.score_threshold))
        people = np.flatnonzero(~ignored)
        pairs = similarity(reported, people)
        pairs[labels[reported][:, None] != true_labels[people][None, :]] = -1.0
        reach = {
            "pck": _PCK_REACH * boxes[people, 2:].max(axis=1, initial=0.0),
            "pckh": _PCKH_REACH * _head_size(target, len(true_points))[people],
        }
        for name, pixels in reach.items():
            counts = correct_keypoints(points[reported], true_points[people], pixels, assign_people(pairs))
            evidence[f"{name}_correct"], evidence[f"{name}_labelled"] = counts
        return {**evidence, "image": image_id(target)}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Every metric and slice under each weighting.

        Args:
            evidence: n samples of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric -> (B,); NaN where there is nobody to find (PCKh: no head of known size), 0 where there is and nobody is
            found.
        """
        coco = average_precision(evidence, weights, PEOPLE)
        result = {
            "ap": coco.ap[0],
            "ap50": coco.ap50,
            "ap75": coco.ap75,
            "ar": coco.ar[0],
            "ar50": coco.ar50,
            "ar75": coco.ar75,
        }
        slices: dict[str, FloatArray] = {}
        for index, (size, *_) in enumerate(PEOPLE.areas[1:], start=1):
            slices[f"ap[{size}]"], slices[f"ar[{size}]"] = coco.ap[index], coco.ar[index]
        for index, label in enumerate(coco.labels if len(self.classes) > 1 else ()):
            slices[f"ap[{self._slices[label]}]"] = coco.class_ap[index]
            slices[f"ap50[{self._slices[label]}]"] = coco.class_ap50[index]
        for name in ("pck", "pckh"):
            correct, labelled = (
                np.stack([item[f"{name}_{part}"] for item in evidence]).astype(np.float64)
                for part in ("correct", "labelled")
            )
            hits, total = weights @ correct, weights @ labelled
            result[name] = ratio(hits.sum(axis=1), total.sum(axis=1))
            for index in np.flatnonzero(labelled.sum(axis=0)).tolist():
                slices[f"{name}[{self.keypoints[index]}]"] = ratio(hits[:, index], total[:, index])
        return result | slices

    @property
    def reference_cuts(self) -> tuple[float, ...]:
        """Confidences around ``reference_score`` for which label-free mode also gives AP."""
        return other_cuts(self.options.reference_score)

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array:
        """Skeletons of found, false (dashed) and missed people (dotted), at OKS .50."""
        people = people_marks(prediction, target, self._sigmas, _lowest(self.options.score_threshold), _labels)
        return draw_people(image, people, self.keypoints)

    def flicker(self, before: Any, now: Any, after: Any) -> tuple[int, int]:
        """People before and after a frame who are in the frame too, and who are not."""
        return flicker_of_people(
            before, now, after, score_threshold=_lowest(self.options.score_threshold), sigmas=self._sigmas
        )

    def as_target(self, prediction: Any, cut: float | None = None) -> Any:
        """The people whose score reaches ``cut`` (default ``reference_score``).

        OKS then measures against the area of the box, or of what the keypoints span where no box is predicted, which is
        larger than the outline's area that COCO labels: similarities come out higher than against labels.
        """
        points = numbers(prediction, "keypoints")
        kept = numbers(prediction, "scores") >= (self.options.reference_score if cut is None else cut)
        if prediction.get("boxes") is not None:
            boxes = numbers(prediction, "boxes")
        else:
            boxes = np.concatenate([points[:, :, :2].min(axis=1), points[:, :, :2].max(axis=1)], axis=1)
        kept &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        visible = points[:, :, 2] > self.options.reference_keypoint_score
        points[:, :, 2] = np.where(visible, 2.0, 0.0)
        return {
            "keypoints": points[kept],
            "boxes": boxes[kept],
            "labels": _labels(prediction, len(points))[kept],
        }


def _labels(instances: Mapping[str, Any], count: int) -> npt.NDArray[np.int64]:
    """(count,), class 0 where there are none."""
    if instances.get("labels") is None:
        return np.zeros(count, dtype=np.int64)
    return numbers(instances, "labels").astype(np.int64)


def _head_size(target: Mapping[str, Any], count: int) -> FloatArray:
    return np.zeros(count) if target.get("head_size") is None else numbers(target, "head_size")


def _lowest(threshold: float | None) -> float:
    return -np.inf if threshold is None else threshold


def _check_visibility(target: Mapping[str, Any]) -> str | None:
    seen = numbers(target, "keypoints")[:, :, 2]
    wrong = seen[~np.isin(seen, (0, 1, 2))]
    if not len(wrong):
        return None
    return (
        f"target['keypoints'] holds visibility {wrong[0]:g}; it is 0 (not labelled), 1 (hidden) or 2 (visible): "
        "mend the labels of the data set"
    )
