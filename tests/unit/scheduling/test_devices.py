"""GPUs of the caller's own list, slots and threads, from a fake list of devices."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.cores import physical_cores, quota, usable_cores
from pytest_lossy.scheduling.devices import (
    DEVICE_VARIABLE,
    THREAD_VARIABLES,
    Gpu,
    auto_workers,
    query_gpus,
    visible_gpus,
    worker_environments,
)

GIB = 2**30
MACHINE = [(index, f"GPU-{letter * 8}-0000", 80 * GIB) for index, letter in enumerate("abcd")]


def names(listed: str | None) -> list[str]:
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    return [gpu.name for gpu in visible_gpus(MACHINE, environment)]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, ["0", "1", "2", "3"]),
        ("", []),
        ("2,0", ["2", "0"]),
        (" 3 , 1 ", ["3", "1"]),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("1,9,2", ["1"]),
        ("GPU-bbbb,GPU-dddddddd-0000", ["GPU-bbbb", "GPU-dddddddd-0000"]),
        ("GPU-", []),
        ("GPU-eeee", []),
        ("MIG-12ab/3/0,MIG-x", ["MIG-12ab/3/0", "MIG-x"]),
        ("0,0", ["0"]),
        ("NoDevFiles", []),
    ],
)
def test_the_callers_list_as_cuda_reads_it(listed: str | None, expected: list[str]) -> None:
    assert names(listed) == expected


def test_without_a_gpu_nothing_is_visible() -> None:
    assert visible_gpus([], {"CUDA_VISIBLE_DEVICES": "0,MIG-1"}) == []


def test_workers_take_turns_within_the_callers_list() -> None:
    gpus = visible_gpus(MACHINE, {"CUDA_VISIBLE_DEVICES": "3,GPU-bbbb"})
    found = worker_environments(gpus, ("auto",), 5, {})
    assert [entry["CUDA_VISIBLE_DEVICES"] for entry in found] == ["3", "GPU-bbbb", "3", "GPU-bbbb", "3"]
    assert {entry[DEVICE_VARIABLE] for entry in found} == {"cuda"}
    assert {entry["CUDA_DEVICE_ORDER"] for entry in found} == {"PCI_BUS_ID"}
    assert {entry["OMP_NUM_THREADS"] for entry in found} == {"1"}


def test_numbers_index_the_callers_list_and_devices_mix() -> None:
    gpus = visible_gpus(MACHINE, {"CUDA_VISIBLE_DEVICES": "3,2"})
    found = worker_environments(gpus, ("cuda:1", "cpu"), 3, {})
    assert [entry.get("CUDA_VISIBLE_DEVICES") for entry in found] == ["2", None, "2"]
    assert [entry[DEVICE_VARIABLE] for entry in found] == ["cuda", "cpu", "cuda"]


def test_what_the_caller_sets_stays() -> None:
    [found] = worker_environments([], ("auto",), 1, {"OMP_NUM_THREADS": "4"})
    assert "OMP_NUM_THREADS" not in found
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in found
    [found] = worker_environments([Gpu("0")], ("cuda",), 1, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert "CUDA_DEVICE_ORDER" not in found


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="--lossy-device=cuda:2: 2 CUDA devices are visible"):
        worker_environments([Gpu("0"), Gpu("1")], ("cuda:2",), 2, {})


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1", "cpu"])
def test_where_no_gpu_is_known_the_worker_decides(device: str) -> None:
    for entry in worker_environments([], (device,), 2, {}):
        assert not entry.keys() & {DEVICE_VARIABLE, "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}
        assert entry["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("free", "weights", "cores", "expected"),
    [
        ([80 * GIB] * 2, 0, 64, 8),  # four slots each, the most
        ([80 * GIB, 6 * GIB], 0, 64, 4),  # the fuller GPU decides: two fit
        ([80 * GIB] * 2, 10 * GIB, 64, 4),  # 32.5 GiB a worker
        ([80 * GIB] * 4, 0, 8, 8),  # a core for each slot
        ([GIB], 0, 8, 1),  # one at least
        ([None], 0, 8, 1),  # unknown
        ([], 0, 6, 6),  # cores without a GPU
    ],
)
def test_slots(free: list[int | None], weights: int, cores: int, expected: int) -> None:
    gpus = [Gpu(str(index), number) for index, number in enumerate(free)]
    assert auto_workers(gpus, ("auto",), weights, cores) == expected


def test_auto_heeds_the_chosen_devices() -> None:
    gpus = [Gpu(str(index), 3 * GIB) for index in range(4)]
    assert auto_workers(gpus, ("cpu",), 0, 6) == 6
    assert auto_workers(gpus, ("cuda:1", "cuda:2"), 0, 6) == 2


@given(st.lists(st.sampled_from(["cpu", "auto", "cuda", "cuda:0", "cuda:1"]), min_size=1), st.integers(1, 9))
def test_every_worker_sees_one_gpu_at_most(devices: list[str], workers: int) -> None:
    for entry in worker_environments([Gpu("7"), Gpu("5")], devices, workers, {}):
        assert (entry[DEVICE_VARIABLE] == "cuda") == (entry.get("CUDA_VISIBLE_DEVICES") in ("7", "5"))


def test_nvidia_smi_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert query_gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, 1024'\necho '1, GPU-bb, [N/A]'\necho 'No devices'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert query_gpus() == [(0, "GPU-aa", GIB), (1, "GPU-bb", 0)]
    assert visible_gpus(query_gpus(), {}) == [Gpu("0", GIB), Gpu("1", None)]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert query_gpus() == []


def test_hardware_threads_of_a_core_count_once(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for cpu in allowed:
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text("0-1\n")
    assert physical_cores(tmp_path) == 1
    assert 1 <= physical_cores(tmp_path / "nowhere") <= len(allowed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None), ("1", None), (None, None)],
)
def test_a_containers_quota(tmp_path: Path, text: str | None, expected: int | None) -> None:
    path = tmp_path / "cpu.max"
    if text is not None:
        path.write_text(text)
    assert quota(path) == expected


def test_a_quota_caps_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr("pytest_lossy.cores.quota", lambda: 3)
    assert usable_cores() == 3
    assert physical_cores(tmp_path) == 3
    monkeypatch.setattr("pytest_lossy.cores.quota", lambda: None)
    assert usable_cores() == physical_cores(tmp_path) == 8


THREADS = """
import os, numpy as np, scipy.linalg
table = np.random.default_rng(0).random((700, 700))
before = len(os.listdir("/proc/self/task"))
table @ table
scipy.linalg.lu(table)
print(before, len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to count threads")
def test_matrix_products_start_no_threads_in_a_worker() -> None:
    """Beside others that fill the cores; where it may, BLAS starts one for every core when it is imported."""
    [worker] = worker_environments([], ("auto",), 1, {})
    clean = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}

    def threads(environment: dict[str, str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert threads({**clean, **worker}) == ["1", "1"]
    if usable_cores() > 1:
        assert threads(clean)[-1] != "1", "or this test sees nothing"
