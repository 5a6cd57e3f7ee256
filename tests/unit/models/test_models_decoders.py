"""Decoders of class scores, depth maps and instances, and their way back to source coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.network import select_output
from pytest_lossy.models.outputs import output_decoder
from pytest_lossy.models.preprocessing import Placement

PLAIN = Placement((30, 40), (30, 40), (30, 40))
LETTERBOXED = Placement((60, 40), (30, 20), (32, 32))


def section(**fields: object) -> OutputSection:
    return OutputSection.model_validate(fields)


@pytest.mark.parametrize("task", ["classification", "action"])
def test_class_scores_pass_through(task: str) -> None:
    scores = torch.rand(2, 5)
    found = output_decoder(task, section())(scores, [PLAIN, PLAIN])
    assert np.array_equal(np.stack(found), scores.numpy())
    assert found[0].dtype == np.float32


def test_class_scores_of_a_convolutional_head() -> None:
    scores = torch.rand(2, 5, 1, 1)
    found = output_decoder("classification", section())(scores, [PLAIN, PLAIN])
    assert np.array_equal(np.stack(found), scores[:, :, 0, 0].numpy())


def test_a_class_map_selects_and_reorders() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    found = output_decoder("classification", section(class_map={3: 0, 1: 1}))(scores, [PLAIN])
    assert found[0].tolist() == pytest.approx([0.4, 0.2])
    with pytest.raises(ModelError, match=r"names class 9, the network has 0\.\.3"):
        output_decoder("classification", section(class_map={9: 0}))(scores, [PLAIN])


@pytest.mark.parametrize("output", [torch.rand(3, 5), torch.rand(2, 5, 4, 4), torch.zeros(2, 5, dtype=torch.int64)])
def test_other_shapes_are_no_class_scores(output: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="needs class scores"):
        output_decoder("action", section())(output, [PLAIN, PLAIN])


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 1, 16, 16)])
def test_depth_is_cropped_and_resized(shape: tuple[int, ...]) -> None:
    depth = torch.rand(shape)
    found = output_decoder("depth", section())(depth, [LETTERBOXED])[0]
    content = depth.reshape(16, 16)[:15, :10]
    expected = F.interpolate(content[None, None], size=(60, 40), mode="bilinear", align_corners=False)[0, 0]
    assert np.array_equal(found, expected.numpy())


def test_depth_at_source_size_is_untouched_and_nhwc_is_understood() -> None:
    depth = torch.rand(1, 30, 40, 1)
    found = output_decoder("depth", section(), "nhwc")(depth, [PLAIN])[0]
    assert np.array_equal(found, depth[0, :, :, 0].numpy())


@pytest.mark.parametrize(
    "output", [torch.rand(1, 3, 8, 8), torch.rand(2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64)]
)
def test_other_shapes_are_no_depth(output: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="depth needs"):
        output_decoder("depth", section())(output, [PLAIN])


def instances() -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor([[2.0, 3.0, 10.0, 15.0], [0.0, 0.0, 20.0, 30.0]]),
        "labels": torch.tensor([1, 18]),
        "scores": torch.tensor([0.9, 0.4]),
        "keypoints": torch.tensor([[[2.0, 3.0, 1.0]], [[10.0, 15.0, 1.0]]]),
        "masks": torch.zeros(2, 1, 32, 32),
    }


@pytest.mark.parametrize("task", ["detection", "pose"])
def test_instances_go_back_to_the_source(task: str) -> None:
    found = output_decoder(task, section())([instances()], [LETTERBOXED])[0]
    assert found["boxes"].tolist() == [[4, 6, 20, 30], [0, 0, 40, 60]]
    assert found["keypoints"].tolist() == [[[4, 6, 1]], [[20, 30, 1]]]
    assert found["labels"].tolist() == [1, 18]
    assert "masks" not in found


def test_stretched_inputs_scale_each_axis() -> None:
    place = Placement((30, 80), (30, 40), (30, 40))
    found = output_decoder("detection", section())([instances()], [place])[0]
    assert found["boxes"][0].tolist() == [4, 3, 20, 15]


def test_a_class_map_renames_and_drops_instances() -> None:
    found = output_decoder("detection", section(class_map={18: 0}))([instances()], [PLAIN])[0]
    assert found["labels"].tolist() == [0]
    assert found["boxes"].tolist() == [[0, 0, 20, 30]]
    assert found["scores"].shape == (1,)


def test_no_instance_at_all() -> None:
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    found = output_decoder("detection", section(class_map={1: 0}))([empty], [PLAIN])[0]
    assert found["boxes"].shape == (0, 4)
    assert found["labels"].shape == (0,)


@pytest.mark.parametrize("output", [torch.zeros(1, 4), [torch.zeros(3)], [instances(), instances()]])
def test_other_outputs_are_no_instances(output: object) -> None:
    with pytest.raises(ModelError, match="the network returned"):
        output_decoder("detection", section())(output, [PLAIN])


def test_one_mapping_per_image_needs_no_selection() -> None:
    output = [{"boxes": torch.zeros(0, 4)}]
    assert select_output(output, None) is output


def test_an_unknown_task_has_no_decoder() -> None:
    with pytest.raises(ModelError, match="cannot be declared"):
        output_decoder("tracking", section())
