"""``results.json`` as bytes: the same document back, whatever its text and numbers, and what is read of it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lossy.results.document import ResultsDocument
from pytest_lossy.results.reader import read_codecs, read_results, read_seconds
from tests.unit.report.documents import case, document, full_document


def test_the_document_comes_back(tmp_path: Path) -> None:
    before = full_document(models=2)
    (tmp_path / "results.json").write_bytes(before.to_json())
    assert read_results(tmp_path / "results.json") == before
    assert read_codecs(tmp_path / "results.json") == before.codecs
    assert read_seconds(tmp_path / "results.json") == {row.id: row.seconds for row in before.cases}


@pytest.mark.parametrize("number", [1e-7, 1e22, 5e-324, 0.1 + 0.2, 1 / 3, 123456789.123])
def test_numbers_keep_every_digit(number: float) -> None:
    before = document([case(bpp=number)])
    assert ResultsDocument.model_validate(json.loads(before.to_json())).cases[0].bpp == number


@pytest.mark.parametrize("text", ["Straße \N{SNOWMAN}", "a\udcffb", "line\nline \x00 \\"])
def test_any_text_is_valid_json(text: str) -> None:
    content = document([case(error=text)]).to_json()
    assert json.loads(content)["cases"][0]["error"] == text
    assert content == document([case(error=text)]).to_json()


def test_other_files_have_neither_codecs_nor_seconds(tmp_path: Path) -> None:
    for content in ("", "[]", '{"schema_version": 99, "codecs": [], "cases": 3}'):
        (tmp_path / "results.json").write_text(content)
        assert read_codecs(tmp_path / "results.json") == []
        assert read_seconds(tmp_path / "results.json") == {}
