"""The two-stream network of the reference suite: flow against known motion, views and fusion."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from two_stream_clips import SPECS, WEIGHTS, clip, moving, training_script

from pytest_lossy.engine.threads import one_torch_thread
from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import InputSection, ModelSection
from pytest_lossy.models.registry import build_model
from pytest_lossy.tasks.action import ActionTask

pytest.importorskip("cv2", reason="optical flow needs the extra 'flow'")


@pytest.fixture(scope="module")
def net() -> Iterator[ModuleType]:
    with training_script():
        yield sys.modules["two_stream"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


class TestFlow:
    @pytest.mark.parametrize(("dx", "dy"), [(2.0, 0.0), (0.0, -1.5), (-3.0, 1.0)])
    def test_known_motion(self, net: ModuleType, dx: float, dy: float) -> None:
        fields = net.motion(moving(dx, dy)) * net.UNIT
        assert fields.shape == (3, 2, 48, 64)
        assert fields.dtype == np.float32
        inside = np.median(fields[0, :, 19:29, 24:40], axis=(1, 2))
        np.testing.assert_allclose(inside, (dx, dy), atol=0.15)
        assert np.abs(np.median(fields[0, :, :10], axis=(1, 2))).max() < 0.1

    def test_the_camera_is_taken_out(self, net: ModuleType) -> None:
        fields = net.motion(moving(2.0, 1.0, pan=-1.5)) * net.UNIT
        np.testing.assert_allclose(np.median(fields, axis=(2, 3)), 0, atol=0.1)
        np.testing.assert_allclose(np.median(fields[0, :, 19:29, 24:40], axis=(1, 2)), (3.5, 1.0), atol=0.2)

    def test_nothing_moves(self, net: ModuleType) -> None:
        still = np.repeat(clip(1), 5, axis=0)
        assert np.abs(net.motion(still)).max() < 1e-3

    def test_errors_are_bounded(self, net: ModuleType) -> None:
        fields = net.motion(clip(4))
        assert np.isfinite(fields).all()
        assert np.abs(fields).max() <= net.LARGEST / net.UNIT

    def test_it_is_that_of_the_frames_given(self, net: ModuleType) -> None:
        """Compressed frames must be looked at themselves: blocks move otherwise than what they show."""
        clean = moving(2.0, 0.0)
        blocky = clean.reshape(4, 12, 8, 16, 8, 3).mean((2, 4)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
        given = [net.prepare([media], [{"fps": 12.5}])["flow"] for media in (clean, blocky)]
        assert (given[0] - given[1]).abs().max() > 0.5

    def test_twice_the_same(self, net: ModuleType) -> None:
        media = clip(6, seed=3)
        assert net.motion(media).tobytes() == net.motion(media).tobytes()

    def test_without_opencv(self, net: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        net._opencv.cache_clear()
        monkeypatch.setitem(sys.modules, "cv2", None)
        with pytest.raises(ModelError, match=r"pip install 'pytest-lossy\[flow\]'"):
            net.build()
        monkeypatch.undo()
        net._opencv.cache_clear()


class TestSampling:
    def test_a_clip_of_our_rate_and_size_is_taken_as_it_is(self, net: ModuleType) -> None:
        media = clip()
        assert np.array_equal(net.sampled(media, 12.5), media)
        assert np.array_equal(net.sampled(media, None), media)

    @pytest.mark.parametrize(("fps", "expected"), [(25.0, range(1, 32, 2)), (6.25, None), (None, None)])
    def test_moments(self, net: ModuleType, fps: float | None, expected: range | None) -> None:
        """Frame number t of the clip is everywhere t: which frames were taken can be read."""
        media = np.arange(32, dtype=np.uint8)[:, None, None, None] * np.ones((1, *net.SIZE, 3), np.uint8)
        taken = net.sampled(media, fps)[:, 0, 0, 0].astype(int)
        assert len(taken) == net.FRAMES
        if expected is not None:
            assert taken.tolist() == list(expected)
        step = (fps or 12.5 * 31 / 15) / 12.5  # without a rate, from the first frame to the last
        wanted = 15.5 + step * (np.arange(16) - 7.5)
        assert np.abs(taken - wanted).max() <= 0.5 + 1e-6

    @pytest.mark.parametrize("frames", [1, 2, 5])
    def test_short_clips_stand_still(self, net: ModuleType, frames: int) -> None:
        media = np.arange(1, frames + 1, dtype=np.uint8)[:, None, None, None] * np.ones((1, *net.SIZE, 3), np.uint8)
        taken = net.sampled(media, 12.5)[:, 0, 0, 0]
        assert len(taken) == net.FRAMES
        assert np.all(np.diff(taken.astype(int)) >= 0)
        assert set(taken.tolist()) == set(range(1, frames + 1))

    @pytest.mark.parametrize("size", [(97, 131), (48, 64), (240, 320), (1, 1), (200, 50)])
    def test_any_size(self, net: ModuleType, size: tuple[int, int]) -> None:
        inputs = net.prepare([clip(3, size), clip(18)], [{"fps": 25.0}, {}])
        assert inputs["frames"].shape == (2, len(net.LOOKS), 3, *net.SIZE)
        assert inputs["flow"].shape == (2, net.FRAMES - 1, 2, 48, 64)
        assert all(torch.isfinite(value).all() for value in inputs.values())

    def test_colours_are_normalised(self, net: ModuleType) -> None:
        red = np.zeros((16, *net.SIZE, 3), np.uint8)
        red[..., 0] = 255
        seen = net.prepare([red], [{}])["frames"][0, 0, :, 0, 0]
        expected = (np.array([1.0, 0, 0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(seen, expected, rtol=1e-5)

    def test_stills_are_refused(self, net: ModuleType) -> None:
        with pytest.raises(ModelError, match=r"clips \(T, H, W, 3\)"):
            net.prepare([clip()[0]], [{}])


class TestNetwork:
    def test_probabilities_are_averaged(self, net: ModuleType) -> None:
        torch.manual_seed(0)
        model = net.build(5, spatial=(4, 6), temporal=(4, 6)).eval()
        inputs = net.prepare([clip(seed=1), clip(seed=2)], [{}, {}])
        with torch.no_grad():
            found = model(inputs)
            frames = torch.stack([model.spatial(inputs["frames"][:, k]).softmax(1) for k in range(3)]).mean(0)
            stacks = torch.stack(
                [model.temporal(inputs["flow"][:, k : k + 10].flatten(1, 2)).softmax(1) for k in (0, 2, 4)]
            ).mean(0)
        torch.testing.assert_close(found["spatial"].exp(), frames)
        torch.testing.assert_close(found["temporal"].exp(), stacks)
        torch.testing.assert_close(found["out"].exp(), (frames + stacks) / 2)
        torch.testing.assert_close(found["out"].exp().sum(1), torch.ones(2))

    def test_each_stream_sees_its_own_input_alone(self, net: ModuleType) -> None:
        torch.manual_seed(0)
        model = net.build(3, spatial=(4,), temporal=(4,)).eval()
        inputs = net.prepare([clip(seed=1)], [{}])
        with torch.no_grad():
            one, other = model(inputs), model({**inputs, "flow": torch.zeros_like(inputs["flow"])})
        assert torch.equal(one["spatial"], other["spatial"])
        assert not torch.equal(one["temporal"], other["temporal"])

    @pytest.mark.parametrize("wrong", [{"num_classes": 0}, {"spatial": ()}, {"temporal": (8, 0)}, {"step": 0}])
    def test_bad_arguments(self, net: ModuleType, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="must be positive"):
            net.build(**wrong)

    def test_a_perfect_network_scores_perfectly(self, net: ModuleType) -> None:
        """Direction of motion as the class: from frames to top-1 through everything but learnt features."""
        model = net.build(2, spatial=(2,), temporal=(2,)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            kernel, norm, scores = (
                model.temporal.stages[0][0].weight,
                model.temporal.stages[0][1],
                model.temporal.scores,
            )
            kernel[0, 0::2, 1, 1], kernel[1, 0::2, 1, 1] = 1.0, -1.0  # to the right, to the left
            norm.weight.fill_(1.0)
            scores.weight[0, 0] = scores.weight[1, 1] = 1.0  # of the mean maps
        task = ActionTask(("right", "left"))
        evidence = []
        for target, dx in ((0, 2.0), (1, -2.0), (0, 1.0), (1, -1.0)):
            with torch.no_grad():
                found = model(net.prepare([moving(dx, 0.0, frames=16)], [{}]))["out"]
            evidence.append(task.evidence(found[0].numpy(), target))
        assert task.reduce(evidence, np.ones((1, 4)))["top1"][0] == 1.0

    @pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no weights at {WEIGHTS}; run train_two_stream.py")
    def test_through_the_product(self) -> None:
        section = ModelSection(
            torch="./two_stream.py:build",
            weights=f"weights/{WEIGHTS.name}",
            input=InputSection(function="./two_stream.py:prepare"),
        )
        model = build_model(section, "action", SPECS, "cpu")
        media, context = [clip(seed=1), clip(20, (60, 90), seed=2)], [{"fps": 12.5}, {}]
        both = model.predict(media, context)
        assert [scores.shape for scores in both] == [(8,), (8,)]
        again = model.predict(media, context)
        assert all(np.array_equal(one, two) for one, two in zip(both, again, strict=True))
        np.testing.assert_allclose(model.predict(media[1:], context[1:])[0], both[1], rtol=1e-3, atol=1e-4)
        assert WEIGHTS.stat().st_size < 4_000_000
