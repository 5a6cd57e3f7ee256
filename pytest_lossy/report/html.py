"""``index.html``: one self-contained page, readable offline, without script, under a strict policy.

Everything that comes from the document is text that Jinja escapes: none of it becomes a link target, an
identifier, a class name, script or CSS. Anchors and identifiers are numbers of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pytest_lossy.report import formatting, svg
from pytest_lossy.report.headline import headline, inconclusive_rows, misses, tally
from pytest_lossy.report.lookup import CLEAN, VERDICTS, Lookup, verdict_word
from pytest_lossy.report.plot import HEIGHT, WIDTH, Plot, metric_domain, plot_level, plot_rate
from pytest_lossy.report.tables import (
    HEAT_EDGES,
    SliceTable,
    detail_text,
    error_groups,
    heat_maps,
    other_metrics,
    slice_tables,
)
from pytest_lossy.results.document import CaseRow, Curve, ModelInfo, ResultsDocument

__all__ = ["render_html"]

_FLAG = re.compile(r"(--lossy-[a-z-]+(?:=\d+)?)")
_SHOWN = 25
"""Missed gates in the open; the rest is folded, so that the plots stay within reach."""


@dataclass(frozen=True, slots=True)
class _Figure:
    number: int
    curve: Curve
    level: Plot
    rate: Plot | None
    slices: list[SliceTable]
    others: tuple[list[str], list[tuple[str, Any]]]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _Section:
    number: int
    name: str
    info: ModelInfo | None
    primary: str | None
    clean: CaseRow | None
    figures: list[_Figure]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pytest_lossy.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        f=formatting,
        markers=svg.MARKERS,
        word=verdict_word,
        detail=detail_text,
        plot_width=svg.coordinate(WIDTH),
        plot_height=svg.coordinate(HEIGHT),
        flags=_FLAG.split,
        shown=_SHOWN,
        CLEAN=CLEAN,
        VERDICTS=VERDICTS,
    )
    return environment


def _figure(lookup: Lookup, number: int, curve: Curve, domain: tuple[float, float]) -> _Figure:
    points = sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level))
    notes = [
        note for point in points if point.case in lookup.cases for note in lookup.cases[point.case].notes
    ]
    return _Figure(
        number=number,
        curve=curve.model_copy(update={"points": points}),
        level=plot_level(lookup, curve, domain),
        rate=plot_rate(lookup, curve, domain),
        slices=slice_tables(lookup, curve),
        others=other_metrics(lookup, curve),
        notes=list(dict.fromkeys(notes)),
    )


def _sections(lookup: Lookup) -> list[_Section]:
    sections, drawn = [], 0
    for number, name in enumerate(lookup.model_names, 1):
        curves = lookup.curves_of.get(name, [])
        domains = {
            metric: metric_domain(lookup, [curve for curve in curves if curve.metric == metric])
            for metric in {curve.metric for curve in curves}
        }
        figures = [
            _figure(lookup, drawn + index, curve, domains[curve.metric])
            for index, curve in enumerate(curves, 1)
        ]
        drawn += len(figures)
        sections.append(
            _Section(
                number,
                name,
                lookup.models.get(name),
                lookup.primary(name),
                lookup.clean_cases.get(name),
                figures,
            )
        )
    return sections


def _shades() -> list[str]:
    edges = [f"{edge * 100:g}%" for edge in HEAT_EDGES]
    middle = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"under {edges[0]}", *middle, f"{edges[-1]} or more"]


def render_html(document: ResultsDocument) -> str:
    """Render the whole report as one HTML file; a pure function of ``document``."""
    lookup = Lookup(document)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            document=document,
            run=document.run,
            lookup=lookup,
            headline=headline(lookup),
            tally=tally(lookup),
            misses=misses(lookup),
            errors=error_groups(lookup),
            inconclusive=inconclusive_rows(lookup),
            not_run=[case for case in document.cases if case.verdict == "not_run"],
            sections=_sections(lookup),
            heats=heat_maps(lookup),
            shades=_shades(),
        )
    )
