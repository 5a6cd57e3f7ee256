"""How many classes labels hold, where no file names them: a spec needs one name for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from pytest_lossy.data.images import read_label_map
from pytest_lossy.errors import LossyError
from pytest_lossy.first_steps.layouts import FoundData
from pytest_lossy.first_steps.tree import Tree

__all__ = ["with_class_names"]

MAX_LABEL_MAPS = 25
"""Label maps that are decoded; those beyond may hold further classes, which the run then names."""
IGNORED = 255


def with_class_names(data: FoundData, tree: Tree) -> FoundData:
    """The same data set with as many placeholders for class names as its labels need; others as they are."""
    if "classes" not in data.kwargs:
        return data
    largest = _largest_yolo(data, tree) if data.name == "yolo" else _largest_label(data, tree)
    names = ["background"] if data.name == "folder-segmentation" else []
    names += [f"class-{number}" for number in range(len(names), max(largest, len(names)) + 1)]
    return replace(data, kwargs={**data.kwargs, "classes": names})


def _largest_yolo(data: FoundData, tree: Tree) -> int:
    parts = data.paths["images"].parts
    place = len(parts) - 1 - parts[::-1].index("images")
    folder = tree.get(PurePosixPath(*parts[:place], "labels", *parts[place + 1 :]))
    largest = 0
    for name in folder.with_suffix(".txt") if folder else ():
        try:
            lines = (tree.root / folder.path / name).read_text(encoding="utf-8").splitlines() if folder else []
        except (OSError, UnicodeDecodeError):
            continue
        words = [line.split()[0] for line in lines if line.strip()]
        largest = max([largest, *(int(word) for word in words if word.isdecimal() and int(word) < 10_000)])
    return largest


def _largest_label(data: FoundData, tree: Tree) -> int:
    folder = tree.get(data.paths["labels"])
    names = folder.with_suffix(".png") if folder else ()
    largest = 0
    for name in names[:: max(1, len(names) // MAX_LABEL_MAPS)]:
        try:
            labels = read_label_map(tree.root / data.paths["labels"] / name)
        except LossyError:
            continue
        largest = max([largest, *(int(label) for label in set(labels.ravel().tolist()) if label < IGNORED)])
    return min(largest, 253)
