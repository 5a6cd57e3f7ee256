"""MoveNet Lightning (LiteRT, quantised) as a top-down pose model: one crop per person box of the context."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

SIDE = 192
MARGIN = 1.25


class MoveNet:
    """One interpreter per thread; the codec has worked on the whole picture before the crops are cut."""

    thread_safe = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.local = threading.local()

    def predict(self, media: Sequence[np.ndarray], context: Sequence[Mapping[str, Any]]) -> list[dict[str, np.ndarray]]:
        if not hasattr(self.local, "interpreter"):
            self.local.interpreter = Interpreter(model_path=self.path, num_threads=1)
            self.local.interpreter.allocate_tensors()
        return [self.people(image, facts["boxes"]) for image, facts in zip(media, context, strict=True)]

    def people(self, image: np.ndarray, boxes: np.ndarray) -> dict[str, np.ndarray]:
        interpreter = self.local.interpreter
        found = []
        for left, top, right, bottom in np.asarray(boxes, dtype=np.float64):
            half = MARGIN * max(right - left, bottom - top) / 2
            x, y = (left + right) / 2 - half, (top + bottom) / 2 - half
            # Pillow fills what lies outside the picture with black.
            crop = Image.fromarray(image).transform(
                (SIDE, SIDE), Image.Transform.EXTENT, (x, y, x + 2 * half, y + 2 * half), Image.Resampling.BILINEAR
            )
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.asarray(crop)[None])
            interpreter.invoke()
            points = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 0]
            found.append(np.stack([x + points[:, 1] * 2 * half, y + points[:, 0] * 2 * half, points[:, 2]], axis=1))
        keypoints = np.array(found, dtype=np.float64).reshape(-1, 17, 3)
        return {"keypoints": keypoints, "scores": keypoints[:, :, 2].mean(axis=1)}


def build(path: str) -> MoveNet:
    return MoveNet(path)
