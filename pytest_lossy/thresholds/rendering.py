"""New gates as YAML: a line for each model, codec label and level, and below that flow style."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from pytest_lossy.cases import CLEAN, format_level

__all__ = ["Bounds", "Key", "Tree", "block_lines", "flow_text", "in_block", "key_text"]

Key = str | float
"""A name, or the number of a level."""

Tree = dict[Key, "Tree | str | Bounds"]
"""What is to be added below a mapping."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


@dataclass
class Bounds:
    """Bounds of one metric, for one reference."""

    reference: str
    limits: Tree = field(default_factory=dict)


def block_lines(tree: Tree, column: int, depth: int, step: int, reference: str) -> list[str]:
    """Lines of new keys, each with what is below it.

    Args:
        tree: of the keys.
        column: where they begin.
        depth: how many keys lead to one of them from the top of the file, itself included.
        step: columns by which what is below a key is indented.
        reference: what the file's gates apply to that name none; the others name theirs.
    """
    lines = []
    for key, below in tree.items():
        if isinstance(below, dict) and in_block(depth, key):
            lines.append(f"{' ' * column}{key_text(key)}:")
            lines += block_lines(below, column + step, depth + 1, step, reference)
        else:
            lines.append(f"{' ' * column}{key_text(key)}: {flow_text(below, reference)}")
    return lines


def flow_text(below: Tree | str | Bounds, reference: str) -> str:
    """A value in flow style."""
    if isinstance(below, str):
        return below
    named: Tree = {}
    if isinstance(below, Bounds):
        named = {} if below.reference == reference else {"reference": below.reference}
        below = below.limits
    pairs = {**named, **below}.items()
    return "{" + ", ".join(f"{key_text(key)}: {flow_text(value, reference)}" for key, value in pairs) + "}"


def in_block(depth: int, key: Key | None) -> bool:
    """``models``, models and codec labels have a line for each of what is below them; clean and levels have one in all."""
    return depth <= 2 or (depth == 3 and key != CLEAN)


def key_text(key: Key) -> str:
    """A key as YAML reads it back."""
    if not isinstance(key, str):
        text = format_level(key)
        return text if float(text) == key else repr(key)
    return key if _PLAIN.fullmatch(key) and key.lower() not in _WORDS else json.dumps(key, ensure_ascii=False)
