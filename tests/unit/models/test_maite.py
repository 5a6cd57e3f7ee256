"""MAITE's models and data sets: what becomes of their values, and what is said of those that break the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_lossy.data.base import Dataset
from pytest_lossy.data.maite import MaiteDataset
from pytest_lossy.data.opening import open_dataset
from pytest_lossy.errors import DataError, ModelError
from pytest_lossy.models.declaration import ModelSection
from pytest_lossy.models.registry import build_model
from pytest_lossy.specs.schema import DataSection
from tests.unit.specs.spec_files import refused


@dataclass
class Target:
    boxes: Any
    labels: Any
    scores: Any


class Data:
    """A data set of given items."""

    def __init__(self, *items: Any, labels: Any = None) -> None:
        self.items = items
        self.metadata: dict[str, Any] = {"id": "data"} | ({"index2label": labels} if labels is not None else {})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Fieldwise(Data):
    facts: tuple[Any, ...] = ({"id": 7, "group": "a"}, {"id": "x"})

    def get_metadata(self, index: int) -> Any:
        return self.facts[index]


PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
ONE_HOT = np.array([0.0, 1.0])


def loaded(item: Any, **more: Any) -> Any:
    return MaiteDataset(Data(item, **more), "a:b").load(0)


def test_images_become_pictures() -> None:
    sample = loaded((PIXELS, ONE_HOT, {"id": 1}))
    assert np.array_equal(sample.media, PIXELS.transpose(1, 2, 0))
    assert sample.media.flags.c_contiguous
    assert (sample.id, sample.target, sample.source.format, sample.source.notes) == ("000000", 1, "MAITE uint8", ())
    for floats in (torch.from_numpy(PIXELS).float() / 255, PIXELS.astype(np.float64) / 255):
        found = loaded((floats, torch.tensor([0, 1]), {"id": 1}))
        assert np.array_equal(found.media, sample.media)
        assert found.source.notes == ("floats rounded to 8 bits",)
    grey = loaded((PIXELS[:1], ONE_HOT, {"id": 1}))
    assert np.array_equal(grey.media, np.repeat(PIXELS[0][..., None], 3, axis=2))


def test_boxes_labels_and_names() -> None:
    target = Target(torch.tensor([[1, 2, 3, 4.5]]), torch.tensor([[2.0]]), torch.ones(1))
    sample = loaded((PIXELS, target, {"id": 1}), labels={2: "two", 0: "zero"})
    assert sample.target["boxes"].tolist() == [[1, 2, 3, 4.5]]
    assert sample.target["labels"].tolist() == [2]
    assert "scores" not in sample.target
    assert loaded((PIXELS, Target([], [], []), {})).target["boxes"].shape == (0, 4)
    assert MaiteDataset(Data(labels={2: "two", 0: "zero"}), "a:b").classes == ("zero", "1", "two")


def test_ids_and_groups_are_read_where_that_costs_no_image() -> None:
    data = MaiteDataset(Fieldwise((PIXELS, ONE_HOT, {}), (PIXELS, ONE_HOT, {})), "a:b")
    assert isinstance(data, Dataset)
    assert [data.sample_id(index) for index in range(2)] == ["7", "x"]
    assert [data.group(index) for index in range(2)] == ["a", None]
    assert data.load(0).group == "a"


def test_the_fingerprint_changes_with_pixels_targets_and_names() -> None:
    def of(*item: Any, **more: Any) -> str:
        return MaiteDataset(Data(item, **more), "a:b").fingerprint()

    box = Target(np.array([[0, 0, 2, 2]]), [0], [1.0])
    moved = Target(np.array([[0, 0, 2, 3]]), [0], [1.0])
    found = [
        of(PIXELS, ONE_HOT, {}),
        of(PIXELS + 1, ONE_HOT, {}),
        of(PIXELS, 1 - ONE_HOT, {}),
        of(PIXELS, box, {}),
        of(PIXELS, moved, {}),
        of(PIXELS, box, {}, labels={0: "car"}),
    ]
    assert len(set(found)) == len(found)
    assert of(PIXELS, ONE_HOT, {}) == found[0]
    own = Data((PIXELS, ONE_HOT, {}))
    own.fingerprint = lambda: "version 3"  # type: ignore[attr-defined]
    assert MaiteDataset(own, "a:b").fingerprint() == "version 3"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (PIXELS, "is a ndarray, not a tuple"),
        ((PIXELS.transpose(1, 2, 0), ONE_HOT, {}), "channels come first"),
        ((PIXELS.astype(np.int64), ONE_HOT, {}), "int64 pixels"),
        ((PIXELS.astype(float), ONE_HOT, {}), "floats from 0 to 59; give uint8, or floats in 0..1"),
        ((np.full((3, 2, 2), np.nan), ONE_HOT, {}), "floats from nan"),
        ((PIXELS, 1, {}), "give (classes,) with 1 for the class"),
        ((PIXELS, np.array([0.5, 0.5]), {}), "has 2 classes of the largest value 0.5"),
        ((PIXELS, Target([[1, 2, 3]], [0], [1]), {}), "boxes (1, 3), not (n, 4)"),
        ((PIXELS, Target([[1, 2, 3, 4]], [0, 1], [1]), {}), "1 boxes and labels (2,)"),
        ((PIXELS, Target([[1, 2, 3, 4]], [0.5], [1]), {}), "label 0.5, which is no whole number"),
    ],
)
def test_data_that_break_the_protocol_are_named(item: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        loaded(item)
    assert message in str(caught.value)
    assert "sample 000000 of 'a:b'" in str(caught.value)


def test_data_sets_that_break_the_protocol_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MAITE data set; return an object with"):
        MaiteDataset([1, 2], "a:b")
    twice, nameless = Fieldwise(1, 2), Fieldwise(1)
    twice.facts, nameless.facts = ({"id": "x"}, {"id": "x"}), ({},)
    with pytest.raises(DataError, match="id 'x' occurs twice"):
        MaiteDataset(twice, "a:b")
    with pytest.raises(DataError, match=r"get_metadata\(0\) has no 'id'"):
        MaiteDataset(nameless, "a:b")
    with pytest.raises(DataError, match="index2label"):
        MaiteDataset(Data(labels=["a"]), "a:b")
    (tmp_path / "theirs.py").write_text("class Set:\n    metadata = {'id': 's'}\n    __len__ = __getitem__ = None\n")
    with pytest.raises(DataError, match=r"write 'maite: \./theirs\.py:Set' instead of 'factory'"):
        open_dataset(DataSection(factory="./theirs.py:Set"), tmp_path)


MODELS = """
import numpy as np


