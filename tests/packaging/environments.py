"""Virtual environments that hold chosen distributions only, linked from this environment instead of downloaded."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["closure", "link_distributions", "make_environment", "run_in", "site_packages"]


def closure(names: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """Distributions that these need, directly or not, and themselves; extras and other platforms' needs are left out."""
    left_out = {canonicalize_name(name) for name in without}
    found: dict[str, None] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in left_out or name in found:
            continue
        found[name] = None
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *requirement.extras)]
            if needed.marker is None or any(needed.marker.evaluate(one) for one in environments):
                waiting.append(needed)
    return sorted(found)


def make_environment(folder: Path) -> Path:
    """An empty virtual environment.

    Returns:
        its interpreter.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False, clear=True).create(folder)
    return folder / "bin" / "python"


def site_packages(environment: Path) -> Path:
    """Where an environment's packages lie."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))


def link_distributions(environment: Path, names: Iterable[str]) -> None:
    """Make distributions of this environment part of another one, by links to their files and folders."""
    target = site_packages(environment)
    for name in names:
        distribution = importlib.metadata.distribution(name)
        root = Path(str(distribution.locate_file("")))
        for top in sorted({Path(file).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}):
            _link(root / top, target / top)


def _link(source: Path, target: Path) -> None:
    """Link a file or folder; folders that several distributions share (such as ``nvidia``) are merged."""
    if not source.exists() or target == source:
        return
    if not target.exists():
        target.symlink_to(source)
    elif source.is_dir() and not (target.is_symlink() and target.resolve() == source.resolve()):
        if target.is_symlink():
            inside = list(target.resolve().iterdir())
            target.unlink()
            target.mkdir()
            for path in inside:
                _link(path, target / path.name)
        for path in source.iterdir():
            _link(path, target / path.name)


def run_in(python: Path, *arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of an environment's programs, ``pytest`` for example, without this process's Python settings.

    Args:
        python: of the environment.
        arguments: the program's name and its arguments.
        cwd: outside of the repository.
        environment: further variables.
    """
    folder = python.parent
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8", **environment}
    program = shutil.which(str(arguments[0]), path=str(folder)) or str(arguments[0])
    return subprocess.run(
        [program, *map(str, arguments[1:])], cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )


if sys.platform == "win32":
    raise ImportError("links need a POSIX system")
