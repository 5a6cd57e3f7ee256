"""Image classification: the label's rank and the confidence as evidence, accuracies and calibration error as reduce.

The expected calibration error follows Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks" (ICML
2017, equation 5): the sum over bins of confidence of ``n_b / n * |accuracy_b - confidence_b|``, with the bins of
torchmetrics' ``MulticlassCalibrationError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pytest_lossy.drawing.class_scores import draw_class_scores
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, UInt8Array
from pytest_lossy.tasks.class_scores import (
    ACCURACY_METRICS,
    accuracies,
    best_class,
    label_problem,
    label_rank,
    score_problem,
)
from pytest_lossy.tasks.ordered_sums import ratio, segment_sums
from pytest_lossy.tasks.pictures import class_probabilities

__all__ = ["CALIBRATION_BINS", "ClassificationOptions", "ClassificationTask", "top_confidence"]

CALIBRATION_BINS = 15
"""Equal-width bins of the calibration error: torchmetrics' default and the number of Guo et al."""

_ROUNDING = 1e-6  # an average of float32 probabilities may exceed 1 by this
_SUM_TOLERANCE = 0.01  # float16 softmax over 1,000 classes is off by a few thousandths


class ClassificationOptions(BaseModel):
    """What a spec may set for ``classification``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: Literal["auto", "logits", "probabilities"] = "auto"
    """What the model returns, which only the calibration error needs to know. ``logits`` go through a softmax;
    ``probabilities`` count as they are, in 0..1, and need not sum to 1 (quantized outputs, one-against-rest sigmoids).
    ``auto`` decides for each sample: non-negative scores with a sum of 1 (within 0.01) are probabilities, others logits."""


class ClassificationTask:
    """Class scores (C,) against one label.

    Args:
        classes: C class names in label order; none where the data names no classes.
        options: see :class:`ClassificationOptions`.
    """

    Options = ClassificationOptions
    name = "classification"
    primary = "top1"
    per_frame = True
    metrics = (
        *ACCURACY_METRICS,
        Metric(
            "ece",
            "expected calibration error",
            higher_is_better=False,
            description="sum over 15 equal bins of confidence of n_b / n * |accuracy_b - confidence_b| (Guo et al. 2017, "
            "equation 5; torchmetrics MulticlassCalibrationError, norm='l1')",
            needs_labels=True,
        ),
    )

    def __init__(self, classes: tuple[str, ...], options: ClassificationOptions | None = None) -> None:
        self.classes = classes
        self.options = options or ClassificationOptions()

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with class scores or their label, or None."""
        problem = score_problem(prediction, self.classes) or label_problem(target, len(prediction))
        if problem is None and self.options.scores == "probabilities":
            outside = np.flatnonzero((prediction < 0) | (prediction > 1 + _ROUNDING))
            if outside.size:
                problem = (
                    f"the score of class {outside[0]} is {prediction[outside[0]]}, which is no probability; set "
                    "'task_kwargs.scores' to logits, or return values in 0..1"
                )
        return problem

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Rank of the label and confidence in the first class.

        Args:
            prediction: (C,), float, finite.
            target: 0..C-1.

        Returns:
            ``label`` (1,) int32, ``rank`` (1,) int32, the number of classes before the label, ``classes`` (1,) int32,
            which is C, and ``confidence`` (1,) float32 of :func:`top_confidence`.
        """
        return {
            "label": np.array([target], dtype=np.int32),
            "rank": label_rank(prediction, int(target)).reshape(1).astype(np.int32),
            "classes": np.array([len(prediction)], dtype=np.int32),
            "confidence": top_confidence(prediction, self.options.scores).reshape(1),
        }

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Accuracies and calibration error under each weighting; see :func:`accuracies` for what is averaged.

        Args:
            evidence: n samples of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric or ``metric[class]`` -> (B,); NaN where nothing has weight, and for ``top5`` with fewer than five
            classes.
        """
        table = {name: np.concatenate([item[name] for item in evidence]) for name in evidence[0]}
        count = int(table["classes"].max())
        return {
            **accuracies(weights, table["label"], table["rank"], self.classes, count),
            "ece": _calibration_error(weights, table["rank"] == 0, table["confidence"]),
        }

    def as_target(self, prediction: Any) -> Any:
        """The first class of a prediction is its label."""
        return best_class(prediction)

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array | None:
        """The picture over its most probable classes, the correct one marked; the label alone is no picture."""
        if prediction is None:
            return None
        shares = class_probabilities(prediction, self.options.scores)
        return draw_class_scores(image, shares, int(target), self.classes)


def top_confidence(
    scores: npt.NDArray[np.floating[Any]], kind: Literal["auto", "logits", "probabilities"]
) -> npt.NDArray[np.float32]:
    """Probability of the highest score, in float32 as torchmetrics keeps it.

    Args:
        scores: (C,), finite.
        kind: see :class:`ClassificationOptions`.

    Returns:
        (), 0..1.
    """
    # Contiguous and at least float32: neither layout nor half precision may change the sum.
    values = np.ascontiguousarray(scores, dtype=np.result_type(scores.dtype, np.float32))
    highest = values.max()
    if kind == "auto":
        distribution = values.min() >= 0 and abs(values.sum() - 1) <= _SUM_TOLERANCE
        kind = "probabilities" if distribution else "logits"
    if kind == "logits":
        with np.errstate(over="ignore"):  # a difference beyond the largest float is a probability of 0
            highest = 1 / np.exp(values - highest).sum()
    return np.asarray(min(highest, 1), dtype=np.float32)


def _calibration_error(
    weights: FloatArray, correct: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float32]
) -> FloatArray:
    """Expected calibration error, (B,), of (n,) confidences in 0..1."""
    bins = np.searchsorted(_bin_edges(), confidence, side="right") - 1
    order = np.argsort(bins, kind="stable")
    _, starts = np.unique(bins[order], return_index=True)
    gap = (correct.astype(np.float64) - confidence)[order]
    ordered = np.ascontiguousarray(weights[:, order])
    distance = np.abs(segment_sums(ordered * gap, starts))
    return ratio(np.add.reduce(distance, axis=1), np.add.reduce(ordered, axis=1))


def _bin_edges() -> npt.NDArray[np.float32]:
    """Edges of bins that are open above, exactly as ``torch.linspace`` rounds them: from either end inwards.

    A confidence of exactly 1 has a bin of its own, as in torchmetrics, which matters for saturated networks.
    """
    step = float(np.float32(1 / CALIBRATION_BINS))
    index = np.arange(CALIBRATION_BINS + 1)
    lower = index <= CALIBRATION_BINS // 2
    return np.where(lower, step * index, 1 - step * (CALIBRATION_BINS - index)).astype(np.float32)
