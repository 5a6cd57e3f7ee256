"""Semantic segmentation: per-image confusion matrices as evidence, the benchmark's global metrics as reduce.

Definitions follow Long, Shelhamer & Darrell, "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015,
section 5), over the confusion matrix summed over the data set: n_ij is the number of pixels of class i predicted as j.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.drawing.label_maps import draw_label_map
from pytest_lossy.errors import DataError
from pytest_lossy.tasks.base import IGNORED, Evidence, FloatArray, Metric, UInt8Array
from pytest_lossy.tasks.flicker import flicker_of_labels

__all__ = ["IGNORED", "SegmentationTask"]


class SegmentationTask:
    """Label maps (H, W) of integers in 0..C-1, 255 ignored.

    Classes averaged are those with ground truth in the full evaluated set, the same under every weighting; a class
    without ground truth in one replicate leaves that replicate's averages. (Averaging whatever is present would let a
    class of pure false positives in and out between levels.)

    Args:
        classes: C class names in label order.
    """

    name = "segmentation"
    primary = "miou"
    per_frame = True
    metrics = (
        Metric("miou", "mIoU", per_class=True, description="mean over classes of n_ii / (t_i + p_i - n_ii)"),
        Metric("pixel_accuracy", "pixel accuracy", description="sum of n_ii / sum of t_i"),
        Metric(
            "mean_class_accuracy",
            "mean class accuracy",
            per_class=True,
            description="mean over classes of n_ii / t_i",
        ),
        Metric("fw_iou", "frequency-weighted IoU", description="IoU averaged with weights t_i / sum of t_i"),
    )

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        # One column more than classes: pixels that the model gave no class.
        self._columns = len(classes) + 1

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a label map, or None."""
        if not isinstance(prediction, np.ndarray) or not np.issubdtype(prediction.dtype, np.integer):
            kind = getattr(prediction, "dtype", type(prediction).__name__)
            return f"a label map must be an integer array, got {kind}"
        if prediction.shape != np.shape(target):
            return f"a label map must be {np.shape(target)} like its target, got {prediction.shape}"
        if prediction.dtype.kind == "u" and prediction.max(initial=0) < len(self.classes):
            return None  # nearly always, and in a tenth of the time
        wrong = prediction[(prediction != IGNORED) & ((prediction < 0) | (prediction >= len(self.classes)))]
        if wrong.size:
            return (
                f"class {wrong.flat[0]} is predicted but the data has classes 0..{len(self.classes) - 1}; "
                "map the model's classes with 'model.output.class_map'"
            )
        return None

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Sparse confusion matrix of one image.

        Args:
            prediction: (H, W), integer, 0..C-1 or 255.
            target: (H, W), integer, 0..C-1 or 255.

        Returns:
            ``pairs`` (k,) int32, flat index ``target * (C + 1) + prediction`` (C where nothing was predicted), and
            ``pixels`` (k,) int64, the number of pixels of each pair.

        Raises:
            DataError: the target has a label that is neither a class nor 255.
        """
        columns = self._columns
        predicted = np.minimum(prediction, columns - 1, dtype=np.int32, casting="unsafe")
        # The ignored label lands in rows beyond the matrix and is cut off after counting, which is cheaper than a mask.
        flat = target.astype(np.int32) * columns + predicted
        counts = np.bincount(flat.ravel(), minlength=columns * len(self.classes))
        unknown = np.flatnonzero(counts[columns * len(self.classes) : columns * IGNORED])
        if unknown.size:
            label = len(self.classes) + int(unknown[0]) // columns
            raise DataError(
                f"the target has label {label}, which is none of the {len(self.classes)} classes nor 255; map it in the "
                "data set"
            )
        counts = counts[: columns * len(self.classes)]
        pairs = np.flatnonzero(counts)
        return {"pairs": pairs.astype(np.int32), "pixels": counts[pairs].astype(np.int64)}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Global metrics under each weighting; see the class for what is averaged.

        Args:
            evidence: n samples of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric -> (B,); NaN where nothing is labelled.
        """
        correct, true, predicted = self._table(evidence)
        kept = true.sum(axis=0) > 0
        # Whole pixel counts times whole weights stay exact in float64, so the order of summation cannot change a bit.
        hit, truth = weights @ correct, weights @ true
        union = truth + weights @ predicted - hit
        with np.errstate(divide="ignore", invalid="ignore"):
            labelled = truth > 0
            iou = np.where(labelled, hit / union, np.nan)
            accuracy = np.where(labelled, hit / truth, np.nan)
            total = truth.sum(axis=1)
            result = {
                "miou": _mean_over_classes(iou[:, kept]),
                "pixel_accuracy": np.where(total > 0, hit.sum(axis=1) / total, np.nan),
                "mean_class_accuracy": _mean_over_classes(accuracy[:, kept]),
                "fw_iou": np.where(total > 0, np.nansum(iou * truth, axis=1) / total, np.nan),
            }
        for index, name in enumerate(self.classes):
            if kept[index]:
                result[f"miou[{name}]"] = iou[:, index]
                result[f"mean_class_accuracy[{name}]"] = accuracy[:, index]
        return result

    def as_target(self, prediction: Any) -> Any:
        """A predicted label map is a target as it is."""
        return prediction

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array:
        """Class colours over the grey picture, hatched where they are wrong; see :func:`draw_label_map`."""
        return draw_label_map(image, prediction, target, self.classes, IGNORED)

    def flicker(self, before: Any, now: Any, after: Any) -> tuple[int, int]:
        """Pixels of one class before and after a frame that have it in the frame too, and that do not."""
        return flicker_of_labels(before, now, after)

    def _table(self, evidence: Sequence[Evidence]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Per sample and class: pixels correct, labelled so, and predicted so; each (n, C)."""
        count, classes, columns = len(evidence), len(self.classes), self._columns
        sizes = [len(item["pairs"]) for item in evidence]
        sample = np.repeat(np.arange(count), sizes)
        pairs = np.concatenate([item["pairs"] for item in evidence]).astype(np.int64)
        pixels = np.concatenate([item["pixels"] for item in evidence]).astype(np.float64)
        true, predicted = pairs // columns, pairs % columns

        def add(mask: npt.NDArray[np.bool_], column: npt.NDArray[np.int64]) -> FloatArray:
            flat = sample[mask] * classes + column[mask]
            summed: FloatArray = np.bincount(flat, pixels[mask], count * classes).astype(np.float64)
            return summed.reshape(count, classes)

        everything = np.ones(len(pairs), dtype=bool)
        return add(true == predicted, true), add(everything, true), add(predicted < classes, predicted)


def _mean_over_classes(values: FloatArray) -> FloatArray:
    """Mean over the second axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(count > 0, np.where(defined, values, 0.0).sum(axis=1) / count, np.nan)
    return mean
