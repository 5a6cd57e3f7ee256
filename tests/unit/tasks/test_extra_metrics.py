"""Metric objects beside a task's own: their numbers are those of torchmetrics on all samples, also under weights."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_lossy.analysis.comparison import compare, measure
from pytest_lossy.errors import MetricError
from pytest_lossy.results.evidence import CaseEvidence, SampleCost, load_evidence, save_evidence
from pytest_lossy.tasks.agreement import CleanPrediction
from pytest_lossy.tasks.base import Evidence, Task
from pytest_lossy.tasks.extra.declaration import MetricSection
from pytest_lossy.tasks.extra.kinds import MeanOfSamples, Recomputed, SumOfStates
from pytest_lossy.tasks.extra.task import build_extra_metrics
from pytest_lossy.tasks.frames import Window
from pytest_lossy.tasks.registry import build_task, task_metrics

CLASSES = ("red", "green", "blue")
torchmetrics = pytest.importorskip("torchmetrics")

OWN = """
class Worst:
    def reset(self):
        self.worst = 0.0

    def update(self, scores, label):
        self.worst = max(self.worst, float(scores.max()))

    def compute(self):
        return {"worst": self.worst, "all": [1.0, 2.0]}


class NoReset:
    update = compute = print


class Raises(Worst):
    def update(self, scores, label):
        raise ZeroDivisionError("in a metric")


class Endless(Worst):
    def compute(self):
        return float("inf") if self.worst > 0.6 else self.worst


class Slow(Worst):
    busy = 0

    def update(self, scores, label):
        import time
        type(self).busy += 1
        assert type(self).busy == 1, "two threads at once"
        time.sleep(0.001)
        type(self).busy -= 1
        super().update(scores, label)


def names(scores, label):
    return (["a"], label)


def uneven(scores, label):
    return (scores, [label] * int(1 + label))


def one(scores, label):
    return scores
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return tmp_path


def built(folder: Path, task: str = "classification", classes: tuple[str, ...] = CLASSES, **sections: Any) -> Task:
    declared = {name: MetricSection(**{"higher_is_better": True, **section}) for name, section in sections.items()}
    return build_task(task, classes, extra=build_extra_metrics(declared, folder))


def scored(count: int = 40) -> list[tuple[Any, int]]:
    random = np.random.default_rng(2)
    labels = random.integers(0, 3, count)
    scores = random.dirichlet(np.ones(3), count).astype(np.float32)
    scores[np.arange(count), labels] += 0.3
    scores /= scores.sum(axis=1, keepdims=True)
    return [(row, int(label)) for row, label in zip(scores, labels, strict=True)]


def evidence_of(task: Task, samples: list[tuple[Any, Any]]) -> list[Evidence]:
    return [task.evidence(prediction, target) for prediction, target in samples]


def ones(evidence: list[Evidence]) -> Any:
    return np.ones((1, len(evidence)))


F1 = {
    "metric": "torchmetrics.classification:MulticlassF1Score",
    "kwargs": {"num_classes": 3, "average": "macro"},
    "over": "data",
}


def test_states_that_are_sums_give_the_metric_of_all_samples_under_every_weighting(folder: Path) -> None:
    task, samples = built(folder, f1=F1), scored()
    evidence = evidence_of(task, samples)
    weights = np.random.default_rng(1).multinomial(len(samples), np.ones(len(samples)) / len(samples), 20).astype(float)
    found = task.reduce(evidence, np.vstack([np.ones(len(samples)), weights]))["f1"]
    scores, labels = (torch.from_numpy(np.array(part)) for part in zip(*samples, strict=True))
    for value, row in zip(found, [np.ones(len(samples)), *weights], strict=True):
        again = torchmetrics.classification.MulticlassF1Score(num_classes=3, average="macro")
        again.update(
            scores.repeat_interleave(torch.from_numpy(row).long(), 0),
            labels.repeat_interleave(torch.from_numpy(row).long()),
        )
        assert value == pytest.approx(float(again.compute()), abs=1e-6)
    assert np.isnan(task.reduce(evidence, np.zeros((1, len(samples))))["f1"])
    # The same bits, however many weightings are reduced in one call.
    assert found[5] == task.reduce(evidence, weights[4:5])["f1"][0]


def test_sums_of_fractions_too(folder: Path) -> None:
    random = np.random.default_rng(0)
    samples = [(random.random((6, 7), np.float32) + 1, random.random((6, 7), np.float32)) for _ in range(9)]
    section = {"metric": "torchmetrics:MeanSquaredError", "over": "data", "higher_is_better": False}
    task = built(folder, "depth", (), mse=section)
    evidence = evidence_of(task, samples)
    weights = random.multinomial(9, np.ones(9) / 9, 6).astype(float)
    found = task.reduce(evidence, weights)["mse"]
    squared = [np.square(np.float64(a) - b).sum() for a, b in samples]
    assert found == pytest.approx(weights @ squared / (9 * 42), rel=1e-6)
    assert [task.reduce(evidence, row[None])["mse"][0] for row in weights] == list(found)


