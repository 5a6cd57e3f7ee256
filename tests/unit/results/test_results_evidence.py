"""Evidence files: exact, the same bytes for the same evidence, and never believed when damaged."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from result_rows import evidence

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.evidence import CaseEvidence, SampleCost, load_evidence, pixel_digest, save_evidence


def same(first: CaseEvidence, second: CaseEvidence) -> bool:
    if (first.ids, first.groups, first.costs, first.meta) != (
        second.ids,
        second.groups,
        second.costs,
        second.meta,
    ):
        return False
    return all(
        list(a) == list(b)
        and all(a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name], equal_nan=True) for name in a)
        for a, b in zip(first.evidence, second.evidence, strict=True)
    )


whole = st.integers(0, 2**62)
# numpy's text arrays drop null characters at the end, which no file name holds.
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@st.composite
def cases(draw: st.DrawFn) -> CaseEvidence:
    count = draw(st.integers(0, 5))
    columns = {
        name: (np.dtype(draw(st.sampled_from(["i4", "i8", "f4", "f8", "u1", "?"]))), draw(st.integers(0, 2)))
        for name in draw(st.lists(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), unique=True, max_size=3))
    }
    return CaseEvidence(
        ids=tuple(draw(st.lists(names, min_size=count, max_size=count))),
        groups=tuple(draw(st.lists(st.none() | names, min_size=count, max_size=count))),
        evidence=tuple(
            {
                name: draw(hnp.arrays(dtype, (draw(st.integers(0, 4)), *([3] * extra))))
                for name, (dtype, extra) in columns.items()
            }
            for _ in range(count)
        ),
        costs=tuple(SampleCost(*draw(st.tuples(whole, whole, whole, whole, names))) for _ in range(count)),
        meta=draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)),
    )


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, case: CaseEvidence) -> None:
    path = tmp_path_factory.getbasetemp() / "evidence.npz"
    save_evidence(path, case)
    loaded = load_evidence(path)
    assert same(loaded, case)
    assert len(loaded) == len(case)


def test_equal_evidence_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_evidence(tmp_path / "a.npz", evidence())
    monkeypatch.setattr("time.time", lambda: 2e9)
    save_evidence(tmp_path / "b.npz", evidence())
    save_evidence(tmp_path / "c.npz", load_evidence(tmp_path / "a.npz"))
    contents = {(tmp_path / name).read_bytes() for name in ("a.npz", "b.npz", "c.npz")}
    assert len(contents) == 1


def test_other_evidence_is_another_file(tmp_path: Path) -> None:
    save_evidence(tmp_path / "a.npz", evidence())
    save_evidence(tmp_path / "b.npz", replace(evidence(), groups=(None,) * 5))
    assert (tmp_path / "a.npz").read_bytes() != (tmp_path / "b.npz").read_bytes()


def test_numpy_alone_can_read_it(tmp_path: Path) -> None:
    save_evidence(tmp_path / "a.npz", evidence())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert stored["id"].tolist() == [f"p{index}.png" for index in range(5)]
        assert stored["length/pairs"].tolist() == [0, 1, 2, 3, 4]
        assert json.loads(str(stored["meta"]))["batch_size"] == 4


def test_an_empty_group_is_not_no_group(tmp_path: Path) -> None:
    save_evidence(tmp_path / "a.npz", replace(evidence(2), groups=("", None)))
    assert load_evidence(tmp_path / "a.npz").groups == ("", None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"a.npz: is missing or damaged .*; run the tests again"):
        load_evidence(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04garbage", b"\x93NUMPY garbage"])
def test_garbage_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ResultsError, match=r"a.npz: is missing or damaged"):
        load_evidence(tmp_path / "a.npz")


def test_a_plain_array_is_no_evidence(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ResultsError, match="is missing or damaged"):
        load_evidence(tmp_path / "a.npz")


def test_truncation_is_named_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_evidence(path, evidence())
    data = path.read_bytes()
    for length in range(0, len(data), 41):
        path.write_bytes(data[:length])
        with pytest.raises(ResultsError, match="is missing or damaged"):
            load_evidence(path)


def test_a_wrong_byte_is_named_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    original = evidence()
    save_evidence(path, original)
    data = path.read_bytes()
    refused = 0
    for place in range(0, len(data), 5):
        for change in (0xFF, 0x01):
            damaged = bytearray(data)
            damaged[place] ^= change
            path.write_bytes(bytes(damaged))
            try:
                assert same(load_evidence(path), original)
            except ResultsError:
                refused += 1
    assert refused > len(data) / 5 / 2


def rewritten(path: Path, **arrays: np.ndarray | None) -> None:
    with np.load(path, allow_pickle=False) as stored:
        content = {**{name: stored[name] for name in stored.files}, **arrays}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in content.items():
            if array is not None:
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array)


def test_another_version_is_told(tmp_path: Path) -> None:
    save_evidence(tmp_path / "a.npz", evidence())
    rewritten(tmp_path / "a.npz", version=np.array(1))
    with pytest.raises(ResultsError, match="has version 1, this program reads 2"):
        load_evidence(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"meta": None},
        {"length/pairs": None},
        {"length/pairs": np.array([0, 1, 2, 3])},
        {"length/pairs": np.array([0, 1, 2, 3, 5])},
        {"group": np.array(["a"])},
        {"payload_bits": np.array([1])},
        {"meta": np.array("{")},
        {"id": np.array(3)},
    ],
)
def test_tables_that_do_not_fit_together(tmp_path: Path, change: dict[str, np.ndarray | None]) -> None:
    save_evidence(tmp_path / "a.npz", evidence())
    rewritten(tmp_path / "a.npz", **change)
    with pytest.raises(ResultsError, match="is missing or damaged"):
        load_evidence(tmp_path / "a.npz")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.savez(stream, version=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ResultsError):
        load_evidence(tmp_path / "a.npz")


def test_pixel_digests() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixel_digest(image) == pixel_digest(np.asfortranarray(image))
    assert len({pixel_digest(image), pixel_digest(image.reshape(4, 2, 3)), pixel_digest(image ^ 1)}) == 3
