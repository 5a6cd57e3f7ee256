"""The state of one run in one process: what the controller froze, and where this process stores its part."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.errors import ConfigurationError, ResultsError
from pytest_lossy.matrix import CaseMatrix
from pytest_lossy.own_tests.declared import DeclaredSpecs
from pytest_lossy.own_tests.search import tests_use_lossy
from pytest_lossy.planning import Plan, codec_plans, plan_run, read_specs, selected_plans
from pytest_lossy.results.document import CaseRow, ResultsDocument
from pytest_lossy.results.report_folder import ReportFolder
from pytest_lossy.results.store import RunStore
from pytest_lossy.scheduling.devices import DEVICE_VARIABLE
from pytest_lossy.settings import Settings, parse_settings
from pytest_lossy.thresholds.rules import Thresholds

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.cluster.engine import ClusterEngine
    from pytest_lossy.comparing import Baseline
    from pytest_lossy.engine.casework import CaseContext
    from pytest_lossy.engine.loaded import LoadedModel
    from pytest_lossy.engine.media_cache import MediaCache
    from pytest_lossy.engine.other_models import OtherModels
    from pytest_lossy.engine.runtime import RuntimeOptions
    from pytest_lossy.thresholds.updating import WrittenGates

__all__ = ["Run"]

_SPILL_PREFIX = "pytest-lossy-spill-"


class Run:
    """Made by :meth:`on_controller` or, in an xdist worker, by :meth:`in_worker`."""

    def __init__(self, settings: Settings, plan: Plan, root: Path, *, worker: str | None, workers: int) -> None:
        self.settings, self.plan, self.root = settings, plan, root
        self.worker, self.workers = worker, workers
        self.folder = ReportFolder(settings.report)
        self.store: RunStore = self.folder.store
        self.spill: Path | None = None
        self.problem: str | None = None
        self.command = "pytest"
        """As typed, ready for a shell."""
        self.planned: list[str] = []
        """Node ids of the cases of spec files that this run set out to do."""
        self.declared = DeclaredSpecs(settings, plan, self.store)
        """What Python tests add to them."""
        self.written_gates: WrittenGates | None = None
        """What became of the thresholds file, at the end of a run that writes it."""
        self.matrix = CaseMatrix(settings, plan)
        self.started = time.time()
        self.resumed = 0
        self.baseline: Baseline | None = None
        """What this run is compared with: read before anything is replaced."""
        self._specs = {spec.path: spec for spec in plan.specs}
        self.written: list[tuple[str, Path]] = []
        """Label and path of what the end of the run left."""
        self._progress: Any = None
        self._pictures: dict[str, int] | None = None
        self._cache: MediaCache | None = None
        self._others: OtherModels | None = None
        self.cluster: ClusterEngine | None = None
        """Where cases run under ``--lossy-engine=ray``."""

    @classmethod
    def on_controller(cls, config: pytest.Config, named: Sequence[Path], *, required: bool) -> Run:
        """Check everything.

        Args:
            config: pytest's.
            named: spec files given as paths.
            required: whether specs must exist.

        Raises:
            SettingsError: a flag or ini value is wrong.
            ConfigurationError: a spec or thresholds.yaml is wrong.
        """
        settings = parse_settings(config)
        python = cache(lambda: tests_use_lossy(config))
        try:
            specs = read_specs(settings, named, config.rootpath, required=required)
        except ConfigurationError:
            if settings.specs_given or not python():
                raise
            specs = read_specs(settings, named, config.rootpath, required=False)
        workers = len(getattr(config.option, "tx", None) or ())
        plan = plan_run(settings, specs, config.rootpath, python)
        run = cls(settings, plan, config.rootpath, worker=None, workers=workers)
        run.command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
        return run

    @classmethod
    def in_worker(cls, config: pytest.Config) -> Run:
        """Restore what the controller froze; the specs are read again, since they hold no results."""
        frozen = config.workerinput["lossy"]  # type: ignore[attr-defined]
        settings = Settings.deserialise(frozen["settings"])
        if DEVICE_VARIABLE in os.environ:  # the controller chose, and shows this process no other device
            settings = replace(settings, device=(os.environ[DEVICE_VARIABLE],))
        specs = read_specs(settings, [Path(path) for path in frozen["specs"]], config.rootpath, required=False)
        plan = Plan(tuple(specs), Thresholds.deserialise(frozen["thresholds"]), ())
        run = cls(
            settings,
            plan,
            config.rootpath,
            worker=os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
            workers=frozen["workers"],
        )
        run.spill = Path(frozen["spill"]) if frozen["spill"] else None
        return run

    def serialise(self) -> dict[str, Any]:
        """Exact builtins for a worker; see :meth:`in_worker`."""
        return {
            "settings": self.settings.serialise(),
            "thresholds": self.plan.thresholds.serialise(),
            "specs": [str(spec.path) for spec in self.plan.specs],
            "spill": str(self.spill) if self.spill else None,
            "workers": self.workers,
        }

    @property
    def is_controller(self) -> bool:
        """Whether this process assembles the results (it may also run the cases)."""
        return self.worker is None

    def spec_of(self, path: Path) -> IndexedSpec | None:
        """The spec that lies at ``path``."""
        return self._specs.get(path) or self._specs.get(path.resolve())

    def connect(self) -> None:
        """Connect to the cluster that cases are to run on, if there is to be one.

        Raises:
            ConfigurationError: there is none, or its machines could never run a worker.
        """
        if self.settings.ray is not None:
            from pytest_lossy.cluster.engine import ClusterEngine

            self.cluster = ClusterEngine(self.settings.ray, self.settings, self.root, self.store)

    def submit(self) -> None:
        """Hand all selected cases to the cluster, if there is one.

        Raises:
            ConfigurationError: the repository cannot be shipped.
        """
        found = [(node_id, *entry) for node_id in self.planned if (entry := self.case_of(node_id)) is not None]
        if self.cluster is None or not found:
            return
        self.cluster.start(found, self.plan.specs, self.plan.thresholds, self._picture_shares())
        if self.settings.knee:
            self.cluster.search(
                {node_id: partial(self._search, node_id, spec, case) for node_id, spec, case in found if case.knee}
            )

    def _search(self, node_id: str, spec: IndexedSpec, case: Case) -> CaseRow:
        """Evaluate the case of a knee beside others, with a model of its own."""
        from pytest_lossy.engine.casework import run_case

        plans = {plan.label: plan for plan in selected_plans(spec, self.settings)}
        return run_case(node_id, case, plans, self.load_model(spec), self.case_context())

    def evaluate(self, node_id: str, case: Case, plans: Mapping[str, CodecPlan], runtime: LoadedModel) -> CaseRow:
        """Evaluate and judge one case, from what the cluster computed of it where there is one.

        Raises:
            LossyError: nothing could be measured.
        """
        from pytest_lossy.engine.casework import run_case

        row = self.cluster.settle(node_id) if self.cluster is not None else None
        return row if row is not None else run_case(node_id, case, plans, runtime, self.case_context())

    def open(self) -> None:
        """Take the report folder, and a temporary folder for decoded sources.

        Raises:
            ResultsError: another run holds it, it cannot be written, or there is no such baseline.
        """
        self.resumed = self.folder.open(resume=self.settings.resume)
        if self.settings.compare is not None:
            from pytest_lossy.comparing import find_baseline

            self.baseline = find_baseline(self.settings.compare, self.settings.baselines, self.folder.root, self.root)
        if self.settings.spill_bytes:
            try:
                _remove_abandoned(Path(tempfile.gettempdir()))
                self.spill = Path(tempfile.mkdtemp(prefix=f"{_SPILL_PREFIX}{os.getpid()}-"))
            except OSError:
                self.spill = None  # sources are decoded each time

    def set_planned(self, node_ids: Sequence[str]) -> None:
        """Note which cases this run set out to do."""
        if not self.planned:
            self.planned = list(node_ids)

    def expected(self) -> int:
        """How many rows there will be, as far as this process knows."""
        return len(self.planned) + len(self.declared.table())

    def is_case_id(self, node_id: str) -> bool:
        """Whether a node id is a case of a spec file."""
        return self.declared.of_item(node_id) is None and self.case_of(node_id) is not None

    def case_of(self, node_id: str) -> tuple[IndexedSpec, Case] | None:
        """The case of a node id, with its spec; None for any other test."""
        declared = self.declared.of_item(node_id)
        if declared is not None:
            return declared
        parts = node_id.split("::")
        if len(parts) != 3:
            return None
        return self.matrix.cases().get((parts[1], parts[2]))

    def cases_of(self, spec: IndexedSpec) -> list[Case]:
        """The cases of a spec that the flags select and that are this machine's share."""
        return self.matrix.mine(spec)

    def case_context(self) -> CaseContext:
        """What every case of this process shares."""
        from pytest_lossy.engine.casework import CaseContext
        from pytest_lossy.progress import ProgressWriter

        if self._progress is None:
            self._progress = ProgressWriter(self.store.folder / "progress", self.worker or "main")
        return CaseContext(
            store=self.store,
            thresholds=self.plan.thresholds,
            replicates=self.settings.replicates,
            strict=self.settings.strict,
            tolerance=self.settings.tolerance,
            search=self.settings.knee,
            worker=self.worker,
            progress=self._progress.update,
            others=self._other_models(),
            pictures=self._picture_shares(),
            writes_gates=self.settings.update is not None,
        )

    def _picture_shares(self) -> dict[str, int]:
        """How many samples each case shows: every process knows all cases of the run, and comes to the same."""
        from pytest_lossy.engine.picture_plan import plan_pictures

        if self._pictures is None:
            chosen = {tuple(node_id.split("::")[1:]) for node_id in self.planned}
            cases = [case for key, (_, case) in self.matrix.cases().items() if key in chosen]
            cases += [case for entry in self.declared if entry.marked for case in entry.cases]
            self._pictures = plan_pictures(cases, self.settings.gallery)
        return self._pictures

    def _other_models(self) -> OtherModels:
        """What gates on recovery compare with, whether or not it was selected."""
        from pytest_lossy.engine.other_models import OtherModels

        if self._others is None:
            self._others = OtherModels(
                {spec.name: spec for spec in self.plan.specs},
                lambda spec, label: codec_plans(spec, self.settings).get(label),
                self.load_model,
            )
        return self._others

    def release_other_models(self) -> None:
        """Free what a model's gates on recovery were compared with."""
        if self._others is not None:
            self._others.release()

    def load_model(self, spec: IndexedSpec) -> LoadedModel:
        """A model, ready to evaluate cases.

        Raises:
            LossyError: it cannot be had.
        """
        if self.cluster is not None:
            return self.cluster.load(spec)
        from pytest_lossy.engine.runtime import ModelRuntime

        return ModelRuntime.load(spec, self.runtime_options())

    def runtime_options(self) -> RuntimeOptions:
        """How this process loads models."""
        from pytest_lossy.engine.runtime import RuntimeOptions

        workers = max(1, self.workers)
        number = int("".join(filter(str.isdigit, self.worker or "")) or 0)
        return RuntimeOptions(
            device=self.settings.device,
            worker=number % workers,
            workers=workers,
            samples=self.settings.samples,
            spill=self.spill,
            spill_bytes=self.settings.spill_bytes // workers,
            cache=self._media_cache(),
        )

    def _media_cache(self) -> MediaCache | None:
        """The cache of encoded media, one per process."""
        if self.settings.cache is None:
            return None
        if self._cache is None:
            from pytest_lossy.engine.media_cache import MediaCache

            self._cache = MediaCache(self.settings.cache, self.settings.cache_bytes)
        return self._cache

    def end_cluster(self) -> None:
        """End what the cluster still does: after -x or Ctrl-C nobody waits for it."""
        if self.cluster is not None:
            self.cluster.close()

    def store_cache_statistics(self) -> None:
        """Note what this process read from the cache and wrote to it, for the controller to add up."""
        if self._cache is not None:
            with contextlib.suppress(ResultsError):
                self.store.write_cache_statistics(self.worker or "main", self._cache.statistics)
        if self.cluster is not None:
            for worker, statistics in self.cluster.cache_statistics().items():
                with contextlib.suppress(ResultsError):
                    self.store.write_cache_statistics(worker, statistics)

    def header_lines(self) -> list[str]:
        """What the terminal says before collection."""
        counts = [len(self.cases_of(spec)) for spec in self.plan.specs]
        chosen, cases = sum(map(bool, counts)), sum(counts)
        gates = self.plan.thresholds.file or "no thresholds"
        smoke = f", smoke run of {self.settings.samples} samples" if self.settings.samples else ""
        share = " (shard {}/{})".format(*self.settings.shard) if self.settings.shard else ""
        # Which models Python tests declare is known once they are collected.
        found = f"{chosen} models, {cases} cases" if self.plan.specs else "models of Python tests"
        lines = [f"lossy: {found}{share}, gates from {gates}{smoke}"]
        if self.settings.update is not None:
            where = "a gate" if self.settings.update == "all" else "a gate, where it has none"
            lines.append(
                f"lossy: each case that runs gets {where} in {self.settings.thresholds.name}; old ones fail nothing"
            )
        if self.settings.resume:
            lines.append(f"lossy: resuming, with the evidence of {self.resumed} cases of the run before")
        if self.cluster is not None:
            lines.append(self.cluster.header_line())
        return lines

    def finish(self, exit_status: int, *, interrupted: bool) -> ResultsDocument | None:
        """Assemble and publish the results.

        Returns:
            the document; None where no case was planned, and earlier results stay.

        Raises:
            ResultsError: the results cannot be written.
        """
        if not self.folder.is_open or not self.store.folder.exists():
            return None  # --collect-only: a run in progress is another's, and one that was killed may still be resumed
        from pytest_lossy.publishing import publish

        return publish(self, exit_status, interrupted=interrupted)

    def published(self) -> list[tuple[str, str]]:
        """Label and path of what :meth:`finish` wrote, relative to the current folder where below it."""
        here = Path.cwd()
        return [
            (label, str(path.relative_to(here)) if path.is_relative_to(here) else str(path))
            for label, path in self.written
        ]

    def close(self) -> None:
        """Release the report folder and remove decoded sources."""
        if not self.is_controller:
            return
        if self.cluster is not None:
            self.cluster.close()
        self.folder.close()
        if self.spill is not None:
            shutil.rmtree(self.spill, ignore_errors=True)
            self.spill = None


def _remove_abandoned(folder: Path) -> None:
    """Remove decoded sources of runs that were killed: folders of ours whose process is gone."""
    for path in folder.glob(f"{_SPILL_PREFIX}*"):
        pid = path.name.removeprefix(_SPILL_PREFIX).partition("-")[0]
        try:
            if pid.isdigit() and path.stat().st_uid == os.getuid():
                os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # another user's, or removed in the meantime