def test_logits_are_told_from_probabilities_sample_by_sample(folder: Path) -> None:
    """A batch of one whose logits happen to lie in 0..1 is no probability."""
    section = {"metric": "torchmetrics.classification:MulticlassAUROC", "kwargs": {"num_classes": 3}, "over": "data"}
    random = np.random.default_rng(5)
    samples = [(random.random(3) * (1 if index % 2 else 4), int(random.integers(0, 3))) for index in range(30)]
    task = built(folder, auroc=section)
    found = task.reduce(evidence := evidence_of(task, samples), ones(evidence))["auroc"][0]
    logits, labels = (torch.from_numpy(np.array(part)) for part in zip(*samples, strict=True))
    assert found == float(torchmetrics.functional.classification.multiclass_auroc(logits, labels, 3))


def test_a_metric_per_sample_is_averaged_and_has_intervals(folder: Path) -> None:
    section = {"metric": "./own.py:Endless", "over": "samples"}
    task, samples = (
        built(folder, worst={**section, "metric": "./own.py:Worst", "select": "worst"}, endless=section),
        scored(),
    )
    evidence = evidence_of(task, samples)
    highest = np.array([scores.max() for scores, _ in samples], dtype=np.float64)
    assert task.reduce(evidence, ones(evidence))["worst"][0] == pytest.approx(highest.mean())
    low = highest[highest <= 0.6]
    assert 0 < len(low) < len(samples)
    assert task.reduce(evidence, ones(evidence))["endless"][0] == pytest.approx(low.mean())
    undefined = len(samples) - len(low)
    assert task.notes(evidence) == [f"endless: {undefined} of 40 samples have no finite value and do not count"]
    measured = measure(lambda weights: task.reduce(evidence, weights), [None] * len(samples), 300)
    directions = {metric.name: metric.higher_is_better for metric in task.metrics}
    value = compare(measured, measured, higher_is_better=directions, confidence=0.95)["worst"]
    assert value.low < value.value < value.high
    assert (value.retention, value.loss) == (1, 0)


def test_what_is_no_sum_has_a_value_and_no_interval(folder: Path, tmp_path: Path) -> None:
    section = {"metric": "torchmetrics.classification:MulticlassAUROC", "kwargs": {"num_classes": 3}, "over": "data"}
    task, samples = (
        built(folder, auroc=section, worst={"metric": "./own.py:Worst", "select": "worst", "over": "data"}),
        scored(),
    )
    evidence = tuple(evidence_of(task, samples))
    costs = (SampleCost(0, 0, 1, 0, ""),) * len(samples)
    save_evidence(tmp_path / "case.npz", CaseEvidence(tuple(map(str, range(40))), (None,) * 40, evidence, costs))
    evidence = list(load_evidence(tmp_path / "case.npz").evidence)
    fresh = built(folder, auroc=section, worst={"metric": "./own.py:Worst", "select": "worst", "over": "data"})
    found = fresh.reduce(evidence, ones(evidence))
    scores, labels = (torch.from_numpy(np.array(part)) for part in zip(*samples, strict=True))
    assert found["auroc"][0] == float(torchmetrics.functional.classification.multiclass_auroc(scores, labels, 3))
    assert found["worst"][0] == pytest.approx(float(scores.max()))
    assert np.isnan(fresh.reduce(evidence, np.ones((2, 40)))["auroc"]).all()
    measured = measure(lambda weights: fresh.reduce(evidence, weights), [None] * 40, 50)
    value = compare(measured, measured, higher_is_better=dict.fromkeys(found, True), confidence=0.95)["auroc"]
    assert (value.value, value.low, value.high) == (found["auroc"][0], None, None)
    assert fresh.notes(evidence)[0] == "auroc: computed once for all samples, without an interval"


