"""The detector of the reference suite: both stages on the truth, hard boxes, its loss, and its shipped weights."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_detection import MiniDetection
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.instances import Instances
from pytest_lossy.models.preprocessing import Placement
from pytest_lossy.tasks.detection import DetectionTask

SPECS = Path(__file__).parents[3] / "model_specs"
SPEC = YAML(typ="safe").load((SPECS / "faster-rcnn-mini.yaml").read_text(encoding="utf-8"))
WEIGHTS = SPECS / SPEC["model"]["weights"]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train_faster_rcnn.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("reference_train_faster_rcnn", SPECS / "train_faster_rcnn.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))
        sys.modules.pop("faster_rcnn", None)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    data = MiniDetection(MiniDetection.Options(split="test", count=12))
    return [data.load(index) for index in range(len(data))]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _sample(boxes: Sequence[Sequence[float]], labels: Sequence[int], crowd: Sequence[int]) -> Sample:
    """A ramp from left to right with the given objects."""
    media = np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None], (64, 80, 3)).copy()
    target = {
        "boxes": np.array(boxes, np.float64).reshape(-1, 4),
        "labels": np.array(labels, np.int64),
        "area": np.ones(len(labels)),
        "iscrowd": np.array(crowd, np.int64),
    }
    return Sample(id="ramp", media=media, target=target)


def _decoded(output: Any, size: tuple[int, int]) -> Any:
    """One prediction as the product decodes it, with the shipped spec's labels."""
    section = OutputSection.model_validate(SPEC["model"]["output"])
    return Instances(section)(output, [Placement(size, size, size)])[0]


class TestNetwork:
    @pytest.mark.parametrize("size", [(192, 256), (33, 47), (1, 1), (50, 200)])
    def test_any_input_size(self, script: ModuleType, size: tuple[int, int]) -> None:
        torch.manual_seed(0)
        network = script.build().eval()
        with torch.inference_mode():
            found = network(torch.rand(2, 3, *size))
        for one in found:
            assert one["boxes"].shape == (len(one["scores"]), 4)
            assert one["labels"].shape == one["scores"].shape
            assert ((one["labels"] >= 1) & (one["labels"] <= 6)).all()
            assert (one["boxes"] >= 0).all()
            assert (one["boxes"] <= torch.tensor([size[1], size[0]] * 2)).all()

    def test_pictures_are_padded_and_never_resized(self, script: ModuleType) -> None:
        network = script.build().eval()
        pictures = [torch.rand(3, 33, 47), torch.rand(3, 300, 17)]
        batch, _ = network.transform(pictures)
        assert batch.image_sizes == [(33, 47), (300, 17)]
        assert batch.tensors.shape == (2, 3, 304, 48)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        for one, picture in zip(batch.tensors, pictures, strict=True):
            height, width = picture.shape[1:]
            torch.testing.assert_close(one[:, :height, :width], (picture - mean) / std)

    def test_equal_batches_give_equal_bits(self, script: ModuleType) -> None:
        torch.manual_seed(1)
        network = script.build().eval()
        pictures = torch.rand(3, 3, 96, 128)
        with torch.inference_mode():
            first, again = network(pictures), network(pictures.clone())
        assert sum(len(one["scores"]) for one in first) > 0
        for one, other in zip(first, again, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in ("boxes", "labels", "scores"))

    @pytest.mark.parametrize(
        "arguments",
        [
            {"num_classes": 0},
            {"widths": (8, 8)},
            {"widths": (8, 8, 0, 8, 8)},
            {"out_channels": 0},
            {"representation": 0},
        ],
    )
    def test_bad_arguments(self, script: ModuleType, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="positive"):
            script.build(**arguments)


