"""A run's side of the cluster: what is shipped and asked for at the start, and what each item waits for."""

from __future__ import annotations

import platform
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.cluster.pool import Pool
from pytest_lossy.cluster.ray_backend import RayCluster
from pytest_lossy.cluster.registered import pack_registered
from pytest_lossy.cluster.remote_model import RemoteModel
from pytest_lossy.cluster.requests import plan_requests
from pytest_lossy.cluster.settings import RaySettings
from pytest_lossy.cluster.shipping import pack_repository, plan_shipment
from pytest_lossy.cluster.work import WorkerSetup
from pytest_lossy.engine.loaded import LoadedModel
from pytest_lossy.errors import ProcessDiedError
from pytest_lossy.paths import media_cache_folder
from pytest_lossy.planning import codec_plans
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.results.fingerprints import compare_environments
from pytest_lossy.results.store import RunStore
from pytest_lossy.settings import Settings
from pytest_lossy.thresholds.rules import Thresholds

__all__ = ["ClusterEngine"]

_MOST_SEARCHES = 64
"""Knees that are searched at once; each is a thread of the driver that mostly waits."""


class ClusterEngine:
    """Connects to Ray when made; :meth:`start` hands in the cases.

    Args:
        ray: what was asked for.
        settings: flags and ini values.
        root: pytest's root directory.
        store: of the run.

    Raises:
        ConfigurationError: no cluster, one that can never run a worker, or too much to ship.
    """

    def __init__(self, ray: RaySettings, settings: Settings, root: Path, store: RunStore) -> None:
        self._ray, self._settings, self._store = ray, settings, store
        own = [settings.report, settings.baselines, *([settings.cache] if settings.cache else [])]
        self._shipment = plan_shipment(root, ray.exclude, own)
        self._cluster = RayCluster(ray, settings.device[0])
        self._pool: Pool | None = None
        self._needs: dict[str, list[str]] = {}
        self._searches: dict[str, Future[CaseRow]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self.workers = 0

    def header_line(self) -> str:
        """What the terminal says before collection."""
        return f"lossy: {self._cluster.describe()}"

    def start(
        self,
        planned: Sequence[tuple[str, IndexedSpec, Case]],
        specs: Sequence[IndexedSpec],
        thresholds: Thresholds,
        pictures: Mapping[str, int],
    ) -> None:
        """Ship the repository and hand in all cases at once.

        Args:
            planned: node id, spec and case of each selected item.
            specs: every spec of the run.
            thresholds: gates.
            pictures: slug -> samples that a case shows.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        requests, self._needs = plan_requests(planned, specs, self._settings, thresholds, pictures)
        wanted = self._ray.workers or len(requests)
        self.workers = min(wanted, self._cluster.capacity)
        settings = self._settings
        per_node = max(1, min(self.workers, self._cluster.most_per_node))
        self._cluster.prepare(
            WorkerSetup(
                run=f"{platform.node()}-{uuid.uuid4().hex[:12]}",
                root=self._shipment.root,
                python_path=_python_path(),
                device=self._cluster.device,
                cpus=self._cluster.cpus,
                samples=settings.samples,
                replicates=settings.replicates,
                spill_bytes=settings.spill_bytes // per_node,
                cache=settings.cache,
                own_cache=settings.cache == media_cache_folder(),
                cache_bytes=settings.cache_bytes,
                registered=pack_registered(self._shipment.root),
            ),
            pack_repository(self._shipment),
        )
        self._pool = Pool(self._cluster, self._store, self.workers)
        self._pool.start(requests)

    def load(self, spec: IndexedSpec) -> LoadedModel:
        """A model, once a worker has loaded it.

        Raises:
            LossyError: it cannot be loaded.
        """
        if self._pool is None:
            raise ProcessDiedError("the cluster was not asked for anything")
        facts = self._pool.open(spec)
        return RemoteModel(spec, facts, self._pool, codec_plans(spec, self._settings).get)

    def search(self, searches: Mapping[str, Callable[[], CaseRow]]) -> None:
        """Begin to search knees, each in a thread of its own: a search asks for one level after the other.

        Args:
            searches: node id -> the whole evaluation of that case.
        """
        if searches:
            self._threads = ThreadPoolExecutor(min(len(searches), _MOST_SEARCHES), thread_name_prefix="lossy-knee")
            self._searches = {node_id: self._threads.submit(search) for node_id, search in searches.items()}

    def settle(self, node_id: str) -> CaseRow | None:
        """Wait until the evidence that a case needs is there, or cannot be had.

        Returns:
            the row of a case that was evaluated already: once, so that a test that is run again is evaluated again.
        """
        search = self._searches.pop(node_id, None)
        if search is not None:
            return _result(search)
        if self._pool is not None:
            self._pool.settle(self._needs.get(node_id, []))
        return None

    def warnings(self) -> list[str]:
        """What a reader of the results must know of the machines they were computed on."""
        if self._pool is None:
            return []
        here = describe_environment([])
        found = [
            f"{node.name} ({address[:8]}) is not like the driver, numbers may differ from a run without a cluster: "
            f"{'; '.join(different)}"
            for address, node in sorted(self._pool.nodes.items(), key=lambda item: item[1].name)
            if (different := compare_environments(here, node.environment))
        ]
        return [*found, *self._pool.warnings()]

    def cache_statistics(self) -> dict[str, dict[str, int | str | None]]:
        """Worker -> what it did with the cache of encoded media."""
        return dict(self._pool.cache) if self._pool is not None else {}

    def close(self) -> None:
        """End everything; safe to call twice."""
        if self._pool is not None:
            self._pool.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None
        self._cluster.disconnect()


def _result(search: Future[CaseRow]) -> CaseRow:
    while True:
        try:
            return search.result(timeout=1.0)  # a wait without an end would not notice Ctrl-C everywhere
        except TimeoutError:
            if search.done():
                raise


def _python_path() -> tuple[str, ...]:
    """Folders of modules that belong to the user and not to an installation of Python."""
    installed = [Path(prefix).resolve() / "lib" for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}]
    found = []
    for entry in sys.path:
        path = Path(entry or ".").resolve()
        foreign = any(path.is_relative_to(prefix) for prefix in installed)
        if path.is_dir() and not foreign and path.name not in ("site-packages", "dist-packages"):
            found.append(str(path))
    return tuple(dict.fromkeys(found))
