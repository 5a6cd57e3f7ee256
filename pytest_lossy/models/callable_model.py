"""Anything that predicts: a function or object of the user's, such as a remote endpoint or a TensorRT engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import ModelError
from pytest_lossy.models.base import Prediction

__all__ = ["CallableModel"]


class CallableModel:
    """Wraps what ``callable:`` names.

    Args:
        build: called with ``kwargs``; returns a function ``(media, context) -> predictions``, or an object with a method
            ``predict`` of that form and, optionally, ``thread_safe``, ``close`` and ``describe``.
        kwargs: the spec's ``model.kwargs``.
        source: what the spec names, for messages.

    Raises:
        ModelError: it returned neither.
    """

    def __init__(self, build: Callable[..., Any], kwargs: Mapping[str, Any], *, source: str) -> None:
        self._target = build(**kwargs)
        self._source = source
        predict = getattr(self._target, "predict", self._target)
        if not callable(predict):
            raise ModelError(
                f"{source} returned {type(self._target).__name__}; return a function (media, context) -> predictions, or an "
                "object with such a method 'predict'"
            )
        self._predict: Callable[..., Any] = predict

    @property
    def thread_safe(self) -> bool:
        """False unless the target says otherwise: nothing is known about its state."""
        return bool(getattr(self._target, "thread_safe", False))

    def predict(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Sequence[Prediction]:
        """Hand the batch on."""
        predictions: Sequence[Prediction] = self._predict(media, context)
        return predictions

    def close(self) -> None:
        """Close the target, where it can be closed."""
        close = getattr(self._target, "close", None)
        if callable(close):
            close()

    def describe(self) -> dict[str, Any]:
        """What the target tells of itself."""
        describe = getattr(self._target, "describe", None)
        own = describe() if callable(describe) else {}
        return {"format": "callable", "name": self._source, **own}
