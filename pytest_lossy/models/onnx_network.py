"""ONNX models through ONNX Runtime (the extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.preprocessing import Expects

__all__ = ["OnnxNetwork"]

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}


class OnnxNetwork:
    """One session with one intra-op thread; sessions may be run from several threads."""

    thread_safe = True

    def __init__(self, path: Path, sha256: str, device: str) -> None:
        try:
            import onnxruntime as ort
        except ImportError:
            raise ModelError("ONNX Runtime is not installed; pip install 'pytest-lossy[onnx]'") from None
        options = ort.SessionOptions()
        # One thread a call: convolutions give other bits with another thread count, and workers fill the cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in ort.get_available_providers():
                raise ModelError("this ONNX Runtime has no CUDA provider; install onnxruntime-gpu or use a CPU device")
            index = int(device.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # noqa: BLE001  the runtime raises classes of its own that share no base
            raise ModelError(
                f"{path}: cannot be loaded as ONNX ({str(error).splitlines()[0]}); export it again"
            ) from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = ", ".join(f"{entry.name} {entry.shape}" for entry in inputs)
            raise ModelError(f"{path}: takes {shapes}; one input of 4 dimensions is supported")
        self._input = inputs[0].name
        shape = inputs[0].shape
        layout = "nhwc" if shape[3] == 3 and shape[1] != 3 else "nchw"
        sides = (shape[1], shape[2]) if layout == "nhwc" else (shape[2], shape[3])
        size = (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else None
        self.expects = Expects(layout=layout, dtype=_TYPES.get(inputs[0].type), size=size)
        if isinstance(shape[0], int) and shape[0] != 1:
            raise ModelError(f"{path}: fixes the batch at {shape[0]}; export it with a batch of 1 or a dynamic batch")
        self._one_at_a_time = shape[0] == 1
        self._names = [entry.name for entry in self._session.get_outputs()]
        self._details = {
            "format": "onnx",
            "device": device,
            "weights_sha256": sha256,
            "runtime": ort.__version__,
        }

    def __call__(self, inputs: Any) -> Any:
        """Run a batch; one image at a time where the model file fixes the batch at 1."""
        array = inputs.cpu().numpy() if isinstance(inputs, torch.Tensor) else np.asarray(inputs)
        parts = [array[i : i + 1] for i in range(len(array))] if self._one_at_a_time else [array]
        runs = [self._session.run(None, {self._input: part}) for part in parts]
        outputs = [np.concatenate(arrays) if len(arrays) > 1 else arrays[0] for arrays in zip(*runs, strict=True)]
        return dict(zip(self._names, outputs, strict=True))

    def close(self) -> None:
        """Drop the session."""
        del self._session

    def describe(self) -> dict[str, Any]:
        """Format, device, weights, runtime version."""
        return dict(self._details)
