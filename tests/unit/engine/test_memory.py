"""Freed memory is kept where that can be told to the C library, and given back when a model is freed."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.engine import memory
from pytest_lossy.engine.memory import Shelf

PROBE = """
import resource, sys
import numpy as np
from pytest_lossy.engine.memory import keep_freed_memory, return_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
def used():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)
before = faults()
for _ in range(5):
    np.ones(8_000_000)
after, held = faults(), used()
return_freed_memory()
print(kept, after - before, held - used())
"""


THREADS = """
import threading
start = threading.Event()
threading.Thread(target=start.wait, daemon=True).start()  # of some plugin: it has an arena of its own
from pytest_lossy.engine.memory import in_main_arena, keep_freed_memory
kept = keep_freed_memory()
from pytest_lossy.engine.threads import run_in_threads
found = [run_in_threads(lambda number: [in_main_arena()], range(4), [1] * 4, 2, None) for _ in range(5)]
print(kept, all(one for run in found for (one,) in run))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_inference_threads_sit_in_the_main_arena() -> None:
    environment = {**os.environ, "LD_PRELOAD": "", "GLIBC_TUNABLES": ""}
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "True"


def probe(how: str, **environment: str) -> list[str]:
    command = [sys.executable, "-c", PROBE, how]
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0", **environment}  # of 4 KB pages a block needs very many
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and glibc are Linux's")
def test_freed_memory_is_kept_and_given_back() -> None:
    kept, faults, given_back = probe("keep", LD_PRELOAD="", GLIBC_TUNABLES="")
    if kept == "False":
        pytest.skip("this C library cannot be told")
    assert int(faults) < 1000
    assert int(given_back) > 50  # MiB
    assert int(probe("plain")[1]) > 10_000  # pages of 64 MB, fresh ones five times


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_who_chose_otherwise_is_obeyed(name: str) -> None:
    value = "glibc.malloc.check=0" if name == "GLIBC_TUNABLES" else "131072"
    assert probe("keep", **{name: value})[0] == "False"


def test_memory_is_returned_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    returned: list[int] = []
    monkeypatch.setattr(memory, "_kept", True)
    monkeypatch.setattr(memory, "_batches", itertools.count(1))
    monkeypatch.setattr(memory, "return_freed_memory", lambda: returned.append(1))
    for _ in range(3 * memory.BATCHES_BETWEEN + 1):
        memory.return_now_and_then()
    assert len(returned) == 3
    monkeypatch.setattr(memory, "_kept", False)
    for _ in range(memory.BATCHES_BETWEEN):
        memory.return_now_and_then()
    assert len(returned) == 3


# What stays after a batch


@given(
    arrays=st.lists(
        hnp.arrays(st.sampled_from([np.uint8, np.int32, np.int64, np.float64, np.bool_]), hnp.array_shapes(min_side=0)),
        max_size=20,
    )
)
@settings(deadline=None)
def test_kept_arrays_are_equal_and_apart(arrays: list[np.ndarray]) -> None:
    shelf = Shelf()
    given_arrays = {str(index): array for index, array in enumerate(arrays)}
    originals = [array.copy() for array in arrays]
    kept = shelf.keep(given_arrays)
    for array in arrays:
        array.fill(0)  # a copy does not change with it
    assert list(kept) == list(given_arrays)
    for array, original in zip(kept.values(), originals, strict=True):
        assert array.dtype == original.dtype
        assert array.shape == original.shape
        assert array.size == 0 or np.array_equal(array, original, equal_nan=array.dtype.kind == "f")
        assert array.flags.c_contiguous
        assert array.ctypes.data % array.dtype.itemsize == 0


def test_slabs_outlive_the_shelf_and_threads_share_it() -> None:
    found: dict[int, list[np.ndarray]] = {}

    def work(number: int, shelf: Shelf) -> None:
        found[number] = [shelf.keep({"a": np.full(1000, 100 * number + step)})["a"] for step in range(100)]

    shelf = Shelf()
    threads = [threading.Thread(target=work, args=(number, shelf)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del shelf, threads
    gc.collect()
    for number, arrays in found.items():  # 3 MB, of several slabs
        assert [array.tolist() for array in arrays] == [[100 * number + step] * 1000 for step in range(100)]


def test_what_is_large_or_no_plain_array_stays_as_it_is() -> None:
    given_values = {
        "large": np.zeros(10**6),
        "objects": np.array([None, "x"]),
        "number": 3,
        "empty": np.zeros((0, 4)),
        "masked": np.ma.masked_equal([1, 2], 2),
    }
    kept = Shelf().keep(given_values)
    assert all(kept[name] is value for name, value in given_values.items())
