"""Which device and how many threads a process uses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

import torch

from pytest_lossy.cores import usable_cores
from pytest_lossy.errors import ModelError

__all__ = ["choose_device", "copying_aside", "device_names", "inference_threads", "wait_for"]

MAX_GPU_THREADS = 8
"""Threads that feed one GPU: beyond this they wait for it, and each holds a batch in memory."""

_own = threading.local()


def choose_device(requested: Sequence[str], worker: int) -> str:
    """The torch device of one worker.

    Args:
        requested: ``--lossy-device``; several devices are taken in turns.
        worker: 0-based number of this process among the run's workers.

    Raises:
        ModelError: the device is not there.
    """
    name = requested[worker % len(requested)]
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return f"cuda:{worker % available}" if available else "cpu"
    if name == "cuda":
        name = f"cuda:{worker % max(1, available)}"
    if name.startswith("cuda") and int(name.partition(":")[2]) >= available:
        raise ModelError(f"--lossy-device={name}: this process sees {available} CUDA devices; choose another, or 'cpu'")
    return name


def inference_threads(device: str, workers: int) -> tuple[int, int]:
    """Batches in flight, and how many of them may run inference at once.

    On a CPU each worker gets its share of the cores, all of which may run inference. A GPU takes one batch at a time while
    other threads decode and compress the next ones.
    """
    share = max(1, usable_cores() // max(1, workers))
    if device.startswith("cuda"):
        return min(MAX_GPU_THREADS, max(2, share)), 1
    return share, share


def device_names(device: str) -> list[str]:
    """What a device is called, for the results."""
    if device.startswith("cuda"):
        return [f"{device}: {torch.cuda.get_device_name(device)}"]
    return ["cpu"]


@contextlib.contextmanager
def copying_aside(device: str) -> Iterator[None]:
    """Queue GPU work in a stream of the calling thread's own, and wait for it at the end; nothing on a CPU.

    Copies then run beside what another thread infers in the default stream. Inference stays there: memory is pooled by
    stream, and activations in the pool of each thread's stream would fill a GPU.
    """
    if not device.startswith("cuda"):
        yield
        return
    streams: dict[str, torch.cuda.Stream] = _own.__dict__
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(streams[device]):
        yield
    streams[device].synchronize()


def wait_for(device: str) -> None:
    """Wait for what the calling thread queued on a GPU outside of :func:`copying_aside`; nothing on a CPU."""
    if device.startswith("cuda"):
        torch.cuda.current_stream(device).synchronize()
