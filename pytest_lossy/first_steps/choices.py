"""What ``init`` will write for: flags win, then answers, then what the repository shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pytest_lossy.errors import LossyError
from pytest_lossy.first_steps.layouts import FoundData
from pytest_lossy.first_steps.networks import FoundModel, task_of_torchvision
from pytest_lossy.registry import did_you_mean
from pytest_lossy.specs.schema import NAME

__all__ = ["TASKS", "Ask", "Choices", "Survey", "Wishes", "choose"]

TASKS = ("segmentation", "detection", "pose", "classification", "depth", "action")

_FILES = {".onnx": "onnx", ".tflite": "litert", ".pt2": "export"}

FoundT = TypeVar("FoundT", FoundData, FoundModel)

Ask = Callable[[str, Sequence[str]], int]
"""Called with a question and its answers, the proposed one first; returns the index of the chosen one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the repository shows."""

    root: Path
    data: tuple[FoundData, ...]
    models: tuple[FoundModel, ...]
    weights: tuple[PurePosixPath, ...]
    specs: tuple[str, ...]
    """Names of the spec files that are there."""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Wishes:
    """The flags; None where nothing is wished."""

    task: str | None = None
    name: str | None = None
    model: str | None = None
    data: str | None = None
    sample: bool | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What is written."""

    sample: bool
    own: bool
    """Whether a spec of the user's own model is written."""
    task: str
    task_known: bool
    """False where nothing but a default speaks for it."""
    name: str
    model: FoundModel | None
    weights: PurePosixPath | None
    data: FoundData | None

    @property
    def runs(self) -> bool:
        """Whether the own spec names a model and data, so that it can be tried."""
        return self.own and self.model is not None and not self.model.needs_arguments and self.data is not None


def choose(survey: Survey, wishes: Wishes, ask: Ask | None) -> Choices:
    """Decide.

    Args:
        survey: of the repository.
        wishes: the flags.
        ask: of a person at a terminal; None to take the proposals.

    Raises:
        LossyError: a flag names what is not there.
    """
    asked_for = any(wish is not None for wish in (wishes.task, wishes.name, wishes.model, wishes.data))
    own = asked_for or not survey.specs
    sample = wishes.sample if wishes.sample is not None else not survey.specs
    model = _named_model(wishes.model, survey) if wishes.model is not None else None
    data = _named_data(wishes, survey) if wishes.data is not None else None
    task, known = _task(survey, wishes, model, data, ask if own else None)
    if own and model is None:
        possible = [found for found in survey.models if found.task in (None, task)]
        possible.sort(key=lambda found: (found.likely_task != task, found.likely_task is not None))
        model = _pick("Which model?", possible, "none of these: a Python file to complete", ask)
    if own and data is None:
        fitting = [found for found in survey.data if found.task == task]
        data = _pick("Which data?", fitting, "none of these: paths to complete", ask)
    name = wishes.name or _name(model, survey)
    if not NAME.fullmatch(name):
        raise LossyError(f"--name: '{name}' is no model name; write letters, digits, '.', '_' and '-'")
    return Choices(sample, own, task, known, name, model, _weights(model, survey), data)


def _task(
    survey: Survey, wishes: Wishes, model: FoundModel | None, data: FoundData | None, ask: Ask | None
) -> tuple[str, bool]:
    if wishes.task is not None:
        if wishes.task not in TASKS:
            raise LossyError(f"--task: unknown task '{wishes.task}'; {did_you_mean(wishes.task, TASKS)}")
        for found, flag in ((data, "--data"), (model, "--model")):
            if found is not None and found.task not in (None, wishes.task):
                raise LossyError(
                    f"{flag}: {found.title} is for {found.task}, not for {wishes.task}; change one of them"
                )
        return wishes.task, True
    if data is not None and model is not None and model.task not in (None, data.task):
        raise LossyError(
            f"--model: {model.title} is for {model.task}, the data are for {data.task}; change one of them"
        )
    for found in (data, model):
        if found is not None and found.task is not None:
            return found.task, True
    tasks = [*(found.task for found in survey.data), *(found.likely_task for found in survey.models)]
    shown = [task for task in dict.fromkeys(tasks) if task is not None]
    with_data, with_model = ({found.task for found in survey.data}, {found.likely_task for found in survey.models})
    both = [task for task in shown if task in with_data and task in with_model]
    order = list(dict.fromkeys([*both, *shown, *TASKS]))
    if ask is None:
        return order[0], bool(shown)
    return order[ask("What does your model do?", order)], True


