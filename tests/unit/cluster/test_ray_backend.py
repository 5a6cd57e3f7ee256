"""What is asked of Ray, and what fits, with a pretended cluster."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lossy.cluster import ray_backend
from pytest_lossy.cluster.ray_backend import RayCluster
from pytest_lossy.cluster.settings import RaySettings
from pytest_lossy.errors import ConfigurationError


def cluster(
    monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float], device: str = "auto", **settings: Any
) -> RayCluster:
    """A connection to machines with these resources."""
    listed = [{"Alive": True, "NodeID": f"n{number}", "Resources": node} for number, node in enumerate(nodes)]
    listed.append({"Alive": False, "NodeID": "dead", "Resources": {"CPU": 999.0, "GPU": 8.0}})
    fake = SimpleNamespace(is_initialized=lambda: True, nodes=lambda: listed)
    monkeypatch.setitem(sys.modules, "ray", fake)
    return RayCluster(RaySettings(**settings), device)


CPU, GPU = {"CPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}


def test_auto_takes_gpus_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cluster(monkeypatch, CPU, CPU)
    assert (plain.device, plain.capacity, plain.most_per_node, plain.places()) == ("cpu", 16, 8, {"n0", "n1"})
    mixed = cluster(monkeypatch, CPU, GPU)
    assert (mixed.device, mixed.capacity, mixed.places()) == ("cuda", 4, {"n1"})
    assert cluster(monkeypatch, CPU, GPU, device="cpu").capacity == 24


def test_shares_of_gpus_and_several_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster(monkeypatch, GPU, gpus=0.5).capacity == 8
    assert cluster(monkeypatch, GPU, gpus=0.1, cpus=3.0).capacity == 5
    assert cluster(monkeypatch, CPU, cpus=3.0).capacity == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"device": "cuda"}, "1 CPUs and 1 GPUs, and no machine of the cluster has them (8 CPUs and 0 GPUs)"),
        ({"cpus": 9.0}, "9 CPUs, and no machine of the cluster has them (8 CPUs and 0 GPUs)"),
    ],
)
def test_what_no_living_machine_has_is_an_error(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        cluster(monkeypatch, CPU, **settings)
    assert told in str(caught.value)


def test_an_address_where_nothing_listens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        fake = SimpleNamespace(is_initialized=lambda: False, init=lambda **_: pytest.fail("Ray would try for a minute"))
        monkeypatch.setitem(sys.modules, "ray", fake)
        for form in (address, f"ray://{address}"):
            with pytest.raises(ConfigurationError, match=r"--lossy-ray-address=.*no Ray cluster answers .*refused"):
                RayCluster(RaySettings(address=form), "cpu")


def test_ray_is_told_what_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", "/data")
    told: dict[str, Any] = {}
    fake = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **options: told.update(options),
        nodes=lambda: [{"Alive": True, "NodeID": "n", "Resources": CPU}],
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    RayCluster(RaySettings(environment=("DATA_ROOT",)), "cpu")
    assert told["address"] == "local"
    assert told["include_dashboard"] is False
    assert told["runtime_env"]["py_modules"] == [str(ray_backend._PACKAGE)]
    assert told["runtime_env"]["env_vars"].items() >= {"DATA_ROOT": "/data", "OMP_NUM_THREADS": "1"}.items()
