"""torch models from a spec: builders, weights, user functions."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from small_nets import Tiny, picture, predict, section
from torchvision.transforms.functional import to_tensor

from pytest_lossy.errors import MissingInputError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.declaration import ModelSection
from pytest_lossy.models.registry import build_model, check_sha256
from pytest_lossy.models.torch_network import load_weights


def build(base: Path, **fields: object) -> Model:
    return build_model(section(**{"torch": "small_nets:Tiny", **fields}), "segmentation", base, "cpu")


def weights(seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {name: value.clone() for name, value in Tiny().state_dict().items()}


def expected(state: dict[str, torch.Tensor], image: np.ndarray) -> np.ndarray:
    net = Tiny()
    net.load_state_dict(state)
    with torch.no_grad():
        raw = net(to_tensor(image)[None])
    return F.interpolate(raw, size=image.shape[:2], mode="bilinear", align_corners=False).argmax(1)[0].numpy()


def test_predictions_equal_plain_torch(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    model = build(tmp_path, weights="w.safetensors")
    assert isinstance(model, Model)
    images = [picture(20, 24, 0), picture(14, 10, 1), picture(20, 24, 2)]
    for found, image in zip(predict(model, *images), images, strict=True):
        assert found.shape == image.shape[:2]
        assert np.mean(found == expected(weights(), image)) > 0.99


def test_descriptions_are_builtin(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    details = build(tmp_path, weights="w.safetensors").describe()
    assert details == {
        "format": "torch",
        "parameters": 84,
        "device": "cpu",
        "weights_sha256": hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest(),
    }


def test_models_without_weights_are_the_same_in_every_process_and_leave_the_seed(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    first = predict(build(tmp_path), picture())[0]
    assert torch.equal(torch.rand(1), before)
    torch.manual_seed(99)
    assert np.array_equal(predict(build(tmp_path), picture())[0], first)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_checkpoints(tmp_path: Path, wrap: str | None, suffix: str) -> None:
    state = weights()
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / f"w{suffix}")
    found = predict(build(tmp_path, weights=f"w{suffix}"), picture())[0]
    assert np.mean(found == expected(state, picture())) > 0.99


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    half = {name: value.half() for name, value in weights().items()}
    save_file(half, tmp_path / "w.safetensors")
    model = build(tmp_path, weights="w.safetensors")
    whole = {name: value.float() for name, value in half.items()}
    assert np.mean(predict(model, picture())[0] == expected(whole, picture())) > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv.bias": None}, r"1 missing \(conv.bias\)"),
        ({"extra": torch.zeros(1)}, r"1 unexpected \(extra\)"),
        ({"conv.bias": torch.zeros(4)}, r"conv.bias is \(4,\) in the file, \(3,\) in the model"),
        (
            {"conv.bias": None, "conv.bais": torch.zeros(3)},
            r"1 missing \(conv.bias\); 1 unexpected \(conv.bais did you mean 'conv.bias'\?\)",
        ),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, change: dict[str, torch.Tensor | None], message: str) -> None:
    state = {name: value for name, value in {**weights(), **change}.items() if value is not None}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="w.safetensors: the weights do not fit the model: .*" + message):
        build(tmp_path, weights="w.safetensors")


def test_a_wrong_sha256_is_refused(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    actual = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    build(tmp_path, weights="w.safetensors", sha256=actual.upper())
    with pytest.raises(ModelError, match=f"sha256 is {actual}, the spec says {'0' * 64}"):
        build(tmp_path, weights="w.safetensors", sha256="0" * 64)


def test_missing_weights_are_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"w.pt: No such file or directory; place the file there"):
        build(tmp_path, weights="w.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="folder: Is a directory"):
        check_sha256(tmp_path / "folder", None)


class Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (f"touch {self.canary}",))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_pickles_that_run_code_do_not_run(tmp_path: Path, how: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / "w.pt"
    if how == "torch":
        torch.save({"conv.weight": Evil(canary)}, path)
    else:
        path.write_bytes(pickle.dumps({"conv.weight": Evil(canary)}, protocol=2))
    with pytest.raises(ModelError, match=r"w.pt: cannot be loaded as weights-only checkpoint"):
        build(tmp_path, weights="w.pt")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_damaged_weights_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    (save_file if name.endswith("safetensors") else torch.save)(weights(), path)
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"version https://git-lfs",
            "cut": data[: len(data) // 2],
            "flipped": b"\xff" + data[1:],
        }[damage]
    )
    with pytest.raises(ModelError, match=f"{name}: cannot be loaded as"):
        load_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {0: torch.zeros(1)}, torch.zeros(2), {"state_dict": {"a": "b"}}])
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w.pt: holds no state dict"):
        load_weights(tmp_path / "w.pt")


def test_builders_that_return_something_else(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(): return 3")
    with pytest.raises(ModelError, match=r"./net.py:build returned int; return a torch.nn.Module"):
        build(tmp_path, torch="./net.py:build")


def test_builders_that_raise_keep_their_error(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(): raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        build(tmp_path, torch="./net.py:build")


def test_functions_of_the_user_replace_both_ends(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(
        "import numpy as np, torch\n"
        "def prepare(media, context):\n"
        "    return torch.stack([torch.from_numpy(np.array(m)).permute(2, 0, 1).float() for m in media])\n"
        "def finish(output, sizes):\n"
        "    assert output.shape[1:] == (3, 10, 12)\n"
        "    return [np.full(size, i, np.uint8) for i, size in enumerate(sizes)]\n"
    )
    model = build(tmp_path, input={"function": "./ends.py:prepare"}, output={"function": "./ends.py:finish"})
    found = predict(model, picture(), picture(seed=1))
    assert [labels.shape for labels in found] == [(20, 24), (20, 24)]
    assert [labels.max() for labels in found] == [0, 1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "the output function returned int; return a sequence"),
        ("return []", "0 predictions for a batch of 1"),
    ],
)
def test_output_functions_that_miscount(tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "ends.py").write_text(f"def finish(output, sizes): {body}")
    with pytest.raises(ModelError, match=message):
        predict(build(tmp_path, output={"function": "./ends.py:finish"}), picture())


def test_no_gradients_and_evaluation_mode(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        assert not self.training and not torch.is_grad_enabled()\n"
        "        return x\n"
        "build = Net\n"
    )
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 1] = 9
    assert (predict(build(tmp_path, torch="./net.py:build"), image)[0] == 1).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs exactly one of torch, torchvision, onnx, litert, export, maite, callable, name, found none"),
        ({"torch": "a:b", "onnx": "x"}, "found torch and onnx"),
        ({"onnx": "x", "weights": "y"}, "belong to torch and torchvision models, not to 'onnx'"),
        (
            {"litert": "x", "kwargs": {"a": 1}},
            "belong to torch, torchvision, maite and callable models, not to 'litert'",
        ),
        ({"torch": "a"}, "is not of the form"),
        ({"torch": "a:b", "sha256": "zz"}, "pattern"),
    ],
)
def test_declarations_that_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSection.model_validate(fields)
