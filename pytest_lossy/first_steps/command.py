"""``pytest-lossy init``: what is there, what will be written, and the writing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pytest_lossy.data.opening import open_dataset
from pytest_lossy.errors import LossyError, ResultsError
from pytest_lossy.first_steps.choices import Ask, Choices, Survey, Wishes, choose
from pytest_lossy.first_steps.class_numbers import with_class_names
from pytest_lossy.first_steps.drafts import (
    Places,
    ci_text,
    missing_parts,
    own_files,
    sample_spec_files,
    thresholds_text,
)
from pytest_lossy.first_steps.ini_files import IniFile, add_values, find_ini_file
from pytest_lossy.first_steps.layouts import find_data
from pytest_lossy.first_steps.networks import find_models, find_weights
from pytest_lossy.first_steps.sample import SAMPLE_NAME, sample_files
from pytest_lossy.first_steps.tree import read_tree
from pytest_lossy.options import DEFAULT_BASELINES, DEFAULT_REPORT, DEFAULT_SPECS, DEFAULT_THRESHOLDS
from pytest_lossy.results.files import write_atomically
from pytest_lossy.specs.index import find_specs
from pytest_lossy.specs.schema import DataSection

__all__ = ["InitOptions", "PlannedFile", "init", "plan_files", "survey_repository"]

CI_FILE = PurePosixPath(".github/workflows/lossy.yml")

State = Literal["new", "changed", "replaced", "kept", "same"]


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The flags of ``pytest-lossy init``."""

    wishes: Wishes
    ci: bool = True
    force: bool = False
    """Replace files that are there."""
    dry_run: bool = False
    """Show everything, write nothing."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file, and what becomes of it."""

    path: PurePosixPath
    """Relative to the repository."""
    content: bytes
    state: State
    title: str
    """What it is for."""
    before: bytes = b""
    """What it holds now."""

    @property
    def is_written(self) -> bool:
        """Whether writing changes anything."""
        return self.state in ("new", "changed", "replaced")


def init(
    root: Path,
    options: InitOptions,
    say: Callable[[str], None],
    ask: Ask | None = None,
    agree: Callable[[str], bool] | None = None,
) -> int:
    """Look at a repository and write what a first run needs.

    Args:
        root: the repository.
        options: the flags.
        say: prints one line or several.
        ask: of a person, which of several answers; None to take the proposals.
        agree: of a person, whether to write; None to write.

    Returns:
        0, or 1 where the person did not agree.

    Raises:
        LossyError: a flag is wrong, or a file cannot be read or written; nothing was written before the first of them.
    """
    if not root.is_dir():
        raise LossyError(f"{root}: no such folder; make it first")
    ini = find_ini_file(root)
    places = _places(root, ini)
    survey = survey_repository(root, places)
    say(_survey_text(survey, ini))
    choices = choose(survey, options.wishes, ask)
    files = plan_files(survey, choices, places, ini, options)
    say(_files_text(files, dry_run=options.dry_run))
    if options.dry_run:
        for file in files:
            if file.is_written:
                say(f"\n{_content_text(file)}")
        return 0
    if any(file.is_written for file in files):
        if agree is not None and not agree("Write them?"):
            say("Nothing was written.")
            return 1
        # Specs last: an interrupted init that runs again finds none, and writes all that is missing.
        for file in sorted(files, key=lambda file: file.path.parent == places.specs and file.path.suffix == ".yaml"):
            if file.is_written:
                _write(root / file.path, file.content)
    say(_next_text(survey, choices, places, files))
    return 0


def survey_repository(root: Path, places: Places) -> Survey:
    """Look for specs, data, models and weights."""
    tree = read_tree(root)
    specs = root / places.specs
    inside = [PurePosixPath(places.specs)]
    written = tuple(path.name for path in find_specs(specs)) if specs.exists() else ()
    models = tuple(found for found in find_models(tree) if not _is_below(found.place, inside))
    weights = tuple(path for path in find_weights(tree) if not _is_below(path.as_posix(), inside))
    data = tuple(with_class_names(found, tree) for found in find_data(tree))
    return Survey(root, data, models, weights, written, tree.complete)


