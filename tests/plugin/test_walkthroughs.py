"""Pages of docs/ that lead from files to a run, as a reader would follow them: what they say is printed is printed."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {"tutorial.md": (8, 6), "own-task.md": (1, 0)}
"""Page -> how many commands it runs, and how many cases the last run takes over from the one before."""
BLOCK = re.compile(r'```(\w+)(?: title="([^"]+)")?\n(.*?)```', flags=re.DOTALL)
ROW = re.compile(r"^  (clean|q\d+) +([\d.]+) .*?(?:([\d.]+)% )? +(?:-|[\d.]+)  (\w+)$", flags=re.MULTILINE)


class Reader:
    """Follows the page in the current folder and in this process, which has imported torch already."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.status, self.output = 0, ""
        self.ran: list[str] = []

    def run(self, command: str) -> None:
        self.ran.append(command)
        status, self.status, self.output = self.status, 0, ""
        program, *arguments = shlex.split(command)
        if command == "echo $?":
            self.output = str(status)
        elif program == "cd":
            self.monkeypatch.chdir(arguments[0])
        elif program == "pytest":
            # Not pytester's run in this process, which forgets what it imported: torch cannot be imported twice.
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.status = int(pytest.main(["-p", "no:randomly", "-p", "no:cacheprovider", *arguments]))
            self.output = printed.getvalue()
        elif program == "python":
            script = arguments[0] if Path(arguments[0]).exists() else str(ROOT / arguments[0])
            self.monkeypatch.setattr(sys, "argv", [script, *arguments[1:]])
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
                runpy.run_path(script, run_name="__main__")
            self.output = printed.getvalue()
        else:
            raise AssertionError(f"the page runs {command!r}, which this test does not know")


def shown_of(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what the page shows below it."""
    return [
        (line, rest)
        for line, _, rest in (part.partition("\n") for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:])
    ]


def rows(text: str) -> dict[str, tuple[float, float, str]]:
    """Level -> metric, retention in per cent, verdict, of a table on the terminal."""
    return {level: (float(value), float(kept or 100), verdict) for level, value, kept, verdict in ROW.findall(text)}


def agrees(shown: str, output: str) -> None:
    """Numbers may differ in the last digits on another processor; levels, verdicts and sentences may not."""
    expected, found = rows(shown), rows(output)
    assert set(expected) == set(found)
    for level, (value, kept, verdict) in expected.items():
        assert found[level][0] == pytest.approx(value, abs=0.01)
        assert found[level][1] == pytest.approx(kept, abs=4)
        assert found[level][2] == verdict
    if not expected:
        assert shown.strip() == output.strip()
    for place in re.findall(r"thresholds\.yaml:\d+|operating limit q\d+", shown):
        assert place in output


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pictures have tests of their own; fewer replicates leave every number but the intervals.
    monkeypatch.setenv("PYTEST_ADDOPTS", "--lossy-gallery=0 --lossy-replicates=200 --lossy-no-cache")
    monkeypatch.chdir(tmp_path)
    reader = Reader(monkeypatch)
    for language, title, text in BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if title:
            Path(title).parent.mkdir(exist_ok=True)
            Path(title).write_text(text, encoding="utf-8")
        elif language == "console":
            for command, shown in shown_of(text):
                reader.run(command)
                agrees(shown, reader.output)
    results = json.loads(Path("lossy-report/results.json").read_text(encoding="utf-8"))
    assert (len(reader.ran), results["run"]["resumed"]) == PAGES[page]
    assert results["run"]["exit_status"] == 0
