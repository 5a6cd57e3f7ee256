"""How the values of a metric object become one number per case: per sample, by sums of states, or once for all samples.

Each kind turns a sample into evidence and reduces evidence under weights, as a task does. The first two are weighted
reduces, so that bootstrap replicates are reweightings. The third is not: it has a value for the data as they are, and no
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pytest_lossy.errors import MetricError
from pytest_lossy.tasks.base import Evidence, FloatArray
from pytest_lossy.tasks.extra.arguments import flatten, rebuild
from pytest_lossy.tasks.extra.objects import MetricObject
from pytest_lossy.tasks.ordered_sums import ratio, weighted_sums

__all__ = ["Kind", "MeanOfSamples", "Recomputed", "SumOfStates", "kind_for"]

MAX_BYTES = 1 << 22
"""Of one sample's evidence: 4 MB, which is 2 GB for a case of 500 samples, before compression."""


class Kind(Protocol):
    """One way to reduce. Evidence is by name; the names are the kind's own."""

    def evidence(self, arguments: Sequence[Any]) -> Evidence:
        """What one sample says."""

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> FloatArray:
        """(B, n) weights -> (B,); NaN where it is undefined."""

    def note(self, evidence: Sequence[Evidence]) -> str | None:
        """What a reader of the number must know."""


def kind_for(target: Any, metric: MetricObject, over: str) -> Kind:
    """The kind for a declaration and an object."""
    if over == "samples":
        return MeanOfSamples(metric)
    states = _summed_states(target)
    return SumOfStates(metric, states) if states else Recomputed(metric)


class MeanOfSamples:
    """The object's value for each sample alone, averaged; samples without a finite value do not count."""

    def __init__(self, metric: MetricObject) -> None:
        self._metric = metric

    def evidence(self, arguments: Sequence[Any]) -> Evidence:
        """``value`` (1,) float64, NaN where it is not finite."""
        return {"value": np.array([self._metric.value([arguments])], dtype=np.float64)}

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> FloatArray:
        """The weighted mean of the defined values."""
        values = np.concatenate([item["value"] for item in evidence])
        defined = np.isfinite(values)
        return ratio(weighted_sums(weights, np.where(defined, values, 0.0)), weighted_sums(weights, defined))

    def note(self, evidence: Sequence[Evidence]) -> str | None:
        """How many samples do not count."""
        undefined = sum(not np.isfinite(item["value"][0]) for item in evidence)
        if not undefined:
            return None
        return f"{self._metric.name}: {undefined} of {len(evidence)} samples have no finite value and do not count"


class SumOfStates:
    """A torchmetrics metric whose states are sums over the samples, by its own declaration (``dist_reduce_fx="sum"``).

    So the states of any weighting are the weighted sums of the samples' own, and ``compute`` does the rest.

    Args:
        metric: the object.
        states: name -> default.
    """

    def __init__(self, metric: MetricObject, states: Mapping[str, torch.Tensor]) -> None:
        self._metric, self._states = metric, dict(states)

    def evidence(self, arguments: Sequence[Any]) -> Evidence:
        """Each state, (1, k): int64 where it counts, else float64."""
        found: dict[str, npt.NDArray[Any]] = {}
        for name, state in zip(self._states, self._metric.states(list(self._states), arguments), strict=True):
            array = state.detach().cpu().numpy().reshape(1, -1)
            if array.nbytes > MAX_BYTES:
                raise MetricError(
                    f"metric '{self._metric.name}' keeps {array.size} numbers in its state '{name}', for each sample; use "
                    "'over: samples', or fewer classes or thresholds"
                )
            found[name] = array.astype(np.int64 if array.dtype.kind in "biu" else np.float64)
        return found

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> FloatArray:
        """``compute`` on the weighted sums of the states."""
        sums = {
            name: _weighted_rows(np.concatenate([item[name] for item in evidence]), weights) for name in self._states
        }
        return np.array(
            [
                self._metric.value_of_states({name: self._restored(name, rows[row]) for name, rows in sums.items()})
                if weights[row].any()
                else np.nan
                for row in range(len(weights))
            ]
        )

    def _restored(self, name: str, values: FloatArray) -> torch.Tensor:
        default = self._states[name]
        kind = torch.float64 if default.is_floating_point() else default.dtype
        return torch.from_numpy(values).to(kind).reshape(default.shape)

    def note(self, evidence: Sequence[Evidence]) -> str | None:
        """Nothing."""
        return None


class Recomputed:
    """Any other object: what ``update`` was called with is kept, and the value computed once for all samples."""

    def __init__(self, metric: MetricObject) -> None:
        self._metric = metric
        self._structure: str | None = None

    def evidence(self, arguments: Sequence[Any]) -> Evidence:
        """The leaves of the arguments, each flat as ``I`` (k,) and its shape as ``I#``, and their ``structure``."""
        structure, leaves = flatten(tuple(arguments))
        size = sum(array.nbytes for array in leaves)
        if size > MAX_BYTES:
            raise MetricError(
                f"metric '{self._metric.name}' would keep {size / 1e6:.1f} MB for each sample; use 'over: samples', or a "
                "torchmetrics metric whose states are sums"
            )
        self._structure = self._structure or structure
        if structure != self._structure:
            raise MetricError(
                f"metric '{self._metric.name}': the arguments of update are built differently for two samples "
                f"({self._structure:.80} and {structure:.80}); return the same keys and counts for each"
            )
        found: dict[str, npt.NDArray[Any]] = {"structure": np.frombuffer(structure.encode(), dtype=np.uint8)}
        for index, array in enumerate(leaves):
            found[str(index)] = array.reshape(-1)
            found[f"{index}#"] = np.array(array.shape, dtype=np.int64)
        return found

    def reduce(self, evidence: Sequence[Evidence], weights: FloatArray) -> FloatArray:
        """The value under a single row of ones; NaN under any other weighting: nothing is known of those."""
        if len(weights) != 1 or not (weights == 1).all():
            return np.full(len(weights), np.nan)
        return np.array([self._metric.value([_arguments(item) for item in evidence])])

    def note(self, evidence: Sequence[Evidence]) -> str | None:
        """That there is no interval."""
        return f"{self._metric.name}: computed once for all samples, without an interval"


def _arguments(item: Evidence) -> Any:
    count = sum(name.endswith("#") for name in item)
    return rebuild(
        item["structure"].tobytes().decode(),
        [item[str(index)].reshape(tuple(item[f"{index}#"])) for index in range(count)],
    )


def _weighted_rows(states: npt.NDArray[Any], weights: FloatArray) -> FloatArray:
    """Sums of (n, k) states under (B, n) weights, (B, k): the same bits however many rows are asked for."""
    if states.dtype.kind == "i":
        counted: FloatArray = weights @ states.astype(np.float64)  # whole numbers are exact in any order
        return counted
    return np.stack([np.add.reduce(states * row[:, None], axis=0) for row in weights])


def _summed_states(target: Any) -> dict[str, torch.Tensor]:
    """The states of a torchmetrics metric, with their defaults; none unless every one of them is a sum."""
    try:
        from torchmetrics import Metric
        from torchmetrics.utilities import dim_zero_sum
    except ImportError:
        return {}
    if not isinstance(target, Metric):
        return {}
    defaults: Mapping[str, Any] = getattr(target, "_defaults", {})
    reductions: Mapping[str, Any] = getattr(target, "_reductions", {})
    summed = all(
        isinstance(default, torch.Tensor) and reductions.get(name) is dim_zero_sum for name, default in defaults.items()
    )
    return dict(defaults) if summed else {}
