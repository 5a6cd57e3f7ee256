"""Paths as specs write them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["from_spec"]


def from_spec(base: Path, written: str) -> Path:
    """A path of a spec, relative to the spec's folder, without ``..`` so that messages stay readable.

    Args:
        base: the spec's folder.
        written: as in the spec; ``~`` is the home folder.
    """
    return Path(os.path.normpath(base / Path(written).expanduser()))
