"""From a prediction and its target to the arguments of ``update``: a batch of one, in torchmetrics' conventions.

These arguments can also be stored as arrays and rebuilt, for metrics that need all samples at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_lossy.errors import MetricError
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.pictures import class_probabilities

__all__ = ["Arguments", "arguments_for", "flatten", "rebuild"]

Arguments = Callable[[Any, Any], Sequence[Any]]
"""Prediction and target -> arguments of ``update``."""


def arguments_for(task: Task) -> Arguments:
    """What ``update`` is called with for a task; of another package's task prediction and target as they are.

    - classification and action: probabilities (1, C) float64, label (1,) int64. torchmetrics takes a batch with a value
      outside 0..1 for logits, which single samples would answer differently: hence never logits;
    - segmentation: label maps (1, H, W) int64 twice; 255 is "not labelled" (``ignore_index=255``);
    - depth: metres (n,) float twice, of the pixels whose depth is known;
    - detection and pose: two lists of one mapping of tensors: ``boxes`` (k, 4) xyxy, ``labels``, ``scores``, ``keypoints``
      (k, m, 3), and of the target ``iscrowd``.
    """
    if task.name in ("action", "classification"):
        return _Scores(getattr(getattr(task, "options", None), "scores", "auto"))
    return _BY_TASK.get(task.name, lambda prediction, target: (prediction, target))


class _Scores:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, prediction: Any, target: Any) -> Sequence[Any]:
        label = target["label"] if isinstance(target, Mapping) else target
        return torch.from_numpy(class_probabilities(prediction, self._kind)[None]), torch.tensor([int(label)])


def _label_maps(prediction: Any, target: Any) -> Sequence[Any]:
    return tuple(torch.from_numpy(np.array(labels, dtype=np.int64)[None]) for labels in (prediction, target))


def _depths(prediction: Any, target: Any) -> Sequence[Any]:
    truth = np.asarray(target)
    known = np.isfinite(truth) & (truth > 0)
    return tuple(torch.from_numpy(np.array(depth, dtype=np.float32)[known]) for depth in (prediction, truth))


def _instances(prediction: Any, target: Any) -> Sequence[Any]:
    truth = _fields(target, ("boxes", "labels", "keypoints", "iscrowd"))
    count = len(next(iter(truth.values()), ()))
    truth.setdefault("iscrowd", torch.zeros(count, dtype=torch.int64))
    return [_fields(prediction, ("boxes", "labels", "keypoints", "scores"))], [truth]


def _fields(instances: Mapping[str, Any], names: Sequence[str]) -> dict[str, torch.Tensor]:
    kinds = {"labels": np.int64, "iscrowd": np.int64}
    return {
        name: torch.from_numpy(np.array(instances[name], dtype=kinds.get(name, np.float32)))
        for name in names
        if instances.get(name) is not None
    }


_BY_TASK: dict[str, Arguments] = {
    "depth": _depths,
    "detection": _instances,
    "pose": _instances,
    "segmentation": _label_maps,
}


def flatten(arguments: Any) -> tuple[str, list[npt.NDArray[Any]]]:
    """Take nested lists, tuples and mappings of tensors, arrays and numbers apart.

    Returns:
        their structure as JSON, and their leaves in order.

    Raises:
        MetricError: something in them is none of these.
    """
    leaves: list[npt.NDArray[Any]] = []

    def visit(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {"mapping": [[str(key), visit(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"tuple" if isinstance(value, tuple) else "list": [visit(item) for item in value]}
        tensor = isinstance(value, torch.Tensor)
        array = value.detach().cpu().numpy() if tensor else np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise MetricError(
                f"an argument of update is a {type(value).__name__}; to be stored, arguments must be tensors, arrays, "
                "numbers, or lists and mappings of these"
            )
        leaves.append(array)
        return "tensor" if tensor else "array"

    return json.dumps(visit(arguments)), leaves


def rebuild(structure: str, leaves: Sequence[npt.NDArray[Any]]) -> Any:
    """The inverse of :func:`flatten`."""
    rest = iter(leaves)

    def visit(node: Any) -> Any:
        if isinstance(node, str):
            return torch.from_numpy(next(rest).copy()) if node == "tensor" else next(rest)
        ((kind, parts),) = node.items()
        if kind == "mapping":
            return {key: visit(part) for key, part in parts}
        found = [visit(part) for part in parts]
        return tuple(found) if kind == "tuple" else found

    return visit(json.loads(structure))
