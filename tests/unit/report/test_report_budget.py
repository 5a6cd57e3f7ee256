"""The budget view: what a number of bits buys, limits per tag, rate differences, and ``report --budget``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import JPEG, WEBP, analysed, case, curve_of, document, full_document, metric_info, model_info
from hostile_documents import hostile_document
from page import Page

from pytest_lossy.analysis.budget import Budget
from pytest_lossy.cli import main
from pytest_lossy.report.budget_tables import (
    budget_name,
    budget_table,
    change_text,
    difference_text,
    rate_rows,
    tag_limits,
)
from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.markdown import render_markdown
from pytest_lossy.results.document import Estimate, Limit, RateDifference, ResultsDocument


def two_codecs() -> ResultsDocument:
    info = model_info()
    found = [curve_of(info, codec, (95, 50, 20, 5), strength) for codec, strength in ((JPEG, 1.0), (WEBP, 0.5))]
    curves = [analysed(curve) for _, curve in found]
    rows = [case("segnet-mini", "clean", metrics={}), *(row for rows, _ in found for row in rows)]
    return document(rows, models=[info], codecs=[JPEG, WEBP], curves=curves)


def test_the_best_level_under_each_budget_and_the_next_codec() -> None:
    lookup = Lookup(two_codecs())
    table = budget_table(lookup, [Budget("bpp", 1.0), Budget("bpp", 0.01)])
    assert table is not None
    (row,) = table.rows
    assert [(choice.curve.codec, choice.point.level) for choice in row.cells[0]] == [("webp", 20), ("jpeg", 20)]
    assert row.cells[1] == ()
    assert row.safe is not None
    assert row.safe.limit is not None
    assert row.safe.limit.bpp == min(curve.limit.bpp for curve in lookup.document.curves if curve.limit)


def test_errors_are_bought_low() -> None:
    info = model_info("depth", task="depth", primary="abs_rel", metrics=[metric_info("abs_rel", higher=False)])
    rows, curve = curve_of(info, JPEG, (95, 50, 5))
    table = budget_table(Lookup(document(rows, models=[info], curves=[curve])), [Budget("bpp", 2.0)])
    assert table is not None
    assert [choice.point.level for choice in table.rows[0].cells[0]] == [50]


def test_pages_name_the_budget_and_whether_the_reader_chose_it() -> None:
    made = two_codecs()
    assert "At most 1 bpp" in Page.read(render_html(made)).text
    assert "round numbers within this run's rates" in Page.read(render_html(made)).text
    page = Page.read(render_html(made, None, [Budget("bpp", 0.7), Budget("kbps", 300)]))
    assert "At most 0.7 bpp" in page.text
    assert "At most 300 kbit/s" in page.text
    assert "round numbers" not in page.text
    assert "beyond its operating limit" in page.text
    assert "| Model, metric | At most 0.7 bpp |" in render_markdown(made, [Budget("bpp", 0.7)])
    assert all(table.caption and table.header_cells and table.row_headers for table in page.tables)


def test_limits_stand_beside_each_tag() -> None:
    made = two_codecs()
    tags = [
        Limit(
            metric="miou", slice="night", status="none", requirement="", gated=False, explanation="At q95 too little."
        ),
        Limit(metric="miou", slice="<b>cam</b>", status="found", requirement="", gated=False, level=50, bpp=0.9),
    ]
    made = made.model_copy(
        update={
            "curves": [
                curve.model_copy(update={"slice_limits": given})
                for curve, given in zip(made.curves, (tags, []), strict=True)
            ]
        }
    )
    (found,) = tag_limits(Lookup(made))
    assert [(tag, text) for tag, text, _ in found.limits][1:] == [
        ("night", "none shown to be safe"),
        ("<b>cam</b>", "q50"),
    ]
    assert found.limits[0][0] is None
    page = Page.read(render_html(made))
    assert "<b>cam</b>" in page.text
    assert not page.all("b")
    assert "At q95 too little." in page.text


def rates(number: int = 1, kind: str = "codecs") -> list[RateDifference]:
    return [
        RateDifference(
            kind=kind,
            metric="miou",
            model="segnet-mini",
            codec=f"codec-{index}",
            against_model="other",
            against_codec="jpeg",
            bd_metric=Estimate(value=0.03, low=0.008, high=0.052),
            bd_rate=Estimate(value=-0.272, low=-0.415, high=0.116),
            rate_overlap=0.86,
            note="the curves have little in common",
        )
        for index in range(number)
    ]


def test_rate_differences_are_signed_and_say_what_they_cover() -> None:
    made = document().model_copy(update={"rate_differences": [*rates(), *rates(kind="models")]})
    assert list(rate_rows(Lookup(made))) == ["codecs", "models"]
    text = Page.read(render_html(made)).text
    assert "-27.2% [-41.5%, +11.6%]" in text
    assert "+0.030 [+0.008, +0.052]" in text
    assert "86.0%" in text
    assert "little in common" in text
    assert "Each codec against the model's first" in text
    assert "Each model against its parent" in text
    assert change_text(None) == difference_text(None) == "–"  # noqa: RUF001 - an en dash is meant


def test_many_comparisons_are_folded() -> None:
    html = render_html(document().model_copy(update={"rate_differences": rates(60)}))
    page = Page.read(html)
    assert "comparisons</summary>" in html
    assert "codec-59" in page.text


def test_without_rates_there_is_no_section() -> None:
    assert 'id="budget"' not in render_html(document([case(metrics={})]))
    assert budget_table(Lookup(document())) is None


def test_hostile_names_stay_text_and_fifty_models_stay_small() -> None:
    page = Page.read(render_html(hostile_document(), None, [Budget("bpp", 1)]))
    assert any(attributes.get("id") == "budget" for attributes in page.all("section"))
    assert len(page.scripts) == 1
    small, large = (len(render_html(full_document(count))) for count in (1, 50))
    assert large < 50 * small


def test_budgets_are_named() -> None:
    assert [budget_name(budget) for budget in (Budget("bpp", 0.25), Budget("kbps", 300))] == ["0.25 bpp", "300 kbit/s"]


def written(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(two_codecs().model_dump(mode="json")), encoding="utf-8")
    return path


def test_the_command_takes_budgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    assert main(["report", "--budget", "0.7bpp,300kbps", str(path)]) == 0
    assert "At most 0.7 bpp" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "At most 300 kbit/s" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert main(["report", str(path)]) == 0
    assert "At most 0.7 bpp" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_command_refuses_what_is_no_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--budget", "0.5", str(written(tmp_path))])
    assert stopped.value.code == 2
    assert "'0.5' is no budget; write a number with its unit, such as 0.5bpp or 300kbps" in capsys.readouterr().err
