"""Whether Python tests may bring specs of their own, asked before any of them is imported and only where it matters."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["tests_use_lossy"]

_USES = re.compile(rb"lossy_(?:spec|levels|level|codec|result)\b|mark\.lossy\b|\blossy\.evaluate\b")


def tests_use_lossy(config: pytest.Config) -> bool:
    """Whether a Python file below the paths of this run writes one of our markers or fixtures.

    Flags that no spec file explains are then judged once the tests are collected, and a run without spec files is none of
    our errors. The text alone is looked at: a mention in a comment only makes a complaint come later.
    """
    return any(_USES.search(_content(path)) for path in _python_files(config))


def _python_files(config: pytest.Config) -> Iterator[Path]:
    skipped: list[str] = config.getini("norecursedirs")
    for argument in config.args:
        start = Path(config.invocation_params.dir, argument.partition("::")[0])
        if start.is_file():
            yield start
            continue
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(
                name
                for name in folders
                if not any(fnmatch.fnmatch(name, pattern) for pattern in skipped)
                and not Path(folder, name, "pyvenv.cfg").exists()
            )
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
