"""PyTorch modules: a builder function, and weights that cannot run code."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import ExecutionSection
from pytest_lossy.models.execution import Executed
from pytest_lossy.models.preprocessing import Expects
from pytest_lossy.registry import did_you_mean

__all__ = ["TorchNetwork", "load_weights"]

BUILD_SEED = 0
"""A model without weights, or with layers that the weights leave out, is the same in every process."""


class TorchNetwork:
    """An ``nn.Module`` in evaluation mode on one device.

    Args:
        build: called with ``kwargs``; returns the module.
        kwargs: the spec's ``model.kwargs``.
        weights: a .safetensors or weights-only .pt/.pth file, loaded strictly; None to keep what ``build`` set.
        sha256: of the weights, for the report.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        source: what the spec names, for messages.
    """

    thread_safe = True

    def __init__(
        self,
        build: Callable[..., Any],
        kwargs: Mapping[str, Any],
        weights: Path | None,
        sha256: str | None,
        device: str,
        *,
        source: str,
    ) -> None:
        self.expects = Expects()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(BUILD_SEED)
            module = build(**kwargs)
        if not isinstance(module, torch.nn.Module):
            raise ModelError(f"{source} returned {type(module).__name__}; return a torch.nn.Module")
        if weights is not None:
            _load_into(module, load_weights(weights), weights)
        try:
            self._module = module.eval().requires_grad_(False).to(device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"the model cannot be moved to '{device}': {error}; choose another --lossy-device"
            ) from None
        self._run: Callable[[Any], Any] = self._module
        self._execution: str | None = None
        self._device, self._sha256 = device, sha256
        self._parameters = sum(parameter.numel() for parameter in module.parameters())

    def __call__(self, inputs: Any) -> Any:
        """Run one batch without gradients."""
        with torch.inference_mode():
            return self._run(_on_device(inputs, self._device))

    def execute(self, section: ExecutionSection) -> None:
        """Run the module as a spec asks; without this it runs as it is."""
        if not section.is_plain:
            self._run = Executed(self._module, section, self._device)
            self._execution = str(section)
            self.thread_safe = not section.compile  # the first call compiles

    @property
    def module(self) -> torch.nn.Module:
        """The module itself, for training; frozen and in evaluation mode until somebody changes that."""
        return self._module

    def close(self) -> None:
        """Drop the module, and give its GPU memory back."""
        del self._module, self._run
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Format, parameters, device, weights."""
        return {
            "format": "torch",
            "parameters": self._parameters,
            "device": self._device,
            "weights_sha256": self._sha256,
            **({"execution": self._execution} if self._execution else {}),
        }


def _on_device(inputs: Any, device: str) -> Any:
    """Inputs where the module is: a user's ``input.function`` does not know the device."""
    if isinstance(inputs, torch.Tensor):
        return inputs.to(device)
    if isinstance(inputs, list):
        return [_on_device(item, device) for item in inputs]
    return inputs


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict; no file format that runs code is accepted.

    A checkpoint may hold its state dict under ``state_dict`` or ``model``.

    Raises:
        ModelError: the file is damaged or holds something else.
    """
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: cannot be loaded as {'safetensors' if path.suffix == '.safetensors' else 'weights-only checkpoint'}"
            f" ({first}); restore the file, or save a plain state dict"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    ):
        raise ModelError(f"{path}: holds no state dict (a mapping of names to tensors); save model.state_dict()")
    return dict(loaded)


def _load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    own = module.state_dict()
    complaints = []
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in sorted(own.keys() & state.keys())
        if own[name].shape != state[name].shape
    ]
    if shapes:
        complaints.append(f"{len(shapes)} of another shape ({_some(shapes)})")
    try:
        # Only the module knows which keys it renames while loading: torchvision's detectors have files of older versions.
        found = module.load_state_dict({name: value for name, value in state.items() if not shapes}, strict=False)
        missing, unexpected = sorted(found.missing_keys), sorted(found.unexpected_keys)
    except RuntimeError as error:  # shapes that clash once keys are renamed
        missing, unexpected = [], []
        complaints.append(str(error).strip().splitlines()[-1].strip())
    if shapes:
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if unexpected:
        hint = f" {did_you_mean(unexpected[0], own)}" if missing else ""
        complaints.insert(0, f"{len(unexpected)} unexpected ({_some(unexpected)}{hint})")
    if missing:
        complaints.insert(0, f"{len(missing)} missing ({_some(missing)})")
    if complaints:
        raise ModelError(
            f"{path}: the weights do not fit the model: {'; '.join(complaints)}; check 'model.kwargs' and the file"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
