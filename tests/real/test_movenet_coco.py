"""MoveNet on the people of real photographs: the codec before the crop, boxes from the context."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.real.conftest import assert_falls_within_intervals, primary, run_cli

pytestmark = pytest.mark.real

SPEC = """
task: pose
architecture: end-to-end
model:
  callable: ./movenet.py:build
  kwargs: {{path: {model}}}
data:
  name: coco-pose
  kwargs: {{images: {data}/coco-mini/images, annotations: {annotations}}}
codecs:
  jpeg: [95, 75, 50, 30, 15, 10, 5]
"""


def test_the_curve_on_people(project: Path, real_data: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'litert'")
    model = real_data.parent / "models" / "movenet_single_pose_lightning_ptq.tflite"
    annotations = sorted((real_data / "coco-mini" / "annotations").glob("*keypoints*.json"))
    if not model.exists() or not annotations:
        pytest.skip(f"no model at {model}, or no keypoint annotations beside it")
    shutil.copy(Path(__file__).with_name("movenet.py"), project / "model_specs")
    (project / "model_specs" / "movenet.yaml").write_text(
        SPEC.format(model=model, data=real_data, annotations=annotations[0]), encoding="utf-8"
    )
    (project / "thresholds.yaml").write_text(
        'version: 1\nmodels:\n  movenet:\n    clean: {ar50: {min: 0.3}}\n    jpeg:\n      "*": {ar50: {max_drop: 90%}}\n',
        encoding="utf-8",
    )
    process, document = run_cli(project, "--lossy-codec=jpeg")
    assert process.returncode == 0, process.stdout
    assert {row["samples"] for row in document["cases"]} == {80}
    # Every person has one prediction, so recall at OKS .5 is the share of people with OKS above .5.
    share = primary(document, "ar50")
    # 86 of the 172 have keypoints; about half of these pass, and the intervals are wide (.37 to .63 on clean pictures).
    assert 0.40 < share[None]["value"] < 0.75
    assert abs(share[95]["loss"]) < 0.05
    assert_falls_within_intervals(share)
    assert share[5]["high"] < share[None]["low"]
    precision = primary(document, "ap")
    assert 0 < precision[5]["value"] < precision[None]["value"] < share[None]["value"]
