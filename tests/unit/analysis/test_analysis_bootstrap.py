"""Bootstrap weights and bias-corrected intervals against scipy, hand-computed cases and simulation."""

from __future__ import annotations

from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from pytest_lossy.analysis import bootstrap
from pytest_lossy.analysis.bootstrap import (
    bias_corrected,
    independent_units,
    replicate,
    resample_weights,
    weight_chunks,
)
from pytest_lossy.analysis.comparison import compare, measure, unit_notes
from pytest_lossy.tasks.segmentation import SegmentationTask

groups = st.lists(st.none() | st.sampled_from(["a", "b", "c", "0", ""]), min_size=1, max_size=12)


@given(groups=groups)
def test_units_are_groups_or_samples(groups: list[str | None]) -> None:
    units, count = independent_units(groups)
    assert len(units) == len(groups)
    assert set(units.tolist()) == set(range(count))
    if len({(g, None if g is not None else i) for i, g in enumerate(groups)}) == 1:
        assert count == len(groups)  # one sequence: nothing but its samples can be resampled
        return
    for i, first in enumerate(groups):
        for j, second in enumerate(groups):
            assert (units[i] == units[j]) == (i == j or (first is not None and first == second))


def test_a_group_named_like_a_sample_is_a_group() -> None:
    assert independent_units(["sample:1", None])[1] == 2


@settings(max_examples=30, deadline=None)
@given(groups=groups, replicates=st.integers(1, 40), seed=st.integers(0, 5))
def test_weights_are_whole_numbers_that_sum_to_the_units(groups: list[str | None], replicates: int, seed: int) -> None:
    units, count = independent_units(groups)
    weights = resample_weights(units, count, replicates, seed)
    assert weights.shape == (replicates, len(groups))
    assert weights.dtype == np.int64
    assert (weights >= 0).all()
    per_unit = np.zeros((replicates, count), dtype=np.int64)
    for sample, unit in enumerate(units):
        mates = weights[:, units == unit]
        assert (mates == mates[:, :1]).all()
        per_unit[:, unit] = weights[:, sample]
    assert (per_unit.sum(axis=1) == count).all()


def test_weights_are_multinomial() -> None:
    units, count = independent_units([None] * 10)
    weights = resample_weights(units, count, 20_000, 1)
    # A count is binomial (10, 1/10), and two of them are negatively correlated.
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var(axis=0).mean() == pytest.approx(0.9, abs=0.02)
    assert np.cov(weights.T)[np.triu_indices(10, 1)].mean() == pytest.approx(-0.1, abs=0.01)


def test_weights_depend_on_seed_and_units_alone() -> None:
    units = np.arange(7)
    first = resample_weights(units, 7, 50, 1)
    assert np.array_equal(first, resample_weights(units, 7, 50, 1))
    assert not np.array_equal(first, resample_weights(units, 7, 50, 2))
    shuffled = np.array([3, 1, 0, 2, 6, 5, 4])
    assert np.array_equal(resample_weights(shuffled, 7, 50, 1), first[:, shuffled])


def test_drawing_weights_leaves_numpys_seed() -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    resample_weights(np.arange(4), 4, 10, 1)
    assert np.random.random() == expected


