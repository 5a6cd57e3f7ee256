"""Read thresholds.yaml: every problem at once, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.cases import CLEAN, KNEE, MIX
from pytest_lossy.errors import ConfigurationError, Problem
from pytest_lossy.registry import did_you_mean
from pytest_lossy.specs.schema import Reference
from pytest_lossy.specs.validation import validate
from pytest_lossy.specs.yaml_source import Location, YamlSource, parse_yaml, read_yaml
from pytest_lossy.thresholds.mixes import read_mixes
from pytest_lossy.thresholds.rules import (
    BOUNDS,
    NO_MILDER_THAN,
    PRIMARY,
    Bound,
    Defaults,
    LevelRange,
    Rule,
    Thresholds,
    aggregate,
    is_glob,
)

__all__ = ["LocatedThresholds", "load_thresholds", "parse_thresholds", "thresholds_json_schema"]

_PERCENT = re.compile(r"(-?\d+(?:\.\d+)?)\s*%")


class _Document(BaseModel):
    """The whole file; the rules below ``models`` are walked by hand, since their keys are patterns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[Literal[1], Field(description="of this format")]
    defaults: Annotated[Defaults, Field(description="what holds for every gate of the file")] = Defaults()
    mix: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="name -> codec label -> level -> share of the fleet; 'clean: share' for what is not compressed"
        ),
    ] = {}
    models: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class LocatedThresholds:
    """The gates of a file, and where each stands in it."""

    thresholds: Thresholds
    locations: tuple[Location, ...]
    """Of each rule's limit: keys and indices from the top of the document."""


def load_thresholds(
    path: Path, shown: Path, *, metrics: Iterable[str] | None, labels: Iterable[str], more_labels: bool = False
) -> Thresholds:
    """Read and check a thresholds file.

    Args:
        path: the file.
        shown: its path in messages.
        metrics: names that a rule may gate, without slices; None where third-party tasks may add to them.
        labels: codec labels and names that a rule may name.
        more_labels: whether rules, though not mixes, may name others, too.

    Raises:
        ConfigurationError: every problem of the file, with lines.
    """
    raw = read_yaml(path, shown)
    return parse_thresholds(raw, shown, metrics=metrics, labels=labels, more_labels=more_labels).thresholds


def parse_thresholds(
    raw: bytes, shown: Path, *, metrics: Iterable[str] | None, labels: Iterable[str], more_labels: bool = False
) -> LocatedThresholds:
    """The same of a file's content.

    Raises:
        ConfigurationError: every problem of the file, with lines.
    """
    source = parse_yaml(raw, shown)
    if not isinstance(source.data, dict):
        raise ConfigurationError([source.problem((), "is not a mapping; start with 'version: 1' and 'models:'")])
    document, problems = validate(_Document, source, source.data)
    if document is None:
        raise ConfigurationError(problems)
    mixes, problems = read_mixes(source, document.mix, set(labels))
    reader = _RuleReader(
        source,
        None if metrics is None else {*metrics, PRIMARY},
        None if more_labels else set(labels),
        list(document.mix),
        document.defaults.reference,
    )
    reader.problems += problems
    for model, codecs in document.models.items():
        reader.read_model(model, codecs)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    thresholds = Thresholds(tuple(reader.rules), document.defaults, shown.as_posix(), tuple(mixes))
    return LocatedThresholds(thresholds, tuple(reader.locations))


