"""The pages of docs/reference are what docs/_generate.py writes from the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from pytest_lossy import cli
from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.data.registry import DATASETS
from pytest_lossy.tasks.registry import TASKS, task_metrics

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "_generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generator: ModuleType) -> dict[str, str]:
    return generator.pages()


def test_committed_pages_are_current(pages: dict[str, str]) -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
    assert sorted(committed) == sorted(pages)
    assert not [name for name, text in pages.items() if committed[name] != text], "run: make reference"


def test_no_placeholder_is_left(pages: dict[str, str]) -> None:
    assert not [name for name, text in pages.items() if "{{ " in text]


def test_every_flag_is_explained(request: pytest.FixtureRequest, pages: dict[str, str]) -> None:
    parser = request.config._parser
    options = [*parser._anonymous.options, *(option for group in parser._groups for option in group.options)]
    known = {name for option in options for name in option.names() if name.startswith("--lossy-")}
    assert len(known) >= 12
    text = pages["command-line.md"]
    assert not [name for name in known if f"`{name}" not in text]
    written = "\n".join(path.read_text(encoding="utf-8") for path in [DOCS.parent / "README.md", *DOCS.rglob("*.md")])
    assert set(re.findall(r"--lossy-[a-z-]*[a-z]", written)) <= known


def test_every_command_is_explained(pages: dict[str, str]) -> None:
    text = pages["command-line.md"]
    [commands] = [action for action in cli._parser()._actions if action.dest == "command"]
    assert commands.choices
    assert not [name for name in commands.choices if f"### `pytest-lossy {name}`" not in text]


@pytest.mark.parametrize("name", ["spec", "thresholds"])
def test_every_key_has_a_meaning(pages: dict[str, str], name: str) -> None:
    lines = pages[f"{name}.md"].splitlines()
    rows = [row.split(" | ") for row in lines if row.startswith("| `") and row.count(" | ") == 3]
    assert rows
    assert not [row[0] for row in rows if not row[-1].strip(" |")]


def test_every_registered_name_is_listed(pages: dict[str, str]) -> None:
    assert not [name for name in CODECS.builtin if f"| `{name}` |" not in pages["codecs.md"]]
    assert not [name for name in DATASETS.builtin if f"## {name}\n" not in pages["data.md"]]
    for name in TASKS.builtin:
        assert f"## {name}\n" in pages["tasks.md"]
        assert not [one.name for one in task_metrics(name) if f"| `{one.name}`" not in pages["tasks.md"]]


def test_cells_cannot_break_a_table(generator: ModuleType) -> None:
    lines = generator.table(["a", "b"], [["x | y\nz", "<"]]).splitlines()
    assert lines[-1] == "| x \\| y z | < |"
