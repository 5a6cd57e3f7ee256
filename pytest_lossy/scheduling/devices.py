"""Which device each worker gets, decided on the controller, where torch is never imported.

A worker sees one GPU through ``CUDA_VISIBLE_DEVICES``, set before anything in it imports torch, and always one of the
*caller's own* list: numbers of that list are not renumbered, and UUIDs and MIG names pass through as they are. The setting
lives in the worker's execnet specification, so that a worker that replaces a crashed one keeps the GPU.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "DEVICE_VARIABLE",
    "THREAD_VARIABLES",
    "Gpu",
    "auto_workers",
    "query_gpus",
    "visible_gpus",
    "worker_environments",
]

DEVICE_VARIABLE = "PYTEST_LOSSY_DEVICE"
"""Tells a worker what to call its device: ``cuda`` or ``cpu``."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
"""What limits the threads of numeric libraries, read when they are imported."""
_GIB = 2**30
_CONTEXT_BYTES = _GIB // 2
"""What a process holds on a GPU before any model: the CUDA context and its kernels."""
_ACTIVATION_BYTES = 2 * _GIB
"""Allowance for the activations of a batch, where nothing is known of the model but its weights."""
_MOST_SLOTS = 4
"""Workers of one GPU: beyond this they take turns on it and gain nothing."""
_SHORTEST_UUID = 4  # "GPU-" alone names nothing


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG instance, that this process may use."""

    name: str
    """As ``CUDA_VISIBLE_DEVICES`` takes it: the caller's own entry."""
    free_bytes: int | None = None
    """None where it is not known, as for MIG instances."""


def query_gpus() -> list[tuple[int, str, int]]:
    """Index in PCI order, UUID and free bytes of every GPU of the machine, as ``nvidia-smi`` says; empty without one."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[0].isdigit():
            found.append((int(fields[0]), fields[1], int(fields[2]) * 2**20 if fields[2].isdigit() else 0))
    return found


def visible_gpus(machine: Sequence[tuple[int, str, int]], environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that CUDA would show to this process, in its order.

    As the CUDA programming guide describes ``CUDA_VISIBLE_DEVICES``: numbers, ``GPU-`` UUIDs or unique prefixes of them, and
    ``MIG-`` names; the first entry that is none of these hides itself and all that follow; unset shows every GPU.

    Args:
        machine: as :func:`query_gpus` gives them.
        environment: ``os.environ`` of the caller.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [Gpu(str(index), free or None) for index, _, free in machine]
    by_index = {str(index): free for index, _, free in machine}
    found: list[Gpu] = []
    for entry in (part.strip() for part in listed.split(",")):
        if entry.startswith("MIG-") and machine:
            gpu = Gpu(entry)
        elif re.fullmatch(r"\d+", entry) and str(int(entry)) in by_index:
            gpu = Gpu(entry, by_index[str(int(entry))] or None)
        else:
            long_enough = entry.startswith("GPU-") and len(entry) > _SHORTEST_UUID
            matches = [free for _, uuid, free in machine if long_enough and uuid.startswith(entry)]
            if len(matches) != 1:
                break
            gpu = Gpu(entry, matches[0] or None)
        if any(gpu.name == other.name for other in found):
            break  # CUDA refuses a list that names a device twice
        found.append(gpu)
    return found


def auto_workers(gpus: Sequence[Gpu], devices: Sequence[str], weights_bytes: int, cores: int) -> int:
    """Workers that ``-n auto`` stands for: GPUs x slots, or physical cores where no GPU is used.

    Slots follow from the GPU with the least free memory and the footprint of the run's largest model: context, an allowance
    for activations, and three times its weights (as loaded, converted, and with what its kernels keep). Each slot needs a
    core that feeds it.

    Args:
        gpus: visible ones.
        devices: ``--lossy-device``.
        weights_bytes: the size of the largest weights file of the run.
        cores: physical ones.
    """
    used = _chosen(gpus, devices)
    if not used:
        return cores
    footprint = _CONTEXT_BYTES + _ACTIVATION_BYTES + 3 * weights_bytes
    free = [gpu.free_bytes for gpu in used if gpu.free_bytes is not None]
    fitting = max(1, min(free) // footprint) if free else 1
    slots = max(1, min(_MOST_SLOTS, fitting, cores // len(used)))
    return len(used) * slots


def worker_environments(
    gpus: Sequence[Gpu], devices: Sequence[str], workers: int, environment: Mapping[str, str]
) -> list[dict[str, str]]:
    """What is set in the environment of each worker, before it imports anything heavy.

    Where no GPU is known here, as without ``nvidia-smi``, the worker's own torch decides, which may see one all the same.

    Args:
        gpus: visible ones.
        devices: ``--lossy-device``; numbers index ``gpus``. Workers take them in turns, ``auto`` and ``cuda`` all GPUs.
        workers: how many.
        environment: of the caller; what it sets of threads and order stays.

    Raises:
        ValueError: a device that is not there; the message says which and how many are.
    """
    # One thread each: batches and bootstrap run side by side in threads and workers, and sums keep their order.
    threads = {name: "1" for name in THREAD_VARIABLES if name not in environment}
    if not gpus:
        return [dict(threads) for _ in range(workers)]
    turns: list[Gpu | None] = []
    for name in devices:
        if name == "cpu":
            turns.append(None)
        elif name in ("auto", "cuda"):
            turns += gpus
        else:
            number = int(name.partition(":")[2])
            if number >= len(gpus):
                raise ValueError(
                    f"--lossy-device={name}: {len(gpus)} CUDA devices are visible; choose another, or 'cpu'"
                )
            turns.append(gpus[number])
    found = []
    for worker in range(workers):
        gpu = turns[worker % len(turns)]
        settings = dict(threads)
        if gpu is not None:
            settings["CUDA_VISIBLE_DEVICES"] = gpu.name
            if "CUDA_DEVICE_ORDER" not in environment:
                settings["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        settings[DEVICE_VARIABLE] = "cpu" if gpu is None else "cuda"
        found.append(settings)
    return found


def _chosen(gpus: Sequence[Gpu], devices: Sequence[str]) -> list[Gpu]:
    """The GPUs that some worker will use, each once."""
    chosen: dict[str, Gpu] = {}
    for name in devices:
        if name in ("auto", "cuda"):
            chosen |= {gpu.name: gpu for gpu in gpus}
        elif name.startswith("cuda:") and int(name[5:]) < len(gpus):
            chosen[gpus[int(name[5:])].name] = gpus[int(name[5:])]
    return list(chosen.values())