def _pick(question: str, found: Sequence[FoundT], none: str, ask: Ask | None) -> FoundT | None:
    if not found:
        return None
    if ask is None:
        return found[0]
    chosen = ask(question, [*(one.title for one in found[:8]), none])
    return found[chosen] if chosen < min(len(found), 8) else None


def _named_model(text: str, survey: Survey) -> FoundModel:
    """``--model``: a model file, ``file.py:function``, ``package.module:function`` or a name of torchvision's."""
    path, colon, function = text.rpartition(":")
    if colon and function.isidentifier():
        if path.endswith(".py"):
            shown = _inside(survey.root, path, "--model")
            return _seen(survey, f"{shown}:{function}") or FoundModel("torch", f"{shown}:{function}", str(shown))
        if not all(part.isidentifier() for part in path.split(".")):
            raise LossyError(f"--model: '{text}' is neither file.py:function nor package.module:function; correct it")
        return FoundModel("torch", text, text)
    suffix = PurePosixPath(text).suffix.lower()
    if suffix in _FILES or (survey.root / text).is_file():
        shown = _inside(survey.root, text, "--model")
        kind = _FILES.get(suffix)
        known = _seen(survey, shown.as_posix())
        if kind is None and known is None:
            raise LossyError(
                f"--model: {text} holds weights and no architecture; name what builds the network, as file.py:function"
            )
        return known or FoundModel(kind or "export", shown.as_posix(), shown.as_posix())  # type: ignore[arg-type]
    task = task_of_torchvision(text)
    if task is None:
        raise LossyError(
            f"--model: '{text}' is no model file, no file.py:function and no torchvision model; correct it"
        )
    return FoundModel("torchvision", text, "--model", task)


def _seen(survey: Survey, value: str) -> FoundModel | None:
    return next((found for found in survey.models if found.value == value), None)


def _inside(root: Path, text: str, flag: str) -> PurePosixPath:
    """A path as specs and messages show it: relative to the repository where it lies there."""
    path = (root / Path(text).expanduser()).absolute()
    if not path.exists():
        raise LossyError(f"{flag}: {text}: no such file or folder; paths are relative to {root}")
    return PurePosixPath(path.relative_to(root) if path.is_relative_to(root) else path)


def _named_data(wishes: Wishes, survey: Survey) -> FoundData:
    """``--data``: a folder in which a known layout was seen."""
    place = _inside(survey.root, wishes.data or "", "--data")
    found = [data for data in survey.data if place in (data.place, *data.place.parents)]
    fitting = [data for data in found if wishes.task in (None, data.task)]
    if fitting:
        return fitting[0]
    what = f"holds data for {found[0].task}, not for {wishes.task}" if found else "holds no layout that is known"
    raise LossyError(f"--data: {wishes.data} {what}; leave --data out and complete 'data' in the spec")


def _name(model: FoundModel | None, survey: Survey) -> str:
    if model is None:
        return "my-model"
    stem = (
        model.value
        if model.format == "torchvision"
        else PurePosixPath(model.value.rpartition(":")[0] or model.value).stem
    )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "my-model"
    taken = {PurePosixPath(spec).stem for spec in survey.specs}
    return name if name not in taken and name != "sample" else f"{name}-2"


def _weights(model: FoundModel | None, survey: Survey) -> PurePosixPath | None:
    """The weights for a network that is built by code: the only ones there are, or those of the same name."""
    if model is None or model.format not in ("torch", "torchvision"):
        return None
    if len(survey.weights) == 1:
        return survey.weights[0]
    words = {PurePosixPath(model.value.rpartition(":")[0]).stem.lower(), model.value.rpartition(":")[2].lower()}
    return next((path for path in survey.weights if any(word and word in path.stem.lower() for word in words)), None)
