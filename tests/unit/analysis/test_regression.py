"""Comparing runs: false alarms over many unchanged cases, power, pairing, and Holm over data sets."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_lossy.analysis.bootstrap import resample_weights
from pytest_lossy.analysis.regression import ALPHA, Pair, compare_pairs
from pytest_lossy.results.replicates import StoredReplicates

REPLICATES = 300


def stored(scores: np.ndarray, samples: str = "a") -> StoredReplicates:
    """The mean of n scores, resampled as every case of n samples is."""
    count = len(scores)
    weights = resample_weights(np.arange(count), count, REPLICATES, 1)
    return StoredReplicates({"m": float(scores.mean())}, {"m": weights @ scores / count}, count, samples)


def retrained(random: np.random.Generator, count: int, cases: int, shift: float = 0.0) -> list[Pair]:
    """Two equally good models: per-sample scores that correlate between them and between the cases."""
    sample = random.normal(0, 1, count)
    pairs = []
    for number in range(cases):
        before, after = (sample + random.normal(0, 0.5, count) for _ in range(2))
        pairs.append(Pair(str(number), stored(before), stored(after - shift), "m", True))
    return pairs


def test_300_unchanged_cases_raise_hardly_any_alarm() -> None:
    """Without a correction 2.5 % of them would: 7.5 a comparison."""
    alarms, alone, runs = 0, 0, 20
    for seed in range(runs):
        changes = compare_pairs(retrained(np.random.default_rng(seed), 100, 300), 0.95)
        alarms += any((change.p_worse_adjusted or 1) <= ALPHA for change in changes)
        alone += sum((change.p_worse or 1) <= 0.025 for change in changes)
    assert alone / runs > 4, "the simulation does tempt"
    assert alarms <= 4, "a run of 20 at 5 % has one alarm; more than 4 happen in one of 400 series"


def test_a_real_loss_is_found_and_its_detectable_size_is_honest() -> None:
    found, detectable = 0, []
    for seed in range(40):
        changes = compare_pairs(retrained(np.random.default_rng(100 + seed), 200, 10, shift=0.18), 0.95)
        found += (changes[0].p_worse_adjusted or 1) <= ALPHA
        detectable.append(changes[0].detectable)
        assert changes[0].difference == pytest.approx(-0.18, abs=0.2)
        assert changes[0].low is not None
        assert changes[0].low <= changes[0].difference <= (changes[0].high or 0)
    assert np.median(detectable) == pytest.approx(0.18, abs=0.03), "chosen so that 80 % are found"
    assert 0.6 <= found / 40 <= 0.95


def test_equal_runs_are_unchanged_for_certain() -> None:
    pairs = [Pair("x", one.before, one.before, "m", True) for one in retrained(np.random.default_rng(0), 50, 3)]
    for change in compare_pairs(pairs, 0.95):
        assert change.difference == 0
        assert (change.p_worse, change.p_worse_adjusted, change.p_better_adjusted) == (1.0, 1.0, 1.0)
        assert change.detectable == 0


def test_errors_are_worse_when_they_grow() -> None:
    [pair] = retrained(np.random.default_rng(3), 100, 1, shift=1.0)
    as_score = compare_pairs([pair], 0.95)[0]
    as_error = compare_pairs([Pair("0", pair.before, pair.after, "m", False)], 0.95)[0]
    assert as_score.difference == -as_error.difference < 0
    assert (as_score.p_worse_adjusted or 1) < ALPHA < (as_error.p_worse_adjusted or 0)
    assert (as_error.p_better_adjusted or 1) < ALPHA


def test_other_samples_are_no_pairs_and_need_a_larger_change() -> None:
    [pair] = retrained(np.random.default_rng(5), 100, 1)
    other = StoredReplicates(pair.after.point, pair.after.replicates, pair.after.units, "other")
    paired, unpaired = (
        compare_pairs([pair], 0.95)[0],
        compare_pairs([Pair("0", pair.before, other, "m", True)], 0.95)[0],
    )
    assert paired.paired
    assert not unpaired.paired
    assert (unpaired.detectable or 0) > 1.5 * (paired.detectable or 0)


def test_data_sets_are_adjusted_by_holm() -> None:
    random = np.random.default_rng(7)
    strong, weak = retrained(random, 100, 1, shift=0.6)[0], retrained(random, 100, 1, shift=0.13)[0]
    weak = Pair(
        "1", *(StoredReplicates(s.point, s.replicates, s.units, "b") for s in (weak.before, weak.after)), "m", True
    )
    together = compare_pairs([strong, weak], 0.95)
    alone = [compare_pairs([pair], 0.95)[0] for pair in (strong, weak)]
    assert together[0].p_worse_adjusted == pytest.approx(2 * (alone[0].p_worse_adjusted or 0))
    assert together[1].p_worse_adjusted == max(alone[1].p_worse_adjusted or 0, together[0].p_worse_adjusted or 0)


def test_what_has_no_replicates_is_not_tested() -> None:
    lone = StoredReplicates({"m": 0.5}, {}, 1, "a")
    [change] = compare_pairs([Pair("x", lone, StoredReplicates({"m": 0.4}, {}, 1, "a"), "m", True)], 0.95)
    assert change.difference == pytest.approx(-0.1)
    assert change.p_worse is None
    assert compare_pairs([], 0.95) == []
