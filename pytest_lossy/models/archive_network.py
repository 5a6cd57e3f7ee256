"""Exported PyTorch programs: ``torch.export`` archives (.pt2) and TorchScript files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.preprocessing import Expects

__all__ = ["ArchiveNetwork"]


class ArchiveNetwork:
    """A program that needs no Python source of the user's.

    Args:
        path: ``.pt2`` for ``torch.export``, anything else for TorchScript.
        sha256: of the file, for the report.
        device: ``cpu``, ``cuda`` or ``cuda:N``; a ``.pt2`` program runs where it was exported for.
    """

    thread_safe = True

    def __init__(self, path: Path, sha256: str, device: str) -> None:
        self.expects = Expects()
        try:
            if path.suffix == ".pt2":
                program = torch.export.load(path)
                module: Any = program.module()
                self._kind = "torch.export"
            else:
                with warnings.catch_warnings():
                    # TorchScript is deprecated; whoever still ships such a file knows it from exporting it.
                    warnings.simplefilter("ignore", FutureWarning)
                    module = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
                self._kind = "torchscript"
        except Exception as error:  # noqa: BLE001  damaged archives raise anything from zip to C++ errors
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(f"{path}: cannot be loaded ({first}); export the model again") from None
        self._module = module.to(device) if self._kind == "torch.export" else module
        self._device, self._sha256 = device, sha256

    def __call__(self, inputs: Any) -> Any:
        """Run one batch without gradients."""
        with torch.inference_mode():
            return self._module(inputs)

    def close(self) -> None:
        """Drop the program."""
        del self._module
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Format, device, weights."""
        return {"format": self._kind, "device": self._device, "weights_sha256": self._sha256}
