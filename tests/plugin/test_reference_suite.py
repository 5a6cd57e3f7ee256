"""The project's own specs, gates and weights, on a few rendered scenes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_lossy.specs.index import find_specs, index_specs
from tests.plugin.conftest import results

ROOT = Path(__file__).parents[2]


def test_the_specs_are_valid_and_refer_to_the_schema() -> None:
    paths = find_specs(ROOT / "model_specs")
    assert [spec.name for spec in index_specs(paths, ROOT)] == ["segnet-mini"]
    for path in (*paths, ROOT / "thresholds.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / first.partition("$schema=")[2]
        assert json.loads(schema.read_text(encoding="utf-8"))["$schema"]


def test_a_smoke_run_of_segnet(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "model_specs", pytester.path / "model_specs")
    shutil.copy(ROOT / "thresholds.yaml", pytester.path)
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    pytester.makeini("[pytest]\n")
    result = pytester.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-samples=6", "--lossy-level=jpeg:95,5")
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    rows = {row["level"]: row for row in results(pytester)["cases"]}
    assert all(row["verdict"] in ("passed", "failed", "inconclusive") for row in rows.values())
    assert rows[None]["metrics"]["miou"]["value"] > 0.4
    assert rows[5]["metrics"]["miou"]["high"] < rows[None]["metrics"]["miou"]["low"]
    assert results(pytester)["models"][0]["details"]["parameters"] == 422_827
