"""The mixes of thresholds.yaml: a fleet's distribution over codecs and levels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_lossy.cases import CLEAN, Mix
from pytest_lossy.errors import Problem
from pytest_lossy.registry import did_you_mean
from pytest_lossy.specs.schema import NAME
from pytest_lossy.specs.yaml_source import Location, YamlSource

__all__ = ["read_mixes"]

_TOLERANCE = 1e-3  # thirds are written as 0.333


def read_mixes(
    source: YamlSource, written: Mapping[str, Mapping[str, Any]], labels: set[str]
) -> tuple[list[Mix], list[Problem]]:
    """Check ``mix:`` of a thresholds file: ``{name: {label: {level: share}, clean: share}}``, shares of 1 in all.

    Args:
        source: the file.
        written: what stands below ``mix``.
        labels: codec labels and names.

    Returns:
        the mixes whose shares, scaled to sum to exactly 1, are usable, and every problem.
    """
    mixes, problems = [], []
    for name, codecs in written.items():
        here: Location = ("mix", name)
        shares: list[tuple[str, float | None, float]] = []
        found: list[Problem] = []
        if not NAME.fullmatch(str(name)):
            found.append(source.problem(here, f"'{name}' is no name ([A-Za-z0-9._-]+); rename the mix"))
        for label, levels in codecs.items():
            at = (*here, label)
            if label == CLEAN:
                found += _add(source, at, CLEAN, None, levels, shares)
            elif label not in labels:
                found.append(
                    source.problem(at, f"unknown codec '{label}'; {did_you_mean(str(label), [*labels, CLEAN])}")
                )
            elif not isinstance(levels, Mapping):
                found.append(source.problem(at, f"'{label}' must be a mapping of levels to shares, got {levels!r}"))
            else:
                for level, share in levels.items():
                    if isinstance(level, bool) or not isinstance(level, int | float):
                        found.append(source.problem((*at, level), f"{level!r} is no level; write a number"))
                    else:
                        found += _add(source, (*at, level), label, float(level), share, shares)
        total = math.fsum(share for *_, share in shares)  # 0.6 + 0.3 + 0.1 is 1
        if not found and abs(total - 1) > _TOLERANCE:
            found.append(source.problem(here, f"the shares of '{name}' sum to {total:g}; make them 1"))
        problems += found
        if not found:
            scaled = tuple((label, level, share / total) for label, level, share in shares)
            mixes.append(Mix(name, scaled, source.line(here)))
    return mixes, problems


def _add(
    source: YamlSource,
    here: Location,
    label: str,
    level: float | None,
    share: Any,
    shares: list[tuple[str, float | None, float]],
) -> list[Problem]:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        return [source.problem(here, f"{share!r} is no share of the fleet; write a number above 0, at most 1")]
    shares.append((label, level, float(share)))
    return []
