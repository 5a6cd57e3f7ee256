"""What ``init`` sees in a repository: data by layout, models, weights; bounded, and without running anything."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import pytest

from pytest_lossy.data.opening import open_dataset
from pytest_lossy.first_steps import tree as tree_module
from pytest_lossy.first_steps.class_numbers import with_class_names
from pytest_lossy.first_steps.layouts import find_data
from pytest_lossy.first_steps.networks import find_models, find_weights, task_of_torchvision
from pytest_lossy.first_steps.tree import read_tree
from pytest_lossy.specs.schema import DataSection
from tests.unit.first_steps import repositories as made


@pytest.mark.parametrize("name", made.LAYOUTS)
def test_a_known_layout_is_recognised_and_its_reader_reads_it(name, tmp_path):
    build, task = made.LAYOUTS[name]
    build(tmp_path / "data")
    tree = read_tree(tmp_path)
    found = {data.name: with_class_names(data, tree) for data in find_data(tree)}
    assert name in found
    data = found[name]
    assert data.task == task
    kwargs = {**{key: f"../{path}" for key, path in data.paths.items()}, **data.kwargs}
    dataset = open_dataset(DataSection(name=name, kwargs=kwargs), tmp_path / "model_specs")
    assert len(dataset) > 0
    dataset.load(0)  # placeholders for class names are enough for the labels


def test_ucf101_is_recognised_by_its_split_files(tmp_path):
    made.ucf101(tmp_path)
    (data,) = find_data(read_tree(tmp_path))
    assert (data.task, data.name) == ("action", "ucf101")
    assert data.paths == {
        "root": PurePosixPath("UCF-101"),
        "split": PurePosixPath("ucfTrainTestlist/testlist01.txt"),
    }
    kwargs = {key: f"../{path}" for key, path in data.paths.items()}
    assert len(open_dataset(DataSection(name="ucf101", kwargs=kwargs), tmp_path / "model_specs")) == 1


def test_held_out_data_come_before_training_data(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            made.picture(tmp_path, f"data/{split}/{name}/a.jpg")
    (data,) = find_data(read_tree(tmp_path))
    assert data.paths["root"] == PurePosixPath("data/val")


def test_yolo_without_names_gets_as_many_placeholders_as_its_labels_need(tmp_path):
    made.yolo(tmp_path, names=False)
    tree = read_tree(tmp_path)
    data = next(data for data in find_data(tree) if data.name == "yolo")
    assert with_class_names(data, tree).kwargs["classes"] == [f"class-{n}" for n in range(5)]


def test_folders_of_a_recognised_data_set_are_not_recognised_again(tmp_path):
    made.coco(tmp_path)
    made.cityscapes(tmp_path)
    assert sorted(data.name for data in find_data(read_tree(tmp_path))) == ["cityscapes", "coco-detection"]


def test_environments_hidden_folders_and_links_to_themselves_are_not_entered(tmp_path):
    made.write(tmp_path, "own/pyvenv.cfg")
    for folder in ("own/lib", ".hidden", "node_modules", "tests"):
        made.write(tmp_path, f"{folder}/model.onnx")
    (tmp_path / "loop").symlink_to(tmp_path)
    made.write(tmp_path, "data/test/keep.onnx")
    assert [found.value for found in find_models(read_tree(tmp_path))] == ["data/test/keep.onnx"]


def test_a_large_repository_is_cut_short_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tree_module, "MAX_FOLDERS", 3)
    for index in range(5):
        made.write(tmp_path, f"folder{index}/file")
    tree = read_tree(tmp_path)
    assert len(tree.folders) == 3
    assert not tree.complete
    assert read_tree(tmp_path / "folder0").complete


def test_names_that_would_break_a_line_are_left_out(tmp_path):
    made.write(tmp_path, "a\nrequires: optional.onnx")
    assert not find_models(read_tree(tmp_path))


def test_models_files_first_then_torchvision_then_builders(tmp_path):
    made.write(tmp_path, "weights/segnet.onnx")
    made.write(
        tmp_path, "train.py", "import torchvision\n# resnet18()\nnet = torchvision.models.resnet50(weights=None)\n"
    )
    made.write(tmp_path, "src/net.py", made.BUILDER)
    made.write(tmp_path, "src/broken.py", "import torch\ndef build(:\n")
    found = find_models(read_tree(tmp_path))
    assert [(model.format, model.value) for model in found] == [
        ("onnx", "weights/segnet.onnx"),
        ("torchvision", "resnet50"),
        ("torch", "src/net.py:build_model"),
        ("torch", "src/net.py:Net"),
        ("torch", "src/net.py:Block"),
    ]
    assert [model.needs_arguments for model in found] == [False, False, False, True, True]
    assert found[1].place == "train.py:3"
    assert (found[1].task, found[0].task, found[0].likely_task) == ("classification", None, "segmentation")


def test_a_module_with_relative_imports_is_named_as_a_module(tmp_path):
    made.write(tmp_path, "src/pkg/net.py", "import torch\nfrom .parts import x\ndef build():\n    return x\n")
    assert [model.value for model in find_models(read_tree(tmp_path))] == ["pkg.net:build"]


def test_torchscript_is_told_from_weights_without_loading_either(tmp_path):
    for name, inside in (("script.pt", "script/code/__torch__.py"), ("state.pt", "state/data.pkl")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inside, "")
    made.write(tmp_path, "old.pth", "no zip file")
    tree = read_tree(tmp_path)
    assert [(model.format, model.value) for model in find_models(tree)] == [("export", "script.pt")]
    assert find_weights(tree) == [PurePosixPath("old.pth"), PurePosixPath("state.pt")]


def test_the_task_of_every_torchvision_model_is_known():
    torchvision = pytest.importorskip("torchvision")
    unknown = {name for name in torchvision.models.list_models() if task_of_torchvision(name) is None}
    assert not {name for name in unknown if not name.startswith("raft")}  # optical flow is no task of ours
    assert task_of_torchvision("keypointrcnn_resnet50_fpn") == "pose"
    assert task_of_torchvision("fcn_resnet50") == "segmentation"
    assert task_of_torchvision("fcos_resnet50_fpn") == "detection"
    assert task_of_torchvision("swin3d_b") == "action"


@pytest.mark.real
def test_real_layouts(real_data: Path):
    found = {data.name for data in find_data(read_tree(real_data))}
    assert {"coco-detection", "coco-pose", "camvid", "yolo", "rgbd", "folder-segmentation", "kinetics"} <= found
