"""Change limits in a thresholds file and add gates to it, and leave every other character as it was written.

The file is parsed for the positions of its values alone: comments, order, quotes, flow style and blank lines stay, since
nothing but the new text is ever written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from pytest_lossy.specs.yaml_source import Location
from pytest_lossy.thresholds.rendering import Bounds, Key, Tree, block_lines, flow_text, in_block, key_text

__all__ = ["Addition", "GatesText"]

Node = Any
"""One of ruamel's, whose base class does not declare the styles that all of them have."""

_MERGE = "tag:yaml.org,2002:merge"
_STEP = 2


@dataclass(frozen=True, slots=True)
class Addition:
    """One limit to be added."""

    path: tuple[Key, ...]
    """Model, codec label and level, or what stands in their place: model and ``clean``; model, ``mix`` and its name."""
    metric: str | None
    """None for a bound below a ``knee``."""
    bound: str
    text: str
    reference: str
    """What the gate applies to."""


@dataclass(frozen=True, slots=True)
class _Place:
    node: Node
    shared: bool
    """Whether an alias or a merge makes other places of the file change with it."""
    children: Mapping[Any, Location]


class GatesText:
    """The text of one thresholds file, and what is to change in it.

    Args:
        text: a valid file, without byte-order mark.
        reference: what its gates apply to that name none.
    """

    def __init__(self, text: str, reference: str) -> None:
        self.text, self.reference = text, reference
        self._places: dict[Location, _Place] = {}
        self._edits: list[tuple[int, int, str]] = []
        self._newline = "\r\n" if "\r\n" in text else "\n"
        seen: dict[int, int] = {}
        root = YAML(typ="rt").compose(text)
        _count(root, seen)
        self._walk(root, YAML(typ="rt").load(text), (), False, seen)
        models = self._places.get(("models",))
        self._step = _STEP
        if models is not None and not models.node.flow_style and models.node.value:
            self._step = models.node.value[0][0].start_mark.column or _STEP

    def _walk(self, node: Node, data: Any, here: Location, shared: bool, seen: Mapping[int, int]) -> None:
        """Note where each value stands; the loaded data say which keys a node's pairs have."""
        shared = shared or seen[id(node)] > 1
        children: dict[Any, Location] = {}
        if isinstance(node, MappingNode):
            shared = shared or any(key.tag == _MERGE for key, _ in node.value)
            if not shared:
                children = {key: (*here, key) for key in data}
                for (_, value), (key, loaded) in zip(node.value, data.items(), strict=True):
                    self._walk(value, loaded, (*here, key), shared, seen)
        elif isinstance(node, SequenceNode):
            children = {index: (*here, index) for index in range(len(node.value))}
            for index, value in enumerate(node.value):
                self._walk(value, data[index], (*here, index), shared, seen)
        self._places[here] = _Place(node, shared, children)

    def limit(self, location: Location) -> str | None:
        """The limit at ``location`` as written, without quotes; None where it must not be changed alone."""
        place = self._places.get(location)
        if place is None or place.shared or not isinstance(place.node, ScalarNode) or place.node.anchor:
            return None
        return str(place.node.value)

    def replace(self, location: Location, text: str) -> None:
        """Write another limit."""
        node = self._places[location].node
        quote = node.style if node.style in ("'", '"') else ""
        self._edits.append((node.start_mark.index, node.end_mark.index, f"{quote}{text}{quote}"))

    def writable(self, path: Sequence[Key]) -> bool:
        """Whether a gate can be added there without changing another one."""
        here: Location = ()
        for key in ("models", *path):
            place = self._places.get(here)
            if place is None or place.shared or not isinstance(place.node, MappingNode):
                return False
            found = _find(place.children, key)
            if found is None:
                return not (place.node.flow_style and self._ends_with_alias(place.node))
            here = place.children[found]
        place = self._places.get(here)
        return place is not None and not place.shared

    def add(self, additions: Sequence[Addition]) -> None:
        """Write further gates, each below the keys of its path that there are, after what stands there already."""
        tree: Tree = {}
        for addition in additions:
            branch = tree
            for key in ("models", *addition.path):
                branch = branch.setdefault(key, {})  # type: ignore[assignment]
            if addition.metric is None:
                if addition.reference != self.reference:
                    branch.setdefault("reference", addition.reference)
                branch[addition.bound] = addition.text
            else:
                bounds = branch.setdefault(addition.metric, Bounds(addition.reference))
                bounds.limits[addition.bound] = addition.text  # type: ignore[union-attr]
        self._insert((), tree, None)

    def result(self) -> str:
        """The changed text."""
        parts, done = [], 0
        for start, end, new in sorted(self._edits, key=lambda edit: edit[0]):  # at one position, in the order of asking
            parts += [self.text[done:start], new]
            done = end
        return "".join([*parts, self.text[done:]])

    def _insert(self, here: Location, tree: Tree, own_column: int | None) -> None:
        """Add ``tree`` to the mapping at ``here``; ``own_column`` is that of its key in a block, else None."""
        place = self._places[here]
        new: Tree = {}
        for key, below in tree.items():
            found = _find(place.children, key)
            if found is None:
                new[key] = below
            elif isinstance(below, Bounds):
                self._insert_bounds(place.children[found], below)
            elif isinstance(below, dict):
                self._insert(place.children[found], below, self._column(place.node, found, place.children))
        if new:
            self._append_pairs(place.node, new, len(here) + 1, own_column)

    def _insert_bounds(self, here: Location, bounds: Bounds) -> None:
        """Add bounds to a metric: to those for the same reference, or as a further entry of a list."""
        place = self._places[here]
        entries = [here] if isinstance(place.node, MappingNode) else list(place.children.values())
        for entry in entries:
            if self._reference_of(entry) == bounds.reference:
                self._append_pairs(self._places[entry].node, bounds.limits, len(entry) + 1, None)
                return
        text = flow_text(bounds, self.reference)
        if isinstance(place.node, SequenceNode):
            self._append_item(place.node, text)
        elif place.node.flow_style:
            self._edits += [
                (place.node.start_mark.index, place.node.start_mark.index, "["),
                (place.node.end_mark.index, place.node.end_mark.index, f", {text}]"),
            ]
        else:
            self._make_list(place.node, text)

    def _reference_of(self, here: Location) -> str:
        place = self._places.get((*here, "reference"))
        return str(place.node.value) if place is not None else self.reference

    def _make_list(self, node: Node, text: str) -> None:
        """Turn a block mapping into the first item of a list: indent it below a dash, and add a second item."""
        column, start, end = node.start_mark.column, node.value[0][0].start_mark.index, self._end(node)
        self._edits.append((start, start, "- "))
        line = self.text.find("\n", start)
        while -1 < line < end:
            self._edits.append((line + 1, line + 1, "  "))
            line = self.text.find("\n", line + 1)
        self._add_lines(end, [f"{' ' * column}- {text}"])

    def _append_pairs(self, node: Node, new: Tree, depth: int, own_column: int | None) -> None:
        if not node.flow_style:
            column = node.value[0][0].start_mark.column
            self._add_lines(self._end(node), block_lines(new, column, depth, self._step, self.reference))
        elif not node.value and own_column is not None and in_block(depth - 1, None):
            # `models: {}` in a block grows downwards.
            start = len(self.text[: node.start_mark.index].rstrip(" "))
            self._edits.append((start, node.end_mark.index, ""))
            self._add_lines(
                node.end_mark.index, block_lines(new, own_column + self._step, depth, self._step, self.reference)
            )
        else:
            self._append_flow(
                node, ", ".join(f"{key_text(key)}: {flow_text(below, self.reference)}" for key, below in new.items())
            )

    def _append_item(self, node: Node, text: str) -> None:
        if node.flow_style:
            self._append_flow(node, text)
        else:
            self._add_lines(self._end(node), [f"{' ' * node.start_mark.column}- {text}"])

    def _append_flow(self, node: Node, text: str) -> None:
        """Before the closing bracket, directly after what stands before it, so that a comment stays a comment."""
        if not node.value:
            at = node.start_mark.index + self.text[node.start_mark.index : node.end_mark.index].index(
                "{" if isinstance(node, MappingNode) else "["
            )
            self._edits.append((at + 1, at + 1, text))
            return
        end = self._end(node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1])
        comma = _comma(self.text[end : node.end_mark.index])
        self._edits.append((end, end, f", {text}") if comma is None else (end + comma + 1, end + comma + 1, f" {text}"))

    def _add_lines(self, end: int, lines: Sequence[str]) -> None:
        """After the line that ``end`` is on, and after comments below it that are indented as far as the new lines."""
        newline = self.text.find("\n", end)
        column = len(lines[0]) - len(lines[0].lstrip(" "))
        while newline >= 0:
            following = self._line(newline + 1)
            if not following.lstrip(" ").startswith("#") or len(following) - len(following.lstrip(" ")) < column:
                break
            newline = self.text.find("\n", newline + 1)
        if newline < 0:
            self._edits.append((len(self.text), len(self.text), "".join(self._newline + line for line in lines)))
        else:
            self._edits.append((newline + 1, newline + 1, "".join(line + self._newline for line in lines)))

    def _line(self, start: int) -> str:
        """From ``start`` to the end of its line."""
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]

    def _end(self, node: Node) -> int:
        """Where the text of a node ends; the parser counts comments and blank lines after a block as part of it."""
        if isinstance(node, ScalarNode) or node.flow_style or not node.value:
            return int(node.end_mark.index)
        if isinstance(node, SequenceNode):
            return self._end(node.value[-1])
        key, value = node.value[-1]
        if value.start_mark.index < key.end_mark.index:  # an alias stands here for what was written above
            return int(key.end_mark.index)
        return self._end(value)

    def _ends_with_alias(self, node: Node) -> bool:
        return bool(node.value) and node.value[-1][1].start_mark.index < node.value[-1][0].end_mark.index

    def _column(self, node: Node, key: Any, children: Mapping[Any, Location]) -> int | None:
        """The column of a key of a block mapping."""
        if node.flow_style:
            return None
        return int(node.value[list(children).index(key)][0].start_mark.column)


def _count(node: Node, seen: dict[int, int]) -> None:
    """How often each node is met: an alias is the node that it stands for."""
    seen[id(node)] = seen.get(id(node), 0) + 1
    if isinstance(node, ScalarNode):
        return
    for entry in node.value:
        for child in entry if isinstance(entry, tuple) else (entry,):
            _count(child, seen)


def _find(children: Mapping[Any, Location], key: Key) -> Any:
    """The key that is written for ``key``; None where there is none."""
    same: Callable[[Any], bool] = (
        (lambda other: other == key) if isinstance(key, str) else (lambda other: _is_level(other, key))
    )
    return next((other for other in children if same(other)), None)


def _is_level(written: Any, level: float) -> bool:
    try:
        return not isinstance(written, bool) and float(written) == level
    except (TypeError, ValueError):
        return False


def _comma(rest: str) -> int | None:
    """Where a comma stands between the last entry of a flow collection and its bracket, outside of comments."""
    position = 0
    while position < len(rest):
        if rest[position] == ",":
            return position
        if rest[position] == "#":
            position = max(rest.find("\n", position), position)
        position += 1
    return None