@pytest.mark.parametrize("held", [1, 7, 20, 21, 400, 10**6])
def test_chunking_changes_no_bit(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = resample_weights(np.arange(20), 20, 37, 1)
    values = np.random.default_rng(0).random(20)
    seen: list[int] = []

    def reduce(part: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(part.size)
        assert part.dtype == np.float64
        return {"mean": (part * values).sum(axis=1) / part.sum(axis=1)}

    whole = reduce(weights.astype(np.float64))["mean"]
    seen.clear()
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", held)
    assert np.array_equal(replicate(reduce, weight_chunks(np.arange(20), 20, 37, 1))["mean"], whole)
    assert max(seen) <= max(held, 20)


# Intervals


def test_without_bias_it_is_scipys_percentile_interval() -> None:
    rng = np.random.default_rng(5)
    data = rng.normal(size=41)
    found = stats.bootstrap((data,), np.mean, n_resamples=999, method="percentile", rng=rng, confidence_level=0.9)
    replicates = found.bootstrap_distribution
    point = float(np.median(replicates))  # half below: no bias
    low, high = bias_corrected(point, replicates, 0.9)
    assert low == pytest.approx(found.confidence_interval.low, abs=1e-12)
    assert high == pytest.approx(found.confidence_interval.high, abs=1e-12)


def test_the_correction_by_hand() -> None:
    replicates = np.arange(1, 1001) / 1000
    normal = NormalDist()
    shift = 2 * normal.inv_cdf((690 + 0.5) / 1000)  # 690 lie below, half of the equal one counts
    tail = normal.inv_cdf(0.975)
    low, high = bias_corrected(0.691, replicates, 0.95)
    assert low == pytest.approx(0.001 + 0.999 * normal.cdf(shift - tail), abs=1e-9)
    assert high == pytest.approx(0.001 + 0.999 * normal.cdf(shift + tail), abs=1e-9)
    assert low == pytest.approx(0.168, abs=5e-4)


def test_it_shifts_towards_the_side_of_the_estimate() -> None:
    replicates = np.random.default_rng(0).normal(size=2000)
    centred, above = bias_corrected(0.0, replicates, 0.95), bias_corrected(0.5, replicates, 0.95)
    assert above[0] > centred[0]
    assert above[1] > centred[1]


@settings(max_examples=80, deadline=None)
@given(
    replicates=hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5)),
    point=st.floats(-6, 6),
    confidence=st.floats(0.51, 0.999),
)
def test_intervals_contain_their_point(replicates: np.ndarray, point: float, confidence: float) -> None:
    low, high = bias_corrected(point, replicates, confidence)
    assert low <= point <= high


@settings(max_examples=40, deadline=None)
@given(replicates=hnp.arrays(np.float64, st.integers(2, 60), elements=st.floats(-5, 5)), seed=st.integers(0, 99))
def test_order_does_not_matter_and_confidence_widens(replicates: np.ndarray, seed: int) -> None:
    point = float(np.median(replicates))
    shuffled = np.random.default_rng(seed).permutation(replicates)
    assert bias_corrected(point, replicates, 0.9) == bias_corrected(point, shuffled, 0.9)
    narrow, wide = bias_corrected(point, replicates, 0.8), bias_corrected(point, replicates, 0.95)
    assert wide[0] <= narrow[0]
    assert wide[1] >= narrow[1]


def test_replicates_without_spread_collapse_to_the_point() -> None:
    assert bias_corrected(0.5, np.full(100, 0.5), 0.95) == (0.5, 0.5)


def test_undefined_replicates_are_left_out() -> None:
    replicates = np.linspace(0, 1, 101)
    holes = np.concatenate([replicates, np.full(50, np.nan), [np.inf, -np.inf]])
    assert bias_corrected(0.5, holes, 0.95) == bias_corrected(0.5, replicates, 0.95)


@pytest.mark.parametrize(
    ("point", "replicates"),
    [
        (0.5, np.array([0.5] * 49 + [np.nan] * 51)),
        (0.5, np.full(10, np.nan)),
        (0.5, np.zeros(0)),
        (np.nan, np.linspace(0, 1, 10)),
        (np.inf, np.linspace(0, 1, 10)),
    ],
)
def test_too_few_replicates_or_no_point_give_none(point: float, replicates: np.ndarray) -> None:
    assert bias_corrected(point, replicates, 0.95) is None


# measure


