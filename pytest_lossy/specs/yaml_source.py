"""YAML with line numbers: what was written, where, and nothing that runs code."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt

from pytest_lossy.errors import ConfigurationError, Problem

__all__ = ["Location", "YamlSource", "load_yaml", "parse_yaml", "read_yaml"]

MAX_BYTES = 1 << 20
MAX_NODES = 100_000  # an alias bomb expands to billions; no configuration written by hand comes near this

Location = tuple[Any, ...]
"""Keys and indices from the top of the document."""


@dataclass(frozen=True, slots=True)
class YamlSource:
    """One parsed file: plain builtins and the line of each key and item."""

    path: Path
    """As the user should read it, usually relative to the root directory."""
    data: Any
    lines: Mapping[Location, int] = field(default_factory=dict)

    def line(self, location: Location) -> int:
        """The 1-based line of ``location``, or of its nearest ancestor that was written."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1

    def problem(self, location: Location, message: str) -> Problem:
        """A complaint about ``location``."""
        return Problem(self.path, self.line(location), message)


def load_yaml(path: Path, shown: Path | None = None) -> YamlSource:
    """Read one YAML 1.2 document.

    Args:
        path: the file.
        shown: the path to print in messages; ``path`` where None.

    Raises:
        ConfigurationError: unreadable, not YAML, duplicate keys, tags, too large.
    """
    return parse_yaml(read_yaml(path, shown), shown or path)


def read_yaml(path: Path, shown: Path | None = None) -> bytes:
    """The content of a file, which :func:`parse_yaml` takes.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read ({error.strerror}); check the path and its permissions"
        raise _refuse(shown or path, 0, message) from None


def parse_yaml(raw: bytes, shown: Path) -> YamlSource:
    """Parse one YAML 1.2 document.

    Args:
        raw: the content of a file.
        shown: its path in messages.

    Raises:
        ConfigurationError: not YAML, duplicate keys, tags, too large.
    """
    if len(raw) > MAX_BYTES:
        raise _refuse(shown, 0, f"is {len(raw)} bytes long, over the limit of {MAX_BYTES}; split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _refuse(shown, line, "is not UTF-8 text; save it as UTF-8") from None
    reader = YAML(typ="rt")
    try:
        document = reader.load(text)
    except DuplicateKeyError as error:
        key = str(error.problem).split('"')[1] if '"' in str(error.problem) else "?"
        raise _refuse(shown, _error_line(error), f"key '{key}' is written twice; keep one of them") from None
    except MarkedYAMLError as error:
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _refuse(shown, _error_line(error), f"is not valid YAML: {what}; mend it there") from None
    except Exception as error:  # noqa: BLE001  ruamel's constructors let IndexError and others through
        raise _refuse(shown, 0, f"is not valid YAML: {' '.join(str(error).split())[:200]}; mend it") from None
    if "&" in text and "*" in text:
        line = _recursive_alias(YAML(typ="rt").compose(text))
        if line:
            raise _refuse(shown, line, "is an alias of something that contains it; write the values out")
    if document is None:
        raise _refuse(shown, 0, "is empty; 'pytest-lossy schema' prints what belongs in it")
    lines: dict[Location, int] = {(): 1}
    problems: list[Problem] = []
    data = _Plain(shown, lines, problems).convert(document, ())
    if problems:
        raise ConfigurationError(problems)
    return YamlSource(shown, data, lines)


def _refuse(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(path, line, message)])


def _recursive_alias(root: Node) -> int:
    """The line of a node that contains an alias of itself; 0 where there is none. ruamel would make it null."""
    finished: set[int] = set()
    open_nodes: list[int] = []

    def visit(node: Node) -> int:
        if id(node) in open_nodes:
            return int(node.start_mark.line) + 1
        if id(node) in finished or not isinstance(node, MappingNode | SequenceNode):
            return 0
        open_nodes.append(id(node))
        children = [child for pair in node.value for child in pair] if isinstance(node, MappingNode) else node.value
        line = next((found for child in children if (found := visit(child))), 0)
        open_nodes.pop()
        finished.add(id(node))
        return line

    return visit(root)


def _error_line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 0


class _Plain:
    """Turns ruamel's round-trip nodes into builtins and notes their lines."""

    def __init__(self, path: Path, lines: dict[Location, int], problems: list[Problem]) -> None:
        self.path, self.lines, self.problems, self.nodes = path, lines, problems, 0

    def convert(self, node: Any, location: Location) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _refuse(self.path, 0, f"holds more than {MAX_NODES} values once aliases expand; shorten it")
        if isinstance(node, CommentedMap | CommentedSeq | TaggedScalar):
            tag = getattr(node.tag, "value", None) if node.tag is not None else None
            if tag and str(tag) not in (
                "tag:yaml.org,2002:map",
                "tag:yaml.org,2002:seq",
                "tag:yaml.org,2002:str",
            ):
                self.complain(location, f"tag '{tag}' is not allowed; write plain values")
                return None
        if not isinstance(node, CommentedMap | CommentedSeq):
            return self.scalar(node, location)
        if isinstance(node, CommentedMap):
            result: dict[Hashable, Any] = {}
            for key, value in node.items():
                plain_key = self.scalar(key, location)
                self.lines[(*location, plain_key)] = self.line_of(node, key)
                result[plain_key] = self.convert(value, (*location, plain_key))
            return result
        for index in range(len(node)):
            self.lines[(*location, index)] = self.line_of(node, index)
        return [self.convert(value, (*location, index)) for index, value in enumerate(node)]

    def scalar(self, value: Any, location: Location) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, ScalarBoolean):  # a boolean with an anchor, which is an int to Python
            return bool(value)
        if isinstance(value, ScalarInt | int):
            return int(value)
        if isinstance(value, ScalarFloat | float):
            if not math.isfinite(value):
                self.complain(location, f"{value} is not a finite number; write a number")
                return None
            return float(value)
        if isinstance(value, str):
            return str(value)
        self.complain(location, f"{value!r} is neither text, number nor true/false; put it in quotes")
        return None

    def line_of(self, node: CommentedMap | CommentedSeq, key: Any) -> int:
        try:
            return int(node.lc.data[key][0]) + 1
        except (KeyError, TypeError, AttributeError):  # merged keys carry no line of their own
            return int(node.lc.line or 0) + 1

    def complain(self, location: Location, message: str) -> None:
        line = next((self.lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in self.lines), 0)
        self.problems.append(Problem(self.path, line, message))
