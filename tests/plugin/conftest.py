"""Fixtures of the plugin tests: a toy suite in pytester's folder, and runs with and without workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

# pytester removes modules that a run in this process imported, but numpy and torch cannot be imported twice.
import pytest_lossy.assembly
import pytest_lossy.engine.casework
import pytest_lossy.models.torch_network
import pytest_lossy.report.html
import pytest_lossy.report.markdown  # noqa: F401
from tests.plugin import toy

Run = Callable[..., pytest.RunResult]


@pytest.fixture(scope="session")
def toy_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's images, drawn once."""
    root = tmp_path_factory.mktemp("toy")
    with FileLock(root / ".lock"):
        toy.write_images(root)
    return root


@pytest.fixture
def suite(pytester: pytest.Pytester, toy_images: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytester with one spec, its images and gates that the toy meets."""
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    for folder in ("images", "labels"):
        (pytester.path / folder).symlink_to(toy_images / folder)
    # Pictures have tests of their own, and cost more than the toy's cases.
    pytester.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 0\n")
    toy.write_spec(pytester.path)
    toy.write_thresholds(pytester.path, 'toy: {clean: {miou: {min: 0.5}}, jpeg: {"*": {miou: {min: 0.05}}}}')
    return pytester


@pytest.fixture(params=["in-process", "two-workers"])
def run(request: pytest.FixtureRequest, suite: pytest.Pytester) -> Run:
    """Run pytest on the suite, once in this process and once with two xdist workers."""

    def call(*arguments: str, workers: bool = True) -> pytest.RunResult:
        common = ("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)
        if request.param == "two-workers" and workers:
            return suite.runpytest_subprocess("-n2", *common)
        return suite.runpytest_inprocess(*common)

    return call


def results(pytester: pytest.Pytester, folder: str = "lossy-report") -> dict[str, Any]:
    """The results file of the last run."""
    document: dict[str, Any] = json.loads((pytester.path / folder / "results.json").read_text(encoding="utf-8"))
    return document


def verdicts(pytester: pytest.Pytester) -> dict[str, str]:
    """Case name -> verdict."""
    return {row["id"].rpartition("::")[2]: row["verdict"] for row in results(pytester)["cases"]}