class TestStages:
    def test_the_first_stage_can_propose_every_object(self, script: ModuleType, samples: list[Sample]) -> None:
        """Anchors moved as training asks of them are the objects, small and large."""
        rpn = script.build().eval().rpn
        picture = ImageList(torch.zeros(1, 3, 192, 256), [(192, 256)])
        maps = [torch.zeros(1, 1, 192 // stride, 256 // stride) for stride in (4, 8, 16)]
        anchors = rpn.anchor_generator(picture, maps)
        counts = [m.shape[2] * m.shape[3] * 6 for m in maps]
        for sample in samples:
            boxes = torch.from_numpy(sample.target["boxes"][sample.target["iscrowd"] == 0]).float()
            labels, matched = rpn.assign_targets_to_anchors(
                anchors, [{"boxes": boxes, "labels": torch.ones(len(boxes))}]
            )
            moved = rpn.box_coder.decode(rpn.box_coder.encode(matched, anchors)[0], anchors).view(1, -1, 4)
            ((proposals,), _) = rpn.filter_proposals(moved, labels[0][None] * 10, picture.image_sizes, counts)
            assert box_iou(boxes, proposals).amax(dim=1).min() > 0.99

    def test_a_perfect_second_stage_has_a_perfect_score(self, script: ModuleType, samples: list[Sample]) -> None:
        """Certain of the true class and moving no box; the labels go through the shipped spec."""
        heads, task, evidence = (
            script.build().eval().roi_heads,
            DetectionTask(MiniDetection(MiniDetection.Options()).classes),
            [],
        )
        for sample in samples:
            boxes = torch.from_numpy(sample.target["boxes"]).float()
            certain = 20.0 * torch.nn.functional.one_hot(torch.from_numpy(sample.target["labels"]) + 1, 7).float()
            found = heads.postprocess_detections(certain, torch.zeros(len(boxes), 28), [boxes], [(192, 256)])
            output = [{"boxes": found[0][0], "scores": found[1][0], "labels": found[2][0]}]
            prediction = _decoded(output, (192, 256))
            assert task.check(prediction, sample.target) is None
            evidence.append(task.evidence(prediction, sample.target))
        metrics = task.reduce(evidence, np.ones((1, len(evidence))))
        assert metrics["ap"][0] > 0.99  # a box may suppress its like-labelled neighbour of IoU above .5
        assert metrics["precision"][0] == 1.0

    def test_hard_boxes_are_neither_object_nor_background(self, script: ModuleType) -> None:
        network = script.build()
        rpn, heads = network.rpn, network.roi_heads
        anchors = torch.tensor([[0.0, 0, 16, 16], [40, 40, 56, 56], [100, 0, 116, 16]])
        boxes, kinds = anchors[:2].clone(), torch.tensor([3, sys.modules["faster_rcnn"].HARD])
        labels, _ = rpn.assign_targets_to_anchors([anchors], [{"boxes": boxes, "labels": kinds}])
        assert labels[0].tolist() == [1.0, -1.0, 0.0]
        _, regions = heads.assign_targets_to_proposals([anchors], [boxes], [kinds])
        assert regions[0].tolist() == [3, -1, 0]
        chosen = heads.subsample(regions)[0]
        assert sorted(chosen.tolist()) == [0, 2]


class _Recorder(torch.nn.Module):
    """Keeps what it is trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[tuple[Tensor, dict[str, Tensor]]] = []

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        self.seen += zip(images, targets, strict=True)
        return {"one": self.weight * 2, "two": self.weight * torch.rand(())}


class TestLoss:
    def test_mirrored_pictures_take_their_boxes_along(self, script: ModuleType) -> None:
        sample, recorder = _sample([[10, 5, 30, 25], [50, 0, 80, 64]], [0, 4], [0, 1]), _Recorder()
        for seed in range(12):
            script.loss(recorder, [sample], torch.Generator().manual_seed(seed))
        mirrored = [bool(image[0, 0, 0] > image[0, 0, -1]) for image, _ in recorder.seen]
        assert set(mirrored) == {True, False}
        for flip, (image, target) in zip(mirrored, recorder.seen, strict=True):
            expected = [[50, 5, 70, 25], [0, 0, 30, 64]] if flip else [[10, 5, 30, 25], [50, 0, 80, 64]]
            assert target["boxes"].tolist() == expected
            assert target["labels"].tolist() == [1, sys.modules["faster_rcnn"].HARD]
            assert image.shape == (3, 64, 80)
            assert 0 <= image.min() < image.max() <= 79 / 255 * (1 + script.GAIN)

    def test_it_depends_on_its_generator_alone(self, script: ModuleType) -> None:
        sample, values = _sample([[10, 5, 30, 25]], [2], [0]), []
        for seed in (1, 1, 2):
            torch.rand(seed + len(values))  # the global generator is elsewhere each time
            before = torch.get_rng_state()
            values.append(script.loss(_Recorder(), [sample], torch.Generator().manual_seed(seed)).item())
            assert torch.equal(torch.get_rng_state(), before)
        assert values[0] == values[1] != values[2]

    @pytest.mark.parametrize("boxes", [[], [[10, 5, 30, 25], [50, 8, 70, 60]]])
    def test_gradients_reach_every_layer(self, script: ModuleType, boxes: list[list[float]]) -> None:
        torch.manual_seed(0)
        network = script.build().train()
        sample = _sample(boxes, [1] * len(boxes), [0] * len(boxes))
        value = script.loss(network, [sample, sample], torch.Generator().manual_seed(3))
        value.backward()
        assert torch.isfinite(value)
        idle = {"rpn.head.bbox_pred", "roi_heads.box_predictor.bbox_pred"} if not boxes else set()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            if name.rpartition(".")[0] not in idle:
                assert parameter.grad.abs().sum() > 0, name


class TestWeights:
    def test_strict_match(self, script: ModuleType) -> None:
        state = load_file(WEIGHTS)
        network = script.build()
        network.load_state_dict(state, strict=True)
        assert all(t.dtype == torch.float16 for t in state.values() if t.is_floating_point())
        assert all(torch.isfinite(t).all() for t in network.state_dict().values() if t.is_floating_point())
        assert WEIGHTS.stat().st_size < 4_000_000

    def test_it_has_learnt_and_compression_hurts(self, script: ModuleType, samples: list[Sample]) -> None:
        network = script.build().eval()
        network.load_state_dict(load_file(WEIGHTS))
        task = DetectionTask(MiniDetection(MiniDetection.Options()).classes)
        values = []
        for quality in (None, 5):
            evidence = []
            for sample in samples:
                media = sample.media if quality is None else round_trip(JpegCodec(), sample.media, quality).media
                with torch.inference_mode():
                    output = network(torch.from_numpy(media.copy()).permute(2, 0, 1)[None].float() / 255)
                evidence.append(task.evidence(_decoded(output, media.shape[:2]), sample.target))
            values.append(task.reduce(evidence, np.ones((1, len(evidence))))["ap50"][0])
        assert values[0] > 0.3  # twelve frames of two hundred
        assert values[1] < 0.8 * values[0]
