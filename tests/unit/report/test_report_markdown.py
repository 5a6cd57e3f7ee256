import re

import pytest
from documents import case, document, full_document, gate, model_info
from hostile_documents import hostile_document
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.report.markdown import LIMIT, render_markdown
from pytest_lossy.report.markdown_text import escaped


def tables(text):
    """The cells of every table line, split where GitHub-flavoured Markdown splits."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_failures_come_before_the_curves_and_the_gate_names_its_line():
    text = render_markdown(full_document(1, 1))
    assert text.startswith("## Failed: 2 cases missed a gate")
    assert text.index("### Gates not met") < text.index("### segnet-0, jpeg")
    assert "thresholds.yaml:12" in text
    assert "| q5 | 0.434 [0.404, 0.461] |" in text or "| q5 |" in text


def test_a_passing_run_says_so_and_has_no_failure_table():
    text = render_markdown(document([case(gates=[gate(verdict="passed", met=True)])]))
    assert text.startswith("## Passed: 1 gated case")
    assert "not met" not in text


def test_smoke_runs_and_interruptions_are_marked():
    text = render_markdown(document([case()], samples_limit=20, status="interrupted"))
    assert "Smoke run" in text
    assert "interrupted" in text


@pytest.mark.parametrize("models", [1, 5, 50])
def test_the_length_is_bounded_and_omissions_are_counted(models):
    text = render_markdown(full_document(models))
    assert len(text) <= LIMIT
    rows = sum(len(cells) == 5 and cells[0].strip().startswith(("q", "crf")) for cells in tables(text))
    omitted = re.search(r"([\d,]+) table rows? left out", text)
    if models == 50:
        assert omitted
        assert rows < 50 * 24
        assert int(omitted[1].replace(",", "")) >= 50 * 24 - rows
    else:
        assert not omitted
        assert rows == models * 24


def test_long_messages_do_not_break_the_bound():
    rows = [case(verdict="error", outcome="failed", error=f"{n} " + "<|@x`" * 5000, level=n) for n in range(900)]
    text = render_markdown(document(rows, warnings=["&" * 100_000] * 500, started="<" * 100_000))
    assert len(text) <= LIMIT
    assert "left out" in text


def test_every_table_row_has_as_many_cells_as_its_header():
    text = render_markdown(hostile_document())
    width = None
    for line in text.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.count("|") - 1
        width = width or cells
        assert cells == width, line


HOSTILE = st.text(st.sampled_from("|`<>&@#!*_[](){}\\/:.\n\r\t\u202ewab19~$^\"'-+= "), max_size=60)


@given(HOSTILE)
@settings(max_examples=300)
def test_escaped_text_holds_no_live_markup(text):
    found = escaped(text)
    assert not re.search(r"[<>|`\[\]\\*_\n\r\t\u202e]", found)
    bare = re.sub(r"&#\d+;", "", found)
    assert "&" not in bare
    assert not re.search(r"[@#!]\w", bare)
    assert not re.search(r"://|www\.", bare)


def test_plain_names_stay_readable():
    assert escaped("segnet-mini.jpeg q15, 95%") == "segnet-mini.jpeg q15, 95%"


def test_hostile_names_stay_inert():
    text = render_markdown(hostile_document())
    assert "<script" not in text
    assert "@everyone" not in text
    assert "](" not in text
    assert "https://" not in text


def test_cases_without_a_curve_and_models_with_errors_are_listed():
    broken = model_info("broken", error="weights/missing.safetensors not found; download it")
    text = render_markdown(document([case(codec="clean")], models=[model_info(), broken]))
    assert "### Cases without a curve" in text
    assert "weights/missing.safetensors not found" in text
