"""What a spec declares of a model: format, weights, pre-processing and post-processing."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, field_validator, model_validator

__all__ = ["FORMATS", "MAITE_TASKS", "ExecutionSection", "InputSection", "ModelSection", "OutputSection"]

FORMATS = ("torch", "torchvision", "onnx", "litert", "export", "maite", "callable", "name")

MAITE_TASKS = ("classification", "detection")
"""The tasks of MAITE's protocols for single images."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSection(_Section):
    """Declarative pre-processing from 8-bit RGB at source resolution to the network's input."""

    size: Annotated[
        int | tuple[int, int] | None,
        Field(description="[height, width] or one side of a square, in pixels; omit to keep the source's size"),
    ] = None
    resize: Annotated[
        Literal["stretch", "letterbox"],
        Field(description="stretch ignores the aspect ratio; letterbox keeps it and pads bottom and right"),
    ] = "stretch"
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic", "lanczos"], Field(description="of the resize")
    ] = "bilinear"
    multiple_of: Annotated[
        int, Field(ge=1, description="pad bottom and right up to a multiple of this many pixels")
    ] = 1
    pad_value: Annotated[int, Field(ge=0, le=255, description="grey level of padding")] = 0
    color: Annotated[Literal["rgb", "bgr"], Field(description="order of the channels")] = "rgb"
    range: Annotated[
        tuple[FiniteFloat, FiniteFloat] | None,
        Field(description="what 0 and 255 become before mean and std; default [0, 1], [0, 255] for uint8 inputs"),
    ] = None
    mean: Annotated[
        tuple[FiniteFloat, ...] | None, Field(min_length=3, max_length=3, description="per channel, subtracted")
    ] = None
    std: Annotated[
        tuple[FiniteFloat, ...] | None, Field(min_length=3, max_length=3, description="per channel, divided by")
    ] = None
    layout: Literal["nchw", "nhwc"] | None = Field(
        default=None, description="default: nchw for torch and onnx, nhwc for litert"
    )
    dtype: Literal["float32", "float16", "uint8", "int8"] | None = Field(
        default=None, description="default: what the model file declares, else float32"
    )
    function: str | None = Field(
        default=None,
        description="instead of all the above, ./file.py:name or package.module:name, called with a list of uint8 "
        "(H, W, 3) arrays and the contexts; returns what the network takes",
    )

    @field_validator("size")
    @classmethod
    def _positive_size(cls, size: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        sides = (size,) if isinstance(size, int) else size or ()
        if any(side < 1 for side in sides):
            raise ValueError(f"size {size} has a side below 1 pixel; write [height, width] in pixels")
        return size

    @field_validator("std")
    @classmethod
    def _nonzero_std(cls, std: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if std and any(value <= 0 for value in std):
            raise ValueError(f"std {list(std)} must be above 0; it divides the pixel values")
        return std


class OutputSection(_Section):
    """How the network's output becomes predictions."""

    kind: Annotated[
        Literal["auto", "logits", "labels"],
        Field(description="segmentation: class scores (N, C, H, W), or label maps (N, H, W)"),
    ] = "auto"
    layout: Literal["nchw", "nhwc"] | None = Field(
        default=None, description="of class scores; default: nhwc for litert"
    )
    select: Annotated[
        StrictInt | str | None, Field(description="which output: an index of a tuple or a key of a mapping")
    ] = None
    class_map: Annotated[
        dict[StrictInt, StrictInt] | None,
        Field(description="class of the model -> class of the data; classes left out become 255, 'no class'"),
    ] = None
    function: str | None = Field(
        default=None,
        description="instead of all the above, ./file.py:name or package.module:name, called with the raw output and "
        "a list of source sizes (H, W); returns one prediction per sample, in source coordinates",
    )


class ExecutionSection(_Section):
    """How a PyTorch module is run: faster ways that may change its numbers. What they change is measured and noted."""

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: operations that allow it compute in half the bits (torch.autocast)"
    )
    memory_format: Literal["contiguous", "channels_last"] = Field(
        default="contiguous", description="layout of images in memory; channels_last can be faster for convolutions"
    )
    compile: bool = Field(
        default=False, description="compile the module (torch.compile); needs a C++ compiler on a CPU"
    )

    @property
    def is_plain(self) -> bool:
        """Whether the module runs as it is."""
        return self == ExecutionSection()

    def __str__(self) -> str:
        """What is not as it is: ``bfloat16, channels_last``."""
        parts = [self.precision if self.precision != "float32" else "", "compiled" if self.compile else ""]
        parts.insert(1, self.memory_format if self.memory_format != "contiguous" else "")
        return ", ".join(filter(None, parts)) or "plain"


class ModelSection(_Section):
    """Where the model comes from: exactly one format."""

    torch: str | None = Field(
        default=None, description="a builder of an nn.Module: ./file.py:function or package.module:function"
    )
    torchvision: str | None = Field(default=None, description="a name of torchvision.models.list_models()")
    onnx: str | None = Field(default=None, description="an .onnx file, relative to the spec")
    litert: str | None = Field(default=None, description="a .tflite file, relative to the spec")
    export: str | None = Field(
        default=None, description="a torch.export .pt2 or TorchScript file, relative to the spec"
    )
    maite: str | None = Field(
        default=None,
        description="a builder of a MAITE model for classification or detection: ./file.py:function or "
        "package.module:function; it brings its weights, and 'input.dtype' says which pixels it takes",
    )
    callable: str | None = Field(
        default=None,
        description="a builder of anything that predicts: ./file.py:function or package.module:function; it returns "
        "(media, context) -> predictions, and declares neither input nor output",
    )
    name: str | None = Field(
        default=None,
        description="a model that a conftest file or plugin registered (docs/plugin-api.md), or package.module:function",
    )
    kwargs: dict[str, Any] = Field(default={}, description="arguments of the builder")
    weights: str | None = Field(
        default=None,
        description="torch and torchvision: a .safetensors or weights-only .pt file, relative to the spec; torchvision: or "
        "the name of published weights, such as DEFAULT",
    )
    sha256: Annotated[str | None, Field(pattern="^[0-9a-fA-F]{64}$")] = Field(
        default=None, description="of the weights, or of the model file"
    )
    execution: ExecutionSection = Field(
        default=ExecutionSection(), description="torch and torchvision: faster ways to run the module"
    )
    input: InputSection = Field(default=InputSection(), description="pre-processing")
    output: OutputSection = Field(default=OutputSection(), description="post-processing")

    @model_validator(mode="after")
    def _one_format(self) -> ModelSection:
        given = [name for name in FORMATS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"needs exactly one of {', '.join(FORMATS)}, found {found}; keep one")
        if self.weights is not None and given[0] not in ("torch", "torchvision"):
            raise ValueError(f"'weights' belong to torch and torchvision models, not to '{given[0]}'; remove them")
        if not self.execution.is_plain and given[0] not in ("torch", "torchvision"):
            raise ValueError(f"'execution' belongs to torch and torchvision models, not to '{given[0]}'; remove it")
        if self.kwargs and given[0] not in ("torch", "torchvision", "maite", "callable", "name"):
            raise ValueError(
                f"'kwargs' belong to torch, torchvision, maite and callable models, not to '{given[0]}'; remove them"
            )
        if given[0] == "callable" and (self.input != InputSection() or self.output != OutputSection()):
            raise ValueError(
                "a 'callable' prepares its input and decodes its output itself; remove 'input' and 'output'"
            )
        if given[0] == "maite" and self.input.dtype is None and self.input.function is None:
            raise ValueError(
                "MAITE does not say which pixels a model takes; add 'input: {dtype: uint8}' for 0..255, or 'input: {dtype: "
                "float32}' for 0..1"
            )
        for name in ("torch", "maite", "callable"):
            reference = getattr(self, name)
            if reference is not None and not re.fullmatch(r"[^:]+:[A-Za-z_][\w.]*", reference):
                raise ValueError(
                    f"{name}: '{reference}' is not of the form ./file.py:function or package.module:function"
                )
        return self

    @property
    def format(self) -> str:
        """Which of the formats is declared."""
        return next(name for name in FORMATS if getattr(self, name) is not None)
