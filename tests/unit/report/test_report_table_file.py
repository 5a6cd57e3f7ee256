import csv
import io
import re

import pytest
from documents import case, document, full_document, model_info, value
from edge_documents import EDGES
from hostile_documents import hostile_document
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.report.table_file import COLUMNS, render_csv
from pytest_lossy.results.document import MetricValue


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_each_case_and_metric_has_one_row_with_every_digit():
    found = full_document(2, 2)
    rows = rows_of(render_csv(found))
    wanted = [(case.id, name, value) for case in found.cases for name, value in case.metrics.items()]
    assert len(rows) == len(wanted)
    for row, (node, name, measured) in zip(rows, wanted, strict=True):
        full = f"{row['metric']}[{row['slice']}]" if row["slice"] else row["metric"]
        assert (row["case"], full) == (node, name)
        for key in ("value", "low", "high", "retention", "retention_low", "retention_high", "loss", "loss_high"):
            number = getattr(measured, key)
            assert (float(row[key]) if row[key] else None) == number
    assert {row["primary"] for row in rows if row["metric"] == "miou" and not row["slice"]} == {"true"}
    assert {row["higher_is_better"] for row in rows if row["metric"] == "abs_rel"} <= {"false"}


def test_a_case_that_measured_nothing_still_has_a_row():
    (row,) = rows_of(render_csv(document([case(verdict="error", outcome="failed", error='two\nlines, "quoted"')])))
    assert (row["verdict"], row["metric"], row["value"]) == ("error", "", "")
    assert row["error"] == 'two\nlines, "quoted"'


def test_slices_by_class_and_by_tag_are_told_from_their_metric():
    metrics = {name: MetricValue(value=0.5) for name in ("miou", "miou[road]", "miou{night}", "miou[a[b]]")}
    rows = rows_of(render_csv(document([case(metrics=metrics)])))
    assert [(row["metric"], row["slice"]) for row in rows] == [
        ("miou", ""), ("miou", "road"), ("miou", "night"), ("miou", "a[b]"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(EDGES))
def test_edges_are_readable(name):
    text = render_csv(EDGES[name])
    assert not re.search(r"\b(None|nan|inf)\b", text)
    for row in csv.reader(io.StringIO(text), strict=True):
        assert len(row) == len(COLUMNS)


def is_number(text):
    return re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", text) is not None


START = re.compile("^[\\s\x00-\x20]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


@given(st.text(st.sampled_from("=+-@\uff1d\t\r\n \x00'\"a1,;|"), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_text_becomes_a_formula(text):
    found = document(
        [case(error=text, metrics={text: value(0.6, 0.8)}, primary=text)],
        models=[model_info(architecture=text)],
    )
    for row in csv.reader(io.StringIO(render_csv(found), newline=""), strict=True):
        for cell in row:
            assert is_number(cell) or not START.match(cell), cell
            assert "\x00" not in cell


def test_hostile_names_are_cells():
    rows = rows_of(render_csv(hostile_document()))
    assert {row["model"].rpartition(" ")[0].lstrip("'") for row in rows} >= {
        "<script>alert(1)</script>",
        "javascript:alert(4)",
    }
    assert any(row["model"].startswith("'--> ]]>") for row in rows)


def test_negative_numbers_stay_numbers():
    (row,) = rows_of(render_csv(document([case(metrics={"miou": MetricValue(value=-0.25)})])))
    assert row["value"] == "-0.25"
