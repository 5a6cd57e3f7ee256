"""Derived specs: the parent's file with other weights, and a record of where they come from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from pytest_lossy.cases import IndexedSpec, format_level
from pytest_lossy.results.files import write_atomically

__all__ = ["control_name", "derived_name", "write_derived"]


def control_name(parent: str, seed: int) -> str:
    """The name of the twin that is fine-tuned on clean samples."""
    return _seeded(f"{parent}.control", seed)


def derived_name(parent: str, label: str, parameter: str, levels: tuple[float, ...], seed: int) -> str:
    """``segnet-mini.jpeg-q10``; ``segnet-mini.jpeg-mix`` for several levels; with ``.s2`` for other seeds than 1."""
    what = f"{parameter}{format_level(levels[0])}" if len(levels) == 1 else "mix"
    return _seeded(f"{parent}.{label}-{what}", seed)


def _seeded(name: str, seed: int) -> str:
    return name if seed == 1 else f"{name}.s{seed}"


def write_derived(
    parent: IndexedSpec, name: str, weights: Path, sha256: str, retrained: Mapping[str, Any], *, folder: Path
) -> Path:
    """Write the spec of a fine-tuned model beside its parent's; comments and order are the parent's.

    Args:
        parent: the spec that was fine-tuned.
        name: of the new model.
        weights: of the new model.
        sha256: of the weights.
        retrained: the ``retrained`` section, exact builtins.
        folder: where the spec goes.

    Returns:
        the new spec's path.
    """
    yaml = YAML()
    yaml.width = 120
    document = yaml.load(parent.path.read_text(encoding="utf-8"))
    document["name"] = name
    document["model"]["weights"] = PurePosixPath(_relative(weights, folder)).as_posix()
    document["model"]["sha256"] = sha256
    document.pop("training", None)
    document["retrained"] = {name: _inline(value) for name, value in retrained.items()}
    stream = io.StringIO()
    yaml.dump(document, stream)
    path = folder / f"{name}.yaml"
    write_atomically(path, stream.getvalue().encode())
    return path


def _inline(value: Any) -> Any:
    """A list on one line."""
    if not isinstance(value, list):
        return value
    row = CommentedSeq(value)
    row.fa.set_flow_style()
    return row


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
