"""Keypoints of people: COCO's set, object keypoint similarity, and the share of correct keypoints."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator
from pydantic import Field as Option

from pytest_lossy.tasks.base import FloatArray
from pytest_lossy.tasks.matching import BoolArray

__all__ = ["COCO_KEYPOINTS", "COCO_SIGMAS", "PoseOptions", "assign_people", "correct_keypoints", "keypoint_similarity"]

COCO_KEYPOINTS = (
    "nose",
    *("left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
COCO_SIGMAS = tuple(
    tenths / 10.0
    for tenths in (
        *(0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87),
        *(0.89, 0.89),
    )
)
"""``kpt_oks_sigmas`` of pycocotools: how far annotators stray, as a share of the root of a person's area."""


class PoseOptions(BaseModel):
    """``task_kwargs`` of a pose spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keypoints: Annotated[
        tuple[str, ...] | None,
        Option(min_length=1, description="names in order; default COCO's 17, or numbers where sigmas are given"),
    ] = None
    sigmas: Annotated[
        tuple[Annotated[FiniteFloat, Option(gt=0)], ...] | None,
        Option(min_length=1, description="falloff of each keypoint in OKS; default COCO's 17"),
    ] = None
    score_threshold: Annotated[
        FiniteFloat | None,
        Option(description="PCK: the score from which the shipped model reports a person; default: any score"),
    ] = None
    reference_score: Annotated[
        FiniteFloat,
        Option(description="label-free mode: people of the clean prediction with this score are the reference"),
    ] = 0.5
    reference_keypoint_score: Annotated[
        FiniteFloat,
        Option(description="label-free mode: keypoints whose third number is above this count as labelled"),
    ] = 0.0

    @model_validator(mode="after")
    def _lengths_agree(self) -> PoseOptions:
        names, sigmas = self.keypoint_names, self.keypoint_sigmas
        if len(names) != len(sigmas):
            raise ValueError(f"{len(names)} keypoints have {len(sigmas)} sigmas; give one of each per keypoint")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"keypoint '{twice}' is named twice; give each its own name")
        return self

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The k keypoints, in order."""
        if self.keypoints is not None:
            return self.keypoints
        return COCO_KEYPOINTS if self.sigmas is None else tuple(map(str, range(len(self.sigmas))))

    @property
    def keypoint_sigmas(self) -> tuple[float, ...]:
        """One sigma per keypoint."""
        return COCO_SIGMAS if self.sigmas is None else self.sigmas


def keypoint_similarity(
    keypoints: FloatArray,
    true_keypoints: FloatArray,
    true_boxes: FloatArray,
    true_areas: FloatArray,
    sigmas: FloatArray,
) -> FloatArray:
    """Object keypoint similarity, as ``COCOeval.computeOks`` computes it, operation by operation.

    The mean over labelled keypoints of exp(-distance^2 / (2 area (2 sigma)^2)); for a person without labelled keypoints
    the distance is that to the box, doubled in size around its centre.

    Args:
        keypoints: (d, k, 3), x and y in pixels; the third number is not used.
        true_keypoints: (g, k, 3), x, y and visibility, above 0 where labelled.
        true_boxes: (g, 4), x, y, width, height.
        true_areas: (g,), square pixels.
        sigmas: (k,).

    Returns:
        (d, g), 0 to 1.
    """
    similarity = np.zeros((len(keypoints), len(true_keypoints)))
    variances = (sigmas * 2) ** 2
    x, y = keypoints[:, :, 0], keypoints[:, :, 1]
    for index, (true, box, area) in enumerate(zip(true_keypoints, true_boxes, true_areas, strict=True)):
        labelled = true[:, 2] > 0
        if labelled.any():
            dx, dy = x - true[:, 0], y - true[:, 1]
        else:
            left, right = box[0] - box[2], box[0] + box[2] * 2
            top, bottom = box[1] - box[3], box[1] + box[3] * 2
            dx = np.maximum(0.0, left - x) + np.maximum(0.0, x - right)
            dy = np.maximum(0.0, top - y) + np.maximum(0.0, y - bottom)
            labelled = np.ones_like(labelled)
        error = (dx**2 + dy**2) / variances / (area + np.spacing(1)) / 2
        # In rows of their own: a sum over memory with gaps is rounded in another order.
        error = np.ascontiguousarray(error[:, labelled])
        similarity[:, index] = np.exp(-error).sum(axis=1) / error.shape[1]
    return similarity


def assign_people(similarity: FloatArray) -> npt.NDArray[np.intp]:
    """Give each true person one prediction, the most similar pairs first, whatever the scores.

    Args:
        similarity: (d, g), negative where a pair is out of the question.

    Returns:
        (g,) index of the prediction, -1 where none is left.
    """
    assigned = np.full(similarity.shape[1], -1, dtype=np.intp)
    used = np.zeros(len(similarity), dtype=bool)
    for flat in np.argsort(-similarity, axis=None, kind="stable"):
        found, true = divmod(int(flat), similarity.shape[1])
        if similarity[found, true] >= 0 and not used[found] and assigned[true] < 0:
            assigned[true], used[found] = found, True
    return assigned


def correct_keypoints(
    keypoints: FloatArray, true_keypoints: FloatArray, reach: FloatArray, assigned: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Count keypoints that are at most ``reach`` away from where they are labelled.

    Args:
        keypoints: (d, k, 3).
        true_keypoints: (g, k, 3).
        reach: (g,) pixels; people with a reach of 0 or less are left out.
        assigned: (g,) of :func:`assign_people`; all keypoints of a person without a prediction are wrong.

    Returns:
        (k,) correct and (k,) labelled.
    """
    labelled: BoolArray = (true_keypoints[:, :, 2] > 0) & (reach > 0)[:, None]
    correct = np.zeros_like(labelled)
    found = assigned >= 0
    offset = keypoints[assigned[found], :, :2] - true_keypoints[found, :, :2]
    correct[found] = np.hypot(offset[..., 0], offset[..., 1]) <= reach[found, None]
    return (correct & labelled).sum(axis=0).astype(np.int32), labelled.sum(axis=0).astype(np.int32)
