"""Train a small model once per test run, in a process of its own, with one thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from filelock import FileLock

__all__ = ["train_once"]


def train_once(
    factory: pytest.TempPathFactory, module: ModuleType, iterations: int, names: list[str], *folders: Path
) -> Path:
    """Run ``module`` as ``FOLDERS... NAMES WEIGHTS ITERATIONS``, also with several workers once; returns the weights.

    Args:
        factory: pytest's; it knows the run's temporary folder.
        module: a script that trains and saves.
        iterations: their number.
        names: what it trains on, one a line in the file NAMES.
        folders: where that lies.
    """
    assert module.__file__ is not None
    stem = Path(module.__file__).stem
    base = factory.getbasetemp()
    # Each worker's folder lies in the run's; without workers the folder above would outlive the run, and so the script.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"trained-{stem}"
    folder.mkdir(exist_ok=True)
    weights = folder / f"{stem}.safetensors"
    with FileLock(folder / ".lock"):
        if not weights.exists():
            listed = folder / "names.txt"
            listed.write_text("\n".join(names), encoding="utf-8")
            arguments = [*map(str, folders), str(listed), str(weights), str(iterations)]
            subprocess.run([sys.executable, module.__file__, *arguments], check=True)
    return weights
