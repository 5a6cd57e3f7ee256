"""Action recognition: the scores of each clip as evidence, the accuracy of videos as reduce.

Networks see short clips; a video's score is the average over its clips, as in Simonyan & Zisserman, "Two-Stream
Convolutional Networks for Action Recognition in Videos" (NeurIPS 2014, section 5), and every benchmark since.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pytest_lossy.drawing.class_scores import draw_class_scores
from pytest_lossy.tasks.base import Evidence, FloatArray, UInt8Array
from pytest_lossy.tasks.class_scores import (
    ACCURACY_METRICS,
    accuracies,
    best_class,
    label_problem,
    label_rank,
    score_problem,
    text_digest,
)
from pytest_lossy.tasks.ordered_sums import segment_sums
from pytest_lossy.tasks.pictures import class_probabilities

__all__ = ["ActionOptions", "ActionTask"]


class ActionOptions(BaseModel):
    """What a spec may set for ``action``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    average: Literal["scores", "softmax"] = "scores"
    """What is averaged over the clips of a video: the scores as the model returns them, or their softmax (for models that
    return logits whose scale differs between clips)."""


class ActionTask:
    """Class scores (C,) of clips; the accuracy is that of videos.

    A target is a label, and the sample a video of its own, or ``{"label": int, "video": str}``, and the video's samples
    are averaged. Clips of one video id with different labels (an untrimmed video) are different videos. Give the samples
    of a video one ``group``, so that intervals resample videos: their clips then weigh the same. In label-free mode the
    target also has ``scores``, those of the clean clip, and a video's label is the first class of their average over all
    of its clips, whatever their weights.

    What weights mean: a video counts with the mean weight of its clips, and its score is the average of its clips by
    their weights. So equal weights w are w copies of the video, and where only some clips have weight (a slice by tag, one
    sample alone) the video is judged by these and counts by their share.

    Args:
        classes: C class names in label order; none where the data names no classes.
        options: see :class:`ActionOptions`.
    """

    Options = ActionOptions
    name = "action"
    primary = "top1"
    metrics = ACCURACY_METRICS

    def __init__(self, classes: tuple[str, ...], options: ActionOptions | None = None) -> None:
        self.classes = classes
        self.options = options or ActionOptions()

    def check(self, prediction: Any, target: Any) -> str | None:
        """Say what is wrong with a clip's scores or their target, or None."""
        problem = score_problem(prediction, self.classes)
        if problem is not None:
            return problem
        label = target
        if isinstance(target, Mapping):
            # Against labels it names its video; against a clean prediction it has scores, and may be a video of its own.
            wanted = {"label", "video"} if "scores" not in target else {"label", "scores"} | (set(target) & {"video"})
            if set(target) != wanted or not isinstance(target.get("video", ""), str):
                return (
                    f"a clip's target must be a label or {{'label': int, 'video': str}}, got {dict(target)!r:.90}; correct "
                    "the data set"
                )
            label = target["label"]
        return label_problem(label, len(prediction))

    def evidence(self, prediction: Any, target: Any) -> Evidence:
        """Scores of one clip.

        Args:
            prediction: (C,), float, finite.
            target: 0..C-1, ``{"label": 0..C-1, "video": id}``, or what :meth:`as_target` returns, with or without a
                ``video``.

        Returns:
            ``scores`` (1, C), float32 or float64 as predicted, ``label`` (1,) int32, and ``video`` (1, 2) uint64, a hash
            of the id, or (0, 2) where the sample is a video of its own; in label-free mode ``reference`` (1, C), the clean
            clip's scores.
        """
        given = target if isinstance(target, Mapping) else {"label": target}
        evidence = {
            "scores": self._averaged(prediction)[None],
            "label": np.array([given["label"]], dtype=np.int32),
            "video": text_digest(given["video"]) if "video" in given else np.empty((0, 2), dtype=np.uint64),
        }
        return evidence | {"reference": given["scores"][None]} if "scores" in given else evidence

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> dict[str, FloatArray]:
        """Accuracies over videos under each weighting; see the class for what weights mean.

        Args:
            evidence: n samples of :meth:`evidence`.
            weights: (B, n), non-negative.

        Returns:
            metric or ``metric[class]`` -> (B,); NaN where nothing has weight, and for ``top5`` with fewer than five
            classes.
        """
        scores = np.concatenate([item["scores"] for item in evidence])
        labels = np.concatenate([item["label"] for item in evidence])
        videos = _number_videos(evidence)
        order = np.argsort(videos, kind="stable")
        _, starts, sizes = np.unique(videos[order], return_index=True, return_counts=True)
        scores, labels = scores[order].astype(np.float64), labels[order][starts]
        clip_weights = np.ascontiguousarray(weights[:, order])
        # Sums, not means: dividing by the number of clips cannot change which class comes first.
        summed = np.add.reduceat(scores, starts, axis=0)
        if "reference" in evidence[0]:
            clean = np.concatenate([item["reference"] for item in evidence])[order].astype(np.float64)
            labels = np.argmax(np.add.reduceat(clean, starts, axis=0), axis=1)
        ranks = label_rank(summed, labels)
        return accuracies(
            segment_sums(clip_weights, starts) / sizes,
            labels,
            _ranks_by_weighting(ranks, scores, labels, clip_weights, starts, sizes),
            self.classes,
            scores.shape[1],
        )

    def as_target(self, prediction: Any) -> Any:
        """The first class of a clip and its scores; ``video``, which no prediction knows, is for the caller to add."""
        return {"label": best_class(prediction), "scores": self._averaged(prediction)}

    def draw(self, image: UInt8Array, prediction: Any, target: Any) -> UInt8Array | None:
        """A frame of the clip over its most probable classes, the correct one marked; the label alone is no picture."""
        if prediction is None:
            return None
        label = target["label"] if isinstance(target, Mapping) else target
        return draw_class_scores(image, class_probabilities(prediction), int(label), self.classes)

    def _averaged(self, prediction: Any) -> npt.NDArray[Any]:
        """What is averaged over the clips of a video, (C,), a copy."""
        scores = np.asarray(prediction, dtype=np.result_type(prediction.dtype, np.float32))
        if self.options.average == "softmax":
            with np.errstate(over="ignore"):
                powers = np.exp(np.ascontiguousarray(scores) - scores.max())
            scores = powers / powers.sum()
        return np.array(scores)


