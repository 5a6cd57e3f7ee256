"""Predictions and targets that list instances (boxes, people): reading them, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_lossy.tasks.base import FloatArray
from pytest_lossy.tasks.matching import BoolArray

__all__ = [
    "Field",
    "check_boxes",
    "check_fields",
    "check_image_id",
    "check_labels",
    "class_slices",
    "flags",
    "image_id",
    "numbers",
    "other_cuts",
    "to_width_height",
]

Kind = Literal["numbers", "integers", "flags"]

_TYPES: dict[Kind, str] = {"numbers": "fiu", "integers": "iu", "flags": "biu"}
_WANTED: dict[Kind, str] = {
    "numbers": "floating-point numbers",
    "integers": "integers",
    "flags": "0 or 1",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a prediction or target, with one entry per instance."""

    name: str
    kind: Kind
    shape: tuple[int, ...] = ()
    """Of one instance."""
    required: bool = False
    meaning: str = ""
    """What to give, for messages: a phrase in the imperative."""
    lowest: float | None = None


def numbers(instances: Mapping[str, Any], name: str) -> FloatArray:
    """An array of float64; torch tensors are taken from wherever they are."""
    return _array(instances[name]).astype(np.float64)


def flags(instances: Mapping[str, Any], name: str, count: int) -> BoolArray:
    """An array of truth values (count,), all false where there is none."""
    value = instances.get(name)
    return np.zeros(count, dtype=bool) if value is None else _array(value).astype(bool)


def image_id(target: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """The target's ``image_id``, (1,), or (0,) where it has none: it orders detections of equal score."""
    value = target.get("image_id")
    return np.zeros(0, dtype=np.int64) if value is None else _array(value).reshape(1).astype(np.int64)


def to_width_height(boxes: FloatArray) -> FloatArray:
    """(n, 4) from x1, y1, x2, y2 to x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def other_cuts(cut: float) -> tuple[float, ...]:
    """Two fifths below and above a reference confidence: how much label-free agreement hangs on where it was set."""
    return tuple(round(cut * share, 6) for share in (0.6, 1.4)) if cut > 0 else ()


def class_slices(classes: Sequence[str], taken: Sequence[str]) -> tuple[str, ...]:
    """The name of each class inside ``metric[...]``: its own, or ``class:NAME`` where that is a slice already."""
    return tuple(f"class:{name}" if name in taken else name for name in classes)


def check_fields(role: str, value: Any, fields: Sequence[Field]) -> str | None:
    """Say what is wrong with the keys, types, shapes and values of a prediction or target, or None.

    Args:
        role: ``prediction`` or ``target``, for messages.
        value: what is looked at.
        fields: what it may hold, the first one deciding how many instances there are; other keys are ignored.
    """
    if not isinstance(value, Mapping):
        names = ", ".join(f"'{field.name}'" for field in fields if field.required)
        return f"a {role} must be a mapping with {names}, got {type(value).__name__}; {_remedy(role)}"
    count = -1
    for field in fields:
        name = f"{role}['{field.name}']"
        if value.get(field.name) is None:
            if field.required:
                keys = ", ".join(sorted(repr(key) for key in value if value[key] is not None)) or "nothing"
                return f"{name} is missing, found {keys}; {field.meaning}"
            continue
        try:
            array = _array(value[field.name])
        except (TypeError, ValueError, RuntimeError) as error:
            return f"{name} cannot be read as an array ({error}); {field.meaning}"
        shape = "(" + ", ".join(map(str, ("n", *field.shape))) + ("," if not field.shape else "") + ")"
        if array.ndim != 1 + len(field.shape) or array.shape[1:] != field.shape:
            return f"{name} must be {shape}, got {array.shape}; {field.meaning}"
        if array.dtype.kind not in _TYPES[field.kind]:
            return f"{name} must hold {_WANTED[field.kind]}, got {array.dtype}; {field.meaning}"
        if count >= 0 and len(array) != count:
            first = fields[0].name
            return f"{name} has {len(array)} entries but '{first}' has {count}; give one per instance"
        count = len(array)
        wrong = _wrong_value(array, field)
        if wrong is not None:
            return f"{name} holds {wrong}; {field.meaning if role == 'target' else _unusable(field)}"
    return None


def check_boxes(role: str, value: Mapping[str, Any]) -> str | None:
    """Say which box is inside out, or None."""
    if value.get("boxes") is None:
        return None
    boxes = numbers(value, "boxes")
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if not len(wrong):
        return None
    box = ", ".join(f"{side:g}" for side in boxes[wrong[0]])
    return (
        f"{role}['boxes'][{wrong[0]}] is ({box}), which has a negative width or height; boxes are x1, y1, x2, y2: "
        "convert centres or x, y, width, height first"
    )


def check_labels(role: str, value: Mapping[str, Any], classes: int) -> str | None:
    """Say which label names no class, or None."""
    if value.get("labels") is None:
        return None
    labels = _array(value["labels"])
    wrong = labels[(labels < 0) | (labels >= classes)]
    if not len(wrong):
        return None
    action = (
        "map the model's classes to the data's (torchvision's detectors count from 1, and 0 is their background)"
        if role == "prediction"
        else _remedy(role)
    )
    return f"{role}['labels'] holds {wrong[0]} but the data has classes 0..{classes - 1}; {action}"


def check_image_id(target: Mapping[str, Any]) -> str | None:
    """Say that an image id is no whole number, or None."""
    value = target.get("image_id")
    if value is None:
        return None
    array = _array(value)
    if array.size == 1 and array.dtype.kind in "iu":
        return None
    return f"target['image_id'] must be one integer, got {value!r}; number the images, or leave the key out"


def _array(value: Any) -> npt.NDArray[Any]:
    detach = getattr(value, "detach", None)
    return np.asarray(value if detach is None else detach().cpu().numpy())


def _wrong_value(array: npt.NDArray[Any], field: Field) -> str | None:
    """The first value that cannot be, and where; None if all can."""
    bad = np.zeros(array.shape, dtype=bool)
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array)
    if field.kind == "flags":
        bad |= (array != 0) & (array != 1)
    if field.lowest is not None:
        bad |= array < field.lowest
    if not bad.any():
        return None
    place = np.argwhere(bad)[0].tolist()
    return f"{array[tuple(place)]} at {place if len(place) > 1 else place[0]}"


def _unusable(field: Field) -> str:
    return f"check the weights and the input range of the model, or {field.meaning}"


def _remedy(role: str) -> str:
    return "return what torchvision's models return" if role == "prediction" else "mend the labels of the data set"
