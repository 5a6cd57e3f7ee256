"""The matrix of a run: the cases of spec files that the flags select, and which of them are this machine's share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.planning import Plan, plan_cases
from pytest_lossy.scheduling.shards import shard_of_cases
from pytest_lossy.settings import Settings

__all__ = ["CaseMatrix"]


class CaseMatrix:
    """Follows from flags, specs and gates alone, so that every process comes to the same; planned when first asked for."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._cases: dict[tuple[str, str], tuple[IndexedSpec, Case]] | None = None
        self._planned_of: dict[Path, list[Case]] = {}
        self._shard_table: dict[tuple[str, str], set[int]] | None = None

    def cases(self) -> Mapping[tuple[str, str], tuple[IndexedSpec, Case]]:
        """Model and name of each case of this machine -> its spec and itself, in the order of the specs."""
        if self._cases is None:
            self._cases = {
                (case.model, case.name): (spec, case) for spec in self._plan.specs for case in self.mine(spec)
            }
        return self._cases

    def mine(self, spec: IndexedSpec) -> list[Case]:
        """The cases of a spec that the flags select and that are this machine's share."""
        cases = self.all_machines(spec)
        if self._settings.shard is None:
            return cases
        share = self._settings.shard[0] - 1
        return [case for case in cases if share in self._shards()[case.model, case.name]]

    def all_machines(self, spec: IndexedSpec) -> list[Case]:
        """The cases of a spec on all machines together; planned once, and asked for by every step of a run."""
        if spec.path not in self._planned_of:
            self._planned_of[spec.path] = plan_cases(spec, self._settings, self._plan.thresholds)
        return self._planned_of[spec.path]

    def _shards(self) -> dict[tuple[str, str], set[int]]:
        if self._shard_table is None:
            number = self._settings.shard[1] if self._settings.shard else 1
            self._shard_table = shard_of_cases(
                [(spec, cases) for spec in self._plan.specs if (cases := self.all_machines(spec))], number
            )
        return self._shard_table