def _number_videos(evidence: Sequence[Evidence]) -> npt.NDArray[np.intp]:
    """The video of each sample, numbered by first appearance."""
    numbers: dict[Hashable, int] = {}
    keys: list[Hashable] = [
        (item["video"].tobytes(), -1 if "reference" in item else int(item["label"][0])) if len(item["video"]) else index
        for index, item in enumerate(evidence)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def _ranks_by_weighting(
    ranks: npt.NDArray[np.intp],
    scores: FloatArray,
    labels: npt.NDArray[np.integer[Any]],
    weights: FloatArray,
    starts: npt.NDArray[np.intp],
    sizes: npt.NDArray[np.intp],
) -> npt.NDArray[np.intp]:
    """Ranks (V,) of all clips, or (B, V) where some weighting does not weigh the clips of a video alike.

    Clips are added one after another, row by row, so that no other row or video can change a bit.
    """
    if len(starts) == len(scores):
        return ranks
    uneven = np.maximum.reduceat(weights, starts, axis=1) != np.minimum.reduceat(weights, starts, axis=1)
    if not uneven.any():
        return ranks
    by_row = np.repeat(ranks[None], len(weights), axis=0)
    for video in np.flatnonzero(uneven.any(axis=0)).tolist():
        rows = np.flatnonzero(uneven[:, video])
        summed = np.zeros((len(rows), scores.shape[1]))
        for clip in range(starts[video], starts[video] + sizes[video]):
            summed += weights[rows, clip, None] * scores[clip]
        by_row[rows, video] = label_rank(summed, int(labels[video]))
    return by_row
