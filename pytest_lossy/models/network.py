"""A network between declared pre-processing and declared post-processing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import ModelError
from pytest_lossy.models.base import Prediction
from pytest_lossy.models.preprocessing import Batch, Expects, Placement, Prepare

__all__ = ["Decode", "Network", "NetworkModel"]

Decode = Callable[[Any, Any], Sequence[Prediction]]
"""Called with the selected output and the placements (a user's function: the source sizes); one prediction each."""


class Network(Protocol):
    """What runs between a batch and raw outputs."""

    expects: Expects
    thread_safe: bool

    def __call__(self, inputs: Any) -> Any:
        """Run a batch; returns a tensor, a sequence or a mapping of tensors, batch first."""

    def close(self) -> None:
        """Free memory."""

    def describe(self) -> dict[str, Any]:
        """Exact builtins for the report."""


class NetworkModel:
    """A :class:`~pytest_lossy.models.base.Model` made of three parts: prepare, run, decode."""

    def __init__(self, network: Network, prepare: Prepare, decode: Decode, select: int | str | None) -> None:
        self._network, self._prepare, self._decode, self._select = network, prepare, decode, select

    @property
    def thread_safe(self) -> bool:
        """Whether several threads may call ``predict`` at once."""
        return self._network.thread_safe

    @property
    def network(self) -> Network:
        """What runs between preparation and decoding."""
        return self._network

    @property
    def stages(self) -> bool:
        """Whether :meth:`stage` may be called by several threads at once, and beside inference.

        What a spec declares may; a user's function need not expect it.
        """
        return self.thread_safe and getattr(self._prepare, "is_declared", False)

    def predict(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Sequence[Prediction]:
        """Predict for a batch; see :class:`pytest_lossy.models.base.Model`."""
        return self.infer(self.stage(media, context))

    def stage(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> list[Batch]:
        """Pre-process a batch, and copy it to the device: the first half of :meth:`predict`."""
        prepared = self._prepare(media, context)
        if isinstance(prepared, list) and prepared and isinstance(prepared[0], Batch):
            return prepared
        sizes = [(image.shape[-3], image.shape[-2]) for image in media]
        return [Batch(prepared, [Placement(size, size, size) for size in sizes], list(range(len(media))))]

    def infer(self, staged: Sequence[Batch]) -> Sequence[Prediction]:
        """Predict for what :meth:`stage` returned: the second half of :meth:`predict`."""
        predictions: list[Prediction] = [None] * sum(len(batch.positions) for batch in staged)
        for batch in staged:
            output = select_output(self._network(batch.inputs), self._select)
            for position, prediction in zip(batch.positions, self._decoded(output, batch), strict=True):
                predictions[position] = prediction
        return predictions

    def _decoded(self, output: Any, batch: Batch) -> Sequence[Prediction]:
        ours = getattr(self._decode, "takes_placements", False)
        places = batch.placements if ours else [placement.source for placement in batch.placements]
        predictions = self._decode(output, places)
        try:
            count = len(predictions)
        except TypeError:
            raise ModelError(
                f"the output function returned {type(predictions).__name__}; return a sequence, one per sample"
            ) from None
        if count != len(batch.positions):
            raise ModelError(f"{count} predictions for a batch of {len(batch.positions)}; return one per sample")
        return predictions

    def close(self) -> None:
        """Free the network's memory."""
        self._network.close()

    def describe(self) -> dict[str, Any]:
        """Exact builtins for the report."""
        return self._network.describe()


def select_output(output: Any, select: int | str | None) -> Any:
    """Pick one of several outputs.

    A single output, or torchvision's ``{"out": ...}``, needs no selection.

    Raises:
        ModelError: the selection is missing, or does not fit.
    """
    if isinstance(output, Mapping):
        key = "out" if select is None and "out" in output else select
        if key is None and len(output) == 1:
            key = next(iter(output))
        if key not in output:
            names = ", ".join(map(str, output))
            raise ModelError(f"the network returns {{{names}}}; name one of them in 'model.output.select'")
        return output[key]
    if isinstance(output, list | tuple):
        if select is None and output and all(isinstance(one, Mapping) for one in output):
            return output  # torchvision's detectors: one mapping per image
        if select is None and len(output) == 1:
            return output[0]
        if not isinstance(select, int) or not -len(output) <= select < len(output):
            raise ModelError(
                f"the network returns {len(output)} outputs; choose one in 'model.output.select' (0..{len(output) - 1})"
            )
        return output[select]
    if select is not None:
        raise ModelError("the network returns a single output; remove 'model.output.select'")
    return output
