"""The spill format: round trips, and damage that is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.engine.packed import pack, unpack

dtypes = st.sampled_from(["u1", "i2", ">i4", "i8", "f2", "f4", ">f8", "?", "c8", "U3", "S2"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | arrays,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and (first.dtype, first.shape) == (second.dtype, second.shape)
            and first.tobytes() == second.tobytes()
        )
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(*pair) for pair in zip(first, second, strict=True))
    return type(first) is type(second) and first == second


def packed(folder: Path, tree: Any) -> Path:
    path = folder / "a.bin"
    path.write_bytes(pack(tree))
    return path


@settings(max_examples=150, deadline=None)
@given(tree=trees)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "round.bin"
    path.write_bytes(pack(tree))
    assert same(tree, unpack(path))


def test_views_in_any_order_are_packed_by_value(tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1], array[..., ::2], np.asfortranarray(array)):
        assert np.array_equal(unpack(packed(tmp_path, view)), view)


def test_arrays_are_read_only_and_aligned(tmp_path: Path) -> None:
    tree = unpack(packed(tmp_path, {"a": np.zeros(3, np.uint8), "b": np.zeros(3)}))
    assert not tree["b"].flags.writeable
    assert tree["b"].ctypes.data % 64 == 0


def test_the_same_tree_is_the_same_file() -> None:
    tree = {"a": np.arange(5), "b": [1, None, "x"]}
    assert pack(tree) == pack(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {1: 2},
        object(),
        {1, 2},
        b"bytes",
        np.int64(3),
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4")]),
        {"__array__": [1, 2, 3]},
    ],
)
def test_what_cannot_be_packed(tree: Any) -> None:
    with pytest.raises(TypeError):
        pack(tree)


@settings(max_examples=80, deadline=None)
@given(keep=st.integers(0, 500))
def test_truncated_files_are_noticed(tmp_path_factory: pytest.TempPathFactory, keep: int) -> None:
    data = pack({"media": np.ones((10, 10, 3), np.uint8), "id": "x"})
    path = tmp_path_factory.getbasetemp() / "cut.bin"
    path.write_bytes(data[: min(keep, 350)])
    with pytest.raises((OSError, ValueError)):
        unpack(path)


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0\xff\xff" + bytes(200)])
def test_garbage_is_noticed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises((OSError, ValueError)):
        unpack(tmp_path / "a.bin")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "gone.bin")
