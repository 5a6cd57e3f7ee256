"""Metrics of tagged samples: the same reduce over the rows that carry a tag."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pytest_lossy.analysis.bootstrap import Reduce, independent_units
from pytest_lossy.tasks.base import Evidence, FloatArray

__all__ = ["tag_units", "tagged_reduce"]


def tagged_reduce(
    reduce: Callable[[Sequence[Evidence], FloatArray], dict[str, FloatArray]],
    evidence: Sequence[Evidence],
    tags: Sequence[Sequence[str]],
) -> Reduce:
    """A reduce over all samples that also gives ``metric{tag}`` for each tag.

    A slice shares the sample weights of the whole, so that it is paired with it and with every level. Within a slice,
    classes are those that the slice has; classes of a slice (``miou[car]{night}``) are not reported.

    Args:
        reduce: the task's.
        evidence: n samples.
        tags: n sequences of tags.

    Returns:
        (B, n) weights -> metric -> (B,).
    """
    members: dict[str, list[int]] = {}
    for index, names in enumerate(tags):
        for name in names:
            members.setdefault(name, []).append(index)

    def whole(weights: FloatArray) -> dict[str, FloatArray]:
        result = dict(reduce(evidence, weights))
        for name in sorted(members):
            rows = members[name]
            part = reduce([evidence[row] for row in rows], np.ascontiguousarray(weights[:, rows]))
            result |= {f"{metric}{{{name}}}": values for metric, values in part.items() if "[" not in metric}
        return result

    return whole


def tag_units(groups: Sequence[str | None], tags: Sequence[Sequence[str]]) -> dict[str, int]:
    """How many independent units have a sample that carries each tag.

    Args:
        groups: n groups, None for a sample of its own.
        tags: n sequences of tags, or none at all.
    """
    units, _ = independent_units(groups)
    members: dict[str, set[int]] = {}
    for index, names in enumerate(tags):
        for name in names:
            members.setdefault(name, set()).add(int(units[index]))
    return {name: len(members[name]) for name in sorted(members)}
