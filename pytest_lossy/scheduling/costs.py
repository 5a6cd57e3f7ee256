"""What a case is likely to cost, before it runs: measured by an earlier run, else guessed from its codec."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from pytest_lossy.cases import Case, MediaKind

__all__ = ["estimated_costs", "static_cost"]

_CODEC_COST = {
    "jpeg": 1.0, "webp": 3.0, "avif": 20.0, "jxl": 11.0, "jpeg2000": 6.0, "h264": 2.5, "hevc": 4.5, "av1": 3.5, "vp9": 5.5,
}  # fmt: skip
"""A round trip of one frame against JPEG's with a small network behind it, from ``benchmarks/codecs.py`` on 480 x 360."""

_CLIP_COST = 12.0
"""A clip against a still."""


def static_cost(case: Case, media: MediaKind) -> float:
    """A guess from the spec alone, in units of a still's JPEG case: the same on every machine and in every run.

    A case without inference of its own, such as a mix, costs nearly nothing.
    """
    if case.codec_name is None:
        return (_CLIP_COST if media == "clips" else 1.0) if case.is_clean else 0.1
    family = case.codec_name.partition("-")[0]
    return _CODEC_COST.get(family, 2.0) * (_CLIP_COST if media == "clips" else 1.0)


def estimated_costs(cases: Sequence[tuple[str, Case, MediaKind]], measured: Mapping[str, float]) -> dict[str, float]:
    """Seconds, or units of :func:`static_cost` where nothing was measured.

    Args:
        cases: node id, case, and what its data hold.
        measured: seconds by node id; cases that are not among them are guessed on the same scale.

    Returns:
        cost by node id.
    """
    guesses = {node_id: static_cost(case, media) for node_id, case, media in cases}
    ratios = [measured[node_id] / guess for node_id, guess in guesses.items() if measured.get(node_id)]
    scale = statistics.median(ratios) if ratios else 1.0
    return {node_id: measured.get(node_id) or guess * scale for node_id, guess in guesses.items()}
