"""What tasks with one label and C class scores share: their checks, the rank of the label, and the accuracies.

Ties: of equal scores the lowest class index comes first, as in a stable descending sort (``numpy.argmax`` for the first
place). The definition of ``torch.topk`` leaves ties open.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import FloatArray, Metric
from pytest_lossy.tasks.ordered_sums import ratio, segment_sums

__all__ = [
    "ACCURACY_METRICS",
    "TOP",
    "accuracies",
    "best_class",
    "label_problem",
    "label_rank",
    "score_problem",
    "text_digest",
]

TOP = 5
"""The k of the second accuracy; it is undefined with fewer classes, and always 1 with exactly as many."""

ACCURACY_METRICS = (
    Metric(
        "top1",
        "top-1 accuracy",
        per_class=True,
        proportion=True,
        description="share whose label scores highest; of equal scores the lowest class index comes first "
        "(torchmetrics Accuracy, average='micro')",
    ),
    Metric(
        "top5",
        "top-5 accuracy",
        proportion=True,
        description="share whose label is among the five highest scores (torchmetrics Accuracy, average='micro', top_k=5); "
        "undefined with fewer than five classes",
    ),
    Metric(
        "mean_class_accuracy",
        "mean class accuracy",
        per_class=True,
        description="mean over the classes with ground truth of their top-1 accuracy (torchmetrics, average='macro')",
    ),
)


def score_problem(prediction: Any, classes: Sequence[str]) -> str | None:
    """Say what is wrong with class scores, or None.

    Args:
        prediction: to be (C,), float, finite.
        classes: C names; none where the data names no classes, and then any two or more scores will do.
    """
    if not isinstance(prediction, np.ndarray) or not np.issubdtype(prediction.dtype, np.floating):
        kind = getattr(prediction, "dtype", type(prediction).__name__)
        return (
            f"class scores must be a float array, got {kind}; return the scores of all classes as numpy "
            "floats from 'model.output.function', not a label"
        )
    if prediction.ndim != 1 or len(prediction) != (len(classes) or max(2, len(prediction))):
        wanted = f"({len(classes)},), one per class of the data," if classes else "(C,) with C >= 2,"
        return (
            f"class scores must be {wanted} got {prediction.shape}; select the data's classes, in its order, in "
            "'model.output.function'"
        )
    finite = np.isfinite(prediction)
    if not finite.all():
        index = int(np.argmin(finite))
        return (
            f"the score of class {index} is {prediction[index]}; check the weights and the input range, and mask classes "
            "with a large negative number"
        )
    return None


def label_problem(label: Any, count: int) -> str | None:
    """Say what is wrong with a label, or None.

    Args:
        label: to be an integer in 0..count-1.
        count: number of class scores.
    """
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        return f"a label must be an integer, got {type(label).__name__} {label!r:.60}; correct the data set's target"
    if not 0 <= label < count:
        return f"label {label} is not one of the classes 0..{count - 1}; correct the data set's labels or its classes"
    return None


def label_rank(
    scores: npt.NDArray[np.floating[Any]], label: int | npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.intp]:
    """How many classes come before the label.

    Args:
        scores: (..., C), finite.
        label: 0..C-1, or (...) of them.

    Returns:
        (...), 0 where the label comes first.
    """
    column = np.broadcast_to(np.asarray(label, dtype=np.intp), scores.shape[:-1])[..., None]
    own = np.take_along_axis(scores, column, axis=-1)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[-1]) < column))
    return np.asarray(np.count_nonzero(before, axis=-1), dtype=np.intp)


def best_class(scores: npt.NDArray[np.floating[Any]]) -> int:
    """The first of the highest scores, (C,)."""
    return int(np.argmax(scores))


def accuracies(
    weights: FloatArray,
    labels: npt.NDArray[np.integer[Any]],
    ranks: npt.NDArray[np.integer[Any]],
    classes: Sequence[str],
    count: int,
) -> dict[str, FloatArray]:
    """Every metric of :data:`ACCURACY_METRICS` and its classes under each weighting.

    Classes averaged are those with ground truth among the units given, the same under every weighting; a class without
    ground truth in one replicate leaves that replicate's average. ``top1[class]`` is over the units of that label, and
    therefore equals ``mean_class_accuracy[class]``.

    Args:
        weights: (B, n), non-negative.
        labels: (n,).
        ranks: (n,) of :func:`label_rank`, or (B, n) where they differ between weightings.
        classes: names by label; labels name themselves where there are none, and names that occur more than once get
            their label appended (``crane#134``).
        count: C, the number of class scores.

    Returns:
        metric or ``metric[class]`` -> (B,); NaN where nothing has weight.
    """
    order = np.argsort(labels, kind="stable")
    found, starts = np.unique(labels[order], return_index=True)
    weights = np.ascontiguousarray(weights[:, order])
    ranks = ranks[..., order]
    true = segment_sums(weights, starts)
    first = segment_sums(weights * (ranks == 0), starts)
    total = np.add.reduce(true, axis=1)
    accuracy = ratio(first, true)
    defined = true > 0
    result = {
        "top1": ratio(np.add.reduce(first, axis=1), total),
        "top5": np.full(len(weights), np.nan),
        "mean_class_accuracy": ratio(
            np.add.reduce(np.where(defined, accuracy, 0.0), axis=1), np.add.reduce(defined, axis=1, dtype=np.float64)
        ),
    }
    if count >= TOP:
        result["top5"] = ratio(np.add.reduce(segment_sums(weights * (ranks < TOP), starts), axis=1), total)
    names = _unique_names(classes)
    for column, label in enumerate(found.tolist()):
        name = names[label] if names else str(label)
        result[f"top1[{name}]"] = result[f"mean_class_accuracy[{name}]"] = accuracy[:, column]
    return result


def text_digest(text: str) -> npt.NDArray[np.uint64]:
    """A name as 128 bits, (1, 2): evidence stores arrays of fixed type, and names differ in length."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)[None]


def _unique_names(classes: Sequence[str]) -> list[str]:
    """Names as slices: ImageNet has two cranes and two maillots, which must not overwrite each other."""
    occurrences = Counter(classes)
    return [name if occurrences[name] == 1 else f"{name}#{label}" for label, name in enumerate(classes)]