class _RuleReader:
    """Walks ``models`` and collects rules and problems."""

    def __init__(
        self,
        source: YamlSource,
        metrics: set[str] | None,
        labels: set[str] | None,
        mixes: Sequence[str],
        reference: Reference,
    ) -> None:
        self.source, self.metrics, self.labels = source, metrics, labels
        self.mixes, self.reference = mixes, reference
        self.rules: list[Rule] = []
        self.locations: list[Location] = []
        self.problems: list[Problem] = []

    def complain(self, location: Location, message: str) -> None:
        self.problems.append(self.source.problem(location, message))

    def mapping(self, value: Any, location: Location, content: str) -> dict[Any, Any]:
        if isinstance(value, dict):
            return value
        self.complain(location, f"'{location[-1]}' must be a mapping of {content}, got {value!r}; indent one below it")
        return {}

    def read_model(self, model: str, codecs: Any) -> None:
        here: Location = ("models", model)
        for codec, levels in self.mapping(codecs, here, "codec labels").items():
            codec_here = (*here, codec)
            if codec == CLEAN:
                self.read_metrics(model, CLEAN, "", levels, codec_here)
                continue
            if codec == MIX:
                for name, metrics in self.mapping(levels, codec_here, "mixes").items():
                    if name == KNEE and KNEE not in self.mixes:
                        where = (*codec_here, name)
                        self.complain(
                            where, "a mix is no curve and has no knee; gate the knee of a codec, below its label"
                        )
                    elif isinstance(name, str) and (name in self.mixes or is_glob(name)):
                        self.read_metrics(model, MIX, name, metrics, (*codec_here, name))
                    else:
                        hint = did_you_mean(str(name), self.mixes) if self.mixes else "add it below 'mix:' at the top"
                        self.complain((*codec_here, name), f"no mix is called '{name}'; {hint}")
                continue
            if not isinstance(codec, str):
                self.complain(codec_here, f"codec label {codec!r} is not text; put it in quotes")
                continue
            if self.labels is not None and not is_glob(codec) and codec not in self.labels:
                self.complain(codec_here, f"unknown codec '{codec}'; {did_you_mean(codec, self.labels)}")
                continue
            ranges: list[tuple[str, LevelRange, set[tuple[str, Bound, Reference]]]] = []
            for level, metrics in self.mapping(levels, codec_here, "levels").items():
                self.read_level(model, codec, level, metrics, (*codec_here, level), ranges)

    def read_level(
        self,
        model: str,
        codec: str,
        level: Any,
        metrics: Any,
        here: Location,
        ranges: list[tuple[str, LevelRange, set[tuple[str, Bound, Reference]]]],
    ) -> None:
        if level == KNEE:
            self.read_knee(model, codec, metrics, here)
            return
        pattern = level
        if isinstance(level, int | float) and not isinstance(level, bool):
            # As reports print it, unless that drops digits.
            pattern = f"{level:g}" if float(f"{level:g}") == level else str(level)
        if not isinstance(pattern, str) or not _valid_level(pattern):
            self.complain(here, f"{level!r} is no level; write a number, a range such as '>=50', '*', or 'knee'")
            return
        before = len(self.rules)
        self.read_metrics(model, codec, pattern, metrics, here)
        bounds = LevelRange.parse(pattern)
        if bounds is None:
            return
        gated = {(rule.metric, rule.bound, rule.reference) for rule in self.rules[before:]}
        for other, other_bounds, other_gated in ranges:
            shared = sorted(gated & other_gated)
            if shared and bounds.overlaps(other_bounds):
                names = ", ".join(f"{metric}.{bound}" for metric, bound, _ in shared)
                self.complain(here, f"range '{pattern}' overlaps '{other}' for {names}; make the two ranges disjoint")
        ranges.append((pattern, bounds, gated))

    def read_knee(self, model: str, codec: str, bounds: Any, here: Location) -> None:
        """``{no_milder_than: 20}``: a requirement on the place where retention leaves the tolerance, not on a metric."""
        entries = dict(self.mapping(bounds, here, f"bounds ({NO_MILDER_THAN})"))
        reference = entries.pop("reference", self.reference)
        if reference != "labels":
            where = (*here, "reference") if isinstance(bounds, dict) and "reference" in bounds else here
            self.complain(
                where,
                "a knee is a place of retention, which label-free mode does not have; "
                + ("gate levels there, or write 'reference: labels'" if reference == "clean" else "write labels"),
            )
            return
        for bound, limit in entries.items():
            bound_here = (*here, bound)
            if bound != NO_MILDER_THAN:
                hint = "gate metrics at levels" if bound in BOUNDS else did_you_mean(str(bound), [NO_MILDER_THAN])
                self.complain(bound_here, f"unknown bound '{bound}' of a knee; {hint}")
            elif isinstance(limit, bool) or not isinstance(limit, int | float):
                self.complain(bound_here, f"{bound}: {limit!r} is no level; write a number such as 20")
            else:
                place = (self.source.path.as_posix(), self.source.line(bound_here))
                self.rules.append(Rule(model, codec, KNEE, PRIMARY, NO_MILDER_THAN, float(limit), *place))
                self.locations.append(bound_here)

    def read_metrics(self, model: str, codec: str, level: str, metrics: Any, here: Location) -> None:
        for metric, bounds in self.mapping(metrics, here, "metrics").items():
            metric_here = (*here, metric)
            if codec in (CLEAN, MIX) and metric in (KNEE, NO_MILDER_THAN):
                what = "clean is no curve" if codec == CLEAN else "a mix is no curve"
                self.complain(metric_here, f"{what} and has no knee; gate the knee of a codec, below its label")
                continue
            known = {PRIMARY} if self.metrics is None else self.metrics
            if not isinstance(metric, str) or (self.metrics is not None and aggregate(metric) not in known):
                self.complain(metric_here, f"unknown metric '{metric}'; {did_you_mean(str(metric), known)}")
                continue
            if isinstance(bounds, list):  # one entry per reference
                for index, entry in enumerate(bounds):
                    self.read_bounds(model, codec, level, metric, entry, (*metric_here, index))
            else:
                self.read_bounds(model, codec, level, metric, bounds, metric_here)

    def read_bounds(self, model: str, codec: str, level: str, metric: str, bounds: Any, here: Location) -> None:
        entries = dict(self.mapping(bounds, here, "bounds (min, max, max_drop, max_loss)"))
        reference = entries.pop("reference", self.reference)
        if reference not in ("labels", "clean"):
            self.complain((*here, "reference"), f"unknown reference '{reference}'; write labels or clean")
            return
        for bound, limit in entries.items():
            bound_here = (*here, bound)
            if bound not in BOUNDS:
                choices = [*BOUNDS, "reference"]
                self.complain(bound_here, f"unknown bound '{bound}'; {did_you_mean(str(bound), choices)}")
                continue
            if codec == CLEAN and bound in ("max_drop", "max_loss"):
                self.complain(bound_here, f"'{bound}' compares with clean itself; gate clean with min or max")
                continue
            number = _parse_limit(limit)
            if number is None:
                self.complain(bound_here, f"{bound}: {limit!r} is not a number or percentage; write 0.05 or 5%")
                continue
            if bound == "max_drop" and not 0 <= number < 1:
                self.complain(
                    bound_here,
                    f"max_drop: {limit} is not a share of clean; write 0% or more and less than 100%",
                )
                continue
            line = self.source.line(bound_here)
            self.rules.append(
                Rule(model, codec, level, metric, bound, number, self.source.path.as_posix(), line, reference)
            )
            self.locations.append(bound_here)


