"""Torchvision by name, exported programs, and callables."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from pytest_lossy.errors import MissingInputError, ModelError
from pytest_lossy.models.declaration import ModelSection
from pytest_lossy.models.registry import build_model

IMAGES = [np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8) for seed in range(3)]
CONTEXT: list[dict[str, Any]] = [{}, {}, {}]


def section(**fields: object) -> ModelSection:
    return ModelSection.model_validate(fields)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and an empty folder of downloaded weights."""

    def refuse(*arguments: object, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_classifier_with_its_weights_own_transforms(tmp_path: Path, offline: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    model = build_model(
        section(torchvision="squeezenet1_1", weights="w.safetensors"), "classification", tmp_path, "cpu"
    )
    transform = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    batch = torch.stack([transform(torch.from_numpy(image).permute(2, 0, 1)) for image in IMAGES])
    with torch.inference_mode():
        expected = network(batch).numpy()
    found = np.stack(model.predict(IMAGES, CONTEXT))
    assert np.array_equal(found, expected)
    assert model.describe()["name"] == "squeezenet1_1"


def test_a_segmentation_model_answers_at_source_size(tmp_path: Path, offline: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4
    )
    torch.save(network.state_dict(), tmp_path / "w.pt")
    model = build_model(
        section(
            torchvision="lraspp_mobilenet_v3_large",
            kwargs={"num_classes": 4},
            weights="w.pt",
            input={"size": [64, 64], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        ),
        "segmentation",
        tmp_path,
        "cpu",
    )
    assert [labels.shape for labels in model.predict(IMAGES, CONTEXT)] == [(48, 64)] * 3


def test_auxiliary_heads_follow_the_weights(tmp_path: Path, offline: Path) -> None:
    options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": 3}
    network = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(aux_loss=True, **options)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    spec = section(torchvision="deeplabv3_mobilenet_v3_large", kwargs={"num_classes": 3}, weights="w.safetensors")
    build_model(spec, "segmentation", tmp_path, "cpu").close()


def test_a_detector_takes_images_of_several_sizes(tmp_path: Path, offline: Path) -> None:
    name = "ssdlite320_mobilenet_v3_large"
    model = build_model(section(torchvision=name, kwargs={"num_classes": 3}), "detection", tmp_path, "cpu")
    found = model.predict([IMAGES[0], IMAGES[1][:30]], CONTEXT[:2])
    assert [set(one) for one in found] == [{"boxes", "labels", "scores"}] * 2
    assert found[1]["boxes"][:, 3].max(initial=0) <= 30


def test_a_video_model_takes_the_listed_frames(tmp_path: Path, offline: Path) -> None:
    torch.manual_seed(0)
    clip = np.random.default_rng(0).integers(0, 256, (10, 48, 64, 3), dtype=np.uint8)
    model = build_model(section(torchvision="mc3_18", kwargs={"num_classes": 5}), "action", tmp_path, "cpu")
    few = model.predict([clip], [{"frames": [0, 3, 6, 9]}])
    same = model.predict([clip[[0, 3, 6, 9]]], [{}])
    assert few[0].shape == (5,)
    assert np.array_equal(few[0], same[0])


def test_published_weights_that_cannot_be_fetched_say_where_to_place_them(tmp_path: Path, offline: Path) -> None:
    for weights in ("DEFAULT", "IMAGENET1K_V1"):
        with pytest.raises(MissingInputError, match=r"place it at that path") as caught:
            build_model(section(torchvision="squeezenet1_1", weights=weights), "classification", tmp_path, "cpu")
        assert str(offline / "checkpoints" / "squeezenet1_1-b8a52dc0.pth") in str(caught.value)


def test_published_weights_that_lie_in_place_are_used(tmp_path: Path, offline: Path) -> None:
    network = torchvision.models.squeezenet1_1(weights=None)
    (offline / "checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), offline / "checkpoints" / "squeezenet1_1-b8a52dc0.pth")
    model = build_model(section(torchvision="squeezenet1_1", weights="DEFAULT"), "classification", tmp_path, "cpu")
    assert model.predict(IMAGES[:1], CONTEXT[:1])[0].shape == (1000,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"torchvision": "squeezenet1_2"}, "no model 'squeezenet1_2'; did you mean 'squeezenet1_"),
        ({"torchvision": "squeezenet1_1", "weights": "IMAGENET1K_V9"}, "did you mean 'IMAGENET1K_V1'"),
        ({"torchvision": "squeezenet1_1", "weights": "gone.pt"}, "gone.pt: No such file"),
        ({"export": "gone.pt2"}, "gone.pt2: No such file"),
    ],
)
def test_names_that_nothing_has(tmp_path: Path, offline: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(section(**fields), "classification", tmp_path, "cpu")


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")
@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
def test_exported_programs_equal_their_module(tmp_path: Path, suffix: str) -> None:
    module = Tiny().eval()
    example = torch.zeros(3, 3, 48, 64)
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt2":
        torch.export.save(torch.export.export(module, (example,)), path)
    else:
        torch.jit.trace(module, example).save(str(path))
    model = build_model(section(export=path.name), "segmentation", tmp_path, "cpu")
    pixels = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2).float() * (1 / 255)
    expected = module(pixels).argmax(1).numpy()
    assert np.mean(np.stack(model.predict(IMAGES, CONTEXT)) == expected) > 0.999
    model.close()


@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
def test_a_damaged_archive(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"net{suffix}").write_bytes(b"PK not really")
    with pytest.raises(ModelError, match=r"cannot be loaded .*export the model again"):
        build_model(section(export=f"net{suffix}"), "segmentation", tmp_path, "cpu")


CALLABLES = """
class Client:
    thread_safe = True
    closed = False
    def __init__(self, url): self.url = url
    def predict(self, media, context): return [image.mean() for image in media]
    def close(self): type(self).closed = True
    def describe(self): return {"url": self.url}

def client(url): return Client(url)
def function(): return lambda media, context: [len(media)] * len(media)
def nothing(): return 42
"""


def test_callables(tmp_path: Path) -> None:
    (tmp_path / "remote.py").write_text(CALLABLES, encoding="utf-8")
    model = build_model(section(callable="./remote.py:client", kwargs={"url": "x"}), "depth", tmp_path, "cpu")
    assert model.thread_safe
    assert model.describe() == {"format": "callable", "name": "./remote.py:client", "url": "x"}
    assert model.predict(IMAGES, CONTEXT) == [image.mean() for image in IMAGES]
    model.close()
    plain = build_model(section(callable="./remote.py:function"), "depth", tmp_path, "cpu")
    assert not plain.thread_safe
    assert plain.predict(IMAGES, CONTEXT) == [3, 3, 3]
    plain.close()
    with pytest.raises(ModelError, match="returned int; return a function"):
        build_model(section(callable="./remote.py:nothing"), "depth", tmp_path, "cpu")