class Target:
    def __init__(self, boxes, labels, scores):
        self.boxes, self.labels, self.scores = boxes, labels, scores


class Model:
    metadata = {"id": "m"}

    def __init__(self, answers=None):
        self.answers, self.seen = answers, []

    def __call__(self, batch):
        type(self).seen = batch
        return [self.answer(image) for image in batch]


class Classifier(Model):
    def answer(self, image):
        return np.asarray(image, dtype=float).mean(axis=(1, 2)) if self.answers is None else np.asarray(self.answers)


class Detector(Model):
    def answer(self, image):
        height, width = image.shape[1:]
        return Target(np.array([[0, 0, width / 2, height]]), [1], [[0.1, 0.9]] if self.answers is None else self.answers)


def nothing():
    return print
"""


@pytest.fixture
def build(tmp_path: Path) -> Any:
    (tmp_path / "maite_models.py").write_text(MODELS, encoding="utf-8")

    def call(name: str, task: str, **section: Any) -> Any:
        return build_model(ModelSection(maite=f"./maite_models.py:{name}", **section), task, tmp_path, "cpu")

    return call


def test_a_classifier_gets_the_pixels_that_the_spec_declares(build: Any) -> None:
    pictures = [np.full((4, 6, 3), (10, 20, 30), np.uint8), np.full((4, 6, 3), 255, np.uint8)]
    whole = build("Classifier", "classification", input={"dtype": "uint8"})
    found = whole.predict(pictures, [{}, {}])
    assert [scores.tolist() for scores in found] == [[10, 20, 30], [255, 255, 255]]
    assert found[0].dtype == np.float32
    seen = type(whole.network._model).seen
    assert all(isinstance(image, np.ndarray) and image.shape == (3, 4, 6) and image.dtype == np.uint8 for image in seen)
    scaled = build(
        "Classifier", "classification", input={"dtype": "float32", "size": 8}, output={"class_map": {2: 0, 0: 1}}
    )
    assert scaled.predict(pictures, [{}, {}])[0] == pytest.approx([30 / 255, 10 / 255])
    assert scaled.describe() == {"format": "maite", "name": "./maite_models.py:Classifier", "id": "m"}
    assert not scaled.thread_safe


def test_a_detectors_boxes_are_those_of_the_source(build: Any) -> None:
    pictures = [np.zeros((40, 60, 3), np.uint8), np.zeros((20, 30, 3), np.uint8)]
    model = build("Detector", "detection", input={"dtype": "uint8", "size": [16, 16]}, output={"class_map": {1: 5}})
    first, second = model.predict(pictures, [{}, {}])
    assert first["boxes"].tolist() == [[0, 0, 30, 40]]
    assert second["boxes"].tolist() == [[0, 0, 15, 20]]
    assert (first["labels"].tolist(), first["scores"].tolist()) == ([5], [0.9])
    plain = build("Detector", "detection", kwargs={"answers": [0.25]}, input={"dtype": "uint8"})
    assert plain.predict(pictures, [{}, {}])[1]["scores"].tolist() == [0.25]


@pytest.mark.parametrize(
    ("name", "task", "answers", "message"),
    [
        ("nothing", "detection", None, "no MAITE model; return a callable with metadata"),
        ("Classifier", "depth", None, "protocols for classification and detection, not for 'depth'"),
        ("Classifier", "classification", [[1.0, 2.0]], "scores of the shapes [(1, 2)]"),
        ("Classifier", "detection", None, "an answer has no boxes and no labels and no scores"),
        ("Detector", "detection", [0.1, 0.2], "1 boxes and scores (2,)"),
        ("Detector", "detection", [[0.1]], None),
    ],
)
def test_models_that_break_the_protocol_are_named(
    build: Any, name: str, task: str, answers: Any, message: str | None
) -> None:
    section = {"input": {"dtype": "uint8"}, **({"kwargs": {"answers": answers}} if answers else {})}
    if message is None:
        assert build(name, task, **section).predict([np.zeros((4, 4, 3), np.uint8)], [{}])
        return
    with pytest.raises(ModelError) as caught:
        build(name, task, **section).predict([np.zeros((4, 4, 3), np.uint8)], [{}])
    assert message in str(caught.value)


def test_specs_are_checked_before_anything_is_imported(tmp_path: Path) -> None:
    spec = """task: segmentation
