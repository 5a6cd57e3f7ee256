"""Monocular depth: nine numbers per image as evidence, the errors of the field as reduce.

With p the predicted and g the true depth of n pixels: Eigen, Puhrsch & Fergus, "Depth Map Prediction from a Single Image
using a Multi-Scale Deep Network" (NeurIPS 2014, section 4) define the relative, squared and logarithmic errors and the
thresholds; SILog is their equation 1 with lambda = 1 as the KITTI benchmark reports it, ``100 * sqrt(mean(d^2) -
mean(d)^2)`` with ``d = ln p - ln g``. Cap, crop and median scaling follow the evaluation of Godard et al., "Digging Into
Self-Supervised Monocular Depth Estimation" (ICCV 2019), in that order: mask, crop, scale, clamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from pytest_lossy.drawing.depth_maps import draw_depth_map
from pytest_lossy.tasks.base import Evidence, FloatArray, Metric, UInt8Array
from pytest_lossy.tasks.ordered_sums import ratio, weighted_sums

__all__ = ["CROPS", "DepthOptions", "DepthTask"]

CROPS = {
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "nyu": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}
"""First and last row, first and last column, as shares of height and width, rounded down. ``eigen`` and ``garg`` (Garg et
al., ECCV 2016) are the KITTI crops; ``nyu`` is Eigen's crop of NYU Depth v2 (rows 45-470, columns 41-600 of 640x480)."""

_DELTA = 1.25


class DepthOptions(BaseModel):
    """What a spec may set for ``depth``; the defaults score every known pixel as it is predicted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pooling: Literal["image", "pixel"] = "image"
    """``image``: the mean of the images' metrics, as on KITTI. ``pixel``: one metric over the pixels of all images."""
    min_depth: FiniteFloat | None = Field(default=None, gt=0)
    """Metres. Pixels whose true depth is not above it are ignored, predictions below are raised to it (0.001 on KITTI)."""
    max_depth: FiniteFloat | None = Field(default=None, gt=0)
    """Metres. Pixels whose true depth is not below it are ignored, predictions above are lowered to it (80 on KITTI, 10 on
    NYU)."""
    crop: Literal["none", "eigen", "garg", "nyu"] = "none"
    """The part of the image that is scored; see :data:`CROPS`."""
    median_scaling: bool = False
    """Multiply each prediction by median(true) / median(predicted) of its scored pixels: for models whose scale is free."""

    @model_validator(mode="after")
    def _ordered(self) -> DepthOptions:
        if self.min_depth is not None and self.max_depth is not None and self.min_depth >= self.max_depth:
            raise ValueError(f"max_depth {self.max_depth:g} must exceed min_depth {self.min_depth:g}")
        return self


