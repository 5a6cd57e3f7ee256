"""Models of MAITE's protocols for image classification and object detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pytest_lossy.data.maite_values import detections, metadata_of, plain_array
from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import MAITE_TASKS
from pytest_lossy.models.preprocessing import Expects
from pytest_lossy.models.torch_network import BUILD_SEED

__all__ = ["MaiteNetwork"]


class MaiteNetwork:
    """What ``maite:`` names: called with a list of (3, H, W) arrays, as the spec's ``input`` prepares them.

    Args:
        build: called with ``kwargs``; returns the MAITE model, which brings its weights and chooses its device.
        kwargs: the spec's ``model.kwargs``.
        task: ``classification`` or ``detection``.
        source: what the spec names, for messages.

    Raises:
        ModelError: it returned something else, or MAITE has no protocol for the task.
    """

    thread_safe = False
    """Nothing is known about its state."""

    def __init__(self, build: Callable[..., Any], kwargs: Mapping[str, Any], task: str, *, source: str) -> None:
        if task not in MAITE_TASKS:
            raise ModelError(
                f"MAITE has protocols for {' and '.join(MAITE_TASKS)}, not for '{task}'; wrap the model as a 'callable'"
            )
        self.expects = Expects()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(BUILD_SEED)
            model = build(**kwargs)
        metadata = metadata_of(model)
        if metadata is None or not callable(model):
            raise ModelError(
                f"{source} returned {type(model).__name__}, which is no MAITE model; return a callable with metadata = "
                "{'id': ...}"
            )
        self._model, self._task, self._source, self._id = model, task, source, str(metadata["id"])

    def __call__(self, inputs: Any) -> Any:
        """Run one batch, (n, 3, H, W), or whatever a user's ``input.function`` returns.

        Returns:
            Class scores (n, C), or a list of mappings with ``boxes``, ``labels`` and ``scores``.

        Raises:
            ModelError: the answers are not those of the protocol.
        """
        batch = list(inputs.cpu().numpy()) if isinstance(inputs, torch.Tensor) else inputs
        with torch.no_grad():
            answers = list(self._model(batch))
        if self._task == "detection":
            return [self._detections(answer) for answer in answers]
        return self._scores(answers)

    def _scores(self, answers: Sequence[Any]) -> torch.Tensor:
        rows = [plain_array(answer) for answer in answers]
        shapes = {row.shape for row in rows}
        if len(shapes) != 1 or rows[0].ndim != 1:
            raise ModelError(
                f"{self._source} returned scores of the shapes {sorted(shapes)}; MAITE's classifiers return (classes,) for "
                "each image"
            )
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    def _detections(self, answer: Any) -> dict[str, Any]:
        found = detections(answer, scored=True)
        if isinstance(found, str):
            raise ModelError(f"{self._source}: an answer {found}")
        return dict(found)

    def close(self) -> None:
        """Drop the model."""
        del self._model

    def describe(self) -> dict[str, Any]:
        """Format and the model's own name."""
        return {"format": "maite", "name": self._source, "id": self._id}