def _valid_level(pattern: str) -> bool:
    if LevelRange.parse(pattern) or is_glob(pattern):
        return True
    try:
        float(pattern)
    except ValueError:
        return False
    return True


def _parse_limit(value: Any) -> float | None:
    """``0.05``, ``5%``; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else None


def thresholds_json_schema() -> dict[str, Any]:
    """JSON Schema of thresholds.yaml."""
    schema = _Document.model_json_schema()
    limit = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]}
    bounds = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "min": {**limit, "description": "the metric is at least this"},
            "max": {**limit, "description": "the metric is at most this"},
            "max_drop": {**limit, "description": "share of clean that may be lost, such as 5%"},
            "max_loss": {**limit, "description": "clean - metric may be so much, in the metric's units"},
            "reference": {"enum": ["labels", "clean"], "description": "what the gate applies to; default: labels"},
        },
    }
    schema["$defs"]["KneeBounds"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            NO_MILDER_THAN: {
                "type": "number",
                "description": "level of the codec at or beyond which the knee has to lie, whichever way the level runs",
            },
            "reference": {"const": "labels", "description": "agreement has no knee"},
        },
    }
    either = {"anyOf": [{"$ref": "#/$defs/Bounds"}, {"type": "array", "items": {"$ref": "#/$defs/Bounds"}}]}
    metrics = {"type": "object", "additionalProperties": either}
    schema["$defs"]["Bounds"] = bounds
    schema["properties"]["models"] = {
        "type": "object",
        "description": "model name or glob -> codec label or glob -> level, range, * or knee -> metric -> bounds",
        "additionalProperties": {
            "type": "object",
            "properties": {CLEAN: metrics},
            "additionalProperties": {
                "type": "object",
                "properties": {KNEE: {"$ref": "#/$defs/KneeBounds"}},
                "additionalProperties": metrics,
            },
        },
    }
    schema["title"] = "pytest-lossy thresholds"
    return schema
