"""The model protocol: uint8 media in, predictions in source coordinates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from pytest_lossy.data.base import Context, UInt8Array

__all__ = ["Model", "Prediction", "StagedModel"]

Prediction = Any
"""In torchvision's conventions and in the coordinates of the source medium."""


@runtime_checkable
class Model(Protocol):
    """A loaded model, ready for inference."""

    @property
    def thread_safe(self) -> bool:
        """Whether several threads may call ``predict`` at once."""

    def predict(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Sequence[Prediction]:
        """Predict for a batch.

        Args:
            media: n arrays, (H, W, 3) or (T, H, W, 3), uint8, RGB; sizes may differ.
            context: n mappings, see :data:`pytest_lossy.data.base.Context`.

        Returns:
            n predictions.

        Raises:
            ModelError: what the network returned cannot be used.
        """

    def close(self) -> None:
        """Free memory; the model is not used afterwards."""

    def describe(self) -> dict[str, Any]:
        """Exact builtins for the report: format, parameters, device, weights' sha256."""


@runtime_checkable
class StagedModel(Model, Protocol):
    """A model whose ``predict`` has two halves, the first of which can be done while other batches run."""

    @property
    def stages(self) -> bool:
        """Whether ``stage`` may be called by several threads at once, and beside ``infer``."""

    def stage(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Any:
        """Pre-process a batch, and copy it to the device."""

    def infer(self, staged: Any) -> Sequence[Prediction]:
        """Predict for what ``stage`` returned."""
