"""Published weights of older torchvision versions: the module renames their keys while it loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from pytest_lossy.errors import ModelError
from pytest_lossy.models.torch_network import TorchNetwork

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
RENAMED = {
    "rpn.head.conv.0.0.": "rpn.head.conv.",
    "backbone.fpn.inner_blocks.0.0.": "backbone.fpn.inner_blocks.0.",
}


def build(**_: object) -> torch.nn.Module:
    return torchvision.models.get_model_builder(NAME)(weights=None, weights_backbone=None, num_classes=3)


def old_file(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    state = build().state_dict()
    renamed = {}
    for name, value in state.items():
        old = next((name.replace(new, before) for new, before in RENAMED.items() if name.startswith(new)), name)
        renamed[old] = value.contiguous()
    assert renamed.keys() != state.keys()
    save_file(renamed, folder / "old.safetensors")
    return folder / "old.safetensors", state


def test_old_names_are_read_as_the_module_reads_them(tmp_path: Path) -> None:
    path, state = old_file(tmp_path)
    network = TorchNetwork(build, {}, path, None, "cpu", source=NAME)
    loaded = network.module.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_what_no_name_explains_is_still_an_error(tmp_path: Path) -> None:
    path, state = old_file(tmp_path)
    broken = {name: value.contiguous() for name, value in state.items() if not name.startswith("rpn.head.conv.")}
    save_file(broken, path)
    with pytest.raises(ModelError, match=r"2 missing \(rpn.head.conv.0.0.bias, rpn.head.conv.0.0.weight\)"):
        TorchNetwork(build, {}, path, None, "cpu", source=NAME)