class DepthTask:
    """Depth maps (H, W), float, metres; 0 in a target is unknown.

    An image without a scored pixel has no metric and is left out of the mean (of the pool it would add nothing);
    :meth:`notes` counts such images.

    Args:
        classes: not used.
        options: see :class:`DepthOptions`.
    """

    Options = DepthOptions
    name = "depth"
    primary = "abs_rel"
    per_frame = True
    metrics = (
        Metric("abs_rel", "AbsRel", False, description="mean of |p - g| / g (Eigen et al. 2014)"),
        Metric("sq_rel", "SqRel", False, "m", "mean of (p - g)^2 / g (Eigen et al. 2014)"),
        Metric("rmse", "RMSE", False, "m", "root of the mean of (p - g)^2 (Eigen et al. 2014)"),
        Metric("rmse_log", "RMSE log", False, "ln m", "root of the mean of (ln p - ln g)^2 (Eigen et al. 2014)"),
        Metric(
            "silog",
            "SILog",
            False,
            "100 ln m",
            "100 * sqrt(mean(d^2) - mean(d)^2), d = ln p - ln g (KITTI benchmark; Eigen et al. 2014, equation 1)",
        ),
        Metric("delta1", "delta < 1.25", description="share of max(p / g, g / p) < 1.25 (Eigen et al. 2014)"),
        Metric("delta2", "delta < 1.25^2", description="share of max(p / g, g / p) < 1.25^2 (Eigen et al. 2014)"),
        Metric("delta3", "delta < 1.25^3", description="share of max(p / g, g / p) < 1.25^3 (Eigen et al. 2014)"),
    )

    def __init__(self, classes: tuple[str, ...] = (), options: DepthOptions | None = None) -> None:
        self.classes = classes
        self.options = options or DepthOptions()

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a depth map or its target, or None; every pixel counts, scored or not."""
        for what, depth in (("predicted", prediction), ("target", target)):
            if not isinstance(depth, np.ndarray) or not np.issubdtype(depth.dtype, np.floating) or depth.ndim != 2:
                kind = f"{getattr(depth, 'dtype', type(depth).__name__)} {getattr(depth, 'shape', '')}".strip()
                return f"{what} depth must be a float array (H, W) in metres, got {kind}; convert its unit and shape"
        if prediction.shape != target.shape:
            return (
                f"predicted depth must be {target.shape} like its target, got {prediction.shape}; resize it to the source "
                "in 'model.output.function'"
            )
        limits, options = "", self.options
        unusable = ~np.isfinite(target) | (target < 0)
        if unusable.any():
            return f"target depth is {_first(target, unusable)}; give metres, and 0 where depth is unknown"
        # What a cap would clamp anyway is no fault: 1 / disparity is infinite in the sky.
        unusable = np.isnan(prediction) | np.isneginf(prediction)
        if unusable.any():
            limits = "check the weights and the input range"
        elif options.max_depth is None and np.isposinf(prediction).any():
            unusable, limits = np.isposinf(prediction), "set 'task_kwargs.max_depth' to cap it"
        elif options.min_depth is None and (prediction <= 0).any():
            unusable = prediction <= 0
            limits = "return depth and not disparity, or set 'task_kwargs.min_depth' to raise it"
        if limits:
            return f"predicted depth is {_first(prediction, unusable)}; {limits}"
        return self._scale_problem(prediction, target)

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Sums over the scored pixels of one image.

        Args:
            prediction: (H, W), float, metres.
            target: (H, W), float, metres, 0 where unknown.

        Returns:
            ``pixels`` (1,) int64, the number of scored pixels; ``errors`` (1, 5) float64, the sums of |p - g| / g,
            (p - g)^2 / g, (p - g)^2, d = ln p - ln g, and (d - mean d)^2; ``inliers`` (1, 3) int64, the pixels within
            1.25, 1.25^2 and 1.25^3.
        """
        predicted, true = self._scored(prediction, target)
        errors, inliers = np.zeros((1, 5)), np.zeros((1, 3), dtype=np.int64)
        if true.size:
            with np.errstate(over="ignore"):
                difference = predicted - true
                logarithmic = np.log(predicted) - np.log(true)
                worst = np.maximum(predicted / true, true / predicted)
            # Squares about the mean keep SILog's small differences, which a difference of two large sums would lose.
            log_sum = np.add.reduce(logarithmic)
            parts = (
                np.abs(difference) / true,
                difference**2 / true,
                difference**2,
                logarithmic,
                (logarithmic - log_sum / true.size) ** 2,
            )
            errors[0] = [np.add.reduce(part) for part in parts]
            inliers[0] = [np.count_nonzero(worst < _DELTA**power) for power in (1, 2, 3)]
        return {"pixels": np.array([true.size], dtype=np.int64), "errors": errors, "inliers": inliers}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Every metric under each weighting, in the declared pooling.

        Args:
            evidence: n images of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric -> (B,); NaN where no scored pixel has weight.
        """
        table = {name: np.concatenate([item[name] for item in evidence]) for name in evidence[0]}
        pixels = table["pixels"].astype(np.float64)
        pool = _mean_of_images if self.options.pooling == "image" else _all_pixels
        return pool(weights, pixels, table["errors"], table["inliers"].astype(np.float64))

    def notes(self, evidence: Sequence[Evidence]) -> list[str]:
        """What a reader must know about these images."""
        empty = sum(int(item["pixels"][0]) == 0 for item in evidence)
        return [f"{empty} of {len(evidence)} images have no scored depth and are left out"] if empty else []

    def as_target(self, prediction: Any) -> Any:
        """A predicted depth map is a target; what is no finite positive depth in it is unknown."""
        return np.where(np.isfinite(prediction) & (prediction > 0), prediction, prediction.dtype.type(0))

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array:
        """The depth map in the target's range, scaled and capped as it is scored; see :func:`draw_depth_map`."""
        if prediction is None:
            return draw_depth_map(image, None, target)
        predicted, true = self._counted(prediction, target)
        scaled = self.options.median_scaling and true.size
        depth = prediction * (np.median(true) / np.median(predicted)) if scaled else prediction
        if self.options.min_depth is not None or self.options.max_depth is not None:
            depth = np.clip(depth, self.options.min_depth, self.options.max_depth)
        return draw_depth_map(image, depth, target)

    def _scored(self, prediction: npt.NDArray[Any], target: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Predicted and true depth, (n,) each, of the pixels that count, scaled and capped."""
        options = self.options
        predicted, true = self._counted(prediction, target)
        if options.median_scaling and true.size:
            predicted = predicted * (np.median(true) / np.median(predicted))
        if options.min_depth is not None or options.max_depth is not None:
            predicted = np.clip(predicted, options.min_depth, options.max_depth)
        return predicted, true

    def _counted(self, prediction: npt.NDArray[Any], target: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Predicted and true depth, (n,) each, within crop and range."""
        if self.options.crop != "none":
            height, width = target.shape
            top, bottom, left, right = CROPS[self.options.crop]
            part = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
            prediction, target = prediction[part], target[part]
        low, high = self.options.min_depth or 0.0, self.options.max_depth or np.inf
        true = target.astype(np.float64)
        counted = (true > low) & (true < high)
        return prediction[counted].astype(np.float64), true[counted]

    def _scale_problem(self, prediction: npt.NDArray[Any], target: npt.NDArray[Any]) -> str | None:
        if not self.options.median_scaling:
            return None
        predicted, _ = self._counted(prediction, target)
        median = float(np.median(predicted)) if predicted.size else 1.0
        if 0 < median < np.inf:
            return None
        return (
            f"the median predicted depth is {median:g} and cannot be scaled; return positive, finite depth or unset "
            "'task_kwargs.median_scaling'"
        )


def _mean_of_images(
    weights: FloatArray, pixels: FloatArray, errors: FloatArray, inliers: FloatArray
) -> dict[str, FloatArray]:
    scored = pixels > 0
    size = np.where(scored, pixels, 1.0)
    total = weighted_sums(weights, scored)
    values = _metrics(size, errors, errors[:, 4] + errors[:, 3] ** 2 / size, errors[:, 4], inliers)
    return {name: ratio(weighted_sums(weights, of_image), total) for name, of_image in values.items()}


def _all_pixels(
    weights: FloatArray, pixels: FloatArray, errors: FloatArray, inliers: FloatArray
) -> dict[str, FloatArray]:
    size = np.where(pixels > 0, pixels, 1.0)
    log_squares = errors[:, 4] + errors[:, 3] ** 2 / size
    # Variance about a centre that no weighting changes (Chan et al. 1983): close to every weighted mean, nothing cancels.
    centre = np.add.reduce(errors[:, 3]) / max(np.add.reduce(pixels), 1.0)
    shifted = errors[:, 3] - centre * pixels
    total = weighted_sums(weights, pixels)
    about_centre = weighted_sums(weights, errors[:, 4] + shifted**2 / size)
    spread = about_centre - ratio(weighted_sums(weights, shifted) ** 2, total)

    def summed(columns: FloatArray) -> FloatArray:
        return np.stack([weighted_sums(weights, columns[:, index]) for index in range(columns.shape[1])], axis=1)

    return _metrics(
        np.where(total > 0, total, np.nan),
        summed(errors),
        weighted_sums(weights, log_squares),
        np.maximum(spread, 0.0),
        summed(inliers),
    )


def _metrics(
    pixels: FloatArray, errors: FloatArray, log_squares: FloatArray, log_spread: FloatArray, inliers: FloatArray
) -> dict[str, FloatArray]:
    """Every metric from sums over the same pixels; all (k,), ``errors`` (k, 5) and ``inliers`` (k, 3)."""
    return {
        "abs_rel": errors[:, 0] / pixels,
        "sq_rel": errors[:, 1] / pixels,
        "rmse": np.sqrt(errors[:, 2] / pixels),
        "rmse_log": np.sqrt(log_squares / pixels),
        "silog": 100 * np.sqrt(log_spread / pixels),
        **{f"delta{power}": inliers[:, power - 1] / pixels for power in (1, 2, 3)},
    }


def _first(depth: npt.NDArray[Any], wrong: npt.NDArray[np.bool_]) -> str:
    """The first wrong value and where it is."""
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    share = f"{np.count_nonzero(wrong)} of {wrong.size} pixels"
    return f"{depth[row, column]:g} at row {row}, column {column} ({share})"
