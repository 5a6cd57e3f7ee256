"""Keep the memory that a network's activations need, instead of returning it to the system after every layer.

The C library gives blocks above 32 MiB back as soon as they are freed, and the next layer gets fresh pages that the kernel
must clear first: a small SegNet at batch 8 spent half of its time there (335 ms an image, 158 without). Nothing is computed
otherwise, and the process holds what it held at its peak anyway.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Shelf", "in_main_arena", "keep_freed_memory", "return_freed_memory", "return_now_and_then"]

BATCHES_BETWEEN = 32
"""Batches from one return of unused memory to the next: fresh pages for one batch in so many cost nearly nothing."""

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_LARGEST = 2**31 - 1
_PROBE_BYTES = 5_000  # more than a thread's own store of small blocks holds
_USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Whoever sets one of these has chosen how memory is allocated."""

_lock = threading.Lock()
_batches = itertools.count(1)
_kept: bool | None = None


class Shelf:
    """Keeps small arrays outside of the heap, in anonymous mappings that are freed with the last array in them.

    What stays after a batch would lie in the gaps that its activations leave, the next batch's would not fit there any more,
    and the heap would grow with the data. Threads may share a shelf.
    """

    _SLAB_BYTES = 1 << 20
    _LARGEST = _SLAB_BYTES // 16  # so that at most a sixteenth of a slab is wasted
    _ALIGNMENT = 16  # of the largest plain number

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slab: mmap.mmap | None = None
        self._used = 0

    def keep(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Equal arrays elsewhere; those above 64 KiB, and what is no plain array, as they are.

        Args:
            arrays: by name, of any shape and fixed dtype.

        Returns:
            by the same names, C-contiguous copies of equal shape and dtype.
        """
        return {name: self._kept(array) for name, array in arrays.items()}

    def _kept(self, array: Any) -> Any:
        # Subclasses, such as masked arrays, are more than their numbers.
        if type(array) is not np.ndarray or array.dtype.hasobject or not 0 < array.nbytes <= self._LARGEST:
            return array
        size = -(-array.nbytes // self._ALIGNMENT) * self._ALIGNMENT
        with self._lock:
            if self._slab is None or self._used + size > self._SLAB_BYTES:
                self._slab, self._used = mmap.mmap(-1, self._SLAB_BYTES), 0
            slab, start = self._slab, self._used
            self._used += size
        copy: npt.NDArray[Any] = np.ndarray(array.shape, array.dtype, slab, start)
        copy[...] = array
        return copy


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks of any size; once per process, as early as possible.

    No arenas are added from then on: only the main one takes blocks above 64 MiB without asking the system each time. One
    that a thread had before may be inherited by a later one; see :func:`in_main_arena`.

    Returns:
        whether it is so; False with another C library, or where the environment chose otherwise.
    """
    global _kept  # noqa: PLW0603  the allocator's settings are the process's
    with _lock:
        if _kept is None:
            _kept = _configure()
        return _kept


def in_main_arena() -> bool:
    """Whether the calling thread allocates from the main arena; True where it does not matter, as nothing is kept."""
    if not _kept:
        return True
    library = ctypes.CDLL(None)
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    block = library.malloc(_PROBE_BYTES)
    # The main arena grows with the program break; others lie where the system maps memory, above it.
    found = bool(block) and block < library.sbrk(0)
    library.free(block)
    return found


def return_freed_memory() -> None:
    """Give the system back what is kept but not used: called when a model is freed."""
    if _kept:
        ctypes.CDLL(None).malloc_trim(0)


def return_now_and_then() -> None:
    """Called after each batch: results that stay pin the pages around them, and without this the heap would grow slowly."""
    if _kept and next(_batches) % BATCHES_BETWEEN == 0:
        return_freed_memory()


def _configure() -> bool:
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _USERS_OWN):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  absent from musl, whose mallopt does nothing
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    # Older versions refuse so high a threshold.
    if not mallopt(_M_MMAP_THRESHOLD, _LARGEST) and not mallopt(_M_MMAP_MAX, 0):
        return False
    mallopt(_M_ARENA_MAX, 1)
    return bool(mallopt(_M_TRIM_THRESHOLD, -1))
