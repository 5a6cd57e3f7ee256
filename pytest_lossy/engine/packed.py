"""Nested builtins and arrays as one flat file that can be memory-mapped: the spill format of decoded sources.

Layout: 8 bytes little-endian length of the header, the header (JSON), padding to 64 bytes, then the arrays, each aligned
to 64 bytes. In the header an array is ``{"__array__": [dtype, shape, offset]}`` with offsets from the first array, a tuple
``{"__tuple__": [...]}``.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["pack", "unpack"]

_ALIGNMENT = 64
_ARRAY = "__array__"
_TUPLE = "__tuple__"


def pack(tree: Any) -> bytes:
    """Serialise mappings (with text keys), sequences, numbers, text, None and numeric arrays.

    Raises:
        TypeError: anything else.
    """
    arrays: list[npt.NDArray[Any]] = []
    offset = 0

    def plain(node: Any) -> Any:
        nonlocal offset
        if isinstance(node, np.ndarray):
            if node.dtype.hasobject or node.dtype.names:
                raise TypeError("arrays of objects or records cannot be packed")
            array = np.ascontiguousarray(node)  # gives an array without dimensions one
            entry = {_ARRAY: [array.dtype.str, list(node.shape), offset]}
            arrays.append(array)
            offset += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
            return entry
        if isinstance(node, Mapping):
            if not all(isinstance(key, str) for key in node):
                raise TypeError("keys must be text")
            taken = {_ARRAY, _TUPLE} & set(node)
            if taken:
                raise TypeError(f"the key {taken.pop()!r} is taken")
            return {key: plain(value) for key, value in node.items()}
        if isinstance(node, tuple):
            return {_TUPLE: [plain(value) for value in node]}
        if isinstance(node, list):
            return [plain(value) for value in node]
        if node is None or isinstance(node, str | int | float | bool):
            return node
        raise TypeError(f"{type(node).__name__} cannot be packed")

    header = json.dumps(plain(tree)).encode()
    parts: list[bytes | memoryview] = [len(header).to_bytes(8, "little"), header, _padding(8 + len(header))]
    for array in arrays:
        parts += [array.reshape(-1).view(np.uint8).data, _padding(array.nbytes)]
    return b"".join(parts)


def unpack(path: Path) -> Any:
    """Map a packed file into memory; arrays are read-only views of it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    with path.open("rb") as stream:
        # An empty file cannot be mapped, which is a ValueError, too.
        mapped = np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
    if len(mapped) < 8:
        raise ValueError("shorter than its header")
    length = int.from_bytes(mapped[:8].tobytes(), "little")
    tree = json.loads(mapped[8 : 8 + length].tobytes())
    start = _aligned(8 + length)

    def restore(node: Any) -> Any:
        if isinstance(node, dict):
            if _ARRAY in node:
                dtype, shape, offset = node[_ARRAY]
                kind = np.dtype(dtype)
                size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
                first = start + offset
                if first + size > len(mapped):
                    raise ValueError("shorter than its arrays")
                return mapped[first : first + size].view(kind).reshape(shape)
            if _TUPLE in node:
                return tuple(restore(value) for value in node[_TUPLE])
            return {key: restore(value) for key, value in node.items()}
        if isinstance(node, list):
            return [restore(value) for value in node]
        return node

    return restore(tree)


def _padding(size: int) -> bytes:
    return bytes(_aligned(size) - size)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
