"""The full-scale specs: complete up to the missing files, which a run names for each spec, and skips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from pytest_lossy.models.registry import missing_files
from pytest_lossy.specs.index import find_specs, index_specs
from pytest_lossy.usercode import import_callable

FULL = Path(__file__).parents[2] / "model_specs" / "full"
FAMILIES = {"pose", "segmentation", "detection", "action", "depth"}


def test_the_papers_tasks_and_grids() -> None:
    specs = index_specs(find_specs(FULL), FULL)
    assert {spec.spec.task for spec in specs} == FAMILIES
    for spec in specs:
        grids = {plan.label: plan.levels for plan in spec.plans}
        assert grids["jpeg"] == (95, 75, 50, 15, 10, 5)
        assert grids.get("h264") == ((23, 30, 40, 50) if spec.media == "clips" else None)
        assert spec.spec.requires == "optional"
        assert spec.spec.needs


def test_a_run_says_what_to_place_where_and_skips(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(pytester.path / "torch-home"))
    shutil.copytree(
        FULL, pytester.path / "model_specs" / "full", ignore=shutil.ignore_patterns("weights", "__pycache__")
    )
    names = sorted(path.stem for path in (pytester.path / "model_specs" / "full").glob("*.yaml"))
    result = pytester.runpytest_subprocess("--lossy-codec=all", "--lossy-specs=model_specs/full", "-rs")
    result.assert_outcomes(skipped=46)
    document = json.loads((pytester.path / "lossy-report" / "results.json").read_text())
    assert {row["verdict"] for row in document["cases"]} == {"not_run"}
    summary = (pytester.path / "lossy-report" / "summary.md").read_text(encoding="utf-8")
    assert "Nothing was tested: all 46 cases were skipped, for data or weights are missing" in summary
    errors = {model["name"]: model["error"] for model in document["models"]}
    assert sorted(errors) == names
    for name, error in errors.items():
        data, weights, *words = error.splitlines()
        assert str(pytester.path / "data") in data, name
        assert "place" in data, name
        assert ("torch-home" if "rcnn" in name else "model_specs/full/weights") in weights, name
        assert any("http" in line or "SegNet tutorial" in line for line in words), name
        result.stdout.fnmatch_lines([f"*model '{name}' (model_specs/full/{name}.yaml) is not available: *"])


@pytest.mark.parametrize(
    ("file", "inputs", "shape", "millions"),
    [
        ("segnet.py", (2, 3, 45, 70), (2, 19, 45, 70), 29.5),
        ("depth_gan.py", (1, 3, 375, 1242), (1, 1, 375, 1242), 54.4),
        ("two_stream.py", None, (2, 101), 269),
    ],
)
def test_architectures(file: str, inputs: tuple[int, ...] | None, shape: tuple[int, ...], millions: float) -> None:
    """On the meta device: shapes and parameters without their cost."""
    build = import_callable(f"./{file}:build", FULL)
    with torch.device("meta"):
        network = build().eval()
        given = (
            torch.zeros(inputs)
            if inputs
            else {"frames": torch.zeros(2, 3, 3, 224, 224), "flow": torch.zeros(2, 3, 20, 224, 224)}
        )
        assert network(given).shape == shape
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def test_segnet_has_the_convolutions_of_vgg() -> None:
    import torchvision

    with torch.device("meta"):
        ours = import_callable("./segnet.py:build", FULL)().encoder.state_dict()
        theirs = torchvision.models.vgg16_bn().features.state_dict()
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in theirs.values()]


def test_voc_classes_are_found_among_cocos() -> None:
    import torchvision

    from pytest_lossy.data.voc import VOC_CLASSES

    [spec] = index_specs([FULL / "faster-rcnn-voc.yaml"], FULL)
    names = torchvision.models.detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    words = {
        "aeroplane": "airplane",
        "diningtable": "dining table",
        "motorbike": "motorcycle",
        "pottedplant": "potted plant",
    }
    words |= {"pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv"}
    assert spec.spec.model.output.class_map == {
        names.index(words.get(name, name)): place for place, name in enumerate(VOC_CLASSES)
    }


def test_two_stream_prepares_clips() -> None:
    cv2 = pytest.importorskip("cv2")
    assert cv2
    import numpy as np

    prepare = import_callable("./two_stream.py:prepare", FULL)
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (60, 200, 3), dtype=np.uint8)
    clip = np.stack([texture[:, 2 * step : 2 * step + 80] for step in range(14)])
    inputs = prepare([clip, clip[:3]], [{}, {}])
    assert inputs["frames"].shape == (2, 25, 3, 224, 224)
    assert inputs["flow"].shape == (2, 25, 20, 224, 224)
    assert inputs["flow"].abs().max() <= 1


def test_missing_files_name_each_format(tmp_path: Path) -> None:
    [spec] = index_specs([FULL / "segnet-camvid.yaml"], FULL)
    [line] = missing_files(spec.spec.model, tmp_path)
    assert line.startswith(f"{tmp_path}/weights/segnet-camvid.safetensors: no such file; place")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "segnet-camvid.safetensors").touch()
    assert missing_files(spec.spec.model, tmp_path) == []
