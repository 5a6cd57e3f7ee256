"""Recovery in words and tables: order, single models and seeds, and every renderer beside the paper's claim."""

from __future__ import annotations

import re
from typing import Any

import pytest
from documents import case, document, model_info, recovered

from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.markdown import render_markdown
from pytest_lossy.report.recovery_tables import RECOVERY_CLAIM, recovery_view
from pytest_lossy.report.terminal import terminal_lines
from pytest_lossy.results.document import Estimate, Recovery, RecoverySummary, ResultsDocument, Retrained

PARENT, CONTROL, MIX = "net", "net.control", "net.jpeg-mix"


def entry(level: float = 10, **fields: Any) -> Recovery:
    names = {"model": MIX, "parent": PARENT, "control": CONTROL, "level": level}
    return recovered(**{**names, **fields})


def summary(level: float = 10, **fields: Any) -> RecoverySummary:
    estimate = Estimate(value=0.3, low=0.2, high=0.4)
    base: dict[str, Any] = {
        "parent": PARENT,
        "codec": "jpeg",
        "trained_levels": [15, 10, 5],
        "level": level,
        "metric": "miou",
        "models": [MIX, f"{MIX}.s2"],
        "seeds": 2,
        "recovery": estimate,
        "gain": Estimate(value=0.02, low=0.01, high=0.03),
        "naive": Estimate(value=0.45, low=0.4, high=0.5),
        "clean_cost": Estimate(value=0.033, low=0.03, high=0.04),
    }
    return RecoverySummary(**{**base, **fields})


def written(*entries: Recovery, seeds: tuple[RecoverySummary, ...] = ()) -> ResultsDocument:
    def trained(control: str | None, iterations: int) -> Retrained:
        levels = [15, 10, 5] if control else []
        codec = "jpeg" if control else None
        return Retrained(
            parent=PARENT, control=control, codec=codec, levels=levels, iterations=iterations, seed=1, seconds=125
        )

    models = [
        model_info(name=PARENT),
        model_info(name=CONTROL).model_copy(update={"retrained": trained(None, 321)}),
        model_info(name=MIX).model_copy(update={"retrained": trained(CONTROL, 320)}),
    ]
    return document([case(model=PARENT)], models=models, recovery=list(entries)).model_copy(
        update={"recovery_summary": list(seeds)}
    )


def test_tables_go_from_mild_to_severe_and_keep_other_metrics_apart() -> None:
    view = recovery_view(Lookup(written(entry(5), entry(10, metric="pixel_accuracy"), entry(15), entry(10))))
    (table,) = view.models
    assert [row.level for row in table.rows] == [15, 10, 5]
    assert [row.metric for row in table.others] == ["pixel_accuracy"]
    assert (table.metric, table.number) == ("miou", 3)
    assert table.training.startswith("Fine-tuned from net on jpeg q15, q10, q5: 320 iterations, 2 min 5 s, seed 1;")
    assert "its control net.control on clean samples: 321 iterations" in table.training


def test_the_best_is_the_most_certain_of_the_trained_levels() -> None:
    wide, narrow = Estimate(value=0.9, low=0.1, high=1.7), Estimate(value=0.5, low=0.4, high=0.6)
    unseen = entry(75, recovery=Estimate(value=2.0, low=1.9, high=2.1), trained_on=False)
    view = recovery_view(Lookup(written(entry(5, recovery=wide), entry(10, recovery=narrow), unseen)))
    assert view.best is not None
    assert view.best.level == 10
    assert recovery_view(Lookup(written(entry(5, recovery=Estimate(value=None))))).best is None


def test_every_renderer_says_what_was_recovered_and_what_it_cost() -> None:
    nothing = entry(15, recovery=Estimate(value=None), note="nothing to recover: it is not certain")
    made = written(entry(10), nothing, seeds=(summary(),))
    page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", render_html(made)))
    for text in (RECOVERY_CLAIM, "42.0% [30.0%, 50.0%]", "nothing to recover: it is not certain", "mean of 2 seeds"):
        assert text in page, text
    assert "On clean samples retraining costs +0.033 [+0.030, +0.040]" in page
    markdown = render_markdown(made)
    assert "Recovery by retraining, mean [smallest, largest seed]" in markdown
    assert "| net.jpeg-mix | jpeg q10 | 42.0% [30.0%, 50.0%]" in markdown
    assert "78.4 %" in markdown
    for width in (40, 120):
        lines = [line for line, _ in terminal_lines(made, width, verbose=False)]
        joined = re.sub(r"\s+", " ", " ".join(lines))
        assert all(len(line) <= width for line in lines)
        assert "q15 nothing to recover" in joined
        assert "q10 42.0% [30.0%, 50.0%], naively 42.0%" in joined
        assert "costs +0.010 on clean samples" in joined


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_without_recovery_there_is_no_section(render: Any) -> None:
    text = render(document([case()]))
    assert "Recovery by retraining" not in text
    assert 'id="recovery"' not in text
    assert "78.4" not in text