def _is_below(path: str, folders: Iterable[PurePosixPath]) -> bool:
    return any(folder in PurePosixPath(path).parents for folder in folders)


def _places(root: Path, ini: IniFile) -> Places:
    def place(name: str, default: str) -> PurePosixPath:
        written = PurePosixPath(ini.lossy(name) or default)
        return PurePosixPath(os.path.normpath(written))

    return Places(
        root,
        place("specs", DEFAULT_SPECS),
        place("thresholds", DEFAULT_THRESHOLDS),
        place("report", DEFAULT_REPORT),
    )


def plan_files(
    survey: Survey, choices: Choices, places: Places, ini: IniFile, options: InitOptions
) -> list[PlannedFile]:
    """Every file with its content, compared with what is there; nothing is written.

    Raises:
        LossyError: a path is taken by a folder, or pytest's configuration cannot be extended.
    """
    root = survey.root
    if places.specs.suffix in (".yaml", ".yml"):
        raise LossyError(f"{ini.path}: lossy_specs = {places.specs} is one file; name the folder of it to add specs")
    contents: dict[PurePosixPath, tuple[str | bytes, str]] = {}
    if choices.own:
        for path, text in own_files(choices, places).items():
            title = "your model" if path.suffix == ".yaml" else "builds its network"
            contents[path] = (text, title if choices.runs or path.suffix == ".py" else f"{title}: a draft")
    if choices.sample:
        for path, content in sample_spec_files(sample_files(), places).items():
            titles = {".yaml": "a sample that runs at once", ".py": "the sample's network"}
            contents[path] = (content, titles.get(path.suffix, "the sample's weights"))
    contents[places.thresholds] = (thresholds_text(choices), "gates")
    if options.ci:
        names = {path.name for path in root.iterdir()}
        installable = "setup.py" in names or "[project]" in (ini.text if ini.path.name == "pyproject.toml" else "")
        text = ci_text(places, installable=installable, requirements="requirements.txt" in names)
        contents[CI_FILE] = (text, "an example for GitHub Actions")
    files = [_planned(root, path, content, title, force=options.force) for path, (content, title) in contents.items()]
    return [*files, _planned_ini(root, ini)]


def _planned(root: Path, path: PurePosixPath, content: str | bytes, title: str, *, force: bool) -> PlannedFile:
    data = content.encode() if isinstance(content, str) else content
    full = root / path
    if full.is_dir():
        raise LossyError(f"{full}: is a folder, and a file is to be written there; remove or rename it")
    if not full.exists():
        return PlannedFile(path, data, "new", title)
    try:
        before = full.read_bytes()
    except OSError as error:
        raise LossyError(f"{full}: cannot be read ({error.strerror}); check its permissions") from None
    if before == data:
        return PlannedFile(path, data, "same", title, before)
    return PlannedFile(path, data, "replaced" if force else "kept", title, before)


def _planned_ini(root: Path, ini: IniFile) -> PlannedFile:
    values = {
        "lossy_specs": DEFAULT_SPECS,
        "lossy_thresholds": DEFAULT_THRESHOLDS,
        "lossy_report": DEFAULT_REPORT,
        "lossy_baselines": DEFAULT_BASELINES,
    }
    text = add_values(ini, values, "pytest-lossy: defaults of the flags --lossy-...; only --lossy-codec turns it on")
    state: State = "same" if text == ini.text and ini.exists else "changed" if ini.exists else "new"
    path = PurePosixPath(ini.path.relative_to(root))
    return PlannedFile(path, text.encode(), state, "defaults of the flags", ini.text.encode())


def _write(path: Path, content: bytes) -> None:
    target = path.resolve() if path.is_symlink() else path  # a link stays a link
    mode = target.stat().st_mode & 0o777 if target.exists() else None
    try:
        write_atomically(target, content)
        if mode is not None:
            target.chmod(mode)
    except ResultsError as error:
        text = str(error).rpartition("; ")[0]
        raise LossyError(f"{text}; make it writable and run init again, which continues") from None