model: {maite: "a.b:Model"}
data:
  maite: a.b:Data
  name: camvid
metrics:
  miou: {metric: "torchmetrics:MeanMetric", higher_is_better: true}
  "a b": {metric: "torchmetrics:MeanMetric", higher_is_better: true}
  dice: {metric: torchmetrics, over: everything}
codecs: {jpeg: [50]}
"""
    found = "\n".join(refused(tmp_path, spec))
    for message in (
        "net.yaml:2: MAITE has protocols for classification and detection, not for 'segmentation'; use 'torch or callable'",
        "add 'input: {dtype: uint8}' for 0..255",
        "net.yaml:4: MAITE has protocols",
        "needs exactly one of name, factory and maite",
        "net.yaml:7: metric 'miou' exists already; choose another name",
        "net.yaml:8:",
        "'torchmetrics' is not of the form ./file.py:name",
        "key 'higher_is_better' is missing in 'metrics.dice'",
        "'everything' is not a choice",
    ):
        assert message in found, found


def test_inputs_of_a_users_function_reach_the_device_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\ndef build():\n    return torch.nn.Conv2d(3, 2, 1)\n\n"
        "def prepare(media, context):\n    return torch.zeros(len(media), 3, 4, 4)\n\n"
        "def finish(output, sizes):\n    return [output.device.type for _ in sizes]\n"
    )
    section = ModelSection(
        torch="./net.py:build", input={"function": "./net.py:prepare"}, output={"function": "./net.py:finish"}
    )
    assert build_model(section, "segmentation", tmp_path, "meta").predict([np.zeros((4, 4, 3), np.uint8)], [{}]) == [
        "meta"
    ]
