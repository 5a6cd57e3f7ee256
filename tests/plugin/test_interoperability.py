"""docs/interoperability.md, run as it stands, with the real packages."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.specs.index import index_specs
from pytest_lossy.usercode import import_callable
from tests.plugin.conftest import results
from tests.plugin.test_results import comparable

PAGE = Path(__file__).parents[2] / "docs" / "interoperability.md"
BLOCKS = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
INI = "[pytest]\nlossy_replicates = 100\nlossy_gallery = 0\n"


@pytest.fixture(autouse=True, scope="module")
def imported() -> None:
    """A run in this process forgets what it imported, and these cannot be imported twice."""
    for name in (
        "torchmetrics.detection",
        "timm",
        "transformers.models.vit",
        "cv2",
        "albumentations",
        "nrtk.interfaces",
    ):
        with suppress(ImportError):
            importlib.import_module(name)


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(BLOCKS[name], encoding="utf-8")


def rows(pytester: pytest.Pytester, model: str) -> dict[str, dict[str, Any]]:
    return {row["id"].rpartition("::")[2]: row for row in results(pytester)["cases"] if row["model"] == model}


def test_maite_nrtk_and_metrics(pytester: pytest.Pytester) -> None:
    pytest.importorskip("nrtk")
    pytest.importorskip("albumentations")
    pytest.importorskip("maite")
    pytester.makeini(INI)
    write(
        pytester.path,
        "thresholds.yaml",
        *(name for name in BLOCKS if "finder" in name or "squares" in name or "own_" in name),
    )
    common = ("--lossy-codec=all", "-p", "no:randomly", "-p", "no:cacheprovider")
    pytester.runpytest_subprocess(*common, "-n2", "--lossy-model=finder-perturbed").assert_outcomes(passed=7)
    spread = comparable(results(pytester))["cases"]
    pytester.runpytest_inprocess(*common).assert_outcomes(passed=3 + 7 + 3)
    assert [row for row in comparable(results(pytester))["cases"] if row["model"] == "finder-perturbed"] == spread

    plain, perturbed, measured = (rows(pytester, name) for name in ("finder", "finder-perturbed", "finder-measured"))
    assert plain["clean"]["units"] == 12  # pairs of pictures share a camera
    assert 0.5 < plain["jpeg-q10"]["metrics"]["ap"]["value"] < 0.95
    assert plain["jpeg-q10"]["metrics"]["ap"]["value"] == pytest.approx(
        maites_own(pytester.path / "model_specs", 10), abs=1e-7
    )
    assert list(perturbed) == [
        "clean", "blur-ksize3", "blur-ksize9", "dim-factor0.75", "dim-factor0.5", "nrtk-jpeg-q75", "nrtk-jpeg-q10",
    ]  # fmt: skip
    for codec, parameter, mild, severe in (
        ("blur", "ksize", 3, 9),
        ("dim", "factor", 0.75, 0.5),
        ("nrtk-jpeg", "q", 75, 10),
    ):
        pair = [perturbed[f"{codec}-{parameter}{level:g}"] for level in (mild, severe)]
        assert pair[0]["psnr"] > pair[1]["psnr"]
        assert {row["bpp"] for row in pair} == {24}
    assert plain["jpeg-q10"]["psnr"] > perturbed["nrtk-jpeg-q10"]["psnr"]  # chroma of the wrong channels
    fingerprints = {codec["label"]: codec["fingerprint"] for codec in results(pytester)["codecs"]}
    assert fingerprints["blur"].startswith("nrtk(nrtk=")

    clean = measured["clean"]
    assert clean["metrics"]["map_torchmetrics"]["value"] == pytest.approx(clean["metrics"]["ap"]["value"], abs=2e-3)
    assert clean["metrics"]["map_torchmetrics"]["low"] is None
    assert "map_torchmetrics: computed once for all samples, without an interval" in clean["notes"]
    gates = {gate["metric"]: gate["verdict"] for gate in measured["jpeg-q75"]["gates"]}
    assert gates == {"count_error": "passed", "coverage": "passed"}
    worse = measured["jpeg-q10"]["metrics"]["coverage"]
    assert worse["retention_low"] <= worse["retention"] <= worse["retention_high"]
    [model] = [model for model in results(pytester)["models"] if model["name"] == "finder-measured"]
    assert model["metrics"][-2]["unit"] == "boxes"
    assert model["details"]["id"] == "finder"
    assert model["data"]["classes"] == ["small", "large"]


def maites_own(folder: Path, quality: int) -> float:
    """AP by MAITE's own evaluation of the same model and data under an augmentation, with pycocotools below."""
    from maite.interop.metrics.torchmetrics import TMDetectionMetric
    from maite.protocols import object_detection as od
    from maite.tasks import evaluate
    from torchmetrics.detection import MeanAveragePrecision

    squares = import_callable("./squares.py:Squares", folder)
    finder = import_callable("./squares.py:Finder", folder)
    data: od.FieldwiseDataset = squares()
    assert isinstance(data, od.FieldwiseDataset)

    class Jpeg:
        def __init__(self) -> None:
            self.metadata = {"id": "jpeg"}

        def __call__(self, batch: Any) -> Any:
            images, targets, facts = batch
            codec = JpegCodec()
            pictures = [codec.decode(codec.encode(image.transpose(1, 2, 0).copy(), quality)) for image in images]
            return [picture.transpose(2, 0, 1) for picture in pictures], targets, facts

    metric = TMDetectionMetric(MeanAveragePrecision(rec_thresholds=np.linspace(0, 1, 101).tolist()))
    found = evaluate(model=finder(), dataset=data, metric=metric, batch_size=4, augmentation=Jpeg())
    return float(found[0]["map"])


