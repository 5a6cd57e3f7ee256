"""How the two-stream network of the reference suite is trained: views of clips and of frames, losses, stages."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from two_stream_clips import WEIGHTS, clip, frame, moving, training_script

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini.dataset import Split
from pytest_lossy.data.mini_action import MiniAction
from pytest_lossy.engine.threads import one_torch_thread

pytest.importorskip("cv2", reason="optical flow needs the extra 'flow'")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with training_script() as module:
        yield module


@pytest.fixture(scope="module")
def net(script: ModuleType) -> ModuleType:
    return sys.modules["two_stream"]


@pytest.fixture(scope="module")
def learning(script: ModuleType) -> ModuleType:
    """How the spatial stream learns."""
    return sys.modules["two_stream_frames"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


class TestTraining:
    def test_gradients_reach_everything(self, net: ModuleType, script: ModuleType, learning: ModuleType) -> None:
        torch.manual_seed(0)
        model = net.build(4, spatial=(4, 4, 4, 6), temporal=(4, 6)).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.data.fill_(1.0)  # residual blocks begin as the identity, which hides what is in them
        clips = [Sample(id=str(k), media=clip(seed=k), target=k, context={"fps": 12.5}) for k in range(4)]
        script.temporal_loss(model.temporal, clips, torch.Generator().manual_seed(0)).backward()
        assert all(parameter.grad is None for parameter in model.spatial.parameters())
        frames = [frame(clip(1, seed=k)[0], label=k) for k in range(4)]
        taught = learning.Taught(model.spatial)
        learning.spatial_loss(taught, frames, torch.Generator().manual_seed(0)).backward()
        for name, parameter in [*model.named_parameters(), *taught.named_parameters()]:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_flow_is_kept_by_content(
        self, net: ModuleType, script: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def counted(frames: np.ndarray) -> np.ndarray:
            asked.append(1)
            return net.motion(frames)

        monkeypatch.setattr(script, "motion", counted)
        one, two = clip(3, seed=1), clip(3, seed=2)
        size = 2 * 2 * 48 * 64 * 2
        store = script.FlowStore(size)
        for media, computed in ((one, 1), (one.copy(), 1), (two, 2), (two, 3), (one, 3)):
            np.testing.assert_allclose(store.flow(media).numpy(), net.motion(media), rtol=1e-3, atol=1e-3)
            assert len(asked) == computed  # there is room for one

    def test_a_mirrored_view_mirrors_the_flow(self, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Mirroring the clip or its view is the same, up to what the flow itself makes of mirrored frames."""
        monkeypatch.setattr(script, "LEAST", 1.0)
        media = moving(0.8, 0.5, frames=16)  # slow enough to stay in the middle, whichever fields are chosen
        sample = Sample(id="a", media=media, target=0, context={"fps": 12.5})
        mirrored = dataclasses.replace(sample, media=np.ascontiguousarray(media[:, :, ::-1]))
        flips = {}
        for seed in range(20):
            generator = torch.Generator().manual_seed(seed)
            flips[torch.rand(5, generator=generator)[4].item() < 0.5] = seed
        with_flip = script._view(sample, torch.Generator().manual_seed(flips[True]))
        plain = script._view(sample, torch.Generator().manual_seed(flips[False]))
        other = script._view(mirrored, torch.Generator().manual_seed(flips[True]))
        centre = (slice(None), slice(None), slice(17, 23), slice(22, 34))
        right, left, back = (
            view[centre].median(-1).values.median(-1).values.mean(0) for view in (plain, with_flip, other)
        )
        assert right[0] > 0.25
        torch.testing.assert_close(left[0], -right[0], atol=0.06, rtol=0)
        torch.testing.assert_close(left[1], right[1], atol=0.06, rtol=0)
        torch.testing.assert_close(back, right, atol=0.06, rtol=0)

    def test_views_follow_from_the_generator(self, script: ModuleType) -> None:
        sample = Sample(id="a", media=clip(), target=0, context={"fps": 12.5})
        one, two, other = (script._view(sample, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
        assert one.shape == (script.FIELDS, 2, 40, 56)

    def test_an_interruption_costs_no_finished_stage(self, script: ModuleType, tmp_path: Path) -> None:
        asked: list[int] = []

        def loss(network: torch.nn.Module, samples: Sequence[Sample], random: torch.Generator) -> torch.Tensor:
            asked.append(1)
            return sum((p**2).sum() for p in network.parameters())  # type: ignore[return-value]

        class Data:
            def __len__(self) -> int:
                return 2

            def load(self, index: int) -> Sample:
                return Sample(id=str(index), media=clip(2), target=0)

        def trained(rate: float) -> torch.Tensor:
            torch.manual_seed(0)
            network = torch.nn.Linear(2, 2)
            batches = script.TrainingBatches(Data(), range(2), 2, 1)
            schedule = script.Schedule(3, rate=rate)
            file = script.stage(network, loss, batches, schedule, {"data": "x"}, tmp_path / "a.spatial.checkpoint")
            assert file.is_file()
            assert not network.training
            return network.weight.detach()

        first = trained(1e-2)
        assert torch.equal(trained(1e-2), first)
        assert len(asked) == 3
        assert not torch.equal(trained(1e-1), first)
        assert len(asked) == 6


class TestFrames:
    def test_a_joint_is_where_the_picture_shows_it(self, learning: ModuleType) -> None:
        """A bright spot marks the joints: cut-outs, scales and mirrors must move both alike."""
        media = np.zeros((*learning.SIZE, 3), np.uint8)
        media[48:53, 68:73] = 255
        for seed in range(20):
            picture, places = learning.view(frame(media, (70.5, 50.5)), torch.Generator().manual_seed(seed))
            assert picture.shape == (3, *learning.CROP)
            assert places.shape == (7, 20, 28)
            bright = picture.mean(0)
            row, column = (((bright.sum(1 - k) * torch.arange(bright.shape[k])).sum() / bright.sum()) for k in (0, 1))
            for near in places:
                y, x = (((near.sum(1 - k) * torch.arange(near.shape[k])).sum() / near.sum()) for k in (0, 1))
                assert abs(4 * y + 1.5 - row) < 1.0
                assert abs(4 * x + 1.5 - column) < 1.0

    def test_joints_outside_are_in_no_place(self, learning: ModuleType) -> None:
        sample = frame(clip(1)[0], (-20.0, 50.0))
        _, places = learning.view(sample, torch.Generator().manual_seed(1))
        assert not places.any()
        sample.target["keypoints"][..., :2] = 50.0
        sample.target["keypoints"][..., 2] = 0
        _, places = learning.view(sample, torch.Generator().manual_seed(1))
        assert not places.any()

    def test_the_loss_knows_a_perfect_answer(self, learning: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Against the entropy of its targets, which nothing can go below."""
        samples = [frame(clip(1, seed=k)[0], (50.0 + k, 40.0), label=k) for k in range(3)]
        views = [learning.view(sample, torch.Generator().manual_seed(1))[1] for sample in samples]
        fixed = iter(views)
        pictures = torch.zeros(3, *learning.CROP)
        monkeypatch.setattr(learning, "view", lambda sample, random: (pictures, next(fixed)))

        class Perfect(torch.nn.Linear):
            def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return 20 * torch.eye(3), torch.stack(views).clamp_min(1e-12).log()

        shares = torch.stack([near.flatten(1) / near.flatten(1).sum(-1, keepdim=True) for near in views])
        entropy = -(shares * shares.clamp_min(1e-12).log()).sum(-1).mean()
        named = torch.nn.functional.cross_entropy(
            20 * torch.eye(3), torch.arange(3), label_smoothing=learning.SMOOTHING
        )
        found = learning.spatial_loss(Perfect(1, 1), samples, torch.Generator().manual_seed(0))
        torch.testing.assert_close(found, named + entropy, atol=1e-3, rtol=1e-3)

    def test_scenes_are_none_of_the_data_set(self, learning: ModuleType, tmp_path: Path) -> None:
        """Frames of the training split's world, after its scenes; rendered once."""
        data = learning.ActionFrames(learning.MiniOptions(split="train", count=2), cache=tmp_path)
        sample = data.load(1)
        assert sample.media.shape == (*learning.SIZE, 3)
        assert int(sample.target["label"]) == 1
        people = sample.target["keypoints"]
        assert people.shape[1:] == (17, 3)
        assert 1 <= len(people) <= 3
        again = data.load(1)
        assert np.array_equal(sample.media, again.media)
        assert np.array_equal(people, again.target["keypoints"])
        training = MiniAction(MiniAction.Options(split="train"))
        assert data.first == len(training)
        assert data.classes == training.classes
        assert learning.ActionFrames.splits["train"].seed == MiniAction.splits["train"].seed
        with pytest.raises(KeyError):
            learning.ActionFrames(learning.MiniOptions(split="test"), cache=tmp_path)

    @pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no weights at {WEIGHTS}; run train_two_stream.py")
    def test_the_shipped_stream_names_actions_on_its_own(
        self, net: ModuleType, learning: ModuleType, tmp_path: Path
    ) -> None:
        """Single frames of 48 scenes that it has not seen; guessing finds six. Fusion hides a stream that knows nothing."""

        class Unseen(learning.ActionFrames):  # type: ignore[name-defined,misc]
            splits: ClassVar = {"val": Split(MiniAction.splits["val"].seed, 48)}

        data = Unseen(learning.MiniOptions(split="val"), cache=tmp_path)
        samples = [data.load(index) for index in range(len(data))]
        model = net.build()
        model.load_state_dict(load_file(WEIGHTS))
        with torch.no_grad():
            frames = net.normalised(torch.from_numpy(np.stack([sample.media for sample in samples])).float())
            found = model.spatial.eval()(frames).argmax(1)
        assert sum(int(found[k]) == int(sample.target["label"]) for k, sample in enumerate(samples)) >= 20
