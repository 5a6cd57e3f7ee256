"""The schema of a spec file: a model, its task, its data and the codec levels to try."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, field_validator, model_validator

from pytest_lossy.models.declaration import ModelSection
from pytest_lossy.tasks.extra.declaration import METRIC_NAME, MetricSection

__all__ = ["NAME", "CodecSection", "DataSection", "MediaKind", "Reference", "Spec", "expand_codec", "spec_json_schema"]

NAME = re.compile(r"[A-Za-z0-9._-]+")
"""What model names and codec labels may consist of: they become parts of node ids and file names."""

MediaKind = Literal["stills", "clips"]
Reference = Literal["labels", "clean"]
"""What predictions are scored against: the data's labels, or the model's own predictions for the clean samples."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(_Section):
    """Where the samples come from: a registered name or a factory."""

    name: str | None = Field(default=None, description="a registered data set, see `pytest-lossy list`")
    factory: str | None = Field(
        default=None,
        description="instead of name: ./file.py:function, relative to the spec, or package.module:function, that returns a "
        "data set",
    )
    maite: str | None = Field(
        default=None,
        description="instead of name: ./file.py:function or package.module:function, that returns a MAITE data set for "
        "classification or detection",
    )
    kwargs: dict[str, Any] = Field(default={}, description="options of the data set, or arguments of the factory")
    tags: str | None = Field(
        default=None,
        description="a CSV file, relative to the spec: a header, then the sample's id and its tags; gates and reports slice "
        "by them, as in miou{night}",
    )
    media: MediaKind | None = Field(
        default=None,
        description="what the samples are; default: as the data set declares, for a factory clips where the task is "
        "action. A stream codec such as h264 meets stills as h264-intra",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if sum(source is not None for source in (self.name, self.factory, self.maite)) != 1:
            raise ValueError("needs exactly one of name, factory and maite; keep one")
        return self

    @property
    def builder(self) -> str | None:
        """The user's own code, where no registered name is given."""
        return self.factory or self.maite


class CodecSection(BaseModel):
    """The levels of one codec; every other key is an option of that codec."""

    model_config = ConfigDict(extra="allow", frozen=True)

    codec: str | None = Field(default=None, description="registry name; default: the label itself")
    levels: Annotated[
        tuple[Annotated[FiniteFloat, Field(strict=True)], ...] | None,
        Field(description="default: the codec's own grid", min_length=1),
    ] = None

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside ``codec`` and ``levels``."""
        return dict(self.model_extra or {})


class TrainingSection(_Section):
    """How to fine-tune the model: the three hooks that ``pytest-lossy retrain`` needs."""

    loss: str = Field(
        description="./file.py:function or package.module:function, called with the network, a list of samples (their media "
        "uint8, after the codec) and a torch.Generator; returns the scalar to minimise",
    )
    data: dict[str, Any] = Field(default={}, description="over data.kwargs: the training split, such as {split: train}")
    hold_out: Annotated[
        float, Field(gt=0, lt=1, description="share of the training data kept back to decide when to stop")
    ] = 0.1
    batch_size: Annotated[StrictInt, Field(ge=1, description="samples of one step")] = 8
    iterations: Annotated[StrictInt, Field(ge=1, description="of one fine-tuning")] = 500
    rate: Annotated[FiniteFloat, Field(gt=0, description="peak learning rate of AdamW")] = 1e-3
    weight_decay: Annotated[FiniteFloat, Field(ge=0, description="of AdamW")] = 0.01
    warm_up: Annotated[FiniteFloat, Field(ge=0, lt=1, description="share of the iterations")] = 0.1
    clip: Annotated[FiniteFloat | None, Field(gt=0, description="largest norm of the gradient")] = None


class RetrainedSection(_Section):
    """Where the weights of a derived spec come from; written by ``pytest-lossy retrain``."""

    parent: str = Field(description="name of the model that was fine-tuned")
    control: str | None = Field(default=None, description="name of its twin, fine-tuned as long on clean samples")
    codec: str | None = Field(default=None, description="label in the parent's spec; none for the control")
    levels: tuple[FiniteFloat, ...] = Field(default=(), description="that it was trained on; none for the control")
    iterations: StrictInt = Field(description="that ran")
    seed: StrictInt = Field(description="of the fine-tuning")
    seconds: FiniteFloat = Field(description="that the fine-tuning took")
    validation: tuple[tuple[StrictInt, FiniteFloat | None], ...] = Field(
        default=(), description="iteration and primary metric on what was held out of the training data"
    )


class ExperimentSection(_Section):
    """The model's place in a controlled comparison; models of one experiment and several arms are compared arm by arm."""

    name: str = Field(description="of the experiment; its models share it", pattern=f"^{NAME.pattern}$")
    arm: str = Field(description="what differs on purpose, such as the architecture", pattern=f"^{NAME.pattern}$")
    seed: StrictInt = Field(description="of this training run; the runs of one arm differ in nothing else")


class Spec(_Section):
    """One model under test."""

    name: str | None = Field(
        default=None, description="part of node ids; default: the file's stem", pattern=f"^{NAME.pattern}$"
    )
    task: str = Field(description="a registered task, see `pytest-lossy list`, or package.module:Class")
    task_kwargs: dict[str, Any] = Field(default={}, description="options of the task")
    architecture: str | None = Field(default=None, description="family, for the resilience ranking")
    model: ModelSection = Field(description="where the model comes from")
    data: DataSection = Field(description="where the samples come from")
    codecs: dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], CodecSection] = Field(
        description="label -> levels and options of a codec"
    )
    metrics: dict[Annotated[str, Field(pattern=METRIC_NAME)], MetricSection] = Field(
        default={}, description="name -> a metric of your own, beside the task's"
    )
    reference: Reference | None = Field(
        default=None,
        description="clean: label-free, the model's own clean prediction is the target; default: labels, where the data "
        "set has them",
    )
    batch_size: Annotated[StrictInt, Field(ge=1, description="samples of one call of the model")] = 8
    tags: tuple[str, ...] = Field(default=(), description="words about the model, for the report")
    training: TrainingSection | None = Field(default=None, description="the hooks of `pytest-lossy retrain`")
    retrained: RetrainedSection | None = Field(default=None, description="written by `pytest-lossy retrain`")
    experiment: ExperimentSection | None = Field(
        default=None, description="the model's place in a controlled comparison"
    )
    requires: Annotated[
        Literal["needed", "optional"],
        Field(description="optional: missing data or weights skip the model's cases instead of failing them"),
    ] = "needed"
    needs: str | None = Field(
        default=None, description="what to place where, in words; shown where data or weights are missing"
    )

    @field_validator("codecs", mode="before")
    @classmethod
    def _short_forms(cls, codecs: Any) -> Any:
        """Expand the short forms of each entry."""
        return (
            {label: expand_codec(label, entry) for label, entry in codecs.items()}
            if isinstance(codecs, dict)
            else codecs
        )

    def resolved_name(self, path: PurePosixPath) -> str:
        """The model's name: as declared, or the stem of the spec's path."""
        return self.name or path.stem


def expand_codec(label: Any, entry: Any) -> Any:
    """The long form of a codec's entry: ``[levels]``, ``chain: [steps]``, and nothing (the default grid) are short."""
    if entry is None:
        return {}
    if isinstance(entry, list) and label == "chain":
        return {"codec": "chain", "steps": entry}
    return {"levels": entry} if isinstance(entry, list) else entry


def spec_json_schema() -> dict[str, Any]:
    """JSON Schema of a spec file, with the short forms of ``codecs``."""
    schema = Spec.model_json_schema()
    codecs = schema["properties"]["codecs"]
    ((_, section),) = codecs["patternProperties"].items()
    levels = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    steps = {"type": "array", "items": {"type": ["string", "object"]}, "minItems": 1, "description": "steps, in order"}
    codecs["patternProperties"] = {f"^(?!chain$){NAME.pattern}$": {"anyOf": [section, levels, {"type": "null"}]}}
    codecs["properties"] = {"chain": {"anyOf": [section, steps]}}
    codecs["additionalProperties"] = False
    schema["title"] = "pytest-lossy spec"
    return schema
