"""One step of a chain: its short and long form, and what may be wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from pytest_lossy.codecs.base import Codec
from pytest_lossy.codecs.registry import build_codec, codec_options, intra_twin
from pytest_lossy.errors import LossyError
from pytest_lossy.registry import did_you_mean

__all__ = ["ChainStep", "Step", "build_step"]


class ChainStep(BaseModel):
    """``name``, ``name level`` or ``{codec: name, level: x, <the codec's options>}``.

    Validation builds the codec, so that whatever is wrong with a step is said at the step's own place in the spec.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    codec: str = Field(description="registry name, of any codec but chain")
    level: Annotated[FiniteFloat, Field(strict=True)] | None = Field(
        default=None, description="absent in the one step that the levels belong to"
    )

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside ``codec`` and ``level``."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, written: Any) -> Any:
        if not isinstance(written, str):
            if isinstance(written, dict | ChainStep):
                return written
            raise ValueError(f"a step is 'name', 'name level' or a mapping with 'codec', not {written!r}")
        parts = written.split()
        if not 1 <= len(parts) <= 2:
            raise ValueError(f"step '{written}' is not of the form 'name' or 'name level'; write options as a mapping")
        if len(parts) == 1:
            return {"codec": parts[0]}
        try:
            level = float(parts[1])
        except ValueError:
            level = math.nan
        if not math.isfinite(level):
            raise ValueError(f"step '{written}': level '{parts[1]}' is not a number; write, for example, 'jpeg 80'")
        return {"codec": parts[0], "level": level}

    @model_validator(mode="after")
    def _builds(self) -> ChainStep:
        if self.codec == "chain":
            raise ValueError("a chain cannot be a step of a chain; list its steps here instead")
        try:
            schema = codec_options(self.codec)
            wrong = _wrong_options(schema, self.options) if schema else []
            if wrong:
                raise ValueError(f"{self.codec}: {'; '.join(wrong)}")
            codec = build_codec(self.codec, self.options)
        except LossyError as error:
            raise ValueError(str(error)) from None
        if not isinstance(codec, Codec) or hasattr(codec, "steps"):
            raise ValueError(f"'{self.codec}' is no codec that a chain can hold; name a single codec")
        problem = codec.levels.problem(self.level) if self.level is not None else None
        if problem:
            raise ValueError(f"{self.codec}: {problem}; choose from {codec.levels.minimum:g}..{codec.levels.maximum:g}")
        return self


def _wrong_options(schema: type[BaseModel], options: dict[str, Any]) -> list[str]:
    try:
        schema(**options)
    except ValidationError as error:
        wrong = []
        for details in error.errors():
            place = ".".join(map(str, details["loc"]))
            if details["type"] == "extra_forbidden":
                wrong.append(f"unknown option '{place}'; {did_you_mean(place, [*schema.model_fields, 'level'])}")
            elif details["type"] == "value_error":
                wrong.append(f"{place}: {details['ctx']['error']}" if place else str(details["ctx"]["error"]))
            else:
                wrong.append(f"{place}: {details['msg']}, not {details['input']!r}")
        return wrong
    return []


@dataclass(frozen=True, slots=True)
class Step:
    """A step ready to run."""

    codec: Codec
    level: float | None
    """None for the step that is swept."""
    on_stills: Codec
    """What takes the codec's place where the medium is one frame: its intra twin, if it has one."""

    def on(self, frames: int) -> Codec:
        """The codec for a medium of that many frames."""
        return self.on_stills if frames == 1 else self.codec

    @property
    def fingerprint(self) -> str:
        """Of the codec, of its twin and of the fixed level."""
        names = [self.codec.fingerprint()]
        if self.on_stills is not self.codec:
            names.append(self.on_stills.fingerprint())
        return "|".join(names) + ("" if self.level is None else f"@{self.level!r}")


def build_step(step: ChainStep) -> Step:
    """Build a step's codec, and its intra twin with those of its options that the twin has, too.

    Options of a stream (a GOP length) mean nothing to it. A twin whose level means something else (a CRF for a bit rate)
    cannot take the codec's place.
    """
    codec = build_codec(step.codec, step.options)
    twin = intra_twin(step.codec)
    if twin is None:
        return Step(codec, step.level, codec)
    schema = codec_options(twin)
    known = schema.model_fields if schema else {}
    shared = {key: value for key, value in step.options.items() if key in known}
    on_stills = build_codec(twin, shared)
    return Step(codec, step.level, on_stills if on_stills.parameter == codec.parameter else codec)
