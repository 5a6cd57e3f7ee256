"""How many independent units carry a tag."""

from __future__ import annotations

from pytest_lossy.analysis.slices import tag_units


def test_samples_and_groups_count_once() -> None:
    tags = [["night"], ["night", "rain"], [], ["night"], ["rain"]]
    assert tag_units([None] * 5, tags) == {"night": 3, "rain": 2}
    assert tag_units(["a", "a", "b", "a", "b"], tags) == {"night": 1, "rain": 2}
    assert tag_units([None] * 3, ()) == {}
