"""Which limits of a thresholds file change and which gates are added, decided before any text is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pytest_lossy.cases import CLEAN, KNEE, MIX, Case
from pytest_lossy.results.document import MetricValue
from pytest_lossy.thresholds.decisions import Decision
from pytest_lossy.thresholds.editing import Addition, GatesText
from pytest_lossy.thresholds.limits import (
    MeasuredKnee,
    NoLimit,
    knee_limit,
    limit_text,
    metric_limit,
    new_bound,
    passes,
    value_of,
)
from pytest_lossy.thresholds.reader import LocatedThresholds
from pytest_lossy.thresholds.rules import NO_MILDER_THAN, PRIMARY, Bound, Gate, Rule, aggregate, is_glob

__all__ = ["IndexedCase", "MeasuredCase", "Subject", "UpdatePlan", "gate_name"]

Subject = tuple[Case, str, Bound]
"""One gate of one case: its metric, with ``primary`` resolved, and its bound."""


@dataclass(frozen=True, slots=True)
class IndexedCase:
    """A case that the specs or the flags name, whether or not it ran."""

    case: Case
    primary: str
    metrics: Mapping[str, bool] | None
    """Aggregate metrics, and whether more of each is better; None where the task is a third party's and was not loaded."""


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """What a case of this run measured."""

    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    knee: MeasuredKnee | None = None
    problem: str = ""
    """Why nothing was measured, in one line; empty where it was."""

    def of(self, metric: str, bound: Bound) -> MetricValue | MeasuredKnee | None:
        """What a gate compares; None where the case does not have it."""
        return self.knee if bound == NO_MILDER_THAN else self.metrics.get(metric)


