"""The two-stream network of the reference suite: flow against known motion, views, fusion, and its training script."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from pytest_lossy.data.base import Sample
from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import InputSection, ModelSection
from pytest_lossy.models.registry import build_model
from pytest_lossy.tasks.action import ActionTask

pytest.importorskip("cv2", reason="optical flow needs the extra 'flow'")

SPECS = Path(__file__).parents[3] / "model_specs"
WEIGHTS = SPECS / "weights" / "two-stream-mini.safetensors"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train_two_stream.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("lossy_train_two_stream", SPECS / "train_two_stream.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))


@pytest.fixture(scope="module")
def net(script: ModuleType) -> Iterator[ModuleType]:
    yield sys.modules["two_stream"]
    sys.modules.pop("two_stream", None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clip(frames: int = 16, size: tuple[int, int] = (96, 128), seed: int = 0) -> np.ndarray:
    """Noise that differs between frames."""
    return np.random.default_rng(seed).integers(0, 256, (frames, *size, 3), dtype=np.uint8)


def texture(size: tuple[int, int], seed: int) -> np.ndarray:
    """A smooth random picture of full contrast."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=size), 2.0)
    return 128 + 50 * noise / noise.std()


def moving(dx: float, dy: float, frames: int = 4, pan: float = 0.0) -> np.ndarray:
    """A textured square that moves by (dx, dy) a frame before a background that moves by (pan, 0)."""
    behind, before = texture((96, 128), 1), texture((96, 128), 2)
    pictures = []
    for time in range(frames):
        picture = shift(behind, (0, pan * time), order=1, mode="wrap")
        patch = shift(before, (dy * time, dx * time), order=1, mode="wrap")
        mask = np.zeros((96, 128))
        mask[30:66, 40:88] = 1
        mask = shift(mask, (dy * time, dx * time), order=1)
        pictures.append(mask * patch + (1 - mask) * picture)
    return np.repeat(np.stack(pictures).clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)


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

    def test_gradients_reach_everything(self, net: ModuleType, script: ModuleType) -> None:
        torch.manual_seed(0)
        model = net.build(4, spatial=(4, 6), temporal=(4, 6)).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.data.fill_(1.0)  # residual blocks begin as the identity, which hides what is in them
        samples = [Sample(id=str(k), media=clip(seed=k), target=k, context={"fps": 12.5}) for k in range(4)]
        script.loss(model, samples, torch.Generator().manual_seed(0)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

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


class TestTraining:
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
            view[1][centre].median(-1).values.median(-1).values.mean(0) for view in (plain, with_flip, other)
        )
        assert right[0] > 0.25
        torch.testing.assert_close(left[0], -right[0], atol=0.06, rtol=0)
        torch.testing.assert_close(left[1], right[1], atol=0.06, rtol=0)
        torch.testing.assert_close(back, right, atol=0.06, rtol=0)

    def test_views_follow_from_the_generator(self, script: ModuleType) -> None:
        sample = Sample(id="a", media=clip(), target=0, context={"fps": 12.5})
        one, two, other = (script._view(sample, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        assert not torch.equal(one[0], other[0])
        assert one[0].shape == (3, *script.CROP)
        assert one[1].shape == (script.FIELDS, 2, 40, 56)

    def test_the_loss_leaves_the_global_generator_alone(self, net: ModuleType, script: ModuleType) -> None:
        model = net.build(2, spatial=(4,), temporal=(4,)).train()
        samples = [Sample(id=str(k), media=clip(seed=k), target=k, context={}) for k in range(2)]
        before = torch.get_rng_state()
        values = [script.loss(model, samples, torch.Generator().manual_seed(5)).item() for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), before)
        assert values[0] == values[1]
