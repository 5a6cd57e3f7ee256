"""One case in parts: what several processes evaluated of it, joined to what one process would have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pytest_lossy.results.evidence import CaseEvidence

__all__ = ["join_parts"]


def join_parts(parts: Sequence[CaseEvidence]) -> CaseEvidence:
    """Join the parts of a case, in the data set's order and without a gap.

    Batches do not know of each other, and every sum over them is of whole numbers: where the case was cut leaves no trace.
    """
    tagged = any(part.tags for part in parts)
    return CaseEvidence(
        ids=tuple(name for part in parts for name in part.ids),
        groups=tuple(group for part in parts for group in part.groups),
        tags=tuple(names for part in parts for names in part.tags or ((),) * len(part)) if tagged else (),
        evidence=tuple(entry for part in parts for entry in part.evidence),
        costs=tuple(cost for part in parts for cost in part.costs),
        meta=_joined_meta([part.meta for part in parts]),
    )


def _joined_meta(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # Where a GPU's memory ran out somewhere, the smallest batches are those that the reader is told of.
    smallest = min(several, key=lambda meta: meta["batch_size"])
    sources: Counter[str] = Counter()
    quality: dict[str, Counter[str]] = {}
    for meta in several:
        sources.update(meta["sources"])
        for codec, counts in meta["source_quality"].items():
            quality.setdefault(codec, Counter()).update(counts)
    return {
        "batch_size": smallest["batch_size"],
        "notes": list(smallest["notes"]),
        "sources": dict(sources),
        "source_quality": {codec: dict(sorted(counts.items())) for codec, counts in sorted(quality.items())},
    }
