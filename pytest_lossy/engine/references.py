"""Label-free mode's targets: the model's own predictions for the clean samples, computed once and kept on disk."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pytest_lossy.engine.packed import pack, unpack
from pytest_lossy.models.base import Prediction

__all__ = ["ReferenceStore"]


class ReferenceStore:
    """Clean predictions by sample, in files that the run's processes share.

    What cannot be kept (no folder, no space, predictions that are no arrays) is predicted again when it is needed: on one
    CPU type the same batch gives the same bits, so that only time is lost.

    Args:
        folder: where to keep them; None for nowhere.
        limit: bytes that this process may write.
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._folder, self._left = folder, limit
        self._lock = threading.Lock()

    def load(self, index: int) -> dict[int | None, Prediction] | None:
        """The predictions of one sample by frame (None: the whole medium); None where they are not kept."""
        if self._folder is None:
            return None
        path = self._path(self._folder, index)
        try:
            tree = unpack(path)
            return dict(zip(tree["frames"], tree["predictions"], strict=True))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            with contextlib.suppress(OSError):
                path.unlink()  # half a file from a killed process
            return None

    def save(self, index: int, predictions: Mapping[int | None, Prediction]) -> None:
        """Keep the predictions of one sample, where possible."""
        if self._folder is None:
            return
        try:
            data = pack(
                {"frames": list(predictions), "predictions": [_as_arrays(item) for item in predictions.values()]}
            )
        except TypeError:
            return
        with self._lock:
            if len(data) > self._left:
                return
            self._left -= len(data)
        path = self._path(self._folder, index)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:
            with self._lock:
                self._left = 0
            with contextlib.suppress(OSError):
                temporary.unlink()

    @staticmethod
    def _path(folder: Path, index: int) -> Path:
        return folder / f"{index}.bin"


def _as_arrays(prediction: Any) -> Any:
    """Tensors as arrays, so that they can be packed; bfloat16, which numpy lacks, as float32."""
    if isinstance(prediction, torch.Tensor):
        tensor = prediction.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    if isinstance(prediction, Mapping):
        return {name: _as_arrays(value) for name, value in prediction.items()}
    if isinstance(prediction, list):
        return [_as_arrays(value) for value in prediction]
    if isinstance(prediction, tuple):
        return tuple(_as_arrays(value) for value in prediction)
    return prediction
