"""The texts that ``init`` writes: pure functions of the choices."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2

from pytest_lossy.first_steps.choices import TASKS, Choices
from pytest_lossy.first_steps.layouts import FoundData
from pytest_lossy.first_steps.networks import FoundModel
from pytest_lossy.first_steps.sample import SAMPLE_NAME, SAMPLE_SAMPLES, SampleFiles
from pytest_lossy.tasks.registry import TASKS as TASK_FAMILIES
from pytest_lossy.tasks.registry import task_primary

__all__ = ["Places", "ci_text", "missing_parts", "network_file", "own_files", "sample_spec_files", "thresholds_text"]

_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/|~/)[A-Za-z0-9_./~+-]*(?::[A-Za-z_][A-Za-z0-9_]*)?")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

_PLACEHOLDERS: Mapping[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "segmentation": (
        "folder-segmentation",
        {"images": "data/val/images", "labels": "data/val/labels"},
        {"classes": ["background", "road", "car"]},
    ),
    "detection": ("coco-detection", {"images": "data/val", "annotations": "data/annotations/instances_val.json"}, {}),
    "pose": ("coco-pose", {"images": "data/val", "annotations": "data/annotations/person_keypoints_val.json"}, {}),
    "classification": ("imagenet", {"root": "data/val"}, {}),
    "depth": ("rgbd", {"root": "data/val"}, {}),
    "action": ("kinetics", {"root": "data/val"}, {}),
}
"""Task -> the commonest reader, and paths that a user replaces."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things go, relative to the repository."""

    root: Path
    """The repository."""
    specs: PurePosixPath
    thresholds: PurePosixPath
    report: PurePosixPath

    def from_spec(self, path: PurePosixPath) -> str:
        """A path of the repository as a spec writes it."""
        if path.is_absolute():
            return path.as_posix()
        relative = os.path.relpath(self.root / path, self.root / self.specs)
        return relative if relative.startswith("..") else f"./{relative}"


def own_files(choices: Choices, places: Places) -> dict[PurePosixPath, str]:
    """The spec of the user's own model, and the Python file that it builds the network with, where none was found."""
    spec, network = places.specs / f"{choices.name}.yaml", network_file(choices, places)
    data = choices.data or _placeholder(choices.task)
    files: dict[PurePosixPath, str] = {
        spec: _render(
            "spec.yaml.j2",
            name=choices.name,
            stem=network.stem,
            task=choices.task,
            task_known=choices.task_known,
            other_tasks=[task for task in TASKS if task != choices.task],
            model=_model_of_spec(choices.model, places) or FoundModel("torch", f"./{network.name}:build", ""),
            known_model=choices.model is not None,
            needs_arguments=choices.model is not None and choices.model.needs_arguments,
            weights=places.from_spec(choices.weights) if choices.weights else None,
            up=places.from_spec(PurePosixPath("_")).removesuffix("_"),
            data={
                "name": data.name,
                "kwargs": {**{key: places.from_spec(path) for key, path in data.paths.items()}, **data.kwargs},
            },
            known_data=choices.data is not None,
            draft=None
            if choices.runs
            else f"a draft of 'pytest-lossy init': complete {missing_parts(choices, places)}",
        )
    }
    if choices.model is None:
        files[network] = _render("network.py.j2", spec=spec.name, here=network.as_posix())
    return files


def network_file(choices: Choices, places: Places) -> PurePosixPath:
    """The Python file that builds the user's network, where none was found."""
    return places.specs / f"{re.sub(r'[^A-Za-z0-9_]', '_', choices.name)}.py"


def missing_parts(choices: Choices, places: Places) -> str:
    """What a draft lacks, in words."""
    spec = (places.specs / f"{choices.name}.yaml").as_posix()
    parts = []
    if choices.model is None:
        parts.append(f"build() in {network_file(choices, places)}")
    elif choices.model.needs_arguments:
        parts.append(f"'model.kwargs' in {spec}")
    if choices.data is None:
        parts.append(f"'data' in {spec}")
    return " and ".join(parts)


def sample_spec_files(files: SampleFiles, places: Places) -> dict[PurePosixPath, str | bytes]:
    """The sample's spec, and what it needs beside it."""
    network, weights = "sample_segnet.py", f"weights/{SAMPLE_NAME}.safetensors"
    spec = _render(
        "sample.yaml.j2",
        name=SAMPLE_NAME,
        samples=SAMPLE_SAMPLES,
        network=network,
        weights=weights,
        sha256=files.sha256,
        thresholds=places.thresholds.name,
    )
    folder = places.specs
    return {folder / "sample.yaml": spec, folder / network: files.network, folder / weights: files.weights}


def thresholds_text(choices: Choices) -> str:
    """Gates of the sample, and an example for the user's own model."""
    metric = task_primary(choices.task)
    rising = next(one.higher_is_better for one in TASK_FAMILIES.load(choices.task).metrics if one.name == metric)
    own = [(choices.name, metric, rising)] if choices.own else []
    return _render("thresholds.yaml.j2", sample=SAMPLE_NAME if choices.sample else None, own=own)


def ci_text(places: Places, *, installable: bool, requirements: bool) -> str:
    """A workflow that runs the gates on every pull request.

    Args:
        places: where the report goes.
        installable: whether the repository is itself a package.
        requirements: whether it has a requirements.txt.
    """
    return _render("lossy.yml.j2", report=places.report.as_posix(), installable=installable, requirements=requirements)


def _placeholder(task: str) -> FoundData:
    name, paths, kwargs = _PLACEHOLDERS[task]
    return FoundData(task, name, {key: PurePosixPath(path) for key, path in paths.items()}, kwargs, "")


def _model_of_spec(model: FoundModel | None, places: Places) -> FoundModel | None:
    """The model with its path as the spec writes it."""
    if model is None or model.format == "torchvision":
        return model
    path, colon, function = model.value.rpartition(":")
    if colon and not path.endswith(".py"):
        return model  # package.module:function
    value = places.from_spec(PurePosixPath(path if colon else model.value)) + (f":{function}" if colon else "")
    return FoundModel(model.format, value, model.place, model.task, model.needs_arguments)


def scalar(value: Any) -> str:
    """A YAML scalar on one line, quoted wherever it could be read as something else."""
    text = value if isinstance(value, str) else json.dumps(value)
    if not isinstance(value, str) or (_PLAIN.fullmatch(text) and text.lower() not in _RESERVED):
        return text
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    """A value inside ``data.kwargs``; long lists are folded."""
    if not isinstance(value, list):
        return scalar(value)
    text = f"[{', '.join(map(scalar, value))}]"
    lines = textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False) if len(text) > 100 else [text]
    return "\n      ".join(lines)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_lossy.first_steps"),
        autoescape=False,  # noqa: S701  YAML and Python, no markup; values pass through the filters below
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"scalar": scalar, "flow": _flow}
    return environment


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)
