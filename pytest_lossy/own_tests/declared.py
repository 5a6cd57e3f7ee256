"""The specs that Python tests bring into a lossy run, as this process knows them, and which test measures which case.

A worker knows them from collecting and from running tests; it leaves files in the run's folder, from which a controller that
imports no test reads them.
"""

from __future__ import annotations

import fnmatch
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.errors import ConfigurationError, ModelError
from pytest_lossy.own_tests.declaration import deserialise_spec, serialise_spec
from pytest_lossy.planning import Plan, all_cases, dead_rule_message, plan_cases, reference_of, selected_plans
from pytest_lossy.results.store import RunStore
from pytest_lossy.scheduling.shards import shard_of_cases
from pytest_lossy.tasks.registry import TASKS

if TYPE_CHECKING:
    from pytest_lossy.settings import Settings

__all__ = ["DeclaredSpec", "DeclaredSpecs"]


@dataclass(frozen=True)
class DeclaredSpec:
    """One model of a Python test."""

    spec: IndexedSpec
    known: tuple[Case, ...]
    """Every case that it lists or that flags add to it, whether or not it runs: what rules may match."""
    tests: Mapping[str, str]
    """Case name -> node id of the test that measures it, of the cases that run."""
    marked: bool
    """Declared by a marker, so that its cases are items; otherwise evaluated by the body of a test."""

    @property
    def cases(self) -> list[Case]:
        """Those that run, in order."""
        return [case for case in self.known if case.name in self.tests]


