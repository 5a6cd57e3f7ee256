"""Resilience in the page and in the summary: rankings, families, experiments in words, the published claim beside them."""

from __future__ import annotations

from typing import Any

import pytest
from documents import document, full_document, model_info
from hostile_documents import hostile_document
from page import Page

from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.markdown import LIMIT, render_markdown
from pytest_lossy.report.resilience_tables import (
    DECODER_CLAIM,
    experiment_rows,
    experiment_sentence,
    points_text,
    resilience_tables,
)
from pytest_lossy.results.document import (
    ArmDifference,
    ArmMember,
    Estimate,
    FamilyResilience,
    Resilience,
    ResilienceRow,
    ResultsDocument,
    RetainedArea,
)

AREA = RetainedArea(over_level=Estimate(value=0.867, low=0.851, high=0.883), over_log_bpp=Estimate(value=0.8))


def ranked(model: str, rank: int, codec: str = "jpeg", levels: tuple[float, ...] = (95, 5)) -> ResilienceRow:
    return ResilienceRow(
        rank=rank,
        model=model,
        task="segmentation",
        architecture="GAN",
        codec=codec,
        levels=list(levels),
        metric="miou",
        area=AREA,
    )


def difference(low: float | None, high: float | None, value: float = 0.013, **fields: Any) -> ArmDifference:
    members = [
        ArmMember(model=f"{arm}.{seed}", arm=arm, seed=seed, clean=0.6, over_level=0.8)
        for arm in ("decoder", "plain")
        for seed in (1, 2, 3)
    ]
    base: dict[str, Any] = {
        "experiment": "does-it",
        "task": "segmentation",
        "codec": "jpeg",
        "levels": [95, 5],
        "metric": "miou",
        "arm": "decoder",
        "against": "plain",
        "seeds": 3,
        "clean": Estimate(value=-0.01, low=-0.03, high=0.01),
        "over_level": Estimate(value=value, low=low, high=high),
        "members": members,
    }
    return ArmDifference(**{**base, **fields})


def compared(*found: ArmDifference, decoder: str = "encoder-decoder", plain: str = "dilated") -> ResultsDocument:
    models = [
        model_info(member.model, architecture=decoder if member.arm == "decoder" else plain)
        for member in found[0].members
    ]
    made = document(models=models)
    return made.model_copy(update={"resilience": Resilience(experiments=list(found))})


def test_an_experiment_says_what_it_shows_whichever_way_it_comes_out() -> None:
    assert experiment_sentence(difference(0.004, 0.022)) == (
        "decoder keeps 1.30 points more of its clean metric than plain, more than samples and seeds explain."
    )
    assert experiment_sentence(difference(-0.022, -0.004, -0.013)).startswith("plain keeps 1.30 points more")
    assert experiment_sentence(difference(-0.02, 0.04)) == (
        "No difference is shown: decoder minus plain is +1.30 points of the clean metric, "
        "and samples and seeds allow -2.00 to +4.00."
    )
    assert "no interval" in experiment_sentence(difference(None, None))
    uneven = difference(0.004, 0.022, clean=Estimate(value=0.1, low=0.05, high=0.15))
    assert experiment_sentence(uneven).endswith("On clean samples they differ.")
    assert "cannot be compared" in experiment_sentence(difference(0, 0, over_level=None))


@pytest.mark.parametrize(
    ("found", "architectures", "claim"),
    [
        (difference(0.004, 0.022), {}, "this experiment agrees"),
        (difference(-0.022, -0.004, -0.013), {}, "this experiment finds the opposite"),
        (difference(-0.02, 0.04), {}, "this experiment neither confirms nor contradicts it"),
        (difference(None, None), {}, "this experiment neither confirms nor contradicts it"),
        (
            difference(0.004, 0.022),
            {"decoder": "dilated", "plain": "Encoder-Decoder"},
            "this experiment finds the opposite",
        ),
        (difference(0.004, 0.022), {"decoder": "wide", "plain": "narrow"}, None),
        (difference(0.004, 0.022), {"plain": "encoder-decoder"}, None),
    ],
)
def test_the_published_claim_stands_beside_it_where_it_is_about_that(
    found: ArmDifference, architectures: dict[str, str], claim: str | None
) -> None:
    made = compared(found, **architectures)
    (row,) = experiment_rows(Lookup(made))
    assert row.claim == claim
    page = Page.read(render_html(made)).text
    assert (DECODER_CLAIM in page) == (claim is not None)
    assert row.sentence in page


def test_the_page_has_every_seed_and_the_summary_the_difference() -> None:
    made = compared(difference(0.004, 0.022))
    page = Page.read(render_html(made))
    assert "+1.30 [+0.40, +2.20]" in page.text
    assert "-0.010 [-0.030, +0.010]" in page.text
    assert all(f"{arm}.{seed}" in page.text for arm in ("decoder", "plain") for seed in (1, 2, 3))
    assert "| +1.30 [+0.40, +2.20] |" in render_markdown(made)


def test_points_are_signed_and_nothing_is_nothing() -> None:
    assert points_text(Estimate(value=0.00001, low=-0.00001, high=0.1)) == "0.00 [0.00, +10.00]"
    assert points_text(Estimate(value=None)) == "–"  # noqa: RUF001 - an en dash is meant
    assert points_text(None) == "–"  # noqa: RUF001 - an en dash is meant


def test_one_table_for_each_codec_and_set_of_levels_with_its_families() -> None:
    family = FamilyResilience(
        architecture="GAN", codec="jpeg", levels=[95, 5], models=["a"], tasks=["depth"], area=AREA
    )
    rows = [ranked("segnet-mini", 1), ranked("unknown", 2), ranked("segnet-mini", 1, levels=(95, 50, 5))]
    made = document().model_copy(
        update={
            "resilience": Resilience(ranking=rows, families=[family, family.model_copy(update={"architecture": "x"})])
        }
    )
    first, second = resilience_tables(Lookup(made))
    assert (first.levels, second.levels) == ("q95, q5", "q95, q50, q5")
    assert [entry.number for entry in first.models] == [1, None]
    assert (len(first.families), len(second.families)) == (2, 0)
    page = Page.read(render_html(made))
    assert "86.7% [85.1%, 88.3%]" in page.text
    assert "Descriptive" in page.text
    assert all(table.caption and table.header_cells for table in page.tables)


def test_nothing_measured_no_section() -> None:
    for made in (document(), full_document(1)):
        assert 'id="resilience"' not in render_html(made)
        assert "### Resilience" not in render_markdown(made)


def test_rankings_of_large_runs_are_cut_in_the_summary() -> None:
    rows = [ranked(f"model-{number}", number, codec) for codec in ("jpeg", "webp") for number in range(1, 51)]
    found = {"resilience": Resilience(ranking=rows)}
    text = render_markdown(document().model_copy(update=found))
    section = text[text.index("### Resilience") :].split("\n\n")[1]
    assert len(section.splitlines()) == 2 + 2 * 10
    assert "model-11," not in section
    assert len(render_markdown(full_document(50).model_copy(update=found))) <= LIMIT


def test_hostile_names_stay_text() -> None:
    page = Page.read(render_html(hostile_document()))
    assert any(attributes.get("id") == "resilience" for attributes in page.all("section"))
    assert len(page.scripts) == 1
