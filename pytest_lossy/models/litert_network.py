"""LiteRT (TensorFlow Lite) models through ``ai-edge-litert`` (the extra ``litert``)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.preprocessing import Expects

__all__ = ["LiteRTNetwork"]


class LiteRTNetwork:
    """One interpreter per calling thread, one image at a time, as on the devices that these files are made for."""

    thread_safe = True

    def __init__(self, path: Path, sha256: str) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise ModelError("LiteRT is not installed; pip install 'pytest-lossy[litert]'") from None
        self._interpreter_class, self._path = Interpreter, path
        self._content = path.read_bytes()
        self._local = threading.local()
        interpreter = self._interpreter()
        details = interpreter.get_input_details()
        if len(details) != 1 or len(details[0]["shape"]) != 4 or details[0]["shape"][0] != 1:
            shapes = ", ".join(f"{entry['name']} {list(entry['shape'])}" for entry in details)
            raise ModelError(f"{path}: takes {shapes}; one input (1, H, W, 3) is supported")
        shape = [int(side) for side in details[0]["shape"]]
        layout = "nhwc" if shape[3] == 3 else "nchw"
        scale, zero_point = details[0]["quantization"]
        self.expects = Expects(
            layout=layout,
            scores_layout="nhwc",
            dtype=np.dtype(details[0]["dtype"]).name,
            size=(shape[1], shape[2]) if layout == "nhwc" else (shape[2], shape[3]),
            scale=float(scale),
            zero_point=int(zero_point),
        )
        self._details = {"format": "litert", "device": "cpu", "weights_sha256": sha256}

    def _interpreter(self) -> Any:
        """The calling thread's interpreter: one holds the tensors of one call and must not be shared."""
        if not hasattr(self._local, "interpreter"):
            try:
                interpreter = self._interpreter_class(model_content=self._content, num_threads=1)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"{self._path}: cannot be loaded as LiteRT ({error}); export it again") from None
            self._local.interpreter = interpreter
        return self._local.interpreter

    def __call__(self, inputs: Any) -> Any:
        """Run each image of a batch; quantised outputs come back as real numbers."""
        batch = inputs.cpu().numpy() if isinstance(inputs, torch.Tensor) else np.asarray(inputs)
        interpreter = self._interpreter()
        index = interpreter.get_input_details()[0]["index"]
        outputs = interpreter.get_output_details()
        collected: list[list[npt.NDArray[Any]]] = [[] for _ in outputs]
        for image in batch:
            interpreter.set_tensor(index, image[None])
            interpreter.invoke()
            for position, output in enumerate(outputs):
                value = interpreter.get_tensor(output["index"])
                scale, zero_point = output["quantization"]
                if scale:
                    value = (value.astype(np.float32) - zero_point) * np.float32(scale)
                collected[position].append(value)
        return [np.concatenate(parts) for parts in collected]

    def close(self) -> None:
        """Drop this thread's interpreter and the model's bytes."""
        self._local = threading.local()
        self._content = b""

    def describe(self) -> dict[str, Any]:
        """Format, device, weights."""
        return dict(self._details)
