"""Write ``docs/reference/``: what the code says of itself, so that the reference cannot contradict it.

    python docs/_generate.py          # or: make reference
    python docs/_generate.py --check  # status 1 if a page is not current

The pages are committed, for readers without a build, and a test compares them with the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_lossy import cli, options
from pytest_lossy.codecs.registry import CODECS, build_codec, codec_options, intra_twin
from pytest_lossy.data.registry import DATASETS, dataset_options
from pytest_lossy.errors import LossyError
from pytest_lossy.tasks.frames import has_flicker
from pytest_lossy.tasks.registry import TASKS, task_metrics, task_options, task_primary

REFERENCE = Path(__file__).resolve().parent / "reference"
TEMPLATES = Path(__file__).resolve().parent / "_templates"

Schema = Mapping[str, Any]
Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; bars and line breaks in cells would end them."""

    def line(cells: Row) -> str:
        return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)]) + "\n"


def code(text: object) -> str:
    """Inline code."""
    return f"`{text}`"


def prose(text: str | None) -> str:
    """A description or docstring in Markdown: its first paragraph, double backticks and cross-references made plain."""
    first = " ".join((text or "").strip().partition("\n\n")[0].split())
    for role in (":class:", ":func:", ":data:", ":attr:", ":mod:", ":meth:"):
        first = first.replace(role, "")
    return first.replace("``", "`").replace("`~", "`").replace("<", "&lt;").replace("*", "\\*")


def fill(name: str, **parts: Iterable[str]) -> str:
    """A page: its template in ``docs/_templates`` with what the code says in place of ``{{ part }}``."""
    text = (TEMPLATES / f"{name}.md").read_text(encoding="utf-8")
    for part, content in parts.items():
        text = text.replace(f"{{{{ {part} }}}}", "\n\n".join(one.strip() for one in content if one.strip()))
    note = (
        "<!-- Written by docs/_generate.py from the code and docs/_templates; run `make reference` after a change. -->"
    )
    # Below the title, which mkdocs takes from the first line.
    return text.replace("\n\n", f"\n\n{note}\n\n", 1).replace("\n" * 4, "\n" * 2)


# Command line


class _Recorder:
    """Takes what ``options.add_options`` declares to pytest's parser."""

    def __init__(self) -> None:
        self.flags: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, str]] = []

    def getgroup(self, *_: str) -> _Recorder:
        return self

    def addoption(self, name: str, **details: Any) -> None:
        self.flags.append((name, details))

    def addini(self, name: str, text: str, **_: Any) -> None:
        self.ini.append((name, text))


def command_line() -> str:
    """Flags of pytest, their ini twins, and the commands of ``pytest-lossy``."""
    recorder = _Recorder()
    options.add_options(recorder)  # type: ignore[arg-type]
    twins = {name.replace("_", "-") for name, _ in recorder.ini}
    flags, rows = [], []
    for name, details in recorder.flags:
        flags.append(name)
        shown = f"{name}={details['metavar']}" if "metavar" in details else name
        twin = name.lstrip("-").replace("-", "_") if name.lstrip("-") in twins else ""
        rows.append([code(shown), prose(details["help"].replace("%%", "%")), code(twin) if twin else ""])
    alone = [[code(name), prose(text)] for name, text in recorder.ini if f"--{name.replace('_', '-')}" not in flags]
    return fill(
        "command-line",
        flags=[table(["flag", "meaning", "ini value"], rows)],
        ini=[table(["ini value alone", "meaning"], alone)] if alone else [],
        commands=_commands("pytest-lossy", cli._parser()),
    )


def _commands(prefix: str, parser: argparse.ArgumentParser) -> Iterable[str]:
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help for choice in action._choices_actions}
        for name, command in action.choices.items():
            whole = f"{prefix} {name}"
            yield f"### `{whole}`"
            text = prose((helps.get(name) or "").replace("%%", "%"))
            yield f"{text[:1].upper()}{text[1:]}."
            rows = [[code(_argument(one)), _help(one)] for one in command._actions if _is_shown(one)]
            if rows:
                yield table(["argument", "meaning"], rows)
            yield from _commands(whole, command)


def _is_shown(action: argparse.Action) -> bool:
    skipped = argparse._HelpAction | argparse._SubParsersAction
    return not isinstance(action, skipped) and action.help != argparse.SUPPRESS


def _argument(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if not action.option_strings:
        return "|".join(map(str, action.choices)) if action.choices and not metavar else metavar or action.dest
    value = metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def _help(action: argparse.Action) -> str:
    text = prose((action.help or "").replace("%%", "%"))
    plain = isinstance(action.default, int | float | str) and not isinstance(action.default, bool)
    if action.option_strings and plain and action.default and "default" not in text:
        text = f"{text} (default: {action.default})".strip()
    return text


# Schemas


def type_of(schema: Schema) -> str:
    """A JSON Schema in words."""
    if "$ref" in schema:
        name = title_of(schema["$ref"].rpartition("/")[2])
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return ", ".join(code(one) for one in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        if items is None and schema.get("prefixItems"):
            kinds = [type_of(one) for one in schema["prefixItems"]]
            return f"list of {len(kinds)}: {kinds[0] if len(set(kinds)) == 1 else ', '.join(kinds)}"
        return f"list of {type_of(items)}" if items else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        patterns = list(schema.get("patternProperties", {}).values())
        inner = inner if isinstance(inner, dict) else (patterns[0] if patterns else None)
        return f"mapping to {type_of(inner)}" if inner else "mapping"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "null": "null",
    }
    return words.get(str(kind), "anything") + _range(schema)


def _range(schema: Schema) -> str:
    names = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[name]:g}" for name, sign in names.items() if name in schema]
    return f" {' and '.join(found)}".replace("<", "&lt;") if found else ""


