"""What every data set promises, checked on any of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.data.registry import build_dataset
from pytest_lossy.engine.packed import pack


def build(name: str, base: Path, **options: Any) -> Dataset:
    return build_dataset(name, options, base)


def ids(data: Dataset) -> list[str]:
    return [data.sample_id(index) for index in range(len(data))]


def groups(data: Dataset) -> list[str | None]:
    return [data.group(index) for index in range(len(data))]


def assert_protocol(data: Dataset) -> None:
    """Listing agrees with loading, samples can be stored, and threads get what one thread gets."""
    assert isinstance(data, Dataset)
    assert len(set(ids(data))) == len(data)
    assert data.fingerprint() == data.fingerprint()
    alone = [data.load(index) for index in range(len(data))]
    for index, sample in enumerate(alone):
        assert (sample.id, sample.group) == (data.sample_id(index), data.group(index))
        assert sample.media.dtype == np.uint8
        assert sample.media.shape[-1] == 3
        assert sample.source is not None
        pack({"target": sample.target, "context": dict(sample.context)})
    with ThreadPoolExecutor(4) as pool:
        for index, sample in enumerate(pool.map(data.load, [*range(len(data))] * 4)):
            assert_same(sample, alone[index % len(data)])


def assert_same(one: Sample, other: Sample) -> None:
    assert one.id == other.id
    for name in ("media", "target", "context"):
        np.testing.assert_equal(getattr(one, name), getattr(other, name))


def assert_listing_needs_no_decoder(name: str, base: Path, suffixes: tuple[str, ...], **options: Any) -> None:
    """Damage every media file of these suffixes: listing does not notice."""
    before = ids(build(name, base, **options))
    for path in base.rglob("*"):
        if path.suffix in suffixes:
            path.write_bytes(b"damaged")
    data = build(name, base, **options)
    assert ids(data) == before
    groups(data)
    assert data.fingerprint()
