"""Which samples a report shows: ties, NaN, samples that lost nothing, and frames of one clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.analysis.samples import choose_samples, sample_values
from pytest_lossy.tasks.segmentation import SegmentationTask

NAN = float("nan")


def chosen(clean, value, *, ids=None, units=None, count=3, better=True):
    ids = ids or [f"s{index}" for index in range(len(clean))]
    found = choose_samples(ids, units or ids, np.array(clean), np.array(value), higher_is_better=better, count=count)
    return [(ids[choice.row], choice.kind) for choice in found]


def test_the_worst_come_first_and_the_typical_one_last():
    clean, value = [0.9, 0.9, 0.9, 0.9, 0.9], [0.8, 0.1, 0.5, 0.3, 0.85]
    assert chosen(clean, value) == [("s1", "worst"), ("s3", "worst"), ("s2", "typical")]
    assert chosen(clean, value, count=2) == [("s1", "worst"), ("s2", "typical")]
    assert chosen(clean, value, count=1) == [("s1", "worst")]
    assert chosen(clean, value, count=0) == []


def test_of_an_error_the_largest_rise_is_worst():
    assert chosen([0.1, 0.1, 0.1], [0.2, 0.9, 0.05], better=False)[0] == ("s1", "worst")


def test_equal_losses_are_ordered_by_id_whatever_their_rows():
    ids = ["d", "b", "c", "a"]
    assert chosen([1, 1, 1, 1], [0, 0, 0, 0], ids=ids) == [("a", "worst"), ("b", "worst"), ("c", "typical")]


def test_what_has_no_metric_is_never_shown():
    assert chosen([NAN, 0.9, 0.9], [0.1, NAN, 0.5]) == [("s2", "worst")]
    assert chosen([NAN, NAN], [NAN, 0.5]) == []
    assert chosen([], []) == []


def test_nothing_that_lost_nothing_is_called_worst():
    assert chosen([0.5, 0.5, 0.5], [0.5, 0.6, 0.7]) == [("s1", "typical")]
    assert chosen([0.5, 0.5, 0.5], [0.5, 0.6, 0.4], count=1) == [("s2", "worst")]
    assert chosen([0.5], [0.6], count=1) == [("s0", "typical")]


def test_frames_of_one_clip_are_shown_once_while_there_are_other_clips():
    clean, value = [1.0] * 4, [0.0, 0.1, 0.5, 0.9]
    assert chosen(clean, value, units=["x", "x", "y", "z"]) == [("s0", "worst"), ("s2", "worst"), ("s3", "typical")]
    assert [name for name, _ in chosen(clean, value, units=["x"] * 4)] == ["s0", "s1", "s2"]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, NAN]), st.sampled_from([0.0, 0.5, 1.0, NAN])), max_size=12),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_the_choice_does_not_depend_on_the_order(pairs, count, random):
    ids = [f"s{index:02}" for index in range(len(pairs))]
    first = chosen([a for a, _ in pairs], [b for _, b in pairs], ids=ids, count=count)
    rows = list(range(len(pairs)))
    random.shuffle(rows)
    second = chosen(
        [pairs[row][0] for row in rows], [pairs[row][1] for row in rows], ids=[ids[row] for row in rows], count=count
    )
    assert first == second
    assert len(first) == len({name for name, _ in first}) <= count


def test_values_are_those_of_each_sample_alone():
    random = np.random.default_rng(3)
    task = SegmentationTask(("a", "b", "c"))
    # Some samples lack a class, one has no label at all; more of them than are weighed together.
    truths = [random.integers(0, 1 + index % 3, (6, 6)) for index in range(150)]
    truths[7] = np.full((6, 6), 255)
    evidence = [task.evidence(random.integers(0, 3, (6, 6)), truth) for truth in truths]
    values = sample_values(task.reduce, evidence, "miou")
    alone = [task.reduce([item], np.ones((1, 1)))["miou"][0] for item in evidence]
    assert values == pytest.approx(alone, nan_ok=True, abs=0)
    assert np.flatnonzero(np.isnan(values)).tolist() == [7]
