"""results.json: the schema, the reader and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError
from result_rows import document, row

from pytest_lossy.cases import Case
from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import CaseRow, MetricValue, ResultsDocument
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.results.files import write_json
from pytest_lossy.results.reader import read_results
from pytest_lossy.results.rows import error_row

SCHEMA = ResultsDocument.model_json_schema()


def test_a_document_is_valid_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, document().model_dump(mode="json"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(path.read_text()), SCHEMA, jsonschema.Draft202012Validator)
    assert read_results(path) == document()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"cases": 3}, "cases"),
        ({"run": {}}, "run.started"),
        ({"surprise": 1}, "surprise"),
        ({"models": [{"name": "a"}]}, "models.0"),
    ],
)
def test_reader_and_schema_refuse_what_is_no_results_file(
    tmp_path: Path, change: dict[str, object], where: str
) -> None:
    data = {**document().model_dump(mode="json"), **change}
    path = tmp_path / "results.json"
    write_json(path, data)
    with pytest.raises(ResultsError, match=rf"results.json: is no results file \(\d+ problems: .*{where}"):
        read_results(path)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(data)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_told(tmp_path: Path, version: object) -> None:
    write_json(tmp_path / "r.json", {**document().model_dump(mode="json"), "schema_version": version})
    with pytest.raises(ResultsError, match=f"schema_version is {version!r}, this program reads 1"):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "{}"])
def test_json_of_another_kind(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ResultsError, match="schema_version is None"):
        read_results(tmp_path / "r.json")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"r.json: cannot be read"):
        read_results(tmp_path / "r.json")
    (tmp_path / "r.json").write_text('{"schema_version": 1,')
    with pytest.raises(ResultsError, match=r"r.json: is damaged"):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_row_holds_nan_or_infinity(number: float) -> None:
    with pytest.raises(ValidationError):
        MetricValue(value=number)
    with pytest.raises(ValidationError):
        CaseRow.model_validate({**row().model_dump(), "psnr": number})


@pytest.mark.parametrize(("verdict", "outcome"), [("error", "failed"), ("crashed", "failed"), ("not_run", "none")])
def test_rows_of_what_was_not_measured(verdict: str, outcome: str) -> None:
    case = Case("net", "segmentation", "jpeg", "jpeg", "q", 15)
    found = error_row("id", case, "miou", "why", verdict)  # type: ignore[arg-type]
    assert (found.verdict, found.outcome, found.error, found.level) == (verdict, outcome, "why", 15)
    assert found.metrics == {}


def test_the_environment_is_described() -> None:
    environment = describe_environment(["cpu"])
    assert environment.packages["pillow"]
    assert environment.packages["pytest-lossy"]
    assert environment.instruction_set.startswith(environment.machine + "/")
    assert environment.devices == ["cpu"]
