import string
import subprocess
import sys

import pytest
from documents import case, document, full_document, gate, model_info
from edge_documents import EDGES
from hostile_documents import hostile_document
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.report.terminal import terminal_lines

DOCUMENTS = [full_document(2, 2), hostile_document(), *EDGES.values()]
MARKUP = {"red", "green", "yellow", "bold", "light"}
PRINTABLE = set(string.printable[:95])


@given(st.sampled_from(DOCUMENTS), st.integers(1, 200), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_line_is_wider_than_the_terminal_or_holds_a_control_character(found, width, verbose):
    for text, markup in terminal_lines(found, width, verbose=verbose):
        assert len(text) <= width
        assert set(text) <= PRINTABLE
        assert set(markup) <= MARKUP


def text_of(found, width=80, verbose=False):
    return "\n".join(text for text, _ in terminal_lines(found, width, verbose=verbose))


def test_clean_comes_first_then_mild_to_severe():
    text = text_of(full_document(1, 2))
    jpeg = text[text.index("segnet-0, jpeg") :]
    assert jpeg.index("clean") < jpeg.index("q95") < jpeg.index("q15") < jpeg.index("q5 ")
    h264 = text[text.index("segnet-0, h264") :]
    assert h264.index("crf18") < h264.index("crf51")


def test_failures_are_red_words_not_colour_alone():
    lines = terminal_lines(full_document(1, 1), 80, verbose=False)
    red = [text for text, markup in lines if markup.get("red")]
    assert any("FAILED" in text for text in red)
    assert not any(
        "passed" in text and markup.get("red") for text, markup in lines if "FAILED" not in text and "," not in text
    )


def test_eighty_columns_show_interval_retention_rate_and_verdict():
    header = next(text for text, _ in terminal_lines(full_document(1, 1), 80, verbose=False) if "level" in text)
    assert header.split() == ["level", "miou", "interval", "retention", "bpp", "verdict"]


def test_a_narrow_terminal_loses_the_interval_first():
    header = next(text for text, _ in terminal_lines(full_document(1, 1), 50, verbose=False) if "level" in text)
    assert header.split() == ["level", "miou", "retention", "bpp", "verdict"]


def test_a_missed_gate_names_file_line_and_requirement():
    text = text_of(document([case(verdict="failed", outcome="failed", gates=[gate()])]), 200)
    assert "thresholds.yaml:12: segnet-mini, jpeg q15: miou retention >= 90.0%, observed 80.0% [77.0%, 83.0%]" in text


def test_verbose_lists_gates_under_their_rows():
    found = document([case(gates=[gate(verdict="passed", met=True)])])
    assert "passed: miou retention" not in text_of(found, 200)
    assert "passed: miou retention >= 90.0%" in text_of(found, 200, verbose=True)


def test_a_large_run_is_short_unless_verbose():
    found = full_document(50)
    assert len(terminal_lines(found, 80, verbose=False)) < 0.75 * len(terminal_lines(found, 80, verbose=True))
    assert "shown with -v" in text_of(found)


def test_totals_hints_and_warnings():
    found = document([case(verdict="ungated")], samples_limit=20, warnings=["pillow changed"])
    text = text_of(found)
    assert "1 ungated" in text
    assert "--lossy-samples=20" in text
    assert "warning: pillow changed" in text


def test_a_load_error_is_said_once():
    rows = [case(verdict="error", outcome="failed", error="no weights", level=n) for n in range(9)]
    text = text_of(document(rows, models=[model_info(error="no weights")]))
    assert text.count("no weights") == 1
    assert "9 cases" in text


@pytest.mark.parametrize("name", sorted(EDGES))
def test_edges_have_a_headline(name):
    assert len(terminal_lines(EDGES[name], 80, verbose=True)) >= 2


def test_the_terminal_section_does_not_import_jinja():
    code = "import sys, pytest_lossy.report.terminal; raise SystemExit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
