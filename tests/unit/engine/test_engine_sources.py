"""Sources: decoded once, bounded, and never trusted."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Pictures

from pytest_lossy.data.base import Sample
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.errors import DataError, MissingInputError

LARGE = 10**9


def assert_same(first: Sample, second: Sample) -> None:
    assert np.array_equal(first.media, second.media)
    assert np.array_equal(first.target, second.target)
    assert first.context["fps"] == second.context["fps"]
    assert np.array_equal(first.context["k"], second.context["k"])
    for name in ("id", "group", "tags", "frame", "source"):
        assert getattr(first, name) == getattr(second, name), name


def test_each_sample_is_decoded_once(tmp_path: Path) -> None:
    data = Pictures(4)
    store = SourceStore(data, tmp_path, LARGE)
    fresh = [store.load(index) for index in range(4)]
    again = [store.load(index) for index in range(4)]
    assert set(data.loads.values()) == {1}
    for first, second in zip(fresh, again, strict=True):
        assert first.digest == second.digest
        assert_same(first.sample, second.sample)


def test_stores_of_one_folder_share(tmp_path: Path) -> None:
    first, second = Pictures(3), Pictures(3)
    for data in (first, second):
        store = SourceStore(data, tmp_path, LARGE)
        for index in range(3):
            store.load(index)
    assert sum(first.loads.values()) == 3
    assert sum(second.loads.values()) == 0


def test_other_data_sets_do_not_share(tmp_path: Path) -> None:
    first, second = Pictures(3), Pictures(3, tag="other")
    SourceStore(first, tmp_path, LARGE).load(0)
    SourceStore(second, tmp_path, LARGE).load(0)
    assert second.loads[0] == 1


@pytest.mark.parametrize("folder", [True, False])
def test_nothing_is_kept_without_room(tmp_path: Path, folder: bool) -> None:
    data = Pictures(2)
    store = SourceStore(data, tmp_path if folder else None, 0)
    for _ in range(3):
        store.load(0)
    assert data.loads[0] == 3
    assert not list(tmp_path.rglob("*.bin"))


def test_the_limit_holds(tmp_path: Path) -> None:
    data = Pictures(6)
    store = SourceStore(data, tmp_path, 2500)
    for _ in range(2):
        for index in range(6):
            store.load(index)
    used = sum(path.stat().st_size for path in tmp_path.rglob("*.bin"))
    assert 0 < used <= 2500
    kept = len(list(tmp_path.rglob("*.bin")))
    assert 0 < kept < 6
    assert sum(data.loads.values()) == 6 + (6 - kept)


def test_a_full_disk_costs_speed_and_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        real(self, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    data = Pictures(3)
    store = SourceStore(data, tmp_path, LARGE)
    with pytest.warns(
        RuntimeWarning, match="no longer kept on disk .No space left on device.; the run is slower"
    ) as seen:
        loaded = [store.load(index) for index in (0, 1, 2, 0)]
    assert len(seen) == 1
    assert data.loads[0] == 2
    assert_same(loaded[0].sample, data.load(0))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_half_a_file_is_decoded_again(tmp_path: Path) -> None:
    data = Pictures(1)
    SourceStore(data, tmp_path, LARGE).load(0)
    (path,) = tmp_path.rglob("*.bin")
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:4],
        b"",
        b"\xff" * len(whole),
        b"\x02" + bytes(7) + b"[]" + bytes(99),
    ):
        path.write_bytes(damaged)
        assert_same(SourceStore(data, tmp_path, LARGE).load(0).sample, data.load(0))
        assert path.read_bytes() == whole


def test_targets_of_any_kind_are_decoded_each_time(tmp_path: Path) -> None:
    data = Pictures(1)
    data.change = lambda index, sample: replace(sample, target={"boxes": object()})
    store = SourceStore(data, tmp_path, LARGE)
    store.load(0)
    store.load(0)
    assert data.loads[0] == 2


def test_targets_without_dimensions_come_back_as_they_were(tmp_path: Path) -> None:
    data = Pictures(1)
    data.change = lambda index, sample: replace(sample, target=np.array(3))
    store = SourceStore(data, tmp_path, LARGE)
    assert store.load(0).sample.target.shape == store.load(0).sample.target.shape == ()


def test_contexts_are_the_same_from_disk(tmp_path: Path) -> None:
    data = Pictures(1)
    data.change = lambda index, sample: replace(sample, context={"size": (1, 2)})
    store = SourceStore(data, tmp_path, LARGE)
    assert store.load(0).sample.context == store.load(0).sample.context


def test_threads_get_the_same_samples(tmp_path: Path) -> None:
    data = Pictures(5)
    store = SourceStore(data, tmp_path, LARGE)
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda index: store.load(index % 5).digest, range(40)))
    assert len(set(digests)) == 5
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda i, s: replace(s, media=s.media.astype(np.float32)),
            r"media must be a uint8 array .* got float32",
        ),
        (lambda i, s: replace(s, media=s.media[..., 0]), r"got uint8 \(9, 7\)"),
        (lambda i, s: replace(s, media=s.media[..., :2]), r"got uint8 \(9, 7, 2\)"),
        (lambda i, s: replace(s, media=s.media[None, None]), r"got uint8 \(1, 1, 9, 7, 3\)"),
        (lambda i, s: replace(s, media=s.media[:0]), r"got uint8 \(0, 7, 3\)"),
        (lambda i, s: replace(s, media=s.media.tolist()), "got list"),
        (lambda i, s: replace(s, media=None), "got NoneType"),
        (lambda i, s: (s.media, s.target), "media must be"),
        (lambda i, s: None, "media must be"),
    ],
)
def test_what_is_no_sample_is_named(change: Any, message: str) -> None:
    data = Pictures(2)
    data.change = change
    with pytest.raises(DataError, match=f"sample 1 of 'pictures': .*{message}|{message}"):
        SourceStore(data, None, 0).load(1)


def test_clips_are_fine(tmp_path: Path) -> None:
    data = Pictures(1)
    data.change = lambda index, sample: replace(sample, media=np.stack([sample.media] * 4), frame=2)
    store = SourceStore(data, tmp_path, LARGE)
    assert store.load(0).sample.media.shape == store.load(0).sample.media.shape == (4, 9, 7, 3)
    assert store.load(0).sample.frame == 2


def test_errors_of_the_data_set() -> None:
    data = Pictures(1)

    def broken(index: int, sample: Sample) -> Sample:
        raise ZeroDivisionError("mine")

    def missing(index: int, sample: Sample) -> Sample:
        raise MissingInputError("p0.png: gone")

    data.change = broken
    with pytest.raises(DataError, match="sample 0 of 'pictures' raised ZeroDivisionError: mine"):
        SourceStore(data, None, 0).load(0)
    data.change = missing
    with pytest.raises(MissingInputError, match=r"^p0.png: gone$"):
        SourceStore(data, None, 0).load(0)


def test_digests_see_pixels_and_shape() -> None:
    data, turned = Pictures(1), Pictures(1, size=(7, 9))
    turned.change = lambda index, sample: replace(sample, media=data.load(0).media.reshape(7, 9, 3))
    changed = Pictures(1)
    changed.change = lambda index, sample: replace(sample, media=sample.media ^ 1)
    digests = {SourceStore(one, None, 0).load(0).digest for one in (data, turned, changed)}
    assert len(digests) == 3


def test_no_warning_without_trouble(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SourceStore(Pictures(1), tmp_path, LARGE).load(0)
