"""The cluster that is Ray: connection, actors, and what Ray says when they die."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lossy.cluster.backend import WorkerLostError
from pytest_lossy.cluster.settings import RaySettings
from pytest_lossy.cluster.work import Answer, Finished, Job, Node, WorkerSetup
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.paths import CACHE_VARIABLE
from pytest_lossy.scheduling.devices import THREAD_VARIABLES

__all__ = ["RayCluster"]

_PACKAGE = Path(__file__).parents[1]
_STOP_SECONDS = 5.0
_FETCH_SECONDS = 120.0
_KNOCK_SECONDS = 10.0


class RayCluster:
    """A connection to Ray, and the actors of one run. See :class:`~pytest_lossy.cluster.backend.Backend`.

    Args:
        settings: where, and what an actor asks for.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: Ray is not installed, no cluster answers, or none of its machines could ever run an actor.
    """

    def __init__(self, settings: RaySettings, device: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                f"--lossy-engine=ray: Ray cannot be imported ({error}); pip install 'pytest-lossy[ray]', here and on every "
                "machine of the cluster"
            ) from None
        self._ray: Any = ray
        self._settings = settings
        self._connected = not ray.is_initialized()  # else a conftest.py did, and this package must be installed there
        if self._connected:
            _connect(ray, settings)
        nodes = self._nodes()
        gpus = settings.gpus
        if gpus is None:
            gpus = 1.0 if device == "cuda" or (device == "auto" and any(node.get("GPU") for node in nodes)) else 0.0
        self.gpus, self.cpus = gpus, settings.cpus
        self.device = "cuda" if gpus else "cpu"
        shortage = self.shortage()
        if shortage is not None:
            self.disconnect()
            raise ConfigurationError(f"--lossy-engine=ray: {shortage}")
        self._archive: Any = None
        self._setup: WorkerSetup | None = None

    def prepare(self, setup: WorkerSetup, archive: bytes) -> None:
        """Say what workers need, before the first is started."""
        self._setup, self._archive = setup, self._ray.put(archive)

    @property
    def capacity(self) -> int:
        """How many workers fit on all machines together, if nobody else used them."""
        return sum(self._fitting(node) for node in self._nodes())

    @property
    def most_per_node(self) -> int:
        """How many workers fit on one machine."""
        return max(self._fitting(node) for node in self._nodes())

    def describe(self) -> str:
        """For the header of the terminal."""
        nodes = self._nodes()
        processors = sum(node.get("CPU", 0.0) for node in nodes)
        graphics = sum(node.get("GPU", 0.0) for node in nodes)
        cards = f", {graphics:g} GPUs" if graphics else ""
        where = self._ray.get_runtime_context().gcs_address
        return f"Ray at {where}: {len(nodes)} machines, {processors:g} CPUs{cards}; workers of {self._request()}"

    # Backend

    def start(self) -> tuple[Hashable, Any]:
        """Ask for one more actor."""
        from pytest_lossy.cluster.ray_actor import actor_class

        worker = (
            actor_class()
            .options(num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=0, scheduling_strategy="SPREAD")
            .remote(self._setup, self._archive)
        )
        return worker, worker.describe.remote()

    def send(self, worker: Any, job: Job) -> Any:
        """Give an actor a job."""
        return worker.run.remote(job)

    def ready(self, calls: Sequence[Any], timeout: float) -> list[Any]:
        """Those of ``calls`` that are done."""
        first = [call[0] if isinstance(call, list) else call for call in calls]
        done, _ = self._ray.wait(first, num_returns=1, timeout=timeout)
        if done:
            done, _ = self._ray.wait(first, num_returns=len(first), timeout=0)
        finished = set(done)
        return [call for call, reference in zip(calls, first, strict=True) if reference in finished]

    def greeted(self, call: Any) -> Node:
        """Where an actor that was started runs."""
        node: Node = self._get(call)
        return node

    def answer(self, call: Any) -> tuple[Answer, Any]:
        """The result of a job, and a reference to what waits in Ray's object store."""
        answer, reference = call
        found: Answer = self._get(answer)
        return found, reference

    def fetch(self, reference: Any) -> Finished | None:
        """What a job left; None where it was lost with a machine."""
        try:
            found: Finished | None = self._ray.get(reference, timeout=_FETCH_SECONDS)
        except self._ray.exceptions.RayError:
            return None
        return found

    def progress(self, workers: Sequence[Any]) -> Mapping[Hashable, int]:
        """Samples done, of those actors that say so at once."""
        asked = {worker.progress.remote(): worker for worker in workers}
        if not asked:
            return {}
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0.1)
        found: dict[Hashable, int] = {}
        for reference in done:
            with contextlib.suppress(self._ray.exceptions.RayError):
                found[asked[reference]] = self._ray.get(reference)
        return found

    def places(self) -> set[str]:
        """Machines that could run an actor."""
        return {node["id"] for node in self._nodes() if self._fitting(node)}

    def shortage(self) -> str | None:
        """Why no machine could ever run an actor."""
        nodes = self._nodes()
        if any(self._fitting(node) for node in nodes):
            return None
        have = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes[:8])
        return (
            f"a worker asks for {self._request()}, and no machine of the cluster has them ({have or 'it has none'}); ask "
            "for less with --lossy-ray-cpus and --lossy-ray-gpus, choose --lossy-device=cpu, or add machines"
        )

    def stop(self, running: Sequence[Any], asked: Sequence[Any]) -> None:
        """End actors now; each that runs removes what it left on its machine first, if it still can."""
        left = [worker.leave.remote() for worker in running]
        if left:
            self._ray.wait(left, num_returns=len(left), timeout=_STOP_SECONDS)
        for worker in (*running, *asked):
            self._ray.kill(worker, no_restart=True)

    def disconnect(self) -> None:
        """Leave the cluster; one that was started for this run ends."""
        if self._connected and self._ray.is_initialized():
            self._ray.shutdown()

    def _get(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except (errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError) as error:
            raise WorkerLostError(_first_line(error)) from None
        except errors.RayError as error:
            raise WorkerLostError(_first_line(error)) from None

    def _request(self) -> str:
        return f"{self.cpus:g} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")

    def _fitting(self, node: Mapping[str, Any]) -> int:
        rooms = [
            int(node.get(name, 0.0) / wanted + 1e-9)
            for name, wanted in (("CPU", self.cpus), ("GPU", self.gpus))
            if wanted
        ]
        return min(rooms) if rooms else 1

    def _nodes(self) -> list[dict[str, Any]]:
        """Resources of each machine that is alive, and its id."""
        return [{**node["Resources"], "id": node["NodeID"]} for node in self._ray.nodes() if node["Alive"]]


def _connect(ray: Any, settings: RaySettings) -> None:
    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)  # Ray itself goes on trying for a minute
        ray.init(
            address=address,
            namespace=f"pytest-lossy-{uuid.uuid4().hex[:12]}",
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env=_runtime_environment(settings.environment),
            **options,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"--lossy-ray-address={address}: no Ray cluster answers ({_first_line(error)}); start one with 'ray start "
            "--head', or correct the address"
        ) from None


def _knock(address: str) -> None:
    """Whether anything listens at ``host:port``; other forms of addresses are Ray's to understand.

    Raises:
        OSError: nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _runtime_environment(names: Sequence[str]) -> dict[str, Any]:
    """The package itself travels with the run, so that every machine has the driver's version of it."""
    variables = {**dict.fromkeys(THREAD_VARIABLES, "1"), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    sent = {name: os.environ[name] for name in (CACHE_VARIABLE, *names) if name in os.environ}
    return {"py_modules": [str(_PACKAGE)], "excludes": ["**/__pycache__"], "env_vars": variables | sent}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # Where an actor's constructor raised, Ray begins with itself and ends with what was raised.
    return lines[-1] if "creation task" in lines[0] else lines[0]
