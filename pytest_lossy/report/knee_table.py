"""Knees and operating limits of a run side by side, with the published ones for comparison."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.report.curve_words import knee_text, limit_text
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import Curve

__all__ = ["PUBLISHED", "KneeRow", "Published", "knee_rows", "published_rows"]


@dataclass(frozen=True, slots=True)
class Published:
    """A knee that a paper reports, read off its figures over several models."""

    codec: str
    """Name of the registry, whose level the figure is of."""
    knee: str
    source: str


PUBLISHED = (
    Published("jpeg", "q about 15", "arXiv 2007.14314, five models"),
    Published("h264", "crf about 40", "arXiv 2007.14314, five models"),
)
"""Shown beside what was measured, and used by nothing: the knee moves with the model, the metric and the data."""


@dataclass(frozen=True, slots=True)
class KneeRow:
    """One curve of the run."""

    curve: Curve
    number: int
    """Position of the model, for its anchor."""
    knee: str
    limit: str


def knee_rows(lookup: Lookup) -> list[KneeRow]:
    """Give one row per curve that has a knee or a limit, codec by codec, so that models under one codec compare."""
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    order = {label: index for index, label in enumerate(lookup.codec_labels)}
    curves = [curve for curve in lookup.document.curves if curve.knee is not None or curve.limit is not None]
    return [
        KneeRow(curve, numbers[curve.model], knee_text(lookup, curve), limit_text(lookup, curve.codec, curve.limit))
        for curve in sorted(curves, key=lambda curve: order[curve.codec])
    ]


def published_rows(lookup: Lookup, rows: list[KneeRow]) -> list[Published]:
    """Give the published knees of the codecs that ``rows`` cover; a stream's knee says nothing of its one-frame twin."""
    names = {lookup.codecs[row.curve.codec].name for row in rows if row.curve.codec in lookup.codecs}
    return [entry for entry in PUBLISHED if entry.codec in names]
