"""Derived specs: the parent's file with other weights, and a record of where they come from."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
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
    """Write the spec of a fine-tuned model; comments and order are its parent's, and so is what its paths name.

    Args:
        parent: the spec that was fine-tuned.
        name: of the new model.
        weights: of the new model.
        sha256: of the weights.
        retrained: the ``retrained`` section, exact builtins.
        folder: where the spec goes, beside its parent's or elsewhere.

    Returns:
        the new spec's path.
    """
    yaml = YAML()
    yaml.width = 120
    base, folder = parent.path.parent, folder.resolve()
    text = parent.path.read_text(encoding="utf-8")
    if folder != base:
        text = _SCHEMA.sub(lambda found: found[1] + _relative(base / found[2], folder), text)
    document = yaml.load(text)
    if folder != base:
        _move(document, base, folder)
    document["name"] = name
    document["model"]["weights"] = _relative(weights, folder)
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


_SCHEMA = re.compile(r"(\$schema=)(\.{1,2}/\S+)")
"""What an editor reads in a comment."""


def _move(document: Any, base: Path, folder: Path) -> None:
    """Let a spec's relative paths name from ``folder`` what they named from ``base``, in place.

    Code is known by its key; a text among the arguments of the data, the task, the model or a codec is a path where a
    file or folder of that name exists.
    """
    model, data = document["model"], document["data"]
    for section, key in (
        (model, "torch"),
        (model.get("input"), "function"),
        (model.get("output"), "function"),
        (data, "factory"),
    ):
        location, _, function = (section.get(key) or "" if section else "").rpartition(":")
        if location.endswith(".py"):
            moved = _moved(location, base, folder)
            section[key] = f"{moved}:{function}"
    if data.get("tags"):
        data["tags"] = _moved(data["tags"], base, folder)
    arguments = [model.get("kwargs"), data.get("kwargs"), document.get("task_kwargs"), *document["codecs"].values()]
    for section in arguments:
        for key, value in section.items() if isinstance(section, dict) else ():
            if isinstance(value, str) and value and (base / value).exists():
                section[key] = _moved(value, base, folder)


def _moved(written: str, base: Path, folder: Path) -> str:
    """A path of a spec in ``base``, as a spec in ``folder`` writes it."""
    anywhere = written.startswith("~") or Path(written).is_absolute()
    return written if anywhere else _relative(base / written, folder)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
