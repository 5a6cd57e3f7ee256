"""Clean predictions on disk: exact, shared, and never needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import CLASSES, FirstChannel, Pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.engine.pipeline import Pipeline
from pytest_lossy.engine.references import ReferenceStore
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.tasks.registry import build_task

LIMIT = 10**8


@given(hnp.arrays(st.sampled_from([np.float32, np.int64, np.uint8, np.float16]), hnp.array_shapes(min_side=0)))
@settings(max_examples=40, deadline=None)
def test_arrays_come_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    store = ReferenceStore(tmp_path_factory.mktemp("store"), LIMIT)
    store.save(3, {0: array, 1: {"scores": array, "more": [array, (1, "a", None)]}})
    found = ReferenceStore(store._folder, LIMIT).load(3)
    assert found is not None
    assert list(found) == [0, 1]
    for one in (found[0], found[1]["scores"], found[1]["more"][0]):
        assert (one.dtype, one.shape, one.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found[1]["more"][1] == (1, "a", None)


def test_tensors_are_kept_as_arrays(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path, LIMIT)
    tensor = torch.tensor([[1.5, -2]], requires_grad=True)
    store.save(0, {None: {"boxes": tensor, "half": tensor.to(torch.bfloat16)}})
    found = store.load(0)
    assert found is not None
    assert found[None]["boxes"].tolist() == [[1.5, -2]]
    assert found[None]["half"].dtype == np.float32


def test_absent_and_damaged_files_are_predicted_again(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path, LIMIT)
    assert store.load(0) is None
    store.save(0, {None: np.arange(400)})
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damage in (whole[:-600], b"", b"\0" * 64, whole[:8] + b"[" + whole[9:]):
        path.write_bytes(damage)
        assert store.load(0) is None
        assert not path.exists()
    store.save(0, {None: np.arange(400)})
    assert path.read_bytes() == whole


def test_what_cannot_be_kept_is_not(tmp_path: Path) -> None:
    small = ReferenceStore(tmp_path / "small", 1000)
    small.save(0, {None: np.zeros(10_000, dtype=np.uint8)})
    assert small.load(0) is None
    small.save(1, {None: np.zeros(10, dtype=np.uint8)})
    assert small.load(1) is not None
    odd = ReferenceStore(tmp_path / "odd", LIMIT)
    odd.save(0, {None: object()})
    assert odd.load(0) is None
    nowhere = ReferenceStore(None, LIMIT)
    nowhere.save(0, {None: 1})
    assert nowhere.load(0) is None
    (tmp_path / "file").write_text("")
    blocked = ReferenceStore(tmp_path / "file" / "below", LIMIT)
    blocked.save(0, {None: 1})
    assert blocked.load(0) is None


class Changing(FirstChannel):
    """Counts how many images it saw."""

    seen = 0

    def predict(self, media: Any, context: Any) -> Any:
        self.seen += len(media)
        return super().predict(media, context)


def evaluate(folder: Path | None, model: FirstChannel, *, clean_first: bool) -> CaseEvidence:
    line = Pipeline(
        model,
        build_task("segmentation", CLASSES, label_free=True),
        SourceStore(Pictures(7), None, 0),
        range(7),
        batch_size=3,
        threads=1,
        concurrent_inference=1,
        references=ReferenceStore(folder, LIMIT),
    )
    if clean_first:
        line.evaluate(None, None)
    line.evaluate(JpegCodec(), 80)
    return line.evaluate(JpegCodec(), 20)


def test_the_clean_samples_are_predicted_once(tmp_path: Path) -> None:
    seen, found = [], []
    for folder, clean_first in ((tmp_path / "a", True), (tmp_path / "b", False), (None, False)):
        model = Changing()
        found.append(evaluate(folder, model, clean_first=clean_first))
        seen.append(model.seen)
    assert seen == [21, 21, 28]
    for other in found[1:]:
        assert other.ids == found[0].ids
        for mine, theirs in zip(other.evidence, found[0].evidence, strict=True):
            assert set(mine) == set(theirs)
            assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_references_of_other_frames_are_not_taken(tmp_path: Path) -> None:
    """Files of an earlier view of the sample (another set of frames) are replaced."""
    store = ReferenceStore(tmp_path, LIMIT)
    for index in range(7):
        store.save(index, {0: np.zeros((9, 7), dtype=np.uint8)})
    fresh = evaluate(tmp_path, FirstChannel(), clean_first=False)
    expected = evaluate(None, FirstChannel(), clean_first=False)
    for mine, theirs in zip(fresh.evidence, expected.evidence, strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
    kept = store.load(0)
    assert kept is not None
    assert list(kept) == [None]
