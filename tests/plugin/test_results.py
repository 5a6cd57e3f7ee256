"""What a run leaves behind: results.json, pages, evidence; the same numbers whatever the workers and the order."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from filelock import FileLock

from pytest_lossy.cli import json_schema, main
from tests.plugin import toy
from tests.plugin.conftest import Run, results


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """Everything but what must differ between equal runs."""
    rows = [{key: value for key, value in row.items() if key not in ("seconds", "worker")} for row in document["cases"]]
    return {**document, "run": None, "cases": sorted(rows, key=lambda row: row["id"])}


def test_results_follow_the_published_schema(run: Run, suite: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg").assert_outcomes(passed=4)
    document = results(suite)
    jsonschema.validate(document, json_schema("results"))
    assert document["schema_version"] == 1
    assert document["run"]["counts"] == {"passed": 4}
    assert document["run"]["command"].startswith("pytest ")
    assert [point["level"] for point in document["curves"][0]["points"]] == [90, 50, 5]
    assert document["environment"]["packages"]["torch"]
    row = document["cases"][-1]
    assert {
        "id",
        "model",
        "task",
        "codec",
        "level",
        "verdict",
        "metrics",
        "bpp",
        "psnr",
        "samples",
        "seconds",
    } <= set(row)
    assert {"gates", "error"} <= set(row)
    assert row["metrics"]["miou"].keys() >= {
        "value",
        "low",
        "high",
        "retention",
        "retention_low",
        "retention_high",
    }
    assert row["metrics"]["miou"]["low"] <= row["metrics"]["miou"]["value"] <= row["metrics"]["miou"]["high"]


def test_rate_and_psnr_against_pillow(suite: pytest.Pytester) -> None:
    import io
    import math

    import numpy as np
    from PIL import Image

    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=4)
    row = next(row for row in results(suite)["cases"] if row["level"] == 50)
    size, pixels, decibels = 0, 0, []
    for path in sorted((suite.path / "images").glob("*.png")):
        image = Image.open(path)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=50)
        size += len(stream.getvalue())
        pixels += image.width * image.height
        decoded = np.asarray(Image.open(stream), float)
        decibels.append(10 * math.log10(255**2 / ((np.asarray(image, float) - decoded) ** 2).mean()))
    assert row["bpp"] == 8 * size / pixels
    assert row["psnr"] == pytest.approx(sum(decibels) / len(decibels), rel=1e-12)
    assert 0 < row["header_share"] < 1


def test_same_numbers_with_workers_in_any_order_and_again(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "other", extra="name: second")
    documents, evidence = [], []
    for arguments in (
        ["-p", "no:randomly"],
        ["-p", "no:randomly"],
        ["--randomly-seed=11"],
        ["-n2", "-p", "no:randomly"],
        ["-n3", "--randomly-seed=12"],
    ):
        run = suite.runpytest_subprocess if "-n" in arguments[0] else suite.runpytest_inprocess
        run("--lossy-codec=jpeg", *arguments).assert_outcomes(passed=8)
        documents.append(comparable(results(suite)))
        folder = suite.path / "lossy-report" / "evidence"
        evidence.append({path.name: path.read_bytes() for path in folder.iterdir()})
    for other, files in zip(documents[1:], evidence[1:], strict=True):
        assert {**other, "environment": None} == {**documents[0], "environment": None}
        assert files == evidence[0]


def test_pages_and_gitignore(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    folder = suite.path / "lossy-report"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert "jpeg-q5" in (folder / "index.html").read_text(encoding="utf-8")
    assert "toy" in (folder / "summary.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in (folder / "evidence").iterdir()) == [
        "toy@clean.npz",
        "toy@jpeg-q5.npz",
        "toy@jpeg-q50.npz",
        "toy@jpeg-q90.npz",
    ]
    assert not (folder / ".run").exists()


def test_a_run_replaces_earlier_results(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "q50")
    assert {row["id"].rpartition("::")[2] for row in results(suite)["cases"]} == {"clean", "jpeg-q50"}
    names = {path.name for path in (suite.path / "lossy-report" / "evidence").iterdir()}
    assert names == {"toy@clean.npz", "toy@jpeg-q50.npz"}


def test_a_page_that_cannot_be_drawn_costs_no_numbers(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("a defect of the page")

    monkeypatch.setattr("pytest_lossy.report.html.render_html", broken)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["a page of the report could not be drawn (KeyError: 'a defect of the page')*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert results(suite)["run"]["counts"] == {"passed": 4}
    assert (suite.path / "lossy-report" / "summary.md").exists()
    assert not (suite.path / "lossy-report" / "index.html").exists()


def test_a_run_of_no_case_keeps_earlier_results(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    before = results(suite)
    suite.makepyfile(test_other="def test_one(): pass")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "test_other.py")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*= pytest-lossy =*")
    assert results(suite) == before
    assert not (suite.path / "lossy-report" / ".run").exists()


def test_the_report_folder_is_locked(run: Run, suite: pytest.Pytester) -> None:
    folder = suite.mkdir("lossy-report")
    with FileLock(folder / ".lock"):
        result = run("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "another run writes here" in result.stderr.str() + result.stdout.str()


def test_report_command_rebuilds_the_pages(suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    folder = suite.path / "lossy-report"
    pages = {name: (folder / name).read_bytes() for name in ("index.html", "summary.md", "results.csv")}
    for name in pages:
        (folder / name).unlink()
    assert main(["report", str(folder / "results.json")]) == 0
    assert {name: (folder / name).read_bytes() for name in pages} == pages
    assert main(["report", str(folder / "results.json"), "--output", str(suite.path / "elsewhere")]) == 0
    assert (suite.path / "elsewhere" / "index.html").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is damaged"),
        ("[]", "schema_version is None"),
        ('{"schema_version": 99}', "schema_version is 99"),
        ('{"schema_version": 1}', "is no results file"),
    ],
)
def test_report_command_on_bad_files(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    path = suite.path / "results.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["report", str(path)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["spec", "thresholds", "results"])
def test_committed_schemas_are_current(
    name: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    assert main(["schema", name]) == 0
    printed = json.loads(capsys.readouterr().out)
    committed = request.config.rootpath / "pytest_lossy" / "schemas" / f"{name}.schema.json"
    assert printed == json.loads(committed.read_text(encoding="utf-8")), "run: make schemas"
    jsonschema.Draft202012Validator.check_schema(printed)


def test_list_names_everything_that_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    from pytest_lossy.codecs.registry import CODECS
    from pytest_lossy.data.registry import DATASETS
    from pytest_lossy.tasks.registry import TASKS

    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind, registry in (("codec", CODECS), ("task", TASKS), ("data", DATASETS)):
        for name in registry.names():
            assert any(line.split(":")[0] == f"{kind} {name}" for line in lines)
    assert any(line.startswith("  images: str, needed") for line in lines)
