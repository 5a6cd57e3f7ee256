"""Index the spec files: read and check every one of them, import no user code, build nothing."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_lossy.cases import CLEAN, MIX, CodecPlan, IndexedSpec, MediaKind
from pytest_lossy.codecs.base import Codec
from pytest_lossy.codecs.registry import CODECS, build_codec, codec_options, intra_twin, needs_clips, twin_options
from pytest_lossy.data.registry import DATASETS, dataset_media, dataset_options
from pytest_lossy.errors import ConfigurationError, LossyError, Problem
from pytest_lossy.models.declaration import MAITE_TASKS
from pytest_lossy.models.names import MODELS
from pytest_lossy.registry import Registry, did_you_mean, is_dotted
from pytest_lossy.specs.schema import NAME, CodecSection, DataSection, Spec, expand_codec
from pytest_lossy.specs.validation import validate
from pytest_lossy.specs.yaml_source import Location, YamlSource, load_yaml
from pytest_lossy.tasks.registry import TASKS, task_metrics, task_options

__all__ = ["SPEC_SUFFIXES", "find_specs", "index_source", "index_specs", "plan_codec", "relative_to_root"]

SPEC_SUFFIXES = (".yaml", ".yml")

_RESERVED_METRICS = ("primary", "knee", "recovery", "retraining_gain", "naive_recovery")
"""What thresholds.yaml means by these is fixed."""

_RESERVED = {CLEAN: "the case without a codec", MIX: "the cases that judge a fleet's mix of levels"}


def find_specs(folder: Path) -> list[Path]:
    """The spec files of a folder (not of its subfolders), sorted; ``folder`` may also be one file."""
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.suffix in SPEC_SUFFIXES and path.is_file())


def relative_to_root(path: Path, root: Path) -> str:
    """``path`` as node ids and messages print it: relative to ``root`` where it lies below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def index_specs(paths: Iterable[Path], root: Path) -> list[IndexedSpec]:
    """Read and check spec files.

    Args:
        paths: absolute paths.
        root: pytest's root directory.

    Returns:
        one entry per file, sorted by path.

    Raises:
        ConfigurationError: every problem of every file.
    """
    problems: list[Problem] = []
    indexed: list[IndexedSpec] = []
    for path in sorted(set(paths)):
        try:
            indexed.append(_index_one(path, root))
        except ConfigurationError as error:
            problems += error.problems
    problems += _clashing_names(indexed)
    if problems:
        raise ConfigurationError(problems)
    return indexed


def _index_one(path: Path, root: Path) -> IndexedSpec:
    shown = relative_to_root(path, root)
    return index_source(load_yaml(path, Path(shown)), path, shown)


def index_source(source: YamlSource, path: Path, shown: str) -> IndexedSpec:
    """Check one spec, whether it was read from a file or declared in Python.

    Args:
        source: what it says, and where each line stands.
        path: absolute; its folder is that to which relative paths refer.
        shown: as node ids and messages print it.

    Raises:
        ConfigurationError: every problem of it.
    """
    if not isinstance(source.data, dict):
        raise ConfigurationError([source.problem((), "a spec is a mapping of keys to values; see the README")])
    spec, problems = validate(Spec, source, source.data)
    # Names, options and levels are checked section by section, also where another section has the wrong shape, so that
    # the user hears of everything at once.
    found, plans, media = _check_sections(source)
    problems += found
    if spec is not None:
        problems += _check_name(spec, source)
    if problems or spec is None:
        raise ConfigurationError(problems)
    return IndexedSpec(path, shown, spec.resolved_name(PurePosixPath(shown)), spec, tuple(plans), media)


def _check_name(spec: Spec, source: YamlSource) -> list[Problem]:
    name = spec.resolved_name(PurePosixPath(source.path.as_posix()))
    if NAME.fullmatch(name):
        return []
    return [source.problem((), f"the file's stem '{name}' is no model name ([A-Za-z0-9._-]+); add 'name:'")]


def _check_sections(source: YamlSource) -> tuple[list[Problem], list[CodecPlan], MediaKind]:
    """What pydantic cannot know: registered names, their options, and levels, of every section that has its shape."""
    written = source.data
    problems: list[Problem] = []
    plans: list[CodecPlan] = []
    if isinstance(written.get("task"), str):
        kwargs = written.get("task_kwargs", {})
        problems += _check_task(written["task"], kwargs if isinstance(kwargs, dict) else {}, source)
    data = validate(DataSection, source, written.get("data"), ("data",))[0]
    if data is not None and data.name is not None:
        unknown = _check_registered(DATASETS, data.name, source, ("data", "name"))
        problems += unknown
        if not unknown and data.name in DATASETS.builtin:
            problems += _check_kwargs(dataset_options(data.name), data.kwargs, source, ("data", "kwargs"))
    model = written.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str):
        problems += _check_registered(MODELS, model["name"], source, ("model", "name"))
    problems += _check_maite(written, source)
    problems += _check_metrics(written.get("metrics"), written.get("task"), source)
    media = _media(data, written.get("task"))
    codecs = written.get("codecs")
    for label, entry in codecs.items() if isinstance(codecs, dict) else ():
        if label in _RESERVED:
            message = f"label '{label}' names {_RESERVED[label]}; choose another label"
            problems.append(source.problem(("codecs", label), message))
        section = validate(CodecSection, source, expand_codec(label, entry), ("codecs", label))[0]
        if section is not None and isinstance(label, str):
            plan, found = _plan(label, section, media, source)
            problems += found
            if plan and any(other.label == plan.label for other in plans):
                message = f"on stills '{label}' is '{plan.label}', which is listed too; give one of them another label"
                problems.append(source.problem(("codecs", label), message))
            elif plan:
                plans.append(plan)
    return problems, plans, media


