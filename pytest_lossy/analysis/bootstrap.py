"""The paired bootstrap: multinomial weights over independent units, shared by every case of one data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from pytest_lossy.tasks.base import FloatArray

__all__ = [
    "BOOTSTRAP_SEED",
    "bias_corrected",
    "bias_corrected_ranks",
    "bounded_share",
    "independent_units",
    "replicate",
    "resample_weights",
    "small_sample_quantile",
    "weight_chunks",
]

BOOTSTRAP_SEED = 200714314
"""Fixed, so that the same evidence always gives the same interval (the paper's arXiv number)."""

_CHUNK_VALUES = 4_000_000
"""Weights held at once: 32 MB in float64, whatever the number of samples and replicates."""

Reduce = Callable[[FloatArray], dict[str, FloatArray]]
"""(B, n) weights -> metric -> (B,)."""


def independent_units(groups: Sequence[str | None]) -> tuple[npt.NDArray[np.intp], int]:
    """Number the independent units: a sample's ``group``, or the sample itself where it has none.

    Resampling correlated samples one by one makes intervals too narrow. Where all samples share one group nothing but
    the samples can be resampled: the interval then speaks of that sequence only.

    Returns:
        (n,) the unit of each sample, and the number of units.
    """
    names = [f"group:{group}" if group is not None else f"sample:{index}" for index, group in enumerate(groups)]
    if len(set(names)) == 1:
        names = [str(index) for index in range(len(groups))]
    numbers: dict[str, int] = {}
    units = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)
    return units, len(numbers)


def weight_chunks(
    units: npt.NDArray[np.intp], count: int, replicates: int, seed: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Draw how often each unit occurs in each replicate, and give that weight to its samples, a few rows at a time.

    Args:
        units: (n,) unit of each sample.
        count: number of units.
        replicates: B.
        seed: combined with ``count``, so that the weights depend on nothing but the shape of the data.

    Yields:
        (b, n) whole numbers, B rows in all; each row sums to ``count`` over the units. How the rows are cut changes none.
    """
    step = max(1, _CHUNK_VALUES // max(1, len(units)))
    if replicates <= step:  # one chunk: all cases of a data set share it
        yield _single_chunk(units.tobytes(), count, replicates, seed)
        return
    generator = _generator(seed, count)
    for start in range(0, replicates, step):
        yield _drawn(generator, units, count, min(step, replicates - start))


@lru_cache(maxsize=1)
def _single_chunk(units: bytes, count: int, replicates: int, seed: int) -> npt.NDArray[np.int64]:
    weights = _drawn(_generator(seed, count), np.frombuffer(units, np.intp), count, replicates)
    weights.flags.writeable = False
    return weights


def _generator(seed: int, count: int) -> np.random.Generator:
    entropy = int.from_bytes(hashlib.sha256(f"{seed}/{count}".encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(entropy))


def _drawn(
    generator: np.random.Generator, units: npt.NDArray[np.intp], count: int, replicates: int
) -> npt.NDArray[np.int64]:
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=replicates)
    # In rows: a view in columns would make float sums depend on how many replicates are reduced at once.
    return drawn.take(units, axis=1).astype(np.int64, copy=False)


def resample_weights(units: npt.NDArray[np.intp], count: int, replicates: int, seed: int) -> npt.NDArray[np.int64]:
    """All rows of :func:`weight_chunks` at once: (B, n)."""
    return np.concatenate(list(weight_chunks(units, count, replicates, seed)))


def replicate(reduce: Reduce, chunks: Iterable[npt.NDArray[np.int64]]) -> dict[str, FloatArray]:
    """Apply ``reduce`` to all replicates, in chunks of bounded memory whatever the number of samples.

    Args:
        reduce: (b, n) weights -> metric -> (b,).
        chunks: as :func:`weight_chunks` yields them.

    Returns:
        metric -> (B,).
    """
    parts = [reduce(chunk.astype(np.float64)) for chunk in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def bounded_share(units: int, confidence: float) -> float:
    """The upper bound of the share of a kind of unit of which n units show none.

    It is ``1 - (1 - confidence) ** (1 / n)``, about 3 / n (the "rule of three", Hanley & Lippman-Hand 1983).
    """
    return float(1 - (1 - confidence) ** (1 / max(1, units)))


def small_sample_quantile(normal: float, units: int | None) -> float:
    """A quantile of the standard normal, widened as few units demand: Student's t, and the bootstrap's n / (n - 1).

    Bootstrap variances divide by n instead of n - 1, and percentile intervals of a mean use normal quantiles where
    Student's belong: with 30 units an interval of 95 % is 6 % too narrow ("expanded percentile interval", Hesterberg 2015,
    "What teachers should know about the bootstrap", section 4).

    Args:
        normal: the quantile, of either sign.
        units: n independent units, 2 or more; None for no correction.
    """
    if units is None or units < 2:
        return normal
    # The probability is halved into one tail: that of a large quantile would round to 1.
    student = float(stdtrit(units - 1, ndtr(-abs(normal))))
    return float(np.copysign(student * np.sqrt(units / (units - 1)), normal))


def bias_corrected_ranks(
    point: float, ordered: FloatArray, confidence: float, units: int | None
) -> tuple[float, float]:
    """Between which shares of the sorted replicates the bias-corrected interval lies.

    Args:
        point: the estimate on the full data.
        ordered: (b,) ascending, without NaN; infinite ones count by their rank.
        confidence: two-sided.
        units: as of :func:`small_sample_quantile`.

    Returns:
        (lower, upper) probabilities.
    """
    below = np.searchsorted(ordered, point, side="left")
    equal = np.searchsorted(ordered, point, side="right") - below
    share = float(below + 0.5 * equal) / len(ordered)
    # A share of 0 or 1 would move both ends to the same extreme replicate.
    share = float(np.clip(share, 1 / (len(ordered) + 1), len(ordered) / (len(ordered) + 1)))
    tail = small_sample_quantile(float(ndtri((1 - confidence) / 2)), units)
    shift = 2 * ndtri(share)
    lower, upper = ndtr([shift + tail, shift - tail])
    return float(lower), float(upper)


def bias_corrected(
    point: float, replicates: FloatArray, confidence: float, units: int | None = None
) -> tuple[float, float] | None:
    """The bias-corrected percentile interval (Efron 1981; Efron & Tibshirani 1993, section 14.3, with a = 0).

    The plain percentile interval is centred on the replicates' median, which for mIoU and for ratios lies off the
    estimate itself; the correction shifts both percentiles by that bias. Half of the replicates that equal the estimate
    count as below it, since discrete data ties.

    Args:
        point: the estimate on the full data.
        replicates: (B,); NaN replicates, where the metric is undefined, are left out.
        confidence: two-sided, such as 0.95.
        units: independent units behind the replicates, which widen the interval where they are few
            (:func:`small_sample_quantile`).

    Returns:
        (low, high), which always contains ``point``; None where fewer than half of the replicates are defined.
    """
    defined = np.sort(replicates[np.isfinite(replicates)])
    if not np.isfinite(point) or 2 * len(defined) < len(replicates) or not len(defined):
        return None
    low, high = np.quantile(defined, bias_corrected_ranks(point, defined, confidence, units))
    return min(float(low), point), max(float(high), point)
