"""Pages and terminals of very large runs: what is drawn, what is left out, and that it is said."""

from __future__ import annotations

from pytest_lossy.report.bounds import ROWS, WARNINGS, bound
from pytest_lossy.report.html import render_html
from pytest_lossy.report.terminal import terminal_lines
from pytest_lossy.results.document import ResultsDocument
from tests.unit.report.documents import case, document, full_document, gate, model_info


def large(models: int = 30, failing: str = "net-020") -> ResultsDocument:
    """Models of a clean case and ten levels; one level of one model failed."""
    infos = [model_info(f"net-{number:03}") for number in range(models)]
    rows = [case(info.name, "clean") for info in infos] + [
        case(info.name, "jpeg", level) for info in infos for level in range(5, 100, 10)
    ]
    missed = case(failing, "jpeg", 15, verdict="failed", outcome="failed", gates=[gate()])
    rows = [missed if row.id == missed.id else row for row in rows]
    return document(rows, models=infos, warnings=[f"net-{number:03}: rough" for number in range(models)])


def test_a_small_run_is_shown_whole() -> None:
    everything = full_document()
    assert bound(everything).document == everything
    assert bound(everything).notes == ()


def test_what_needs_attention_is_shown_first_and_whole() -> None:
    everything = large()
    found = bound(everything, rows=30)
    levels = [row for row in found.document.cases if row.codec == "jpeg"]
    assert {row.model for row in levels if row.verdict == "failed"} == {"net-020"}
    assert len([row for row in levels if row.model == "net-020"]) == 10, "a curve is not cut"
    assert len(levels) <= 30
    models = {row.model for row in found.document.cases}
    assert {model.name for model in found.document.models} == models
    assert {row.model for row in found.document.cases if row.codec == "clean"} == models
    (note,) = found.notes
    assert f"{len(found.document.cases)} of 330 rows" in note
    assert "results.csv" in note
    assert found.document.run.counts == everything.run.counts


def test_a_curve_that_is_larger_than_a_page_is_still_shown() -> None:
    assert len(bound(large(), rows=3).document.cases) == 11


def test_the_page_says_what_it_leaves_out() -> None:
    page = render_html(large(models=ROWS // 10))
    assert "Not everything is shown." in page
    assert "results.csv has all" in page
    assert page.count('<tr><th scope="row" class="id">') <= ROWS + ROWS // 10
    assert "3,300 rows" in page, "the head counts the whole run"
    assert "net-020" in page
    assert f"and {ROWS // 10 - WARNINGS} more warnings, listed in results.json" in page
    assert "Not everything is shown." not in render_html(full_document())


def test_the_terminal_stops_at_some_point() -> None:
    infos = [model_info(f"net-{number:03}") for number in range(200)]
    rows = [case(info.name, "jpeg", 15, verdict="failed", outcome="failed", gates=[gate()]) for info in infos]
    everything = document(rows, models=infos, warnings=[f"{info.name}: rough" for info in infos])
    lines = [line for line, _ in terminal_lines(everything, 100, verbose=False)]
    assert len(lines) < 350
    assert "and 160 more tables, shown with -v" in lines
    assert "and 160 more warnings, shown with -v" in lines
    assert len(terminal_lines(everything, 100, verbose=True)) > 1000
