"""Real images and models, run through the public command line; everything here is marked ``real``."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run_cli(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """``pytest`` in ``folder``, as a user would start it; returns the process and results.json."""
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
    )
    path = folder / "lossy-report" / "results.json"
    assert path.exists(), process.stdout + process.stderr
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return process, document


def primary(document: dict[str, Any], name: str = "miou") -> dict[float | None, dict[str, float]]:
    """Level (None for clean) -> the metric's columns."""
    return {row["level"]: row["metrics"][name] for row in document["cases"]}


def assert_falls_within_intervals(curve: dict[float | None, dict[str, float]]) -> None:
    """From mild to severe no level is better than a milder one by more than their intervals allow."""
    levels = sorted((level for level in curve if level is not None), reverse=True)
    for mild, severe in itertools.pairwise(levels):
        assert curve[severe]["low"] <= curve[mild]["high"], f"q{severe:g} against q{mild:g}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's repository: nothing but a folder of specs."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "model_specs").mkdir()
    return tmp_path
