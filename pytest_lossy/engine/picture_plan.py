"""How many samples each case shows: few per run, fairly spread, and the same in every process without a counter."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_lossy.cases import Case

__all__ = ["SAMPLES_PER_RUN", "plan_pictures"]

SAMPLES_PER_RUN = 10
"""Samples of a whole run, for each one that a case may show: 30 by default, some 600 kB."""


def plan_pictures(cases: Sequence[Case], per_case: int) -> dict[str, int]:
    """Share the run's samples among the most severe and the middle level of each curve.

    Every curve's most severe level gets its worst sample and a typical one before any middle level does, and any level two
    before any gets a third; where even that is too much, each model's first curve comes before any model's second.

    Args:
        cases: the run's, in the order of the specs, levels mild to severe, whatever order they run in.
        per_case: samples of one case, at most.

    Returns:
        Slug -> samples; cases that show none are left out.
    """
    curves: dict[str, dict[str, list[Case]]] = {}
    for case in cases:
        if case.level is not None:
            curves.setdefault(case.model, {}).setdefault(case.label, []).append(case)
    most = max((len(codecs) for codecs in curves.values()), default=0)
    by_codec = [list(codecs.values()) for codecs in curves.values()]
    ordered = [codecs[turn] for turn in range(most) for codecs in by_codec if turn < len(codecs)]
    severe = [curve[-1] for curve in ordered]
    middle = [curve[(len(curve) - 1) // 2] for curve in ordered if len(curve) > 1]
    shares: dict[str, int] = {}
    left = SAMPLES_PER_RUN * per_case
    turns = [severe] * min(per_case, 2) + [middle] * min(per_case, 2) + [severe + middle] * (per_case - 2)
    for turn in turns:
        for case in turn[:left]:
            shares[case.slug] = shares.get(case.slug, 0) + 1
            left -= 1
    return shares
