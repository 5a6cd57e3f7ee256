"""Values of MAITE's protocols (https://github.com/mit-ll-ai-technology/maite) as this package has them.

The protocols are structural: an object conforms by its attributes, and nothing here needs the package itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["detections", "metadata_of", "plain_array"]


def metadata_of(component: Any) -> Mapping[str, Any] | None:
    """The ``metadata`` of a MAITE component, a mapping with an ``id``; None where the object is none."""
    found = getattr(component, "metadata", None)
    return found if isinstance(found, Mapping) and "id" in found else None


def plain_array(value: Any) -> npt.NDArray[Any]:
    """An ``ArrayLike`` as numpy; tensors come from whatever device, and lose their gradients."""
    detach = getattr(value, "detach", None)
    return np.asarray(detach().cpu() if callable(detach) else value)


def detections(target: Any, *, scored: bool) -> dict[str, npt.NDArray[Any]] | str:
    """An ``ObjectDetectionTarget`` in torchvision's conventions.

    Args:
        target: has ``boxes`` (n, 4), x0, y0, x1, y1, ``labels`` (n,), and ``scores`` (n,) or (n, classes), of which the
            column of each box's label counts.
        scored: whether the scores are wanted: those of the ground truth say nothing.

    Returns:
        ``boxes`` (n, 4) float64, ``labels`` (n,) int64 and, where wanted, ``scores`` (n,) float64; or what is wrong.
    """
    names = ("boxes", "labels", "scores")
    missing = [name for name in names if not hasattr(target, name)]
    if missing:
        return f"has no {' and no '.join(missing)}, which MAITE's ObjectDetectionTarget has"
    boxes, labels, scores = (plain_array(getattr(target, name)) for name in names)
    count = len(boxes) if boxes.ndim else 0
    if boxes.size != 4 * count or (count and boxes.ndim != 2):
        return f"has boxes {boxes.shape}, not (n, 4)"
    if labels.size != count:
        return f"has {count} boxes and labels {labels.shape}, not ({count},)"
    labels = labels.reshape(count)
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        return f"has label {labels[whole != labels][0]}, which is no whole number"
    found: dict[str, npt.NDArray[Any]] = {"boxes": boxes.reshape(count, 4).astype(np.float64), "labels": whole}
    if not scored:
        return found
    if scores.ndim == 2 and len(scores) == count and scores.shape[1] > 1:
        outside = whole[(whole < 0) | (whole >= scores.shape[1])]
        if outside.size:
            return f"has label {outside[0]} and scores of the classes 0..{scores.shape[1] - 1}"
        scores = scores[np.arange(count), whole]
    if scores.size != count:
        return f"has {count} boxes and scores {scores.shape}, not ({count},) or ({count}, classes)"
    return {**found, "scores": scores.reshape(count).astype(np.float64)}