def test_average_precision_of_torchmetrics_is_that_of_the_task(folder: Path) -> None:
    pytest.importorskip("pycocotools")
    section = {"metric": "torchmetrics.detection:MeanAveragePrecision", "over": "data", "select": "map"}
    random, samples = np.random.default_rng(4), []
    for _ in range(6):
        corner = random.integers(0, 40, (5, 2))
        boxes = np.hstack([corner, corner + random.integers(8, 60, (5, 2))]).astype(float)
        target = {"boxes": boxes, "labels": random.integers(0, 3, 5)}
        found = {
            "boxes": boxes + random.normal(0, 2, boxes.shape),
            "labels": target["labels"],
            "scores": random.random(5),
        }
        samples.append((found, target))
    samples.append(({"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}, samples[0][1]))
    task = built(folder, "detection", map=section)
    evidence = evidence_of(task, samples)
    found = task.reduce(evidence, ones(evidence))
    batch = [
        [
            {
                name: torch.from_numpy(np.asarray(v)).float() if name != "labels" else torch.from_numpy(v)
                for name, v in one.items()
            }
            for one in part
        ]
        for part in zip(*samples, strict=True)
    ]
    oracle = torchmetrics.detection.MeanAveragePrecision()
    oracle.update(*batch)
    assert found["map"][0] == float(oracle.compute()["map"])
    assert found["map"][0] == pytest.approx(found["ap"][0], abs=2e-3)  # its recall thresholds are rounded to float32
    assert 0.2 < found["map"][0] < 0.95


def test_kinds_are_chosen_by_what_the_object_is(folder: Path) -> None:
    def kind(metric: str, over: str = "data", **kwargs: Any) -> type:
        section = MetricSection(metric=metric, over=over, kwargs=kwargs, higher_is_better=True)
        [one] = build_extra_metrics({"m": section}, folder)
        return type(one._kind)

    assert kind(F1["metric"], num_classes=3) is SumOfStates
    assert kind(F1["metric"], "samples", num_classes=3) is MeanOfSamples
    assert kind("torchmetrics.classification:MulticlassAUROC", num_classes=3) is Recomputed
    assert kind("torchmetrics:MaxMetric") is Recomputed
    assert kind("./own.py:Worst") is Recomputed


def test_label_free_mode_and_clips_carry_extra_metrics_along(folder: Path) -> None:
    accuracy = {
        "metric": "torchmetrics.classification:MulticlassAccuracy",
        "kwargs": {"num_classes": 3, "average": "micro"},
        "over": "data",
    }
    extra = build_extra_metrics({"acc": MetricSection(**accuracy, higher_is_better=True)}, folder)
    task = build_task("classification", CLASSES, extra=extra, clips=True, label_free=True)
    assert task.metrics[-1].title == "acc (agreement)"
    clean, wrong = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.8, 0.1])
    evidence = [task.evidence(Window(scores), CleanPrediction(clean)) for scores in (clean, wrong, clean, clean)]
    assert task.reduce(evidence, ones(evidence))["acc"][0] == 0.75
    assert task.as_target(clean) == 0
    declared = {"acc": MetricSection(**accuracy, higher_is_better=True)}
    assert "acc" in {metric.name for metric in task_metrics("classification", extra=declared, label_free=True)}


def test_threads_take_turns(folder: Path) -> None:
    task, samples = built(folder, slow={"metric": "./own.py:Slow", "select": "worst"}), scored(30)
    found: dict[int, Evidence] = {}

    def run(index: int) -> None:
        found[index] = task.evidence(*samples[index])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [float(found[index]["metric/slow/value"][0]) for index in range(30)]
    assert values == [float(scores.max()) for scores, _ in samples]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"metric": "./own.py:NoReset"}, "made a NoReset without reset"),
        ({"metric": "./own.py:Wrost"}, "did you mean 'Worst'"),
        ({"metric": "no_such_package:Metric"}, "cannot import 'no_such_package'"),
        ({"metric": "./own.py:Worst", "kwargs": {"k": 1}}, "raised TypeError"),
        ({"metric": "torchmetrics:MeanSquaredError"}, "says higher_is_better = False, the spec True; correct the spec"),
        ({"metric": "./own.py:Worst"}, "compute returned {worst, all}, not one number"),
        ({"metric": "./own.py:Worst", "select": "best"}, "select 'best' is not in {worst, all}"),
        ({"metric": "./own.py:Worst", "select": "all"}, "compute returned list, not one number"),
        ({"metric": "./own.py:Raises"}, "metric 'm' raised ZeroDivisionError: in a metric"),
        ({"metric": "./own.py:Worst", "select": "worst", "arguments": "./own.py:names", "over": "data"}, "is a str"),
        ({"metric": "./own.py:Worst", "select": "worst", "arguments": "./own.py:uneven", "over": "data"}, "differently"),
        ({"metric": "./own.py:Worst", "select": "worst", "arguments": "./own.py:one"}, "returned ndarray; return a tuple"),
        ({**F1, "metric": "torchmetrics.classification:MulticlassConfusionMatrix", "kwargs": {"num_classes": 800,
          "validate_args": False}}, "keeps 640000 numbers in its state 'confmat'"),
    ],
)  # fmt: skip
def test_errors_say_which_metric_and_what_to_do(folder: Path, section: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricError) as caught:
        evidence_of(built(folder, m=section), [(np.array([0.2, 0.5, 0.3]), label) for label in (1, 2)])
    assert message in str(caught.value)