def title_of(name: str) -> str:
    """The heading of a part: the spec's are called as their keys, not as their classes."""
    return name.removesuffix("Section").lower() if name.endswith("Section") else name


def keys_table(schema: Schema, *, written: bool = False) -> str:
    """The keys of an object: type, default, meaning.

    Args:
        schema: of the object.
        written: by a program, where null is a value; people leave such a key out.
    """
    needed = set(schema.get("required", ()))
    rows = []
    for name, entry in schema.get("properties", {}).items():
        default = "needed" if name in needed else _default(entry)
        kind = type_of(entry)
        if not written and name not in needed and entry.get("default") is None:
            kind = kind.removesuffix(" or null")
        # Every key that is written is there: its default is what a reader of older files assumes.
        rows.append([code(name), kind, *([] if written else [default]), prose(entry.get("description"))])
    return table(["key", "type", *([] if written else ["default"]), "meaning"], rows) if rows else ""


def _default(entry: Schema) -> str:
    value = entry.get("default")
    nothing = value is None or (isinstance(value, dict | list) and not value)
    # The default of a whole section repeats the defaults of its keys.
    return "" if nothing or isinstance(value, dict) else code(json.dumps(value, ensure_ascii=False))


def definitions(schema: Schema, level: str = "##", *, written: bool = False) -> list[str]:
    """A section for every part that the schema names."""
    parts = []
    for name, part in schema.get("$defs", {}).items():
        parts += [f"{level} {title_of(name)}", prose(part.get("description")), keys_table(part, written=written)]
    return parts


def options_table(schema: type[BaseModel] | None) -> str:
    """The options of a codec, task or data set, and the parts that they name."""
    if schema is None:
        return ""
    described = schema.model_json_schema()
    return "\n\n".join([keys_table(described).strip(), *(part.strip() for part in definitions(described, "####"))])


def schema_page(name: str, *, written: bool = False) -> str:
    """Keys of a spec, of thresholds.yaml or of results.json."""
    schema = cli.json_schema(name)
    return fill(name, keys=[keys_table(schema, written=written)], parts=definitions(schema, written=written))


# Registries


def codecs() -> str:
    """Every built-in codec."""
    rows, families = [], dict[str, list[str]]()
    for name in sorted(CODECS.builtin):
        family = CODECS.load(name)
        try:
            codec = build_codec(name)
        except LossyError:
            level, default, media = "its options decide", "", ""
        else:
            levels = codec.levels
            level = f"`{codec.parameter}` {levels.minimum:g} to {levels.maximum:g}"
            default = ", ".join(f"{value:g}" for value in levels.default)
            media = "clips" if codec.media.name == "CLIP" else "stills"
        twin = intra_twin(name) if intra_twin(name) != name else None
        rows.append([f"`{name}`", media, level, default, code(twin) if twin else "", prose(family.__doc__)])
        families.setdefault(options_table(codec_options(name)), []).append(name)
    parts = []
    for text, names in families.items():
        parts += [f"### {', '.join(map(code, names))}", text or "No options."]
    head = ["codec", "compresses", "level", "default levels", "on stills", "what it is"]
    return fill("codecs", list=[table(head, rows)], options=parts)


def tasks() -> str:
    """Every built-in task."""
    parts = []
    for name in sorted(TASKS.builtin):
        family = TASKS.load(name)
        primary = task_primary(name)
        rows = [
            [
                code(metric.name) + (" (primary)" if metric.name == primary else ""),
                metric.title,
                "higher" if metric.higher_is_better else "lower",
                metric.unit,
                "yes" if metric.per_class else "",
                prose(metric.description),
            ]
            for metric in task_metrics(name, clips=has_flicker(family))
        ]
        parts += [f"## {name}", prose(family.__doc__)]
        parts.append(table(["metric", "title", "better", "unit", "by class", "meaning"], rows))
        described = options_table(task_options(name))
        if described:
            parts += ["Options, under `task_kwargs`:", described]
    return fill("tasks", tasks=parts)


def data() -> str:
    """Every built-in data set."""
    parts = []
    for name in sorted(DATASETS.builtin):
        family = DATASETS.load(name)
        schema = dataset_options(name)
        media = "stills or clips" if hasattr(family, "media_of") else getattr(family, "media", "stills")
        parts += [f"## {name}", f"{prose(family.__doc__)} ({media})", options_table(schema)]
    return fill("data", sets=parts)


def pages() -> dict[str, str]:
    """Every page of the reference: file name -> Markdown."""
    found = {
        "command-line": command_line(),
        "spec": schema_page("spec"),
        "thresholds": schema_page("thresholds"),
        "results": schema_page("results", written=True),
        "codecs": codecs(),
        "tasks": tasks(),
        "data": data(),
    }
    return {f"{name}.md": text for name, text in found.items()}


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page is not current")
    arguments = parser.parse_args()
    REFERENCE.mkdir(exist_ok=True)
    stale = []
    for name, text in pages().items():
        path = REFERENCE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not arguments.check:
                path.write_text(text, encoding="utf-8")
    if arguments.check and stale:
        print(f"not current: {', '.join(stale)}; run: make reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
