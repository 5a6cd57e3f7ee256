"""A case in parts: wherever it is cut, the joined evidence is that of one process, down to the bytes of its file."""

from __future__ import annotations

import itertools
from pathlib import Path

from fakes import FirstChannel, Pictures, pipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.engine.parts import join_parts
from pytest_lossy.results.evidence import CaseEvidence, SampleCost, save_evidence


def file_of(folder: Path, evidence: CaseEvidence) -> bytes:
    save_evidence(folder / "one.npz", evidence)
    return (folder / "one.npz").read_bytes()


def test_parts_of_a_case_join_to_the_same_bytes(tmp_path: Path) -> None:
    line = pipeline(Pictures(11), FirstChannel(), batch=2)
    assert line.batches == 6
    whole = line.evaluate(JpegCodec(), 20)
    for cuts in ([0, 6], [0, 1, 6], [0, 2, 3, 5, 6], list(range(7))):
        parts = [line.evaluate(JpegCodec(), 20, batches=slice(a, b)) for a, b in itertools.pairwise(cuts)]
        assert file_of(tmp_path, join_parts(parts)) == file_of(tmp_path, whole)


def row(index: int) -> CaseEvidence:
    return CaseEvidence(
        ids=(f"s{index}",),
        groups=(None,),
        tags=(("night",),) if index == 3 else (),
        evidence=({},),
        costs=(SampleCost(1, 0, 4, index, "x"),),
        meta={
            "batch_size": 2 if index == 4 else 8,
            "notes": ["memory ran out"] if index == 4 else [],
            "sources": {"PNG RGB" if index % 2 else "JPEG RGB": 1},
            "source_quality": {"jpeg": {"q90" if index % 3 else "q80": 1}},
        },
    )


@given(st.lists(st.integers(1, 7), max_size=4, unique=True))
@settings(max_examples=50, deadline=None)
def test_joining_is_associative(cuts: list[int]) -> None:
    rows = [row(index) for index in range(8)]
    edges = [0, *sorted(cuts), 8]
    pieces = [join_parts(rows[a:b]) for a, b in itertools.pairwise(edges)]
    joined = join_parts(pieces)
    assert joined == join_parts(rows)
    assert list(joined.meta["sources"]) == ["JPEG RGB", "PNG RGB"], "first seen first, as one process counts"
    assert joined.meta["source_quality"] == {"jpeg": {"q80": 3, "q90": 5}}
    assert joined.meta["batch_size"] == 2
    assert joined.meta["notes"] == ["memory ran out"]
    assert joined.tags == ((), (), (), ("night",), (), (), (), ())
