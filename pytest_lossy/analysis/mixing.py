"""The expected metric of a fleet: the levels' metrics weighed by how often each occurs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_lossy.analysis.comparison import Replicates

__all__ = ["mix_replicates"]


def mix_replicates(parts: Sequence[tuple[Replicates, float]]) -> Replicates:
    """Expectation over levels, of the metrics and of each bootstrap replicate.

    The replicates of all levels share their sample weights, so that the expectation keeps the pairing with clean. A metric
    that some level lacks is left out.

    Args:
        parts: what each level measured on the same samples, and its share; the shares sum to 1.
    """
    names = [name for name in parts[0][0].point if all(name in measured.point for measured, _ in parts)]
    point = {name: sum(share * measured.point[name] for measured, share in parts) for name in names}
    replicates = {
        name: np.sum([share * measured.replicates[name] for measured, share in parts], axis=0)
        for name in names
        if all(name in measured.replicates for measured, _ in parts)
    }
    return Replicates(point, replicates, min(measured.units for measured, _ in parts))
