"""ONNX models against torch with the same weights; LiteRT's refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_nets import Tiny, picture, predict, section

from pytest_lossy.errors import MissingInputError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.registry import build_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def net() -> Tiny:
    torch.manual_seed(3)
    return Tiny().eval()


def write(path: Path, shape: list[int | str], *, kind: str = "FLOAT", outputs: int = 1) -> Path:
    """The convolution of ``net`` as an ONNX file; nhwc where the last dimension is 3."""
    from onnx import TensorProto, helper, numpy_helper

    state = net().state_dict()
    nodes, name = [], "x"
    if kind != "FLOAT":
        nodes.append(helper.make_node("Cast", [name], ["real"], to=TensorProto.FLOAT))
        name = "real"
    if shape[3] == 3:
        nodes.append(helper.make_node("Transpose", [name], ["nchw"], perm=[0, 3, 1, 2]))
        name = "nchw"
    nodes.append(helper.make_node("Conv", [name, "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1]))
    declared = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, "oh", "ow"])]
    if outputs == 2:
        nodes.append(helper.make_node("ArgMax", ["y"], ["labels"], axis=1, keepdims=0))
        declared.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", "oh", "ow"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", getattr(TensorProto, kind), shape)],
        declared,
        [
            numpy_helper.from_array(state["conv.weight"].numpy(), "w"),
            numpy_helper.from_array(state["conv.bias"].numpy(), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def build(path: Path, **fields: object) -> Model:
    return build_model(section(onnx=path.name, **fields), "segmentation", path.parent, "cpu")


def expected(image: np.ndarray, scale: float = 1 / 255) -> np.ndarray:
    with torch.no_grad():
        raw = net()(torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] * scale)
    return F.interpolate(raw, size=image.shape[:2], mode="bilinear", align_corners=False).argmax(1)[0].numpy()


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("fixed", [True, False])
def test_predictions_equal_torch(tmp_path: Path, batch: int | str, layout: str, fixed: bool) -> None:
    sides: list[int | str] = [20, 24] if fixed else ["h", "w"]
    shape: list[int | str] = [batch, 3, *sides] if layout == "nchw" else [batch, *sides, 3]
    model = build(write(tmp_path / "net.onnx", shape))
    images = [picture(seed=seed) for seed in range(3)]
    for found, image in zip(predict(model, *images), images, strict=True):
        assert np.mean(found == expected(image)) > 0.99


def test_a_fixed_size_resizes(tmp_path: Path) -> None:
    model = build(write(tmp_path / "net.onnx", ["n", 3, 8, 8]))
    assert predict(model, picture(20, 24))[0].shape == (20, 24)


def test_uint8_inputs_take_pixels(tmp_path: Path) -> None:
    model = build(write(tmp_path / "net.onnx", ["n", 3, 20, 24], kind="UINT8"))
    assert np.mean(predict(model, picture())[0] == expected(picture(), 1)) > 0.99


def test_outputs_are_selected_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", ["n", 3, 20, 24], outputs=2)
    labels = predict(build(path, output={"select": "labels"}), picture())[0]
    assert labels.shape == (20, 24)
    assert np.array_equal(labels[::2, ::2], labels[1::2, 1::2])
    with pytest.raises(ModelError, match=r"returns \{y, labels\}; name one"):
        predict(build(path), picture())


def test_threads_share_a_session(tmp_path: Path) -> None:
    model = build(write(tmp_path / "net.onnx", ["n", 3, "h", "w"]))
    assert model.thread_safe
    images = [picture(seed=seed) for seed in range(12)]
    alone = [predict(model, image)[0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: predict(model, image)[0], images))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_descriptions(tmp_path: Path) -> None:
    details = build(write(tmp_path / "net.onnx", ["n", 3, 8, 8])).describe()
    assert details["format"] == "onnx"
    assert len(details["weights_sha256"]) == 64


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not onnx")
    with pytest.raises(ModelError, match=r"bad.onnx: cannot be loaded as ONNX"):
        build(tmp_path / "bad.onnx")
    with pytest.raises(MissingInputError, match=r"gone.onnx: No such file"):
        build(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="sha256 is"):
        build(tmp_path / "bad.onnx", sha256="0" * 64)


def test_a_size_that_contradicts_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is 9x9 but the model file takes 8x8"):
        build(write(tmp_path / "net.onnx", ["n", 3, 8, 8]), input={"size": 9})


def test_damaged_litert_files_are_named(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "bad.tflite").write_bytes(b"not a flatbuffer at all")
    with pytest.raises(ModelError, match=r"bad.tflite: cannot be loaded as LiteRT"):
        build_model(section(litert="bad.tflite"), "segmentation", tmp_path, "cpu")