def photos(folder: Path) -> None:
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for index in range(4):
        blocks = np.kron(random.integers(0, 255, (6, 8, 3)), np.ones((12, 12, 1), int)).astype(np.uint8)
        Image.fromarray(blocks).save(folder / "photos" / f"{index}.png")


def follow(folder: Path, name: str) -> None:
    """Load the spec and evaluate it, label-free, clean and compressed."""
    [spec] = index_specs([folder / "model_specs" / f"{name}.yaml"], folder)
    runtime = ModelRuntime.load(
        replace(spec, reference="clean"), RuntimeOptions(device=["cpu"], spill=folder / "spill")
    )
    try:
        assert len(runtime.info().details["weights_sha256"]) == 64
        clean = runtime.pipeline.evaluate(None, None)
        worse = runtime.pipeline.evaluate(JpegCodec(), 10)
        assert runtime.task.reduce(clean.evidence, np.ones((1, 4)))["top1"] == 1
        changed = [
            np.abs(a["confidence"] - b["confidence"]) for a, b in zip(clean.evidence, worse.evidence, strict=True)
        ]
        assert max(changed) > 0
    finally:
        runtime.close()


def execute(name: str, replaced: dict[str, str]) -> None:
    text = BLOCKS[name]
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    exec(compile(text, name, "exec"), {})


def test_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    photos(tmp_path)
    write(tmp_path, "model_specs/timm_model.py", "model_specs/timm.yaml")
    recipe = tmp_path / "model_specs" / "timm_model.py"
    small = {"resnet18.a1_in1k": "test_resnet.r160_in1k"}
    recipe.write_text(recipe.read_text().replace(*next(iter(small.items()))), encoding="utf-8")
    (tmp_path / "model_specs" / "weights").mkdir()
    execute("save_timm.py", {**small, "pretrained=True": "pretrained=False"})
    follow(tmp_path, "timm")


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    photos(tmp_path)
    write(tmp_path, "model_specs/hugging_face.py", "model_specs/hugging-face.yaml")
    (tmp_path / "model_specs" / "weights").mkdir()
    torch.manual_seed(1)
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        num_labels=7,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "hub")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "hub")
    execute("save_vit.py", {"google/vit-base-patch16-224": str(tmp_path / "hub")})
    follow(tmp_path, "hugging-face")
