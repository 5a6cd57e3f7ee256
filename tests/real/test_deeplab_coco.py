"""DeepLabV3 (LiteRT, quantised) on 100 real photographs with semantic masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.conftest import assert_falls_within_intervals, primary, run_cli

pytestmark = pytest.mark.real

VOC = {
    "aeroplane": 5, "bicycle": 2, "bird": 16, "boat": 9, "bottle": 44, "bus": 6, "car": 3, "cat": 17, "chair": 62,
    "cow": 21, "diningtable": 67, "dog": 18, "horse": 19, "motorbike": 4, "person": 1, "pottedplant": 64, "sheep": 20,
    "sofa": 63, "train": 7, "tvmonitor": 72,
}  # fmt: skip
"""VOC class -> COCO panoptic category."""

SPEC = """
task: segmentation
architecture: encoder-decoder
model:
  litert: {model}
  input: {{resize: letterbox, pad_value: 127}}
data:
  name: folder-segmentation
  kwargs:
    images: {data}/coco128/images
    labels: {data}/coco128/masks
    classes: [background, {classes}]
    label_map: {{0: 255, {mapping}}}
    other: 0
    missing_labels: skip
codecs:
  jpeg: [95, 75, 50, 30, 15, 10, 5]
"""


@pytest.fixture
def deeplab(project: Path, real_data: Path) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'litert'")
    model = real_data.parent / "models" / "deeplabv3_mnv2_pascal_quant.tflite"
    if not model.exists():
        pytest.skip(f"no model at {model}")
    text = SPEC.format(
        model=model,
        data=real_data,
        classes=", ".join(VOC),
        mapping=", ".join(f"{category}: {index}" for index, category in enumerate(VOC.values(), start=1)),
    )
    (project / "model_specs" / "deeplab.yaml").write_text(text, encoding="utf-8")
    return project


def test_the_curve_on_coco(deeplab: Path) -> None:
    (deeplab / "thresholds.yaml").write_text(
        'version: 1\nmodels:\n  deeplab:\n    clean: {miou: {min: 0.5}}\n    jpeg:\n      ">=50": {miou: {max_drop: 10%}}\n'
        "      5: {miou: {max_drop: 20%}}\n",
        encoding="utf-8",
    )
    process, document = run_cli(deeplab, "--lossy-codec=jpeg", "-n2")
    curve = primary(document)
    assert {row["samples"] for row in document["cases"]} == {100}
    # 18 VOC classes have ground truth; .607 clean, .599 at q95 and .592 at q75 were seen with another mapping of "other".
    assert 0.55 < curve[None]["value"] < 0.67
    assert abs(curve[95]["value"] - curve[None]["value"]) < 0.03
    assert_falls_within_intervals(curve)
    assert curve[5]["high"] < curve[None]["low"]
    assert curve[5]["retention"] < 0.6
    verdicts = {row["level"]: row["verdict"] for row in document["cases"]}
    assert verdicts[None] == "passed"
    assert verdicts[95] == "passed"
    assert verdicts[5] == "failed"
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    sources = document["models"][0]["data"]["sources"]
    assert sum(sources.values()) == 100
    assert all(name.startswith("JPEG") for name in sources)
    assert "28 of 128 images have no label map" in document["models"][0]["data"]["notes"][0]