class DeclaredSpecs:
    """Every such spec of a run.

    Args:
        settings: of the run.
        plan: the spec files, and the gates.
        store: where workers leave what they know.
    """

    def __init__(self, settings: Settings, plan: Plan, store: RunStore) -> None:
        self._settings, self._plan, self._store = settings, plan, store
        self._specs: dict[str, DeclaredSpec] = {}
        self._by_test: dict[str, list[tuple[IndexedSpec, Case]]] = {}
        self._owner: dict[str, str] = {}
        self._state: frozenset[tuple[str, int, int]] = frozenset()

    def __iter__(self) -> Iterator[DeclaredSpec]:
        """In the order of their files and names, whatever order they came in."""
        return iter(sorted(self._specs.values(), key=lambda entry: (entry.spec.shown, entry.spec.name)))

    def of_test(self, node_id: str) -> list[tuple[IndexedSpec, Case]]:
        """What a test measures: one case of a marked test, any number of one that evaluates."""
        return self._by_test.get(node_id, [])

    def of_item(self, node_id: str) -> tuple[IndexedSpec, Case] | None:
        """The case that an item is; None for a test that only evaluates some in its body."""
        found = self.of_test(node_id)
        return found[0] if found and self._specs[found[0][0].name].marked else None

    def table(self) -> dict[tuple[str, str], tuple[IndexedSpec, Case]]:
        """(model, case name) -> the case, of those that run, in order."""
        return {(case.model, case.name): (entry.spec, case) for entry in self for case in entry.cases}

    def evaluated(self) -> list[str]:
        """The rows of cases that no item stands for."""
        return [entry.spec.row_id(case) for entry in self if not entry.marked for case in entry.cases]

    def all_rows(self) -> list[str]:
        """The rows of all machines' shards together."""
        return [
            entry.spec.row_id(case)
            for entry in self
            for case in (self._planned(entry.spec) if entry.marked else entry.cases)
        ]

    # Declaring

    def declare(self, spec: IndexedSpec, test: str) -> tuple[IndexedSpec, list[Case], list[CodecPlan]]:
        """Note the spec of a marked test.

        Args:
            spec: as the marker says.
            test: node id of the function.

        Returns:
            the spec with its reference, the cases that the flags select on this machine, and their codecs.

        Raises:
            ModelError: its name is taken.
            ConfigurationError: a flag names a level that a codec does not have.
        """
        self._own(spec.name, test)
        spec = replace(spec, reference=reference_of(spec, self._settings))
        plans = list(selected_plans(spec, self._settings))
        problems = [
            f"--lossy-level: {plan.label}: {wrong}; choose {plan.grid.minimum:g}..{plan.grid.maximum:g}"
            for plan in plans
            for level in plan.levels
            if (wrong := plan.grid.problem(level)) is not None
        ]
        if problems:
            raise ConfigurationError("\n".join(problems))
        known = tuple(all_cases(spec, self._settings, self._plan.thresholds))
        self._specs[spec.name] = DeclaredSpec(spec, known, {}, marked=True)
        return spec, self._mine(spec), plans

    def enter(self, entry: DeclaredSpec) -> None:
        """Note what a test evaluates, and leave it for the controller.

        Raises:
            ModelError: another test or a spec has the name.
        """
        name, test = entry.spec.name, next(iter(entry.tests.values()))
        with self._store.computing(f"{name}@"):
            for data in self._store.read_declared(name):
                self._take(data)
            self._own(name, test)
            self._store.write_declared(name, _serialise(self._add(entry)))

    def finish_collection(self, tests: Mapping[str, MarkedItem], *, share: bool) -> None:
        """Note which items measure which cases.

        Args:
            tests: by node id.
            share: leave everything for the controller, which has collected nothing.
        """
        for node_id, (name, case) in tests.items():
            self._add(replace(self._specs[name], known=(case,), tests={case.name: node_id}))
        if share:
            for entry in self:
                self._store.write_declared(entry.spec.name, _serialise(entry))

    def read(self) -> None:
        """Take over what workers left.

        Raises:
            ResultsError: a file is damaged.
        """
        state = self._store.declared_state()
        if state != self._state:
            for data in self._store.read_declared():
                self._take(data)
            self._state = state

    # What the specs alone could not decide

    def unknown_names(self, *, of_gates: bool) -> list[str]:
        """What is wrong with names in flags that no spec knows, Python's included.

        Args:
            of_gates: whether names in thresholds.yaml are looked at, too.
        """
        labels = {plan.label for entry in self for plan in entry.spec.plans}
        names = [entry.spec.name for entry in self]
        metrics = {metric for entry in self for metric in entry.spec.spec.metrics}
        # Metrics of third-party tasks are known once a model loads.
        any_metric = any(entry.spec.spec.task not in TASKS.builtin for entry in self)

        def is_known(kind: str, name: str) -> bool:
            if kind == "model":
                return any(fnmatch.fnmatchcase(model, name) for model in names)
            if kind == "codec":
                return name in labels
            return not of_gates or (name in labels if kind == "label" else any_metric or name in metrics)

        return [message for kind, name, message in self._plan.later if not is_known(kind, name)]

    def dead_rules(self) -> list[str]:
        """What is wrong with rules that match neither a spec's case nor one of these."""
        rules = replace(self._plan.thresholds, rules=self._plan.dead)
        return [dead_rule_message(rule) for rule in rules.unmatched([case for entry in self for case in entry.known])]

    def _own(self, name: str, test: str) -> None:
        taken = next((spec.shown for spec in self._plan.specs if spec.name.lower() == name.lower()), None)
        owner = self._owner.get(name.lower(), taken)
        if owner is not None and owner != test:
            raise ModelError(f"model name '{name}' is also used by {owner}; write another name=...")
        self._owner[name.lower()] = test

    def _planned(self, spec: IndexedSpec) -> list[Case]:
        return plan_cases(spec, self._settings, self._plan.thresholds)

    def _mine(self, spec: IndexedSpec) -> list[Case]:
        """The cases of this machine's shard.

        No process knows all such specs before it has to know, so that each is dealt out alone.
        """
        cases = self._planned(spec)
        if self._settings.shard is None:
            return cases
        part, count = self._settings.shard
        placed = shard_of_cases([(spec, cases)], count)
        first = zlib.crc32(spec.name.encode())
        return [
            case
            for case in cases
            if any((shard + first) % count == part - 1 for shard in placed[case.model, case.name])
        ]

    def _add(self, entry: DeclaredSpec) -> DeclaredSpec:
        """Add cases to what is known of a model; what is known then."""
        held = self._specs.get(entry.spec.name)
        if held is not None:
            known = {case.name: case for case in (*held.known, *entry.known)}
            entry = replace(
                entry,
                spec=replace(entry.spec, plans=_united(held.spec.plans, entry.spec.plans)),
                known=tuple(known.values()),
                tests={**held.tests, **entry.tests},
            )
        self._specs[entry.spec.name] = entry
        for case in entry.cases:
            of_test = self._by_test.setdefault(entry.tests[case.name], [])
            if all(case != other for _, other in of_test):
                of_test.append((entry.spec, case))
        return entry

    def _take(self, data: Mapping[str, object]) -> None:
        entry = _deserialise(data)
        self._add(entry)
        if entry.tests and not entry.marked:
            self._owner[entry.spec.name.lower()] = next(iter(entry.tests.values()))


MarkedItem = tuple[str, Case]
"""Model and case."""


def _united(held: Sequence[CodecPlan], more: Sequence[CodecPlan]) -> tuple[CodecPlan, ...]:
    """Codecs by label, each with all of its levels."""
    found = {plan.label: plan for plan in held}
    for plan in more:
        known = found.get(plan.label, plan)
        levels = tuple(sorted({*known.levels, *plan.levels}, key=plan.grid.severity))
        found[plan.label] = replace(known, levels=levels)
    return tuple(found.values())


def _serialise(entry: DeclaredSpec) -> dict[str, object]:
    return {
        "spec": serialise_spec(entry.spec),
        "known": [asdict(case) for case in entry.known],
        "tests": dict(entry.tests),
        "marked": entry.marked,
    }


def _deserialise(data: Mapping[str, object]) -> DeclaredSpec:
    spec, known, tests, marked = (data[name] for name in ("spec", "known", "tests", "marked"))
    return DeclaredSpec(
        deserialise_spec(spec),  # type: ignore[arg-type]
        tuple(Case(**case) for case in known),  # type: ignore[attr-defined]
        tests,  # type: ignore[arg-type]
        bool(marked),
    )