def _survey_text(survey: Survey, ini: IniFile) -> str:
    lines = [f"In {survey.root}:"]
    lines += [f"  spec     {name}" for name in survey.specs]
    lines += [f"  data     {data.title} ({data.task})" for data in survey.data[:8]]
    lines += [f"  model    {model.title}" for model in survey.models[:8]]
    lines += [f"  weights  {path}" for path in survey.weights[:8]]
    for name, found in (("data sets", survey.data), ("models", survey.models), ("weights", survey.weights)):
        if len(found) > 8:
            lines.append(f"           and {len(found) - 8} more {name}")
    if len(lines) == 1:
        lines.append("  no specs, data, models or weights that are known")
    if ini.exists:
        lines.append(f"  pytest   {ini.path.name} {ini.table}")
    if not survey.complete:
        lines.append("  (a large repository: not all of it was looked at)")
    return "\n".join(lines)


def _files_text(files: list[PlannedFile], *, dry_run: bool) -> str:
    width = max(len(file.path.as_posix()) for file in files)
    notes = {
        "kept": "exists and is kept; --force replaces it",
        "same": "exists and stays as it is",
        "changed": "lines are added",
        "replaced": "is replaced",
    }
    head = (
        "Would be written:"
        if dry_run
        else "To be written:"
        if any(one.is_written for one in files)
        else "All is there:"
    )
    lines = [
        f"  {file.path.as_posix():{width}}  {file.title}" + (f" ({notes[file.state]})" if file.state in notes else "")
        for file in files
    ]
    return "\n".join(["", head, *lines])


def _content_text(file: PlannedFile) -> str:
    """A new file's content, or the difference; binary content by its size."""
    try:
        before, after = file.before.decode().splitlines(), file.content.decode().splitlines()
    except UnicodeDecodeError:
        return f"--- {file.path}: {len(file.content):,} bytes"
    if file.state == "new":
        return "\n".join([f"--- {file.path}", *after])
    return "\n".join(difflib.unified_diff(before, after, str(file.path), f"{file.path} (new)", lineterm=""))


def _next_text(survey: Survey, choices: Choices, places: Places, files: list[PlannedFile]) -> str:
    """What to do now."""
    steps: list[tuple[str, str]] = []
    if choices.sample and choices.runs:
        steps.append((f"pytest --lossy-codec=jpeg --lossy-model={SAMPLE_NAME}", "the sample, in seconds"))
    elif choices.sample:
        steps.append(("pytest --lossy-codec=jpeg", "the sample, in seconds"))
    if choices.runs:
        steps.append(("pytest-lossy doctor", f"whether {choices.name} loads and predicts"))
        steps.append(("pytest --lossy-codec=jpeg --lossy-samples=20", "a smoke run of everything"))
        steps.append(("pytest --lossy-codec=jpeg --lossy-update", "all samples; gates from what is measured"))
    if not choices.sample and not choices.runs:
        steps.append(("pytest-lossy doctor", "whether every model loads and predicts"))
    width = max(len(command) for command, _ in steps)
    written = sum(file.is_written for file in files)
    lines = ["", f"Wrote {written} file{'s' if written > 1 else ''}. Next:" if written else "Next:"]
    lines += [f"  {command:{width}}  # {why}" for command, why in steps]
    if choices.own and not choices.runs:
        lines.append(f"To test your own model, complete {missing_parts(choices, places)}; until then it is skipped.")
    problem = _data_problem(choices, places) if choices.own else None
    if problem:
        lines.append(f"Its data cannot be read yet: {problem}")
    return "\n".join(lines)


def _data_problem(choices: Choices, places: Places) -> str | None:
    """What keeps the data that were recognised by their layout from being listed."""
    data = choices.data
    if data is None:
        return None
    kwargs = {**{key: places.from_spec(path) for key, path in data.paths.items()}, **data.kwargs}
    try:
        open_dataset(DataSection(name=data.name, kwargs=kwargs), places.root / places.specs)
    except LossyError as error:
        return str(error)
    return None
