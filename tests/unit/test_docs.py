"""README and docs: their YAML is what the readers accept, their Python runs, their links and anchors lead somewhere."""

from __future__ import annotations

import argparse
import logging
import re
import shlex
import sys
from pathlib import Path

import pytest

from pytest_lossy import cli
from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.specs.index import index_specs
from pytest_lossy.tasks.registry import known_metrics
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name[0] != "_")]
FRAME = "task: segmentation\nmodel: {torch: 'a.b:c'}\ndata: {name: mini-segmentation}\n"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)

FOLLOWED = {
    "interoperability.md": "tests/plugin/test_interoperability.py",
    "own-tests.md": "tests/plugin/test_fixtures.py",
    "own-task.md": "tests/plugin/test_walkthroughs.py",
    "plugin-api.md": "tests/plugin/test_plugin_api.py",
    "tutorial.md": "tests/plugin/test_walkthroughs.py",
}
"""Pages whose blocks make up whole projects, and the test that runs those."""


def blocks(language: str) -> list[pytest.param]:
    """Every block of a language but the files that a page's own test writes."""
    return [
        pytest.param(text, page.name, id=f"{page.relative_to(ROOT).as_posix()}-{number}")
        for page in PAGES
        for number, (found, title, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if found == language and not (page.name in FOLLOWED and title)
    ]


@pytest.mark.parametrize(("text", "page"), blocks("yaml"))
def test_examples_are_valid(tmp_path: Path, text: str, page: str) -> None:
    first = text.partition(":")[0]
    if first in ("version", "models", "mix"):
        path = tmp_path / "thresholds.yaml"
        path.write_text(text if first == "version" else f"version: 1\n{text}", encoding="utf-8")
        # A page that is followed may gate metrics that it makes itself.
        metrics = None if page in FOLLOWED else known_metrics() | RECOVERY_NAMES
        found = load_thresholds(path, Path("thresholds.yaml"), metrics=metrics, labels=CODECS.names())
        assert found.rules
        return
    path = tmp_path / "net.yaml"
    whole = {"codecs": FRAME + text, "training": f"{FRAME}codecs: {{jpeg: }}\n{text}"}.get(first, text)
    path.write_text(whole, encoding="utf-8")
    [spec] = index_specs([path], tmp_path)
    assert spec.plans


WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8") and page.name not in FOLLOWED]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    """Block by block; those with a title are files, which the later ones may import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for language, title, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python" and title:
            file = Path(title.partition('"')[2].rstrip('"'))
            file.write_text(text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, file.stem, raising=False)
        elif language == "python":
            exec(compile(text, page.name, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", FOLLOWED)
def test_other_pages_are_run_where_they_are_said_to_be(page: str) -> None:
    assert page in (ROOT / FOLLOWED[page]).read_text(encoding="utf-8")


def test_every_codec_is_explained() -> None:
    text = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8")
    assert not [name for name in CODECS.names() if f"`{name}`" not in text]


def prose(text: str) -> str:
    """Without blocks and inline code, whose brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", BLOCK.sub("", text))


def anchors(text: str) -> set[str]:
    """As GitHub and mkdocs both make them of headings like ours."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue  # not asked in tests: no network
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
        elif page.parent != ROOT and ROOT / "docs" not in file.parents:
            broken.append(f"{target}: leaves the site")
    assert not broken


def test_the_site_can_be_built(tmp_path: Path) -> None:
    """Strictly: every page in the nav, every link and anchor known to mkdocs as well."""
    pytest.importorskip("material", reason="needs the extra 'docs'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    warnings: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(handler)
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    finally:
        logging.getLogger("mkdocs").removeHandler(handler)
    assert not warnings
    assert (tmp_path / "site" / "tutorial" / "index.html").is_file()
    assert not (tmp_path / "site" / "_generate.py").exists()


def commands() -> list[str]:
    """What pages tell a reader to run, in console blocks and in CI examples; without comments and what a shell adds."""
    found = []
    for page in PAGES:
        for language, _, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            starts = {"console": r"^\$ (.+)$", "yml": r"run: (.+)$"}.get(language)
            lines = re.findall(starts, text, flags=re.MULTILINE) if starts else []
            found += [re.sub(r"\$\{\{.*?\}\}", "1", line).partition(" # ")[0] for line in lines]
    return sorted({part.strip() for line in found for part in re.split(r"\|\||&&|>>", line) if part.strip()})


@pytest.mark.parametrize("command", commands())
def test_commands_exist(request: pytest.FixtureRequest, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "pytest-lossy":
        assert cli._parser().parse_args(arguments).run
    elif program == "pytest":
        known, unknown = request.config._parser.parse_known_and_unknown_args(arguments, argparse.Namespace())
        assert not unknown
        assert known.lossy_codec or not [one for one in arguments if one.startswith("--lossy-")]
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    elif program == "python":
        assert (ROOT / arguments[0]).is_file() or any(
            f'title="{arguments[0]}"' in page.read_text(encoding="utf-8") for page in PAGES
        )
    else:
        assert program in {"cd", "echo", "cat", "pip", "ray", "test", "true"} or command.startswith('"$GITHUB')


def test_ini_values_exist(request: pytest.FixtureRequest) -> None:
    texts = [
        text for page in PAGES for kind, _, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "toml"
    ]
    names = {name for text in texts for name in re.findall(r"^(lossy_\w+) =", text, flags=re.MULTILINE)}
    assert names
    assert names <= set(request.config._parser._inidict)
