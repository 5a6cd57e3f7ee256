"""pytest's own configuration: which file it is, what ``lossy_*`` it says, and how lines are added to it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iniconfig

from pytest_lossy.errors import ConfigurationError, Problem

__all__ = ["IniFile", "add_values", "find_ini_file"]

_NATIVE = ("pytest.toml", ".pytest.toml")
_ALWAYS = ("pytest.ini", ".pytest.ini")
"""These count even where they are empty."""


@dataclass(frozen=True, slots=True)
class IniFile:
    """The file that pytest takes its ini values from, or would if it were there."""

    path: Path
    text: str
    """As it is; empty where there is no file."""
    table: str
    """The header of the section: ``[tool.pytest.ini_options]``."""
    values: Mapping[str, Any]
    """Everything in the section."""
    exists: bool

    @property
    def is_toml(self) -> bool:
        """TOML quotes text, the older formats do not."""
        return self.path.suffix == ".toml"

    def lossy(self, name: str) -> str | None:
        """One ``lossy_*`` value as text; None where it is not set."""
        value = self.values.get(f"lossy_{name}")
        return None if value in (None, "") else str(value)


def find_ini_file(root: Path) -> IniFile:
    """Find it as pytest does: https://docs.pytest.org/en/stable/reference/customize.html#finding-the-rootdir.

    Args:
        root: the folder that holds it; folders above are not searched.

    Raises:
        ConfigurationError: a file cannot be read or parsed.
    """
    for name in (*_NATIVE, *_ALWAYS, "pyproject.toml", "tox.ini", "setup.cfg"):
        path = root / name
        if not path.is_file():
            continue
        found = _read(path)
        if found is not None:
            return found
    path = root / "pyproject.toml"
    text = _text(path) if path.is_file() else ""
    return IniFile(path, text, "[tool.pytest.ini_options]", {}, path.is_file())


def _read(path: Path) -> IniFile | None:
    """A file that has pytest's section; None where it has none."""
    text = _text(path)
    if path.suffix == ".toml":
        document = _parse_toml(path, text)
        if path.name in _NATIVE:
            return IniFile(path, text, "[pytest]", document.get("pytest", {}), True)
        tool = document.get("tool", {}).get("pytest", {})
        if "ini_options" in tool:
            return IniFile(path, text, "[tool.pytest.ini_options]", tool["ini_options"], True)
        return IniFile(path, text, "[tool.pytest]", tool, True) if tool else None
    section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
    sections = _parse_ini(path, text)
    if section in sections or path.name in _ALWAYS:
        return IniFile(path, text, f"[{section}]", sections.get(section, {}), True)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise _refuse(path, 0, f"cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError:
        raise _refuse(path, 0, "is not UTF-8 text; save it as UTF-8") from None


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise _refuse(path, int(line[1]) if line else 0, f"is not valid TOML ({error}); mend it there") from None


def _parse_ini(path: Path, text: str) -> dict[str, dict[str, str]]:
    try:
        parsed = iniconfig.IniConfig(str(path), data=text)
    except iniconfig.ParseError as error:
        raise _refuse(path, error.lineno + 1, f"is not valid ({error.msg}); mend it there") from None
    return {name: dict(values) for name, values in parsed.sections.items()}


def _refuse(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(path, line, message)])


def add_values(file: IniFile, values: Mapping[str, str | bool], comment: str) -> str:
    """The file's text with further values at the end of pytest's section; comments, order and line ends stay.

    Args:
        file: as found.
        values: key -> value; keys that are set already are left alone.
        comment: one line that explains them.

    Returns:
        the new text; the old one where nothing is to be added.

    Raises:
        ConfigurationError: the section is written in a way that lines cannot be added to; the message holds the lines.
    """
    missing = {key: value for key, value in values.items() if key not in file.values}
    if not missing:
        return file.text
    newline = "\r\n" if "\r\n" in file.text else "\n"
    lines = [f"# {comment}", *(f"{key} = {_literal(value, toml=file.is_toml)}" for key, value in missing.items())]
    block = newline.join(lines) + newline
    for text in _candidates(file, block, newline):
        if _is_as_meant(file, text, missing):
            return text
    hint = "\n".join(f"    {line}" for line in lines)
    raise _refuse(file.path, 0, f"has {file.table} in a form that cannot be extended; add these lines by hand:\n{hint}")


def _literal(value: str | bool, *, toml: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if toml else value


def _candidates(file: IniFile, block: str, newline: str) -> list[str]:
    """Texts with the block at the end of the section, right below its header, or in a section of its own."""
    parts = [re.escape(part) for part in file.table.strip("[]").split(".")]
    header = re.compile(
        r"^[ \t]*\[[ \t]*" + r"[ \t]*\.[ \t]*".join(parts) + r"[ \t]*\][^\r\n]*(\r?\n|\Z)", re.MULTILINE
    )
    texts = []
    for match in header.finditer(file.text):
        following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(file.text, match.end())
        inside = file.text[match.end() : following.start() if following else len(file.text)]
        body = inside.rstrip()
        gap = newline if (body or not match[0].endswith("\n")) else ""
        rest = file.text[match.end() + len(inside) :]
        texts.append(file.text[: match.end()] + body + gap + block + (newline + rest if rest else ""))
        texts.append(file.text[: match.end()] + block + file.text[match.end() :])
    start = file.text.rstrip()
    return [*texts, (start + newline * 2 if start else "") + file.table + newline + block]


def _is_as_meant(file: IniFile, text: str, added: Mapping[str, str | bool]) -> bool:
    """Whether the new text says what the old one said, and the added values, and nothing else."""
    try:
        if not file.is_toml:
            section = file.table.strip("[]")
            before, after = _parse_ini(file.path, file.text), _parse_ini(file.path, text)
            before.setdefault(section, {}).update({key: _literal(value, toml=False) for key, value in added.items()})
            return before == after
        old, new = tomllib.loads(file.text), tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ConfigurationError):
        return False
    table = old
    for part in file.table.strip("[]").split("."):
        table = table.setdefault(part, {})
    table.update(added)
    return old == new
