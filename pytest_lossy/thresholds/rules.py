"""Rules of thresholds.yaml, how specifically they match a case, and which of them win."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.cases import CLEAN, KNEE, MIX, Case, Mix
from pytest_lossy.errors import ConfigurationError, Problem
from pytest_lossy.registry import did_you_mean
from pytest_lossy.specs.schema import Reference

__all__ = [
    "BOUNDS",
    "NO_MILDER_THAN",
    "PRIMARY",
    "Bound",
    "Defaults",
    "Gate",
    "LevelRange",
    "Rule",
    "Thresholds",
    "aggregate",
    "is_glob",
]

MetricBound = Literal["min", "max", "max_drop", "max_loss"]
BOUNDS: tuple[MetricBound, ...] = get_args(MetricBound)
Bound = Literal[MetricBound, "no_milder_than"]
NO_MILDER_THAN: Bound = "no_milder_than"
"""The bound on a knee: it lies at this level or a more severe one, whichever way the codec's level runs."""
PRIMARY = "primary"
"""Stands for the primary metric of whatever task a rule meets."""

_RANGE = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)")
_SLICE = re.compile(r"(?P<metric>[^\[\]{}]+)(?:\[[^\[\]]+\]|\{[^{}]+\})?")


class Defaults(BaseModel):
    """What holds for every gate of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: Annotated[float, Field(gt=0.5, lt=1, description="two-sided level of the intervals")] = 0.95
    inconclusive: Annotated[
        Literal["point", "pass", "fail"],
        Field(description="outcome of a test whose interval straddles a gate; point: decided by the point estimate"),
    ] = "point"
    reference: Annotated[
        Reference,
        Field(
            description="what gates apply to that name no reference: results against labels, or label-free agreement"
        ),
    ] = "labels"


@dataclass(frozen=True, slots=True)
class Rule:
    """One bound of one metric, for the models, codecs and levels that its patterns match."""

    model: str
    codec: str
    level: str
    """``15``, ``>=50``, ``1*`` or ``*``; ``""`` for clean; ``knee``; the name of a mix, or a pattern of names."""
    metric: str
    bound: Bound
    limit: float
    file: str
    line: int
    reference: Reference = "labels"
    """The rule applies only to cases that are scored against the same."""

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    def rank(self, case: Case) -> tuple[float, ...] | None:
        """How specifically this rule matches ``case``: larger wins; None where it does not match."""
        model = _name_rank(self.model, case.model)
        codec = _name_rank(self.codec, case.label)
        if model is None or codec is None:
            return None
        if (case.is_clean or case.mix is not None or self.codec in (CLEAN, MIX)) and self.codec != case.label:
            return None  # `*` stands for codecs; clean is the case without one, and a mix has several
        if case.mix is not None:
            level = _name_rank(self.level, case.mix)
            return None if level is None else (*model, *codec, *level)
        if case.knee or self.bound == NO_MILDER_THAN:  # `*` stands for levels, and a knee is none
            return (*model, *codec, 0) if case.knee and self.level == KNEE else None
        if case.level is None:
            return (*model, *codec, 0)
        level = _level_rank(self.level, case.level)
        return None if level is None else (*model, *codec, *level)


@dataclass(frozen=True, slots=True)
class Gate:
    """A rule that won for one case, with ``primary`` resolved."""

    metric: str
    bound: Bound
    limit: float
    file: str
    line: int


def _name_rank(pattern: str, name: str) -> tuple[int, int] | None:
    """exact > glob (more literal characters first) > ``*``."""
    if pattern == name:
        return (3, 0)
    if pattern == "*":
        return (0, 0)
    if is_glob(pattern) and fnmatch.fnmatchcase(name, pattern):
        return (1, len(re.sub(r"[*?]|\[.*?\]", "", pattern)))
    return None


def _level_rank(pattern: str, level: float) -> tuple[int, int] | None:
    """exact > range > glob > ``*``."""
    if pattern == "*":
        return (0, 0)
    bounds = LevelRange.parse(pattern)
    if bounds:
        return (2, 0) if bounds.contains(level) else None
    try:
        return (3, 0) if float(pattern) == level else None
    except ValueError:
        pass
    text = f"{level:g}"
    return (1, len(re.sub(r"[*?]|\[.*?\]", "", pattern))) if fnmatch.fnmatchcase(text, pattern) else None


def is_glob(pattern: str) -> bool:
    """Whether a pattern has wildcards."""
    return any(character in pattern for character in "*?[")


@dataclass(frozen=True, slots=True)
class LevelRange:
    """An open or closed half-line of levels."""

    operator: str
    edge: float

    def contains(self, level: float) -> bool:
        """Whether ``level`` lies in the range."""
        comparisons: Mapping[str, Callable[[float, float], bool]] = {
            ">=": lambda a, b: a >= b,
            "<=": lambda a, b: a <= b,
            ">": lambda a, b: a > b,
            "<": lambda a, b: a < b,
        }
        return comparisons[self.operator](level, self.edge)

    def overlaps(self, other: LevelRange) -> bool:
        """Whether some real level lies in both."""
        if self.operator[0] == other.operator[0]:
            return True
        low, high = (self, other) if self.operator[0] == ">" else (other, self)
        if low.edge == high.edge:
            return low.operator == ">=" and high.operator == "<="
        return low.edge < high.edge

    @classmethod
    def parse(cls, pattern: str) -> LevelRange | None:
        """``">=50"`` and the like; None for anything else."""
        match = _RANGE.fullmatch(pattern)
        return cls(match[1], float(match[2])) if match else None


@dataclass(frozen=True)
class Thresholds:
    """Every rule of one file."""

    rules: tuple[Rule, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    file: str | None = None
    mixes: tuple[Mix, ...] = ()

    def mix_cases(self, cases: Sequence[Case]) -> list[Case]:
        """The mixes that some rule names for one model, and whose every level is among its ``cases``, clean first."""
        found = [mix.case(cases[0]) for mix in self.mixes if mix.parts(cases) is not None] if cases else []
        return [case for case in found if any(rule.rank(case) is not None for rule in self.rules_for(case.model))]

    def rules_for(self, model: str) -> Sequence[Rule]:
        """The rules that may match a model's cases, in the file's order: those that name it, and those with a pattern.

        A file that gates a thousand models has thousands of rules, of which each model needs a few.
        """
        if model not in self._by_model:
            mine = (*self._named.get(model, ()), *self._patterns)
            self._by_model[model] = [rule for _, rule in sorted(mine, key=lambda entry: entry[0])]
        return self._by_model[model]

    @cached_property
    def _by_model(self) -> dict[str, Sequence[Rule]]:
        return {}

    @cached_property
    def _named(self) -> Mapping[str, Sequence[tuple[int, Rule]]]:
        found: dict[str, list[tuple[int, Rule]]] = {}
        for place, rule in enumerate(self.rules):
            found.setdefault(rule.model, []).append((place, rule))
        return found

    @cached_property
    def _patterns(self) -> Sequence[tuple[int, Rule]]:
        return [(place, rule) for place, rule in enumerate(self.rules) if is_glob(rule.model)]

    def mix(self, name: str) -> Mix:
        """The mix of that name."""
        return next(mix for mix in self.mixes if mix.name == name)

    def bearing_on(self, case: Case, primary: str) -> Iterator[tuple[str, tuple[float, ...], Rule]]:
        """The rules that match a case, in the order of the file.

        Args:
            case: any case.
            primary: the metric that ``primary`` stands for.

        Yields:
            the metric, with ``primary`` resolved; how specific the rule is, the larger the more; the rule.

        """
        for rule in self.rules_for(case.model):
            rank = rule.rank(case)
            if rank is None or rule.reference != case.reference:
                continue
            is_primary = aggregate(rule.metric) == PRIMARY
            metric = primary + rule.metric.removeprefix(PRIMARY) if is_primary else rule.metric
            yield metric, (*rank, not is_primary), rule

    def gates_for(self, case: Case, primary: str, metrics: Mapping[str, bool]) -> list[Gate]:
        """The gates of ``case``: per metric and bound, the most specific rule.

        Args:
            case: any case.
            primary: the metric that ``primary`` stands for.
            metrics: aggregate metrics of the case's task, and whether more of each is better; a rule with a pattern as
                its model is silent about metrics that the task does not have.

        Raises:
            ConfigurationError: two rules match equally well and disagree, or one does not fit its metric.
        """
        known = dict(metrics)
        best: dict[tuple[str, Bound], tuple[tuple[float, ...], Rule]] = {}
        problems: list[Problem] = []
        conflicts: dict[tuple[str, Bound], Problem] = {}
        for metric, rank, rule in self.bearing_on(case, primary):
            if rule.bound == "max_drop" and case.reference == "clean" and not known.get(aggregate(metric), True):
                message = f"{metric} is an error and has no drop in label-free mode; gate it with 'max'"
                problems.append(Problem(Path(rule.file), rule.line, message))
                continue
            if aggregate(metric) not in known:
                if not is_glob(rule.model):
                    hint = did_you_mean(aggregate(metric), known)
                    message = f"task '{case.task}' of {case.model} has no metric '{metric}'; {hint}"
                    problems.append(Problem(Path(rule.file), rule.line, message))
                continue
            held = best.get((metric, rule.bound))
            if held is None or rank > held[0]:
                best[metric, rule.bound] = (rank, rule)
                conflicts.pop((metric, rule.bound), None)  # the more specific rule settles it
            elif rank == held[0] and held[1].limit != rule.limit:
                conflicts[metric, rule.bound] = Problem(
                    Path(rule.file),
                    rule.line,
                    f"{rule.metric}.{rule.bound} of {case.model}::{case.name} is also set by line "
                    f"{held[1].line}, whose patterns are as specific; make one of the two more specific",
                )
        problems += conflicts.values()
        if problems:
            raise ConfigurationError(problems)
        order: dict[Bound, int] = {bound: position for position, bound in enumerate(get_args(MetricBound))}
        order[NO_MILDER_THAN] = len(order)
        return [
            Gate(metric, bound, rule.limit, rule.file, rule.line)
            for (metric, bound), (_, rule) in sorted(
                best.items(), key=lambda item: (item[0][0] != primary, item[0][0], order[item[0][1]])
            )
        ]

    def unmatched(self, cases: Iterable[Case]) -> list[Rule]:
        """Rules that match none of ``cases``, one per line of the file."""
        everything = list(cases)
        of_model: dict[str, list[Case]] = {}
        for case in everything:
            of_model.setdefault(case.model, []).append(case)
        silent = {rule.line: rule for rule in reversed(self.rules)}
        for rule in self.rules:
            candidates = everything if is_glob(rule.model) else of_model.get(rule.model, ())
            if rule.line in silent and any(rule.rank(case) is not None for case in candidates):
                del silent[rule.line]
        return [silent[line] for line in sorted(silent)]

    def serialise(self) -> dict[str, Any]:
        """Exact builtins, to cross a process."""
        return {
            "rules": [asdict(rule) for rule in self.rules],
            "defaults": self.defaults.model_dump(),
            "file": self.file,
            "mixes": [[mix.name, [list(share) for share in mix.shares], mix.line] for mix in self.mixes],
        }

    @classmethod
    def deserialise(cls, data: Mapping[str, Any]) -> Thresholds:
        """The inverse of :meth:`serialise`."""
        return cls(
            tuple(Rule(**rule) for rule in data["rules"]),
            Defaults(**data["defaults"]),
            data["file"],
            tuple(Mix(name, tuple((a, b, c) for a, b, c in shares), line) for name, shares, line in data["mixes"]),
        )


def aggregate(metric: str) -> str:
    """The metric that a slice is of: ``miou[road]`` and ``miou{night}`` are slices of ``miou``."""
    match = _SLICE.fullmatch(metric)
    return match["metric"] if match else metric
