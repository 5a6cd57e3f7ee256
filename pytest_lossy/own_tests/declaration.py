"""A spec that a test declares in Python: checked as a file is, with the test's own line in every message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_lossy.cases import CodecPlan, IndexedSpec
from pytest_lossy.codecs.base import Levels
from pytest_lossy.errors import ConfigurationError, Problem
from pytest_lossy.models.declaration import InputSection, OutputSection
from pytest_lossy.specs.index import index_source
from pytest_lossy.specs.schema import Spec
from pytest_lossy.specs.yaml_source import YamlSource

__all__ = ["Place", "Recipe", "declare", "deserialise_spec", "fixture_name", "serialise_spec"]


@dataclass(frozen=True, slots=True)
class Place:
    """The test that declares a model."""

    path: Path
    """Absolute."""
    shown: str
    """Relative to the root directory, as in node ids."""
    line: int
    """1-based."""
    function: str
    """With its classes, such as ``TestNets.test_small``."""

    @property
    def reference(self) -> str:
        """What a declaration names in place of a builder."""
        return f"./{self.path.name}:{self.function}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a spec cannot say: the objects themselves, or functions that make them."""

    model: Any
    data: Any
    classes: tuple[str, ...] | None = None
    input: InputSection | Callable[..., Any] = field(default_factory=InputSection)
    output: OutputSection | Callable[..., Any] = field(default_factory=OutputSection)


def declare(
    place: Place,
    *,
    name: str,
    model: Any,
    data: Any,
    task: str,
    codec: Any = None,
    level: Any = None,
    classes: Sequence[str] | None = None,
    input: Any = None,
    output: Any = None,
    model_kwargs: Mapping[str, Any] | None = None,
    data_kwargs: Mapping[str, Any] | None = None,
    task_kwargs: Mapping[str, Any] | None = None,
    **keys: Any,
) -> tuple[IndexedSpec, Recipe]:
    """Check a declaration as a spec file would be.

    Args:
        place: for messages, and the folder to which relative paths refer.
        name: of the model, in results and thresholds.yaml.
        model: a registered or dotted name, or an object.
        data: likewise.
        task: registered or dotted name.
        codec: a name, several, or a mapping of labels to levels, as ``codecs`` in a spec; None for the clean case alone.
        level: one, or several, of every named codec; None for the codec's default grid.
        classes: of data that do not name them.
        input: as in a spec, or a function.
        output: as in a spec, or a function.
        model_kwargs: of a model by name.
        data_kwargs: of data by name.
        task_kwargs: as in a spec.
        keys: further keys of a spec: batch_size, metrics, reference, media, architecture, tags, requires, needs.

    Raises:
        ConfigurationError: everything that is wrong with it.
    """
    media = keys.pop("media", None)
    source: dict[str, Any] = {
        "name": name,
        "task": task,
        "task_kwargs": dict(task_kwargs or {}),
        "model": _named(model, "torch", place) | ({"kwargs": dict(model_kwargs)} if model_kwargs else {}),
        "data": _named(data, "factory", place)
        | ({"kwargs": dict(data_kwargs)} if data_kwargs else {})
        | ({"media": media} if media else {}),
        "codecs": _codecs(codec, level, place),
        **{key: value for key, value in keys.items() if value is not None},
    }
    problems = [
        Problem(Path(place.shown), place.line, f"{key} belong to {what} by name; leave them out, or pass them yourself")
        for key, what, value, given in (
            ("model_kwargs", "a model", model_kwargs, model),
            ("data_kwargs", "data", data_kwargs, data),
        )
        if value and not _is_name(given)
    ]
    for key, value in (("input", input), ("output", output)):
        if isinstance(value, Mapping):
            source["model"][key] = dict(value)
        elif value is not None and not callable(value):
            message = f"{key} is {type(value).__name__}; write a mapping as in a spec, or a function"
            problems.append(Problem(Path(place.shown), place.line, message))
    if problems:
        raise ConfigurationError(problems)
    spec = index_source(YamlSource(Path(place.shown), source, {(): place.line}), place.path, place.shown)
    try:
        spec.spec.model_dump(mode="json")
    except ValueError as error:
        message = f"{name}: {str(error).splitlines()[0]}; options are numbers, text, lists and mappings"
        raise ConfigurationError([Problem(Path(place.shown), place.line, message)]) from None
    recipe = Recipe(
        model,
        data,
        tuple(classes) if classes is not None else None,
        input if callable(input) else spec.spec.model.input,
        output if callable(output) else spec.spec.model.output,
    )
    return spec, recipe


