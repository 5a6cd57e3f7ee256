"""The user's metric object: called by one thread at a time, and its value checked."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from pytest_lossy.errors import LossyError, MetricError
from pytest_lossy.tasks.extra.declaration import MetricSection
from pytest_lossy.usercode import explain_exception

__all__ = ["MetricObject"]


class MetricObject:
    """A metric with ``update``, ``compute`` and ``reset``.

    Args:
        name: in the spec, for messages.
        target: the object.
        section: how the spec declares it.

    Raises:
        MetricError: a method is missing, or the object knows itself to run the other way.
    """

    def __init__(self, name: str, target: Any, section: MetricSection) -> None:
        missing = [method for method in ("update", "compute", "reset") if not callable(getattr(target, method, None))]
        if missing:
            raise MetricError(
                f"metric '{name}': {section.metric} made a {type(target).__name__} without {', '.join(missing)}; name a "
                "class with update, compute and reset, as torchmetrics has them"
            )
        own = getattr(target, "higher_is_better", None)
        if isinstance(own, bool) and own is not section.higher_is_better:
            raise MetricError(
                f"metric '{name}': {section.metric} says higher_is_better = {own}, the spec {section.higher_is_better}; "
                "correct the spec"
            )
        self.name, self._target, self._select = name, target, section.select
        self._lock = threading.Lock()

    def value(self, batches: Sequence[Sequence[Any]]) -> float:
        """``compute`` after an ``update`` with each of the argument lists; NaN where it is not finite."""
        with self._used() as target:
            for arguments in batches:
                target.update(*arguments)
            return self._number(target.compute())

    def states(self, names: Sequence[str], arguments: Sequence[Any]) -> list[Any]:
        """The named states after one ``update``."""
        with self._used() as target:
            target.update(*arguments)
            return [getattr(target, name) for name in names]

    def value_of_states(self, states: Mapping[str, Any]) -> float:
        """``compute`` on given states; NaN where it is not finite."""
        with self._used() as target, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torchmetrics misses a call of update
            for name, state in states.items():
                setattr(target, name, state)
            return self._number(target.compute())

    @contextmanager
    def _used(self) -> Iterator[Any]:
        """The object, reset; one thread computes, for sums of fractions depend on how many do."""
        with self._lock:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                self._target.reset()
                yield self._target
            except LossyError:
                raise
            except Exception as error:  # noqa: BLE001  a user's metric may raise anything
                raise MetricError(f"metric '{self.name}' raised {explain_exception(error)}") from None
            finally:
                torch.set_num_threads(threads)

    def _number(self, found: Any) -> float:
        if self._select is not None:
            try:
                found = found[self._select]
            except (KeyError, IndexError, TypeError):
                raise MetricError(f"metric '{self.name}': select {self._select!r} is not in {_shown(found)}") from None
        if isinstance(found, torch.Tensor):
            found = found.detach().cpu().numpy()
        array = np.asarray(found) if not isinstance(found, Mapping) else None
        if array is None or array.size != 1 or array.dtype.kind not in "biuf":
            raise MetricError(
                f"metric '{self.name}': compute returned {_shown(found)}, not one number; name one of its values in "
                "'select', or ask the metric for an average"
            )
        number = float(array.reshape(()))
        return number if np.isfinite(number) else float("nan")


def _shown(found: Any) -> str:
    if isinstance(found, Mapping):
        return "{" + ", ".join(map(str, found)) + "}"
    shape = getattr(found, "shape", None)
    return f"{type(found).__name__} {tuple(shape)}" if shape is not None else type(found).__name__
