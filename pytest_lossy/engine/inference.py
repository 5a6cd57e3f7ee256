"""Calls of a model: batches of what fits, checked answers, errors that name the samples."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.data.base import Context
from pytest_lossy.engine.devices import copying_aside, wait_for
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.models.base import Model, Prediction, StagedModel
from pytest_lossy.usercode import explain_exception

__all__ = ["Inference"]

Input = tuple[str, UInt8Array, Context]
"""A name for messages, the pixels, and what a deployment knows besides them."""


class Inference:
    """Predicts any number of inputs in batches.

    Args:
        model: ready for inference.
        batch_size: inputs per call of ``model.predict``.
        concurrent: how many calls may run at once; where pre-processing may be apart from inference, it is not counted.
        device: where the model is.
    """

    def __init__(self, model: Model, batch_size: int, concurrent: int, device: str = "cpu") -> None:
        self._model, self._batch_size, self._device = model, batch_size, device
        self._slots = threading.Semaphore(concurrent)
        self.fitting = batch_size
        """The batch size that fits GPU memory, lowered when one did not."""

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """One prediction per input.

        Raises:
            ModelError: the model failed, or answered with another number of predictions.
        """
        predictions: list[Prediction] = []
        while len(predictions) < len(inputs):
            part = inputs[len(predictions) : len(predictions) + self.fitting]
            try:
                predictions += self._call(part)
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    raise ModelError(
                        f"one sample does not fit GPU memory ({error}); use a smaller input or another device"
                    ) from None
                # Another thread may have found a smaller one meanwhile.
                self.fitting = min(self.fitting, max(1, len(part) // 2))
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        return predictions

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        if self.fitting < self._batch_size:
            return [f"GPU memory ran out: batches of {self.fitting} instead of {self._batch_size}"]
        return []

    def _call(self, part: Sequence[Input]) -> list[Prediction]:
        names = [name for name, _, _ in part]
        try:
            answer = self._answer([media for _, media, _ in part], [context for _, _, context in part])
        except torch.OutOfMemoryError:
            raise
        except LossyError as error:
            raise type(error)(f"{error} [{_listed(names)}]") from None
        except Exception as error:  # noqa: BLE001  a user's model may raise anything
            raise ModelError(f"the model raised {explain_exception(error)}\n  on {_listed(names)}") from None
        if len(answer) != len(part):
            raise ModelError(
                f"the model returned {len(answer)} predictions for {len(part)} samples ({_listed(names)}); return one per "
                "sample"
            )
        return answer

    def _answer(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> list[Prediction]:
        if not (isinstance(self._model, StagedModel) and self._model.stages):
            with self._slots:
                return list(self._model.predict(media, context))
        with copying_aside(self._device):
            staged = self._model.stage(media, context)
        with self._slots:
            answer = list(self._model.infer(staged))
            # What was staged is freed in another stream than the one that reads it, and would be written over.
            wait_for(self._device)
            return answer


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
