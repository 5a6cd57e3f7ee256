"""Resilience and rate differences of whole runs: who is ranked, grouped, compared, and who is left out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_lossy.analysis.rate_differences import add_rate_differences
from pytest_lossy.analysis.resilience import add_resilience
from pytest_lossy.results.document import Resilience, ResultsDocument, Retrained
from tests.unit.analysis.measured_runs import BITS, GRID, SHARES, MadeRun

FLAT = dict.fromkeys(GRID, 0.9)


def analysed(run: MadeRun) -> ResultsDocument:
    return add_rate_differences(add_resilience(run.document, run.replicates), run.replicates)


def found(run: MadeRun) -> Resilience:
    resilience = analysed(run).resilience
    assert resilience is not None
    return resilience


def test_a_curve_has_its_area_with_a_paired_interval() -> None:
    run = MadeRun()
    run.add("a")
    document = analysed(run)
    area = document.curves[0].area
    assert area is not None
    assert area.over_level is not None
    assert area.over_log_bpp is not None
    # trapezia over q 95, 50, 20, 5 of shares 1, .95, .8, .5
    assert area.over_level.value == pytest.approx((45 * 0.975 + 30 * 0.875 + 15 * 0.65) / 90, abs=0.02)
    assert area.over_log_bpp.value is not None
    assert area.over_log_bpp.value < area.over_level.value - 0.03
    assert area.over_level.low is not None
    assert area.over_level.high is not None
    assert area.over_level.high - area.over_level.low < 0.03  # the samples' skill is common to all levels


def test_errors_count_by_how_they_grow() -> None:
    run = MadeRun(count=400)
    run.add("score", noise=0.02)
    run.add("error", noise=0.02, higher=False)
    areas = [curve.area.over_level.value for curve in analysed(run).curves if curve.area and curve.area.over_level]
    assert areas[0] == pytest.approx(areas[1], abs=0.02)


def test_left_out_are_label_free_models_single_levels_and_what_was_not_measured() -> None:
    run = MadeRun()
    run.add("kept")
    run.add("free", reference="clean")
    run.add("short", {50.0: 0.9})
    run.add("zero", clean=0.0)
    run.add("lost")
    lost = [row.id for row in run.rows if row.model == "lost" and row.level == 20]
    run.stored = {key: value for key, value in run.stored.items() if "::lost::" not in key or key in lost}
    document = analysed(run)
    assert [curve.area is not None for curve in document.curves] == [True, False, False, False, False]
    assert document.resilience is not None
    assert [row.model for row in document.resilience.ranking] == ["kept"]


def test_a_run_without_curves_stays_as_it_is() -> None:
    assert analysed(MadeRun()) == MadeRun().document


def test_the_ranking_is_by_the_bound_among_equal_levels() -> None:
    run = MadeRun()
    run.add("steady", FLAT, noise=0.01)
    run.add("noisy", dict.fromkeys(GRID, 0.92), noise=0.3, seed=5)
    run.add("fewer", {level: SHARES[level] for level in GRID[:3]})
    rows = found(run).ranking
    assert [(row.rank, row.model) for row in rows if len(row.levels) == 4] == [(1, "steady"), (2, "noisy")]
    assert [(row.rank, row.model) for row in rows if len(row.levels) == 3] == [(1, "fewer")]
    bounds = [row.area.over_level.low for row in rows[:2] if row.area.over_level]
    assert bounds == sorted(bounds, reverse=True)


def test_the_order_of_levels_and_probes_change_nothing() -> None:
    run = MadeRun()
    run.add("a")
    before = found(run)
    random.Random(3).shuffle(run.rows)
    run.add("a", {70.0: 0.2})  # a level that only the search for a knee measured
    run.rows[-1] = run.rows[-1].model_copy(update={"role": "probe"})
    assert found(run) == before


def test_one_label_with_other_options_is_another_codec() -> None:
    run = MadeRun()
    run.add("a", fingerprint="4:2:0")
    run.add("b", fingerprint="4:4:4")
    document = analysed(run)
    assert document.resilience is not None
    assert [row.rank for row in document.resilience.ranking] == [1, 1]
    assert [row.kind for row in document.rate_differences] == []


def test_families_are_means_of_their_models_without_retrained_ones() -> None:
    run = MadeRun()
    run.add("a", architecture="GAN", task="depth")
    run.add("b", FLAT, architecture=" gan", seed=1)
    run.add("c", FLAT, architecture="R-CNN", seed=2)
    run.add("d", FLAT, architecture=None, seed=3)
    run.add("e", FLAT, architecture="GAN", retrained=Retrained(parent="a", iterations=1, seed=1, seconds=1))
    resilience = found(run)
    families = {row.architecture: row for row in resilience.families}
    assert list(families) == ["R-CNN", "GAN"] or list(families) == ["GAN", "R-CNN"]
    assert families["GAN"].models == ["a", "b"]
    assert families["GAN"].tasks == ["depth", "segmentation"]
    areas = {row.model: row.area.over_level.value for row in resilience.ranking if row.area.over_level}
    mean = families["GAN"].area.over_level
    assert mean is not None
    assert mean.value == pytest.approx((areas["a"] + areas["b"]) / 2)
    assert mean.low is not None
    assert mean.low < mean.value
    assert len(resilience.ranking) == 5


def arms(run: MadeRun, name: str = "width", seeds: int = 3, **fields: Any) -> None:
    for arm, shares in (("narrow", SHARES), ("wide", FLAT)):
        for seed in range(seeds):
            number = len(run.models)
            run.add(f"{arm}.{name}.{seed}", shares, seed=number, experiment=(name, arm, seed), **fields)


def test_an_experiment_compares_arms_against_the_one_named_first() -> None:
    run = MadeRun()
    arms(run)
    (difference,) = found(run).experiments
    assert (difference.arm, difference.against, difference.seeds) == ("wide", "narrow", 3)
    assert difference.over_level is not None
    assert difference.over_level.low is not None
    assert difference.sampling_only is not None
    values = {member.model: member.over_level for member in difference.members}
    by_arm = [
        sum(value for name, value in values.items() if name.startswith(arm) and value) / 3 for arm in ("wide", "narrow")
    ]
    assert difference.over_level.value == pytest.approx(by_arm[0] - by_arm[1])
    assert difference.clean.value is not None
    assert abs(difference.clean.value) < 0.05
    assert difference.note == ""


def test_an_experiment_without_seeds_has_no_interval_over_them() -> None:
    run = MadeRun()
    arms(run, seeds=1)
    (difference,) = found(run).experiments
    assert difference.over_level is not None
    assert difference.over_level.low is None
    assert difference.sampling_only is not None
    assert "one model only" in difference.note


def test_only_what_shares_levels_samples_and_data_is_compared_and_the_rest_is_named() -> None:
    run = MadeRun()
    arms(run)
    run.add("odd-levels", dict.fromkeys(GRID[:3], 0.9), experiment=("width", "wide", 7))
    run.add("odd-samples", samples="t", experiment=("width", "wide", 8))
    run.add("twice", experiment=("width", "narrow", 0))
    (difference,) = found(run).experiments
    assert len(difference.members) == 6
    assert difference.note == (
        "left out, for other levels, samples or metric: odd-levels, odd-samples; "
        "left out, for a seed that its arm has already: twice"
    )


def test_tasks_codecs_and_experiments_stay_apart_and_a_single_arm_compares_with_nothing() -> None:
    run = MadeRun()
    arms(run, "width")
    arms(run, "depth", task="depth", data="f2")
    run.add("alone", experiment=("lonely", "only", 1))
    assert [(row.experiment, row.task) for row in found(run).experiments] == [
        ("width", "segmentation"),
        ("depth", "depth"),
    ]


def test_codecs_of_a_model_against_its_first() -> None:
    run = MadeRun()
    run.add("a")
    run.add("a", codec="webp", bits={level: 0.5 * bits for level, bits in BITS.items()})
    (row,) = analysed(run).rate_differences
    assert (row.kind, row.codec, row.against_codec, row.against_model) == ("codecs", "webp", "jpeg", "a")
    assert row.bd_rate is not None
    assert row.bd_rate.value == pytest.approx(-0.5, abs=0.1)
    assert row.bd_rate.low is not None
    assert row.bd_rate.high is not None
    assert row.bd_rate.low < row.bd_rate.value < row.bd_rate.high
    assert row.bd_metric is not None
    assert row.bd_metric.value is not None
    assert row.bd_metric.value > 0


def test_models_compare_only_on_the_same_task_data_and_labels() -> None:
    run = MadeRun()
    run.add("first")
    run.add("second", seed=1)
    run.add("retrained", retrained=Retrained(parent="second", iterations=1, seed=1, seconds=1))
    run.add("other-task", task="depth")
    run.add("other-data", data="f2")
    run.add("unknown-data", data=None)
    run.add("other-samples", samples="t")
    run.add("free", reference="clean")
    rows = analysed(run).rate_differences
    assert [(row.model, row.against_model) for row in rows] == [("second", "first"), ("retrained", "second")]


def test_their_number_grows_with_the_curves() -> None:
    run = MadeRun(count=4)
    for number in range(12):
        run.add(f"m{number}", seed=number)
        run.add(f"m{number}", codec="webp", seed=number)
    assert len(analysed(run).rate_differences) == 12 + 2 * 11


def test_what_cannot_be_computed_is_said() -> None:
    run = MadeRun()
    run.add("a")
    run.add("a", {95.0: 1.0, 50.0: 0.9}, codec="webp", bits={95.0: 100.0, 50.0: 60.0})
    run.add("b", bits={})
    run.add("b", codec="webp")
    far, bare, *_ = [row for row in analysed(run).rate_differences if row.kind == "codecs"]
    assert far.bd_metric is None
    assert far.bd_rate is not None
    assert far.note == (
        "the curves have no bits per pixel in common; the curves have little in common; fewer than 4 rates"
    )
    assert (bare.bd_metric, bare.bd_rate) == (None, None)
    assert bare.note == "b, jpeg: fewer than two rates with a defined metric"


def test_a_retrained_model_is_held_against_its_parent_and_others_against_the_first_that_is_not() -> None:
    run = MadeRun()
    run.add("a.control", retrained=Retrained(parent="a", iterations=1, seed=1, seconds=1))
    run.add("a", seed=1)
    run.add("b", seed=2)
    pairs = [(row.model, row.against_model) for row in analysed(run).rate_differences if row.kind == "models"]
    assert pairs == [("a.control", "a"), ("b", "a")]