def test_measure_gives_point_and_paired_replicates() -> None:
    values = np.arange(8.0)

    def reduce(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": weights @ values / weights.sum(axis=1)}

    first, second = measure(reduce, [None] * 8, 50), measure(reduce, [None] * 8, 50)
    assert first.point == {"mean": 3.5}
    assert first.units == 8
    assert np.array_equal(first.replicates["mean"], second.replicates["mean"])
    assert len(first.replicates["mean"]) == 50


def test_one_unit_has_no_replicates() -> None:
    only = measure(lambda weights: {"m": weights.sum(axis=1)}, [None], 50)
    assert (only.point, dict(only.replicates), only.units) == ({"m": 1.0}, {}, 1)


def test_notes_about_units() -> None:
    assert unit_notes([None] * 30) == []
    assert "only 29 independent units" in unit_notes([None] * 29)[0]
    assert unit_notes(["a"] * 30) == ["one sequence: intervals hold within that sequence only"]
    assert "only 2 independent units" in unit_notes(["a"] * 50 + ["b"])[0]
    assert unit_notes([None]) == ["one independent unit: no intervals"]
    assert unit_notes(["a"]) == ["one independent unit: no intervals"]


# Coverage


def test_coverage_of_miou_and_of_its_retention() -> None:
    """At 100 images and nominal 95 %, between 90 and 99 % of the intervals hold the truth."""
    task = SegmentationTask(("a", "b", "c", "d"))
    pixels, images, runs = 400, 100, 150
    shares = np.array([0.55, 0.3, 0.12, 0.03])
    accuracy = {"clean": 0.9, "case": 0.75}

    def tables(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """(count, 4, 4) confusion matrices; images differ in content and difficulty, shared by both arms."""
        content = rng.dirichlet(shares * 6, count)
        truth = np.stack([rng.multinomial(pixels, share) for share in content])
        difficulty = rng.beta(8, 2, count) / 0.8
        found = {}
        for arm, level in accuracy.items():
            right = rng.binomial(truth, np.clip(level * difficulty, 0, 1)[:, None])
            table = np.zeros((count, 4, 4), dtype=np.int64)
            for label in range(4):
                others = [other for other in range(4) if other != label]
                wrong = rng.multinomial(truth[:, label] - right[:, label], [1 / 3] * 3)
                table[:, label, label] = right[:, label]
                table[:, label, others] = wrong
            found[arm] = table
        return found

    def miou(table: np.ndarray) -> float:
        hit = table.diagonal()
        return float(np.mean(hit / (table.sum(0) + table.sum(1) - hit)))

    def evidence(table: np.ndarray) -> list[dict[str, np.ndarray]]:
        wide = np.concatenate([table, np.zeros((len(table), 4, 1), np.int64)], axis=2).reshape(len(table), -1)
        return [{"pairs": np.flatnonzero(row).astype(np.int32), "pixels": row[np.flatnonzero(row)]} for row in wide]

    rng = np.random.default_rng(20_071_4314)
    world = {arm: table.sum(axis=0) for arm, table in tables(rng, 100_000).items()}
    truth = {"value": miou(world["case"]), "retention": miou(world["case"]) / miou(world["clean"])}
    truth["loss"] = miou(world["clean"]) - miou(world["case"])
    held = dict.fromkeys(truth, 0)
    for _ in range(runs):
        arms = tables(rng, images)
        measured = {
            arm: measure(partial(task.reduce, evidence(table)), [None] * images, 300) for arm, table in arms.items()
        }
        row = compare(
            measured["case"],
            measured["clean"],
            higher_is_better={
                "miou": True,
                "pixel_accuracy": True,
                "mean_class_accuracy": True,
                "fw_iou": True,
            },
            confidence=0.95,
        )["miou"]
        held["value"] += row.low <= truth["value"] <= row.high
        held["retention"] += row.retention_low <= truth["retention"] <= row.retention_high
        held["loss"] += row.loss_low <= truth["loss"] <= row.loss_high
    coverage = {name: count / runs for name, count in held.items()}
    print("coverage", coverage)
    assert all(0.90 <= share <= 0.99 for share in coverage.values()), coverage
