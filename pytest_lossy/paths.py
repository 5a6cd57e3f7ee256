"""Paths as specs write them, and the folder that runs share."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["CACHE_VARIABLE", "cache_root", "from_spec", "media_cache_folder"]

CACHE_VARIABLE = "PYTEST_LOSSY_CACHE"
"""Environment variable that names a folder to use instead of the platform's user cache."""


def cache_root() -> Path:
    """The folder of everything that this user's runs may share."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("pytest-lossy")


def media_cache_folder() -> Path:
    """Where encoded media are kept unless ``--lossy-cache`` says otherwise."""
    return cache_root() / "media"


def from_spec(base: Path, written: str) -> Path:
    """A path of a spec, relative to the spec's folder, without ``..`` so that messages stay readable.

    Args:
        base: the spec's folder.
        written: as in the spec; ``~`` is the home folder.
    """
    return Path(os.path.normpath(base / Path(written).expanduser()))
