"""User tags: a CSV beside the data, slices in results, gates and report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts


def tagged(suite: pytest.Pytester, rows: list[str], header: str = "id,weather,camera") -> Path:
    path = suite.path / "tags.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    spec = suite.path / "model_specs" / "toy.yaml"
    text = spec.read_text(encoding="utf-8").replace("data:\n", "data:\n  tags: ../tags.csv\n")
    spec.write_text(text, encoding="utf-8")
    return path


HALVES = [f"{index:03}.png,{'night' if index < 6 else 'day'},{'left' if index % 2 else ''}" for index in range(12)]


def test_slices_are_measured_and_gated(run: Run, suite: pytest.Pytester) -> None:
    tagged(suite, HALVES)
    toy.write_thresholds(suite.path, 'toy: {jpeg: {5: {"miou{night}": {min: 0.999}, "miou{day}": {min: 0.01}}}}')
    result = run("--lossy-codec=jpeg")
    result.assert_outcomes(passed=3, failed=1)
    assert "miou{night}.min" in result.stdout.str()
    assert verdicts(suite)["jpeg-q5"] == "failed"
    metrics = next(row for row in results(suite)["cases"] if row["level"] == 5)["metrics"]
    assert {"miou{night}", "miou{day}", "miou{left}", "pixel_accuracy{left}"} <= set(metrics)
    assert metrics["miou{night}"]["low"] <= metrics["miou{night}"]["value"] <= metrics["miou{night}"]["high"]
    assert metrics["miou{night}"]["retention"] is not None
    page = (suite.path / "lossy-report" / "index.html").read_text(encoding="utf-8")
    assert "{night}" in page


def test_a_slice_equals_a_run_on_its_samples(suite: pytest.Pytester) -> None:
    tagged(suite, HALVES)
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50").assert_outcomes(passed=2)
    whole = {row["level"]: row["metrics"] for row in results(suite)["cases"]}
    for folder in ("images", "labels"):
        source = (suite.path / folder).resolve()
        (suite.path / folder).unlink()
        (suite.path / folder).mkdir()
        for index in range(6):
            name = f"{index:03}.png"
            (suite.path / folder / name).write_bytes((source / name).read_bytes())
    (suite.path / "tags.csv").unlink()
    spec = suite.path / "model_specs" / "toy.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("  tags: ../tags.csv\n", ""), encoding="utf-8")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50").assert_outcomes(passed=2)
    for row in results(suite)["cases"]:
        for metric in ("miou", "pixel_accuracy", "fw_iou"):
            assert row["metrics"][metric]["value"] == whole[row["level"]][f"{metric}{{night}}"]["value"]


BAD = [
    (["000.png,night", "000.png,day"], "*tags.csv:3: sample '000.png' is listed twice*"),
    (["000.png,[[]night"], "*tags.csv:2: tag '[[]night' holds a bracket*"),
    (["0000.png,night"], "*tags.csv: sample '0000.png' is not in the data set (1 such rows); did you mean '000.png'?*"),
    (["000.png,a,b,c,d"], "*tags.csv:2: has 5 cells, the header 3*"),
]


@pytest.mark.parametrize(("rows", "message"), BAD, ids=["twice", "bracket", "unknown", "too many"])
def test_bad_tags_are_named_with_their_line(suite: pytest.Pytester, rows: list[str], message: str) -> None:
    tagged(suite, [row.replace("[[]", "[") for row in rows])
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines([message])


def test_a_missing_file_of_tags(suite: pytest.Pytester) -> None:
    tagged(suite, []).unlink()
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*tags.csv: no such file of tags*"])


def test_an_unknown_tag_in_a_gate_is_an_error(suite: pytest.Pytester) -> None:
    tagged(suite, HALVES)
    toy.write_thresholds(suite.path, 'toy: {jpeg: {5: {"miou{rain}": {min: 0.5}}}}')
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=3, failed=1)
    assert verdicts(suite)["jpeg-q5"] == "error"
