"""Recovery over a run: which models are compared, on which samples, and what seeds add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pytest_lossy.analysis.recoveries import OTHER_SAMPLES, find_recoveries, summarise_recoveries
from pytest_lossy.results.document import (
    CaseRow,
    DataInfo,
    Environment,
    MetricInfo,
    ModelInfo,
    ResultsDocument,
    Retrained,
    RunInfo,
)
from pytest_lossy.results.replicates import StoredReplicates

SCORES = {
    "net": (0.80, 0.40),
    "net.control": (0.82, 0.42),
    "net.jpeg-mix": (0.79, 0.62),
    "net.control.s2": (0.81, 0.41),
    "net.jpeg-mix.s2": (0.80, 0.51),
}
"""Model -> mean score, clean and at q5."""


def stored(mean: float, seed: int, samples: str = "all") -> StoredReplicates:
    noise = np.random.default_rng(seed).normal(scale=0.01, size=200)
    drawn = {"m": mean + noise, "e": 1 - mean - noise}
    return StoredReplicates({"m": mean, "e": 1 - mean, "m{night}": mean}, drawn, 100, samples)


def measured() -> dict[tuple[str, str], StoredReplicates]:
    return {
        (model, name): stored(score, index)
        for model, scores in SCORES.items()
        for index, (name, score) in enumerate(zip(("clean", "jpeg-q5"), scores, strict=True))
    }


def info(name: str, retrained: Retrained | None, reference: Any = "labels") -> ModelInfo:
    metrics = [
        MetricInfo(name="m", title="m", higher_is_better=True),
        MetricInfo(name="e", title="e", higher_is_better=False),
    ]
    return ModelInfo(
        name=name,
        spec=f"{name}.yaml",
        task="t",
        primary="m",
        metrics=metrics,
        reference=reference,
        data=DataInfo(name="d"),
        retrained=retrained,
    )


def trained(control: str | None, seed: int = 1, iterations: int = 10) -> Retrained:
    return Retrained(
        parent="net",
        control=control,
        codec="jpeg" if control else None,
        levels=[5] if control else [],
        iterations=iterations,
        seed=seed,
        seconds=1,
    )


def document(reference: Any = "labels", second: Retrained | None = None) -> ResultsDocument:
    models = [
        info("net", None),
        info("net.control", trained(None)),
        info("net.jpeg-mix", trained("net.control"), reference),
        info("net.control.s2", trained(None, 2)),
        info("net.jpeg-mix.s2", second or trained("net.control.s2", 2)),
    ]
    rows = [
        CaseRow(
            id=f"{model.spec}::{model.name}::{name}",
            model=model.name,
            task="t",
            codec=name.partition("-")[0],
            codec_name=None if level is None else "jpeg",
            parameter=None if level is None else "q",
            level=level,
            verdict="ungated",
            outcome="passed",
            primary="m",
        )
        for model in models
        for name, level in (("clean", None), ("jpeg-q5", 5), ("jpeg-q50", 50))
    ]
    run = RunInfo(
        started="2026-01-01T00:00:00+00:00",
        seconds=1,
        status="complete",
        command="pytest",
        exit_status=0,
        workers=0,
        replicates=200,
        confidence=0.95,
        seed=1,
        counts={},
        plugin_version="0",
    )
    environment = Environment(python="3", platform="p", machine="m", cpu="c", instruction_set="i", packages={})
    return ResultsDocument(run=run, environment=environment, models=models, codecs=[], cases=rows, curves=[])


def find(made: ResultsDocument, table: Mapping[tuple[str, str], StoredReplicates]) -> list[Any]:
    return find_recoveries(made, lambda model, case: table.get((model, case)))


def test_levels_that_all_three_models_measured_are_compared() -> None:
    found = find(document(), measured())
    assert [(entry.model, entry.level, entry.metric) for entry in found] == [
        (model, 5, metric) for model in ("net.jpeg-mix", "net.jpeg-mix.s2") for metric in ("m", "e")
    ]
    score, error = found[:2]
    assert score.recovery.value == pytest.approx((0.62 - 0.42) / (0.82 - 0.42))
    assert score.naive.value == pytest.approx((0.62 - 0.40) / (0.80 - 0.40))
    assert score.clean_cost.value == pytest.approx(0.82 - 0.79)
    assert (score.trained_on, score.note) == (True, "")
    for name in ("recovery", "gain", "naive", "clean_cost"):  # the error is 1 - the score: worse is positive for both
        assert getattr(error, name).value == pytest.approx(getattr(score, name).value)


def test_a_model_that_did_not_run_leaves_no_entry() -> None:
    for missing in ("net", "net.control"):
        table = measured()
        del table[missing, "jpeg-q5"]
        assert not [entry for entry in find(document(), table) if entry.model == "net.jpeg-mix"]


def test_other_samples_are_said_and_never_compared() -> None:
    table = measured()
    table["net", "clean"] = stored(0.8, 0, samples="others")
    entries = find(document(), table)
    assert {entry.note for entry in entries} == {OTHER_SAMPLES}
    assert all(entry.recovery.value is None and entry.gain.value is None for entry in entries)


def test_label_free_models_agree_with_themselves() -> None:
    assert {entry.model for entry in find(document("clean"), measured())} == {"net.jpeg-mix.s2"}


def test_seeds_are_averaged_with_their_extremes() -> None:
    made = document()
    (score, error) = summarise_recoveries(find(made, measured()), made.models)
    values = [(0.62 - 0.42) / 0.40, (0.51 - 0.41) / 0.40]
    assert score.recovery.model_dump() == pytest.approx(
        {"value": sum(values) / 2, "low": min(values), "high": max(values)}
    )
    assert (score.seeds, score.models, score.note) == (2, ["net.jpeg-mix", "net.jpeg-mix.s2"], "")
    assert error.metric == "e"


def test_a_seed_with_nothing_to_recover_leaves_no_mean() -> None:
    table = measured()
    table["net.control.s2", "jpeg-q5"] = stored(0.81, 7)
    made = document()
    score = summarise_recoveries(find(made, table), made.models)[0]
    assert score.recovery.value is None
    assert score.gain.value is not None
    assert score.note == "no recovery for 1 of 2 models"


@pytest.mark.parametrize("second", [trained("net.control.s2", 1), trained("net.control.s2", 2, iterations=99)])
def test_equal_seeds_and_other_lengths_are_no_repetition(second: Retrained) -> None:
    made = document(second=second)
    assert summarise_recoveries(find(made, measured()), made.models) == []