def fixture_name(given: Any) -> str | None:
    """The fixture that ``"fixture:NAME"`` stands for; None for anything else."""
    return given.partition(":")[2] if isinstance(given, str) and given.startswith("fixture:") else None


def _named(given: Any, otherwise: str, place: Place) -> dict[str, Any]:
    """A section that names what is given; an object is named by the test that hands it over."""
    return {"name": given} if _is_name(given) else {otherwise: place.reference}


def _is_name(given: Any) -> bool:
    return isinstance(given, str) and fixture_name(given) is None


def _codecs(codec: Any, level: Any, place: Place) -> dict[str, Any]:
    """The spec's ``codecs``."""

    def wrong(message: str) -> ConfigurationError:
        return ConfigurationError([Problem(Path(place.shown), place.line, message)])

    if codec is None:
        if level is not None:
            raise wrong(f'level {level!r} is of no codec; write codec="jpeg"')
        return {}
    if isinstance(codec, Mapping):
        if level is not None:
            raise wrong(f"level {level!r} stands beside a mapping; write the levels into the mapping")
        return {label: _entry(declared) for label, declared in codec.items()}
    names = [codec] if isinstance(codec, str) else list(codec) if isinstance(codec, Iterable) else None
    if not names or not all(isinstance(name, str) for name in names):
        raise wrong(f'codec {codec!r} is not a name; write codec="jpeg", a list of names, or a mapping to levels')
    levels = _levels(level)
    return {
        # A dotted path is no label: the class is called by its own name.
        name.rpartition(":")[2]: ({"codec": name} if ":" in name else {})
        | ({} if levels is None else {"levels": levels})
        for name in names
    }


def _entry(declared: Any) -> Any:
    """One codec as a spec writes it."""
    if isinstance(declared, Mapping):
        entry = dict(declared)
        if "levels" in entry:
            entry["levels"] = _levels(entry["levels"])
        return entry
    return _levels(declared)


def _levels(level: Any) -> Any:
    if level is None:
        return None
    if isinstance(level, str) or not isinstance(level, Iterable):
        level = [level]
    # numpy's numbers are none for the schema.
    return [one.item() if hasattr(one, "item") else one for one in level]


def serialise_spec(spec: IndexedSpec) -> dict[str, Any]:
    """Exact builtins, to cross a process that did not import the test."""
    return {
        "path": str(spec.path),
        "shown": spec.shown,
        "name": spec.name,
        "spec": spec.spec.model_dump(mode="json", exclude_unset=True),
        "plans": [asdict(plan) for plan in spec.plans],
        "media": spec.media,
        "reference": spec.reference,
    }


def deserialise_spec(data: Mapping[str, Any]) -> IndexedSpec:
    """The inverse of :func:`serialise_spec`."""
    plans = tuple(
        CodecPlan(
            **{
                **plan,
                "levels": tuple(plan["levels"]),
                "grid": Levels(**{**plan["grid"], "default": tuple(plan["grid"]["default"])}),
            }
        )
        for plan in data["plans"]
    )
    return IndexedSpec(
        Path(data["path"]),
        data["shown"],
        data["name"],
        Spec.model_validate(data["spec"]),
        plans,
        data["media"],
        data["reference"],
    )
