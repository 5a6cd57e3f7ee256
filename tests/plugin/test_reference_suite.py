"""The project's own specs, gates and weights, on a few rendered scenes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pytest_lossy.specs.index import find_specs, index_specs
from tests.plugin.conftest import results

ROOT = Path(__file__).parents[2]

CLEAN = {
    "convnet-mini": ("top1", 0.5),
    "depth-gan-mini": ("delta1", 0.4),
    "faster-rcnn-mini": ("ap50", 0.25),
    "paf-mini": ("ap50", 0.4),
    "segnet-mini": ("miou", 0.4),
    "two-stream-mini": ("top1", 0.5),
}
"""Model -> a metric that is better when higher, and what a few clean samples must reach: far above chance."""

RETRAINED = tuple(
    f"{parent}.{kind}" for parent in ("faster-rcnn-mini", "segnet-mini") for kind in ("control", "jpeg-mix")
)
"""Fine-tuned from the models above."""

SAMPLES = 24


def test_the_specs_are_valid_and_refer_to_the_schema() -> None:
    paths = find_specs(ROOT / "model_specs")
    assert {spec.name for spec in index_specs(paths, ROOT)} == {*CLEAN, *RETRAINED}
    for path in (*paths, ROOT / "thresholds.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / first.partition("$schema=")[2]
        assert json.loads(schema.read_text(encoding="utf-8"))["$schema"]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The project's suite, with a cache of its own."""
    shutil.copytree(ROOT / "model_specs", pytester.path / "model_specs")
    shutil.copy(ROOT / "thresholds.yaml", pytester.path)
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    pytester.makeini("[pytest]\nlossy_replicates = 200\n")
    return pytester


@pytest.mark.parametrize("model", CLEAN)
def test_a_smoke_run_of_each_model(suite: pytest.Pytester, model: str) -> None:
    metric, floor = CLEAN[model]
    # In a process of its own: the suite's modules import torch's compiled parts again.
    result = suite.runpytest_subprocess(
        "--lossy-codec=jpeg", f"--lossy-model={model}", f"--lossy-samples={SAMPLES}", "--lossy-level=jpeg:95,3"
    )
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    rows = {row["level"]: row for row in results(suite)["cases"]}
    assert set(rows) == {None, 95, 3}
    assert not [row["error"] for row in rows.values() if row["error"]]
    clean, severe = (rows[level]["metrics"][metric]["value"] for level in (None, 3))
    assert clean > floor
    assert severe < clean


def test_retrained_models_have_controls_of_their_length() -> None:
    specs = {spec.name: spec.spec for spec in index_specs(find_specs(ROOT / "model_specs"), ROOT)}
    for name in RETRAINED:
        record, weights = specs[name].retrained, specs[name].model.weights
        assert record is not None
        assert weights is not None
        assert hashlib.sha256((ROOT / "model_specs" / weights).read_bytes()).hexdigest() == specs[name].model.sha256
        assert specs[name].data == specs[record.parent].data
        if record.control is not None:
            control = specs[record.control].retrained
            assert control is not None
            assert (control.parent, control.iterations) == (record.parent, record.iterations)
            assert control.seed == record.seed


def test_retraining_recovers_where_the_codec_takes_most(suite: pytest.Pytester) -> None:
    """One model alone: its gates measure its control and its parent."""
    suite.runpytest_subprocess(
        "--lossy-codec=jpeg", "--lossy-model=segnet-mini.jpeg-mix", f"--lossy-samples={SAMPLES}", "--lossy-level=jpeg:5"
    )
    document = results(suite)
    assert not [row["error"] for row in document["cases"] if row["error"]]
    (recovery,) = [entry for entry in document["recovery"] if entry["metric"] == "miou"]
    assert recovery["gain"]["low"] > 0
    assert recovery["recovery"]["low"] > 0


def test_the_size_of_segnet(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess("--lossy-codec=jpeg", "--lossy-model=segnet-mini", "--lossy-samples=6", "-k", "clean")
    assert results(suite)["models"][0]["details"]["parameters"] == 422_827
