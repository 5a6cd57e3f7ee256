"""Models in a repository: files, weights, torchvision's, and what builds a network. Nothing is imported or loaded."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pytest_lossy.first_steps.tree import Tree

__all__ = ["FoundModel", "find_models", "find_weights", "task_of_torchvision"]

Format = Literal["onnx", "litert", "export", "torchvision", "torch"]

MAX_SOURCES, MAX_SOURCE_BYTES = 500, 300_000

_FILES: dict[str, Format] = {".onnx": "onnx", ".tflite": "litert", ".pt2": "export"}
_WEIGHTS = (".safetensors", ".pt", ".pth")
_BUILDER = re.compile(r"(build|make|create|get)(_\w+)?")
_MODULES = frozenset({"Module", "LightningModule"})

_FAMILIES = (
    ("keypointrcnn", "pose"),
    ("fasterrcnn|maskrcnn|retinanet|fcos|ssd", "detection"),
    ("deeplabv3|fcn_|lraspp", "segmentation"),
    (r"r3d_|mc3_|r2plus1d|s3d|mvit|swin3d", "action"),
    (
        r"resnet|resnext|wide_resnet|convnext|efficientnet|mobilenet|densenet|vgg|vit_|swin_|regnet|alexnet|squeezenet|"
        r"shufflenet|mnasnet|googlenet|inception|maxvit",
        "classification",
    ),
)
"""Beginnings of the names of torchvision's builders -> task."""
_CALL = re.compile(rf"\b((?:{'|'.join(pattern for pattern, _ in _FAMILIES)})\w*)\s*\(")
_NAMED = re.compile(rf"""["']((?:{"|".join(pattern for pattern, _ in _FAMILIES)})\w*)["']""")


_WORDS = (
    (r"pose|movenet|keypoint|hrnet", "pose"),
    (r"yolo|rcnn|detr|retina|ssd|detect|fcos", "detection"),
    (r"deeplab|segm|segnet|unet|fcn|pspnet|lraspp|bisenet", "segmentation"),
    (r"depth|midas", "depth"),
    (r"slowfast|i3d|x3d|r3d|action|two.?stream|kinetics", "action"),
    (r"resnet|mobilenet|efficientnet|classif|convnext|vit|imagenet", "classification"),
)
"""What file names say of a network's task, more or less."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that a spec could name."""

    format: Format
    value: str
    """A path relative to the repository, ``path.py:function``, or torchvision's name."""
    place: str
    """Where it was seen, as ``path`` or ``path:line``."""
    task: str | None = None
    """What it is for; None where nothing says so for certain."""
    needs_arguments: bool = False
    """Whether its builder has parameters without defaults."""

    @property
    def likely_task(self) -> str | None:
        """The task, or what its name suggests."""
        name = self.value.rpartition("/")[2].lower()
        return self.task or next((task for words, task in _WORDS if re.search(words, name)), None)

    @property
    def title(self) -> str:
        """For people."""
        kind = {"onnx": "ONNX file", "litert": "LiteRT file", "export": "exported file"}.get(self.format)
        if kind:
            return f"{kind} {self.value}"
        return f"torchvision's {self.value} ({self.place})" if self.format == "torchvision" else f"{self.value}"


def task_of_torchvision(name: str) -> str | None:
    """The task of one of torchvision's models, by its name."""
    name = name.removeprefix("quantized_")
    return next((task for pattern, task in _FAMILIES if re.match(pattern, name)), None)


def find_models(tree: Tree) -> list[FoundModel]:
    """Model files first, then torchvision's models, then the repository's own builders; each in order of depth and name."""
    files = [
        FoundModel(kind, (folder.path / name).as_posix(), (folder.path / name).as_posix())
        for folder in tree
        for name in folder.files
        if (kind := _format_of(tree.root / folder.path / name)) is not None
    ]
    known: dict[str, FoundModel] = {}
    builders: list[FoundModel] = []
    for path, text in _sources(tree):
        for name, line in _torchvision_names(text):
            known.setdefault(name, FoundModel("torchvision", name, f"{path}:{line}", task_of_torchvision(name)))
        builders += _builders(path, text)
    return [*files, *known.values(), *builders]


def find_weights(tree: Tree) -> list[PurePosixPath]:
    """Weights without an architecture: ``.safetensors``, ``.pt`` and ``.pth`` files that hold no TorchScript."""
    return [
        folder.path / name
        for folder in tree
        for name in folder.with_suffix(*_WEIGHTS)
        if _format_of(tree.root / folder.path / name) is None
    ]


def _format_of(path: Path) -> Format | None:
    suffix = path.suffix.lower()
    if suffix in (".pt", ".pth") and _is_torchscript(path):
        return "export"
    return _FILES.get(suffix)


def _is_torchscript(path: Path) -> bool:
    """TorchScript is a zip file with code in it; a state dict is one without, or a pickle. The file is not loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.partition("/")[2].startswith("code/") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return False


def _sources(tree: Tree) -> Iterator[tuple[PurePosixPath, str]]:
    count = 0
    for folder in tree:
        for name in folder.with_suffix(".py"):
            path = tree.root / folder.path / name
            if count >= MAX_SOURCES:
                return
            try:
                if path.stat().st_size > MAX_SOURCE_BYTES:
                    continue
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            count += 1
            yield folder.path / name, text


def _torchvision_names(text: str) -> Iterator[tuple[str, int]]:
    """Calls of torchvision's builders, and their names as text in files that ask it for a model by name."""
    if "torchvision" not in text:
        return
    by_name = "get_model" in text
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            continue
        for match in [*_CALL.finditer(line), *(_NAMED.finditer(line) if by_name else ())]:
            yield match[1], number


def _builders(path: PurePosixPath, text: str) -> Iterator[FoundModel]:
    """Functions named like builders that return something, and classes that say they are an ``nn.Module``."""
    if "torch" not in text:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    source = path.as_posix()
    if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)):
        # Relative imports work only in a package, which is imported by its name.
        parts = path.with_suffix("").parts
        source = ".".join(parts[1:] if parts[0] == "src" else parts).removesuffix(".__init__")
    classes = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _BUILDER.fullmatch(node.name) and _returns_network(node):
            yield FoundModel(
                "torch", f"{source}:{node.name}", f"{path}:{node.lineno}", None, _has_required(node.args, 0)
            )
        elif isinstance(node, ast.ClassDef) and any(_last_name(base) in _MODULES for base in node.bases):
            start = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
            needs = start is not None and _has_required(start.args, 1)
            classes.append(FoundModel("torch", f"{source}:{node.name}", f"{path}:{node.lineno}", None, needs))
    yield from reversed(classes)  # the whole network usually stands below its parts


def _returns_network(node: ast.FunctionDef) -> bool:
    """By its annotation where it has one; else by any value that it returns, but for data and such."""
    if node.returns is not None:
        return "Module" in ast.unparse(node.returns) or "Net" in ast.unparse(node.returns)
    named = node.name in ("build", "make", "create") or re.search("model|net", node.name)
    return bool(named) and any(isinstance(one, ast.Return) and one.value is not None for one in ast.walk(node))


def _has_required(arguments: ast.arguments, skip: int) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args][skip:]
    return len(positional) > len(arguments.defaults) or None in arguments.kw_defaults


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
