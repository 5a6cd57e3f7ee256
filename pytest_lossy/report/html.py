"""``index.html``: one self-contained page, readable offline, without script, under a strict policy.

Everything that comes from the document is text that Jinja escapes: none of it becomes a link target, an
identifier, a class name, script or CSS. Anchors and identifiers are numbers of ours.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_lossy.analysis.budget import Budget
from pytest_lossy.report import formatting, svg
from pytest_lossy.report.bounds import bound
from pytest_lossy.report.budget_tables import (
    budget_name,
    budget_table,
    change_text,
    choice_name,
    difference_text,
    rate_rows,
    tag_limits,
)
from pytest_lossy.report.comparison_rows import change_rows, comparison_sentence, move_text, power_text
from pytest_lossy.report.curve_words import curve_notes, curve_sentence
from pytest_lossy.report.gallery import gallery_models
from pytest_lossy.report.headline import headline, inconclusive_rows, misses, tally
from pytest_lossy.report.knee_table import knee_rows, published_rows
from pytest_lossy.report.lookup import CLEAN, VERDICTS, Lookup, verdict_word
from pytest_lossy.report.plot import metric_domain, plot_level, plot_rate
from pytest_lossy.report.plot_parts import HEIGHT, WIDTH, Plot
from pytest_lossy.report.recovery_tables import (
    RECOVERY_CLAIM,
    recovery_points,
    recovery_share,
    recovery_text,
    recovery_view,
)
from pytest_lossy.report.resilience_tables import (
    DECODER_CLAIM,
    DECODER_CLAIM_SOURCE,
    area_text,
    experiment_rows,
    points_text,
    resilience_tables,
)
from pytest_lossy.report.slice_ranking import rank_slices
from pytest_lossy.report.tables import (
    HEAT_EDGES,
    SliceTable,
    detail_text,
    error_groups,
    heat_maps,
    other_metrics,
    slice_tables,
)
from pytest_lossy.results.document import CaseRow, Curve, ModelInfo, ResultsDocument, Verdict

__all__ = ["render_html"]

_FLAG = re.compile(r"(--lossy-[a-z-]+(?:=\d+)?)")
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = re.compile(f"[{_CONTROLS}{_DIRECTIONS}]")
_SHOWN = 12
"""Missed gates in the open; the rest is folded, so that the plots stay within reach."""
_FOLDED = 40
"""Curves up to which the table of knees stands open."""

_ORDER = (
    ("attention.html.j2", "attention", "Attention"),
    ("curves.html.j2", "curves", "Curves"),
    ("heat.html.j2", "retention", "Heat map"),
    ("slices.html.j2", "slices", "Slices"),
    ("gallery.html.j2", "gallery", "Samples"),
    ("recovery.html.j2", "recovery", "Recovery"),
    ("resilience.html.j2", "resilience", "Resilience"),
    ("budget.html.j2", "budget", "Budget"),
    ("comparison.html.j2", "comparison", "Baseline"),
    ("cases.html.j2", "cases", "All cases"),
    ("models.html.j2", "models", "Models"),
    ("run.html.j2", "run", "Run"),
    ("method.html.j2", "method", "Method"),
)
"""Template, anchor and short title of each section below the verdict, in the reader's order: what failed, why, where, how it
looks, what helps; then every row and how it came about. Each is one ``<section>``, or nothing."""


@dataclass(frozen=True, slots=True)
class _Figure:
    number: int
    curve: Curve
    level: Plot
    rate: Plot | None
    slices: list[SliceTable]
    others: tuple[list[str], list[tuple[str, Any]]]
    notes: list[str]
    sentence: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class _Section:
    number: int
    name: str
    info: ModelInfo | None
    primary: str | None
    clean: CaseRow | None
    figures: list[_Figure]


def _visible(value: Any) -> Any:
    """Spell out control and direction characters: an override would reorder its neighbours."""
    # Markup is output of our own templates, whose parts have been here already
    if isinstance(value, str) and not isinstance(value, Markup):
        return _INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", value)
    return value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pytest_lossy.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
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
        area=area_text,
        points=points_text,
        difference=difference_text,
        change=change_text,
        budget_name=budget_name,
        choice_name=choice_name,
        decoder_claim=DECODER_CLAIM,
        decoder_claim_source=DECODER_CLAIM_SOURCE,
        folded=_FOLDED,
        CLEAN=CLEAN,
    )
    return environment


def _figure(lookup: Lookup, number: int, curve: Curve, domain: tuple[float, float]) -> _Figure:
    points = sorted(curve.points, key=lambda point: lookup.severity(curve.codec, point.level))
    notes = [note for point in points if point.case in lookup.cases for note in lookup.cases[point.case].notes]
    return _Figure(
        number=number,
        curve=curve.model_copy(update={"points": points}),
        level=plot_level(lookup, curve, domain),
        rate=plot_rate(lookup, curve, domain),
        slices=slice_tables(lookup, curve),
        others=other_metrics(lookup, curve),
        notes=list(dict.fromkeys(notes)),
        sentence=curve_sentence(lookup, curve),
        reasons=curve_notes(lookup, curve),
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
            _figure(lookup, drawn + index, curve, domains[curve.metric]) for index, curve in enumerate(curves, 1)
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


def _plotted(document: ResultsDocument) -> set[Verdict]:
    """Give the verdicts that some plot marks, for the key."""
    return {point.verdict for curve in document.curves for point in curve.points if point.role == "case"}


def _drawn(sections: list[_Section]) -> dict[str, bool]:
    """Say which parts some plot shows, for the key."""
    plots = [figure.level for section in sections for figure in section.figures]
    names = ("simultaneous", "fits", "tolerance", "knee", "limit", "gates", "shade")
    found = {name: any(getattr(plot, name) for plot in plots) for name in names}
    return found | {"probe": any(mark.probe for plot in plots for mark in plot.marks)}


def _shades() -> list[str]:
    edges = [f"{edge * 100:g}%" for edge in HEAT_EDGES]
    middle = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"under {edges[0]}", *middle, f"{edges[-1]} or more"]


def _data_uri(content: bytes) -> Markup:
    """The picture inside the page; base64 holds nothing that HTML would read as markup."""
    kind = "webp" if content[8:12] == b"WEBP" else "jpeg"
    return Markup(f"data:image/{kind};base64,{b64encode(content).decode('ascii')}")  # noqa: S704


def _compared(whole: Lookup, shown: Lookup) -> dict[str, Any] | None:
    comparison = whole.document.comparison
    if comparison is None:
        return None
    moves = shown.document.comparison.moves if shown.document.comparison is not None else []
    return {
        "sentence": comparison_sentence(comparison),
        "power": power_text(comparison),
        "rows": change_rows(whole, comparison),
        "moves": [(move, move_text(shown, move)) for move in moves],
    }


def render_html(
    document: ResultsDocument, pictures: Mapping[str, bytes] | None = None, budgets: Sequence[Budget] = ()
) -> str:
    """Render the whole report as one HTML file; a pure function of its arguments.

    A page of more rows than a browser shows well says which it left out; see :func:`pytest_lossy.report.bounds.bound`.

    Args:
        document: everything but pixels.
        pictures: path as in ``GallerySample.pictures`` -> encoded picture; what is missing is left out of the page.
        budgets: to choose levels under; round numbers within the run's rates where there are none.
    """
    whole, shown = Lookup(document), bound(document)
    document = shown.document
    lookup = Lookup(document)
    sections, knees = _sections(lookup), knee_rows(lookup)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            document=document,
            run=document.run,
            lookup=lookup,
            headline=headline(whole),
            warnings=document.run.warnings,
            left_out=shown.notes,
            all_models=len(whole.document.models),
            all_rows=len(whole.document.cases),
            tally=tally(whole),
            order=_ORDER,
            pictures={path: _data_uri(content) for path, content in (pictures or {}).items()},
            misses=misses(lookup),
            errors=error_groups(lookup),
            inconclusive=inconclusive_rows(lookup),
            not_run=[case for case in document.cases if case.verdict == "not_run"],
            plotted=[verdict for verdict in reversed(VERDICTS) if verdict in _plotted(document)],
            sections=sections,
            drawn=_drawn(sections),
            knees=knees,
            free=any(lookup.label_free(name) for name in lookup.model_names),
            ranking=rank_slices(lookup),
            published=published_rows(lookup, knees),
            percent=f"{document.run.confidence * 100:g}%",
            resilience=resilience_tables(lookup),
            experiments=experiment_rows(lookup),
            budget=budget_table(lookup, budgets),
            tag_limits=tag_limits(lookup),
            rates=rate_rows(lookup),
            gallery=gallery_models(lookup, pictures or {}),
            heats=heat_maps(lookup),
            shades=_shades(),
            compared=_compared(whole, lookup),
            recovery=recovery_view(lookup),
            recovery_claim=RECOVERY_CLAIM,
            recovery_text=recovery_text,
            recovery_share=recovery_share,
            recovery_points=recovery_points,
        )
    )
