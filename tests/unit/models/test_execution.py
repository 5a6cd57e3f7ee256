"""Faster ways to run a module: refused where they mean nothing, float32 out, and what they change is noted."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_nets import Tiny, section

from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import ExecutionSection
from pytest_lossy.models.execution import Executed
from pytest_lossy.specs.index import index_specs


@pytest.mark.parametrize("fields", [{"precision": "float16"}, {"memory_format": "nhwc"}, {"compile": "yes please"}])
def test_unknown_ways_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        section(torch="./net.py:build", execution=fields)


def test_execution_belongs_to_modules() -> None:
    with pytest.raises(ValidationError, match="'execution' belongs to torch and torchvision models, not to 'onnx'"):
        section(onnx="net.onnx", execution={"compile": True})
    assert section(onnx="net.onnx", execution={"compile": False}).execution.is_plain


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "plain"),
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"memory_format": "channels_last", "compile": True}, "channels_last, compiled"),
    ],
)
def test_a_way_has_a_name(fields: dict[str, Any], text: str) -> None:
    assert str(ExecutionSection(**fields)) == text


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_outputs_are_float32_and_close(precision: Any, tolerance: float) -> None:
    torch.manual_seed(0)
    module = Tiny().eval()
    images = torch.randn(2, 3, 20, 24)
    with torch.inference_mode():
        expected = module(images)
        found = Executed(module, ExecutionSection(precision=precision, memory_format="channels_last"), "cpu")(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    assert precision == "float32" or not torch.equal(found, expected)


class Nested(torch.nn.Module):
    def forward(self, images: Sequence[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        return [{"scores": one.bfloat16(), "labels": torch.zeros(1, dtype=torch.int64)} for one in images]


def test_nested_outputs_are_converted_and_lists_of_images_pass() -> None:
    run = Executed(Nested(), ExecutionSection(precision="bfloat16", memory_format="channels_last"), "cpu")
    (found,) = run([torch.ones(3, 4, 5)])
    assert (found["scores"].dtype, found["labels"].dtype) == (torch.float32, torch.int64)


def test_a_failed_compilation_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class InductorError(RuntimeError):
        pass

    InductorError.__module__ = "torch._inductor.exc"

    def compiled(module: torch.nn.Module) -> Any:
        def run(inputs: Any) -> Any:
            raise InductorError("no compiler found\nmore")

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(ModelError, match=r"cannot be compiled here \(no compiler found\); remove 'model.execution.com"):
        Executed(Tiny(), ExecutionSection(compile=True), "cpu")(torch.ones(1, 3, 8, 8))


SPEC = """
name: tiny
task: segmentation
model:
  torch: ./small_nets.py:Tiny
  kwargs: {{classes: 3}}
  execution: {{precision: {precision}}}
data: {{name: folder-segmentation, kwargs: {{images: images, labels: labels, classes: [a, b, c]}}}}
codecs: {{jpeg: [50]}}
batch_size: 2
"""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_clean_case_notes_what_changed(tmp_path: Path, precision: str) -> None:
    from PIL import Image

    shutil.copy(Path(__file__).with_name("small_nets.py"), tmp_path)
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), np.uint8)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(random.integers(0, 3, (40, 48), np.uint8)).save(tmp_path / f"labels/{number}.png")
    path = tmp_path / "tiny.yaml"
    path.write_text(textwrap.dedent(SPEC.format(precision=precision)), encoding="utf-8")
    (spec,) = index_specs([path], tmp_path)
    runtime = ModelRuntime.load(spec, RuntimeOptions(device=("cpu",)))
    notes = runtime.evaluate(spec.clean, None).meta["notes"]
    if precision == "float32":
        assert notes == []
        assert "execution" not in runtime.model.describe()
    else:
        assert len(notes) == 1
        assert notes[0].startswith("run with bfloat16: miou 0.")
        assert re.search(
            r"on clean data, 0\.\d+ as the model is; the evidence of [123] of 3 samples differs$", notes[0]
        )
        assert runtime.model.describe()["execution"] == "bfloat16"
    runtime.close()
