"""What cases are likely to cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lossy.cases import Case
from pytest_lossy.results.reader import read_seconds
from pytest_lossy.scheduling.costs import estimated_costs, static_cost

CLEAN = Case("m", "segmentation", "clean")
JPEG = Case("m", "segmentation", "jpeg", "jpeg", "q", 15)
AVIF = Case("m", "segmentation", "avif", "avif", "q", 15)
MIX = Case("m", "segmentation", "mix", mix="fleet")


def test_guesses_order_codecs_and_media() -> None:
    assert static_cost(MIX, "stills") < static_cost(JPEG, "stills") < static_cost(AVIF, "stills")
    assert static_cost(JPEG, "clips") > static_cost(JPEG, "stills")
    assert static_cost(CLEAN, "clips") > static_cost(CLEAN, "stills")


def test_measured_seconds_win_and_scale_the_guesses() -> None:
    cases = [("c", CLEAN, "stills"), ("j", JPEG, "stills"), ("a", AVIF, "stills")]
    assert estimated_costs(cases, {"j": 8.0}) == {  # type: ignore[arg-type]
        "c": 8.0,
        "j": 8.0,
        "a": 8.0 * static_cost(AVIF, "stills"),
    }


def test_no_case() -> None:
    assert estimated_costs([], {"x": 1.0}) == {}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cases": [{"id": "x"}]}', '{"cases": 3}'])
def test_unreadable_results_are_no_measurement(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    assert read_seconds(tmp_path / "results.json") == {}
    assert read_seconds(tmp_path / "nowhere.json") == {}


def test_seconds_of_an_earlier_run(tmp_path: Path) -> None:
    rows = [{"id": "a", "seconds": 2.5}, {"id": "b", "seconds": 0.0}]
    (tmp_path / "results.json").write_text(json.dumps({"cases": rows}))
    assert read_seconds(tmp_path / "results.json") == {"a": 2.5}