def _check_task(name: str, kwargs: dict[str, Any], source: YamlSource) -> list[Problem]:
    problems = _check_registered(TASKS, name, source, ("task",))
    if not problems and name in TASKS.builtin:
        options = task_options(name)
        if options is None and kwargs:
            problems.append(source.problem(("task_kwargs",), f"task '{name}' has no options; remove them"))
        elif options is not None:
            problems += _check_kwargs(options, kwargs, source, ("task_kwargs",))
    return problems


def _check_maite(written: dict[str, Any], source: YamlSource) -> list[Problem]:
    task = written.get("task")
    sections = [name for name in ("model", "data") if isinstance(written.get(name), dict) and "maite" in written[name]]
    if not isinstance(task, str) or task in MAITE_TASKS:
        return []
    message = f"MAITE has protocols for {' and '.join(MAITE_TASKS)}, not for '{task}'; use"
    instead = {"model": "torch or callable", "data": "factory"}
    return [source.problem((name, "maite"), f"{message} '{instead[name]}' instead") for name in sections]


def _check_metrics(written: Any, task: Any, source: YamlSource) -> list[Problem]:
    """Names of extra metrics must not be taken; of another package's task that is seen when the model loads."""
    if not isinstance(written, dict):
        return []
    taken = set(_RESERVED_METRICS)
    if isinstance(task, str) and task in TASKS.builtin:
        taken |= {metric.name for metric in task_metrics(task, clips=True)}
    return [
        source.problem(("metrics", name), f"metric '{name}' exists already; choose another name")
        for name in written
        if name in taken
    ]


def _check_registered(registry: Registry, name: str, source: YamlSource, location: Location) -> list[Problem]:
    """A name is fine if it is registered, or a dotted path, which is only followed when the model loads."""
    if name in registry or (":" in name and is_dotted(name)):
        return []
    return [source.problem(location, f"unknown {registry.kind} '{name}'; {did_you_mean(name, registry.names())}")]


def _check_kwargs(
    options: type[BaseModel] | None,
    kwargs: dict[str, Any],
    source: YamlSource,
    location: Location,
    beside: tuple[str, ...] = (),
) -> list[Problem]:
    return validate(options, source, kwargs, location, beside=beside)[1] if options is not None else []


def _plan(
    label: str, section: CodecSection, media: MediaKind, source: YamlSource
) -> tuple[CodecPlan | None, list[Problem]]:
    here: Location = ("codecs", label)
    name = section.codec or label
    problems = _check_registered(CODECS, name, source, (*here, "codec") if section.codec else here)
    if problems:
        return None, problems
    try:
        twin = intra_twin(name) if media == "stills" else None
        problems = _check_kwargs(codec_options(name), section.options, source, here, ("codec", "levels"))
        if twin is not None and needs_clips(name):
            message = f"{name} is for clips and this data holds stills; list {twin} instead, or set 'data.media: clips'"
            problems.append(source.problem(here, message))
        if problems:
            return None, problems
        options = twin_options(name, section.options) if twin else section.options
        codec = build_codec(twin or name, options)
    except LossyError as error:
        return None, [source.problem(here, str(error))]
    if section.levels is not None:
        problems = _check_levels(section.levels, codec, source, here)
    if problems:
        return None, problems
    return plan_codec(twin if twin and label == name else label, twin or name, codec, options, section.levels), []


def plan_codec(
    label: str, name: str, codec: Codec, options: dict[str, Any], levels: Sequence[float] | None = None
) -> CodecPlan:
    """A codec with the given levels, mild to severe, or with its default grid."""
    grid = codec.levels
    levels = levels or grid.default
    return CodecPlan(label, name, codec.parameter, options, tuple(sorted(levels, key=grid.severity)), grid)


def _check_levels(levels: Sequence[float], codec: Codec, source: YamlSource, here: Location) -> list[Problem]:
    grid, name = codec.levels, codec.name
    short = (*here, 0) in source.lines  # written as `label: [levels]`
    problems = []
    for index, level in enumerate(levels):
        location = (*here, index) if short else (*here, "levels", index)
        wrong = grid.problem(level)
        if wrong:
            problems.append(
                source.problem(location, f"{name}: {wrong}; choose from {grid.minimum:g}..{grid.maximum:g}")
            )
        if level in levels[:index]:
            problems.append(source.problem(location, f"{name}: level {level:g} is listed twice; keep one"))
    return problems


def _media(data: DataSection | None, task: Any) -> MediaKind:
    """What the data holds: as the spec says, as a built-in data set knows, or as the task usually has it."""
    if data is not None and data.media is not None:
        return data.media
    if data is not None and data.name in DATASETS.builtin:
        with contextlib.suppress(ValidationError):  # bad options are reported where they are checked
            return dataset_media(data.name, data.kwargs)
    return "clips" if task == "action" else "stills"


def _clashing_names(indexed: list[IndexedSpec]) -> list[Problem]:
    """Models whose names are equal, or equal but for case: they are file names, too."""
    by_name: dict[str, list[IndexedSpec]] = defaultdict(list)
    for entry in indexed:
        by_name[entry.name.lower()].append(entry)
    return [
        Problem(
            Path(entry.shown),
            0,
            f"model name '{entry.name}' is also used by {entries[0].shown}; rename one of them",
        )
        for entries in by_name.values()
        for entry in entries[1:]
    ]
