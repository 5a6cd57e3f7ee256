"""pydantic errors as ``path:line: what; next action``, all at once."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pytest_lossy.errors import Problem
from pytest_lossy.registry import did_you_mean
from pytest_lossy.specs.yaml_source import Location, YamlSource

__all__ = ["validate"]

# How pydantic names the branches of a union in an error's location.
_BRANCH = re.compile(r"(int|float|str|bool|none)$|(tuple|list|dict|literal|constrained-\w+|function-\w+|nullable)\b.*")

ModelT = TypeVar("ModelT", bound=BaseModel)

_ACTIONS = {
    "missing": "add it",
    "string_type": "write text, in quotes if it looks like a number",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "list_type": "write a list",
    "tuple_type": "write a list",
    "dict_type": "write a mapping of keys to values",
    "model_type": "write a mapping of keys to values",
    "model_attributes_type": "write a mapping of keys to values",
}


def validate(
    model: type[ModelT],
    source: YamlSource,
    data: Any,
    prefix: Location = (),
    *,
    beside: tuple[str, ...] = (),
) -> tuple[ModelT | None, list[Problem]]:
    """Check ``data``, which stands at ``prefix`` of ``source``, against ``model``.

    Args:
        model: the schema.
        source: the file.
        data: what stands at ``prefix``.
        prefix: keys and indices from the top of the file.
        beside: further keys that may stand beside those of ``model``, for suggestions.

    Returns:
        the validated object, or None with every problem found.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(model, source, prefix, details, beside) for details in _merged(error.errors(), data)]


def _merged(errors: list[ErrorDetails], data: Any) -> list[ErrorDetails]:
    """One error per place: pydantic reports each branch of a union on its own, with the branch in the location."""
    merged: list[ErrorDetails] = []
    of_union: dict[Location, int] = {}
    for details in errors:
        location = _written(details["loc"], data)
        if details["type"] in ("missing", "extra_forbidden") or location == details["loc"]:
            merged.append(details)
        elif location not in of_union:
            of_union[location] = len(merged)
            merged.append({**details, "loc": location})
        else:
            first = merged[of_union[location]]
            alternative = details["msg"].replace("Input should be ", "", 1)
            merged[of_union[location]] = {**first, "msg": f"{first['msg']} or {alternative}"}
    return merged


def _written(location: Location, data: Any) -> Location:
    """``location`` without the parts that name branches of a union."""
    kept: list[Any] = []
    for part in location:
        found = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if found:
            data = data[part]
        if found or not (isinstance(part, str) and _BRANCH.match(part)):
            kept.append(part)
    return tuple(kept)


def _problem(
    model: type[BaseModel],
    source: YamlSource,
    prefix: Location,
    details: ErrorDetails,
    beside: tuple[str, ...],
) -> Problem:
    # "[key]" marks an error in a mapping's key rather than in its value.
    location = tuple(part for part in details["loc"] if part != "[key]")
    where = ".".join(map(str, (*prefix, *location))) or "the document"
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        known = [*_fields(model, location[:-1]), *(beside if len(location) == 1 else ())]
        return source.problem(
            (*prefix, *location),
            f"unknown key '{location[-1]}' in {_parent(prefix, location)}; {did_you_mean(str(location[-1]), known)}",
        )
    if kind == "missing":
        parent = (*prefix, *location[:-1])
        return source.problem(parent, f"key '{location[-1]}' is missing in {_parent(prefix, location)}; add it")
    if kind == "value_error":
        return source.problem((*prefix, *location), f"{where}: {details['msg'].removeprefix('Value error, ')}")
    message = details["msg"].replace("Input should be ", "should be ", 1)
    if kind == "literal_error" and isinstance(value, str):
        choices = str((details.get("ctx") or {}).get("expected", "")).replace(" or ", ", ").replace("'", "")
        hint = did_you_mean(value, [choice.strip() for choice in choices.split(",")])
        return source.problem((*prefix, *location), f"{where}: {value!r} is not a choice; {hint}")
    action = _ACTIONS.get(kind, "change it")
    return source.problem((*prefix, *location), f"{where}: got {_shown(value)}, {message}; {action}")


def _parent(prefix: Location, location: Location) -> str:
    names = ".".join(map(str, (*prefix, *location[:-1])))
    return f"'{names}'" if names else "the document"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields(model: Any, location: Location) -> list[str]:
    """The keys that the pydantic model at ``location`` below ``model`` accepts; empty where there is none."""
    for part in location:
        candidates = _models(model)
        step = next(
            (c.model_fields[part].annotation for c in candidates if isinstance(part, str) and part in c.model_fields),
            None,
        )
        model = step if step is not None else _value_type(model)
    return [field.alias or name for candidate in _models(model) for name, field in candidate.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return [model for argument in typing.get_args(annotation) for model in _models(argument)]
    return []


def _value_type(annotation: Any) -> Any:
    """The type of the values of a mapping or list annotation."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (dict, Mapping):
        return arguments[1]
    if origin in (list, tuple):
        return arguments[0]
    for argument in arguments:
        found = _value_type(argument)
        if found is not None:
            return found
    return None
