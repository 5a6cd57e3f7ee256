"""Code that users name in a spec: importing it, and showing its errors without our own frames."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.paths import from_spec
from pytest_lossy.registry import did_you_mean, import_dotted

__all__ = ["explain_exception", "import_callable"]

_PACKAGE = str(Path(__file__).parent)
_MAX_FRAMES = 6


def import_callable(reference: str, base: Path) -> Callable[..., Any]:
    """Import ``./file.py:name`` (relative to ``base``) or ``package.module:name``.

    A file is loaded under a module name made from its path, so that two specs with a ``model.py`` each do not meet.

    Raises:
        ModelError: it cannot be imported, or is not callable.
    """
    location, _, name = reference.rpartition(":")
    if location.endswith(".py"):
        module = _load_file(from_spec(base, location))
        if not hasattr(module, name):
            names = [known for known in dir(module) if not known.startswith("_")]
            raise ModelError(f"{from_spec(base, location)} has no '{name}'; {did_you_mean(name, names)}")
        target = getattr(module, name)
    else:
        try:
            target = import_dotted(reference)
        except LossyError as error:
            raise ModelError(str(error)) from error.__cause__
    if not callable(target):
        raise ModelError(f"'{reference}' is not callable; name a function or class")
    result: Callable[..., Any] = target
    return result


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; the path is relative to the spec")
    tag = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    module_name = f"_pytest_lossy_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{tag}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def explain_exception(error: BaseException) -> str:
    """The error and the user's own frames that led to it, innermost last; none of this package's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGE)]
    # Frames of the standard library at the front are the thread pool that called us.
    while frames and "concurrent/futures" in frames[0].filename:
        frames.pop(0)
    lines = [f"{type(error).__name__}: {error}"]
    for frame in frames[-_MAX_FRAMES:]:
        lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line or ''}".rstrip())
    return "\n".join(lines)
