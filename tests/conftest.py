"""Shared by all tests: pytester, the development data, and the absence of a GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# Tests start hundreds of processes. Where they must not keep what they compile, each compiles the whole package again, which
# takes a third of its time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

DATA = Path(os.environ.get("PYTEST_LOSSY_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that read it are marked ``real``."""
    if not DATA.is_dir():
        pytest.skip(f"no development data at {DATA} (set PYTEST_LOSSY_DATA)")
    return DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called after collection: skip GPU tests where there is none. torch is imported only if such tests are selected."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device; torch sees none"))