class UpdatePlan:
    """Collects changes before any text is touched."""

    def __init__(self, located: LocatedThresholds, text: GatesText, margin: float) -> None:
        self.located, self.text, self.margin = located, text, margin
        self.reference = located.thresholds.defaults.reference
        self.place = {id(rule): where for rule, where in zip(located.thresholds.rules, located.locations, strict=True)}
        self.measured: dict[Case, MeasuredCase] = {}
        self.wanted: dict[Subject, Decimal] = {}
        self.winners: dict[Subject, Decision] = {}
        self.decided: dict[int, list[Subject]] = {}
        """By the identity of a rule: what it decides, of every case."""
        self.rules: dict[int, Rule] = {}
        self.rewritten: dict[int, str] = {}
        self.additions: list[Addition] = []
        self.settled: set[Subject] = set()
        """Gates that this run's numbers set."""
        self.kept = 0
        self.refused: list[str] = []

    def refuse(self, case: Case, what: str, reason: str) -> None:
        """Note what cannot be written; ``what`` is empty for all of a case."""
        subject = f"{case.model}::{case.name}{f' {what}' if what else ''}"
        self.refused.append(f"{subject}: {reason}")

    def want(self, case: Case, metric: str, bound: Bound) -> None:
        """Note the limit that a gate should have."""
        measured = self.measured[case]
        try:
            if bound == NO_MILDER_THAN:
                if measured.knee is None:
                    raise NoLimit("no knee was found")
                limit = knee_limit(measured.knee, self.margin)
            else:
                limit = metric_limit(bound, measured.metrics.get(metric), self.margin, case.reference)
        except NoLimit as error:
            self.refuse(case, gate_name(metric, bound), str(error))
        else:
            self.wanted[case, metric, bound] = limit

    def want_new(self, entry: IndexedCase) -> None:
        """Note the gate that a case without one should have: on its primary metric, or on its knee."""
        case = entry.case
        if case.knee:
            self.want(case, entry.primary, NO_MILDER_THAN)
            return
        higher = (entry.metrics or {}).get(entry.primary, True)
        metric = self.measured[case].metrics.get(entry.primary)
        try:
            bound = new_bound(metric, self.margin, case.reference, clean=case.is_clean, higher=higher)
        except NoLimit as error:
            self.refuse(case, entry.primary, str(error))
        else:
            self.want(case, entry.primary, bound)

    def rewrite(self) -> None:
        """Choose new limits for the rules whose every case ran."""
        for key, subjects in self.decided.items():
            rule = self.rules[key]
            known = [subject for subject in subjects if subject in self.wanted]
            like = self.text.limit(self.place[key])
            if not known or len(known) < len(subjects) or like is None or is_glob(rule.model):
                continue
            partners = self._partners(subjects[0])
            if any(self._partners(subject) != partners for subject in subjects):
                continue
            if any(self.text.limit(self.place[other]) is None for other in partners):
                continue
            limit = self._loosest(known)
            text = self._spelled(limit, known, like)
            if text is None:
                continue
            self.settled.update(known)
            if value_of(text) != rule.limit:
                self.rewritten[key] = text
            else:
                self.kept += 1

    def _partners(self, subject: Subject) -> frozenset[int]:
        """The equally specific rules that decide one gate together."""
        return frozenset(map(id, self.winners[subject].winners))

    def add(self) -> None:
        """Write gates of their own for the cases whose rules must stay, and for those without a rule."""
        for subject, limit in self.wanted.items():
            if subject in self.settled:
                continue
            case, metric, bound = subject
            decision = self.winners.get(subject)
            text = self._spelled(limit, [subject], None)
            path = _path(case)
            rule = decision.winners[0] if decision is not None else None
            if text is None or (rule is not None and _is_own(rule, case)) or not self.text.writable(path):
                where = f"{rule.place}: " if rule is not None else ""
                self.refuse(
                    case, gate_name(metric, bound), f"{where}shared with others by a YAML alias; write the gate out"
                )
            elif rule is not None and value_of(text) == rule.limit:
                self.settled.add(subject)
                self.kept += 1
            else:
                self.settled.add(subject)
                name = None if bound == NO_MILDER_THAN else metric
                self.additions.append(Addition(path, name, bound, text, case.reference))

    def _loosest(self, subjects: Sequence[Subject]) -> Decimal:
        limits = [self.wanted[subject] for subject in subjects]
        return max(limits) if self._grows(subjects[0]) else min(limits)

    def _grows(self, subject: Subject) -> bool:
        """Whether a larger limit is the looser one."""
        case, _, bound = subject
        found = self.measured[case].knee
        if bound == NO_MILDER_THAN and found is not None:
            return not found.grid.higher_is_more_compressed
        return bound != "min"

    def _spelled(self, limit: Decimal, subjects: Sequence[Subject], like: str | None) -> str | None:
        """The limit as text, whose binary value all subjects pass; None where none was found."""
        exponent = limit.as_tuple().exponent
        step = Decimal(1).scaleb(exponent) if limit and isinstance(exponent, int) else Decimal("0.001")
        for _ in range(3):
            text = limit_text(limit, subjects[0][2], like)
            if all(self.passes(subject, value_of(text)) for subject in subjects):
                return text
            limit += step if self._grows(subjects[0]) else -step
        return None

    def passes(self, subject: Subject, limit: float) -> bool:
        """Whether what was measured meets a limit with its whole interval."""
        case, metric, bound = subject
        return passes(Gate(metric, bound, limit, "", 0), self.measured[case].of(metric, bound), case.reference)


def gate_name(metric: str, bound: Bound) -> str:
    """A gate as messages name it."""
    return bound if bound == NO_MILDER_THAN else f"{metric}.{bound}"


def _path(case: Case) -> tuple[str | float, ...]:
    """Where a gate of this case alone stands, below ``models``."""
    if case.mix is not None:
        return case.model, MIX, case.mix
    if case.knee:
        return case.model, case.label, KNEE
    return (case.model, CLEAN) if case.level is None else (case.model, case.label, case.level)


def _is_own(rule: Rule, case: Case) -> bool:
    """Whether a rule names the case itself and the metric, so that nothing takes precedence over it."""
    level = case.mix or (KNEE if case.knee else "" if case.level is None else str(case.level))
    own = Rule(case.model, case.label, level, rule.metric, rule.bound, 0.0, "", 0, case.reference)
    return aggregate(rule.metric) != PRIMARY and rule.rank(case) == own.rank(case)
