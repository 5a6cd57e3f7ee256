"""Gates on knees that no curve can meet or miss, found before anything runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pytest_lossy.cases import Case
from pytest_lossy.codecs.base import Levels
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.errors import LossyError, Problem
from pytest_lossy.thresholds.rules import NO_MILDER_THAN, Rule, Thresholds

__all__ = ["knee_problems"]


def knee_problems(curves: Sequence[tuple[Case, Levels, bool]], thresholds: Thresholds) -> list[Problem]:
    """Complain about levels that a codec does not have, and about models that have no retention.

    Args:
        curves: of every (model, codec): the case of its knee, the codec's levels, and whether the model's own spec or data
            makes it label-free (a flag does not: then gates against labels are silent, as all of them are).
        thresholds: the gates.
    """
    problems: list[Problem] = []
    rules = [rule for rule in thresholds.rules if rule.bound == NO_MILDER_THAN]
    met: set[Rule] = set()
    for case, grid, label_free in curves:
        candidates = [rule for rule in thresholds.rules_for(case.model) if rule.bound == NO_MILDER_THAN]
        ranked = [(rank, rule) for rule in candidates if (rank := rule.rank(case)) is not None]
        met.update(rule for _, rule in ranked)
        best = max((rank for rank, _ in ranked), default=None)
        for rank, rule in ranked:
            if rank == best:  # the others are never judged
                problems += _range(rule, case.label, grid)
        problems += [
            _problem(
                rule,
                f"{case.model} is scored against its own clean predictions and has no knee; gate its levels with max_drop "
                "and 'reference: clean'",
            )
            for _, rule in ranked
            if label_free and rule.model == case.model
        ]
    for rule in rules:
        if rule not in met and rule.codec in CODECS.builtin:  # a rule that matches no case is only warned about
            with contextlib.suppress(LossyError):  # a codec without usable defaults is checked where a spec lists it
                problems += _range(rule, rule.codec, build_codec(rule.codec).levels)
    return problems


def _range(rule: Rule, label: str, grid: Levels) -> list[Problem]:
    if grid.minimum <= rule.limit <= grid.maximum:
        return []
    span = f"{grid.minimum:g}..{grid.maximum:g}"
    alone = "" if rule.codec == label else f", or write a rule for {label} alone"
    message = f"{NO_MILDER_THAN}: level {rule.limit:g} is outside {span} of {label}; choose from {span}{alone}"
    return [_problem(rule, message)]


def _problem(rule: Rule, message: str) -> Problem:
    return Problem(Path(rule.file), rule.line, message)
