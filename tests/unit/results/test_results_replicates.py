"""Replicates on disk: exact, equal bytes for equal content, and every damage found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.replicates import StoredReplicates, load_replicates, samples_digest, save_replicates


def stored() -> StoredReplicates:
    drawn = np.random.default_rng(0).normal(size=(2, 50))
    drawn[0, 3] = np.nan
    point = {"miou": 0.1 + 0.2, "miou{night}": np.nan, "undefined": np.nan, "miou[road]": 0.5}
    replicates = {"miou": drawn[0], "miou{night}": drawn[1], "miou[road]": drawn[1]}
    outcomes = {name: np.array([1, 0, np.nan, 1.0]) for name in ("miou", "miou{night}", "miou[road]")}
    return StoredReplicates(
        point, replicates, 17, samples_digest(["a", "b"], [None, "g"]), {"night": 3, "day": 14}, outcomes
    )


def test_round_trip_keeps_every_bit_and_leaves_classes_out(tmp_path: Path) -> None:
    save_replicates(tmp_path / "case.npz", stored())
    found = load_replicates(tmp_path / "case.npz")
    assert found.point.keys() == {"miou", "miou{night}", "undefined"}
    assert found.replicates.keys() == {"miou", "miou{night}"}
    assert found.point["miou"] == 0.1 + 0.2
    np.testing.assert_array_equal(found.replicates["miou"], stored().replicates["miou"])
    assert (found.units, found.samples) == (17, stored().samples)
    assert found.tag_units == {"night": 3, "day": 14}
    assert found.outcomes.keys() == {"miou", "miou{night}"}
    np.testing.assert_array_equal(found.outcomes["miou{night}"], [1, 0, np.nan, 1])


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_replicates(tmp_path / name, stored())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_replicates(tmp_path: Path) -> None:
    save_replicates(tmp_path / "case.npz", StoredReplicates({"miou": 0.5}, {}, 1, "x"))
    assert load_replicates(tmp_path / "case.npz") == StoredReplicates({"miou": 0.5}, {}, 1, "x")


@pytest.mark.parametrize("keep", [0, 10, 300, -1])
def test_a_truncated_file_is_damaged(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "case.npz"
    save_replicates(path, stored())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResultsError, match=r"case\.npz: .*run the tests again"):
        load_replicates(path)


@given(st.lists(st.tuples(st.text(), st.none() | st.text()), min_size=1))
def test_the_digest_tells_any_change_of_samples_apart(pairs: list[tuple[str, str | None]]) -> None:
    ids, groups = [name for name, _ in pairs], [group for _, group in pairs]
    digest = samples_digest(ids, groups)
    assert digest == samples_digest(list(ids), list(groups))
    assert digest != samples_digest([*ids, "more"], [*groups, None])
    changed = ["" if group is None else None for group in groups[:1]]
    assert digest != samples_digest(ids, [*changed, *groups[1:]])
