"""Ways to run a PyTorch module faster that may change its numbers a little: ``model.execution`` of a spec."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import ExecutionSection

__all__ = ["Executed"]


class Executed:
    """A module run as a spec asks: called like the module, with float32 outputs.

    Args:
        module: in evaluation mode, on its device; its memory format may be changed in place.
        section: what is asked for.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
    """

    def __init__(self, module: torch.nn.Module, section: ExecutionSection, device: str) -> None:
        self._section, self._device = section, device.partition(":")[0]
        if section.memory_format == "channels_last":
            module.to(memory_format=torch.channels_last)
        self._run: Callable[[Any], Any] = torch.compile(module) if section.compile else module

    def __call__(self, inputs: Any) -> Any:
        """Run one batch.

        Raises:
            ModelError: the module cannot be compiled here.
        """
        if self._section.memory_format == "channels_last":
            inputs = _channels_last(inputs)
        narrow = (
            torch.autocast(self._device, dtype=torch.bfloat16)
            if self._section.precision == "bfloat16"
            else contextlib.nullcontext()
        )
        with narrow:
            try:
                output = self._run(inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                if self._section.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                    first = str(error).strip().splitlines()[0]
                    raise ModelError(
                        f"the model cannot be compiled here ({first}); remove 'model.execution.compile'"
                    ) from None
                raise
        return _as_float32(output)


def _channels_last(inputs: Any) -> Any:
    if isinstance(inputs, torch.Tensor) and inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def _as_float32(output: Any) -> Any:
    """Halves as float32: numpy has no bfloat16, and metrics compute in float32 or more."""
    if isinstance(output, torch.Tensor):
        return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
    if isinstance(output, Mapping):
        return {name: _as_float32(value) for name, value in output.items()}
    if isinstance(output, list):
        return [_as_float32(value) for value in output]
    if type(output) is tuple:
        return tuple(_as_float32(value) for value in output)
    return output
