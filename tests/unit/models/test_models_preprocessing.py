"""Pre-processing against torchvision and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
from PIL import Image
from small_nets import picture, prepared
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from pytest_lossy.errors import ModelError
from pytest_lossy.models.base import StagedModel
from pytest_lossy.models.declaration import InputSection, OutputSection
from pytest_lossy.models.label_maps import LabelMaps
from pytest_lossy.models.network import NetworkModel
from pytest_lossy.models.preprocessing import Expects, declared_input

MODES = {
    "nearest": InterpolationMode.NEAREST,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
}


def one(image: np.ndarray, expects: Expects | None = None, **section: object) -> torch.Tensor:
    batches = prepared([image], expects, **section)
    assert len(batches) == 1
    return batches[0].inputs[0]


def test_defaults_are_to_tensor() -> None:
    found = one(picture())
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    torch.testing.assert_close(found, F.to_tensor(picture()), rtol=0, atol=1e-7)


def test_mean_and_std_are_normalize() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = transforms.Normalize(mean, std)(F.to_tensor(picture()))
    torch.testing.assert_close(one(picture(), mean=mean, std=std), expected, rtol=1e-5, atol=1e-5)


def test_range_maps_0_and_255() -> None:
    image = np.array([[[0, 255, 51]]], np.uint8)
    torch.testing.assert_close(one(image, range=[-1, 1]).ravel(), torch.tensor([-1.0, 1.0, -0.6]))
    torch.testing.assert_close(one(image, range=[0, 255]).ravel(), torch.tensor([0.0, 255.0, 51.0]))


def test_mean_and_std_apply_after_the_range() -> None:
    image = np.array([[[255, 255, 255]]], np.uint8)
    found = one(image, range=[0, 255], mean=[100, 55, 5], std=[1, 2, 50]).ravel()
    torch.testing.assert_close(found, torch.tensor([155.0, 100.0, 5.0]))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("size", [(10, 40), (33, 17)])
def test_stretch_is_torchvisions_resize_of_pil_images(interpolation: str, size: tuple[int, int]) -> None:
    expected = F.to_tensor(F.resize(Image.fromarray(picture()), list(size), MODES[interpolation]))
    found = one(picture(), size=list(size), interpolation=interpolation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_one_number_is_a_square() -> None:
    assert one(picture(), size=12).shape == (3, 12, 12)


@pytest.mark.parametrize(
    ("height", "width", "content"),
    [(20, 40, (16, 32)), (40, 20, (32, 16)), (7, 7, (32, 32)), (1, 400, (1, 32))],
)
def test_letterbox_keeps_the_aspect_and_pads_bottom_and_right(
    height: int, width: int, content: tuple[int, int]
) -> None:
    image = picture(height, width)
    batch = prepared([image], size=[32, 32], resize="letterbox", pad_value=7, range=[0, 255])[0]
    place = batch.placements[0]
    assert (place.source, place.content, place.canvas) == ((height, width), content, (32, 32))
    expected = np.full((32, 32, 3), 7, np.uint8)
    expected[: content[0], : content[1]] = np.asarray(
        Image.fromarray(image).resize((content[1], content[0]), Image.Resampling.BILINEAR)
    )
    torch.testing.assert_close(batch.inputs[0], torch.from_numpy(expected).permute(2, 0, 1).float(), atol=1e-4, rtol=0)


def test_multiple_of_pads_bottom_and_right() -> None:
    batch = prepared([picture(20, 24)], multiple_of=16, pad_value=255, range=[0, 255])[0]
    assert batch.inputs.shape == (1, 3, 32, 32)
    assert (batch.placements[0].content, batch.placements[0].canvas) == ((20, 24), (32, 32))
    torch.testing.assert_close(
        batch.inputs[0, :, :20, :24], torch.from_numpy(picture()).permute(2, 0, 1).float(), atol=1e-4, rtol=0
    )
    assert (batch.inputs[0, :, 20:] > 254.9).all()
    assert (batch.inputs[0, :, :, 24:] > 254.9).all()


def test_multiple_of_leaves_what_fits() -> None:
    assert prepared([picture(32, 16)], multiple_of=16)[0].inputs.shape == (1, 3, 32, 16)


def test_bgr_exchanges_red_and_blue_before_mean_and_std() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    found = one(image, color="bgr", range=[0, 255], mean=[30, 20, 10])
    torch.testing.assert_close(found.ravel(), torch.zeros(3), atol=1e-5, rtol=0)


def test_nhwc() -> None:
    found = one(picture(), layout="nhwc", mean=[0.1, 0.2, 0.3])
    torch.testing.assert_close(found, one(picture(), mean=[0.1, 0.2, 0.3]).permute(1, 2, 0))


def test_uint8_inputs_take_pixels_as_they_are() -> None:
    found = one(picture(), dtype="uint8")
    assert found.dtype == torch.uint8
    assert np.array_equal(found.permute(1, 2, 0).numpy(), picture())


def test_float16() -> None:
    found = one(picture(), dtype="float16")
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), F.to_tensor(picture()), atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_quantised_inputs_round_and_clip(dtype: str) -> None:
    expects = Expects(layout="nhwc", dtype=dtype, size=(20, 24), scale=0.003, zero_point=3)
    found = one(picture(), expects, range=[-1, 1])
    real = picture().astype(np.float64) / 255 * 2 - 1
    limits = np.iinfo(dtype)
    expected = np.clip(np.round(real / 0.003 + 3), limits.min, limits.max)
    assert found.dtype == getattr(torch, dtype)
    # Ties of the rounding may fall either way in float32.
    assert np.abs(found.numpy().astype(int) - expected).max() <= 1
    assert (found.numpy() == expected).mean() > 0.99
    assert (int(found.min()), int(found.max())) == (limits.min, limits.max)


@pytest.mark.parametrize(
    ("expects", "section", "message"),
    [
        (Expects(dtype="int8"), {}, "an int8 input cannot take pixels as they are"),
        (Expects(dtype="uint8"), {"range": [0, 1]}, "has no quantisation"),
        (Expects(size=(8, 8)), {"size": [8, 9]}, "is 8x9 but the model file takes 8x8"),
        (Expects(dtype="float32"), {"dtype": "uint8"}, "is uint8 but the model file takes float32"),
    ],
)
def test_declarations_that_contradict_the_model_file(
    expects: Expects, section: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        prepared([picture()], expects, **section)


def test_the_model_files_size_is_used() -> None:
    assert one(picture(), Expects(size=(8, 9))).shape == (3, 8, 9)


def test_mixed_sizes_become_batches_of_one_size() -> None:
    images = [picture(8, 8, 0), picture(4, 6, 1), picture(8, 8, 2), picture(6, 4, 3)]
    batches = prepared(images, range=[0, 255])
    assert [batch.positions for batch in batches] == [[0, 2], [1], [3]]
    for batch in batches:
        assert len(batch.inputs) == len(batch.placements) == len(batch.positions)
        for row, position in enumerate(batch.positions):
            expected = torch.from_numpy(images[position]).permute(2, 0, 1).float()
            torch.testing.assert_close(batch.inputs[row], expected, atol=1e-4, rtol=0)
            assert batch.placements[row].source == images[position].shape[:2]


def test_mixed_sizes_share_a_batch_where_the_size_is_declared() -> None:
    assert [batch.positions for batch in prepared([picture(8, 8), picture(4, 6)], size=8)] == [[0, 1]]


def test_an_image_does_not_depend_on_its_batch() -> None:
    images = [picture(seed=seed) for seed in range(4)]
    together = prepared(images, size=[9, 11], mean=[0.1, 0.2, 0.3], std=[0.3, 0.2, 0.1])[0].inputs
    for index, image in enumerate(images):
        assert torch.equal(together[index], one(image, size=[9, 11], mean=[0.1, 0.2, 0.3], std=[0.3, 0.2, 0.1]))


def test_sources_are_not_changed() -> None:
    image = picture()
    image.setflags(write=False)
    one(image, color="bgr", dtype="uint8", multiple_of=16)
    one(image, mean=[0.5, 0.5, 0.5])
    assert np.array_equal(image, picture())


def test_clips_need_a_function() -> None:
    with pytest.raises(ModelError, match="takes images"):
        prepared([np.zeros((2, 4, 4, 3), np.uint8)])


def test_what_a_spec_declares_may_be_prepared_aside_and_a_users_function_not():
    class Net:
        expects, thread_safe = Expects(), True

        def __call__(self, inputs):
            return torch.zeros(len(inputs), 2, *inputs.shape[2:])

    declared = declared_input(InputSection(), Expects(), "cpu")
    decode = LabelMaps(OutputSection())
    model = NetworkModel(Net(), declared, decode, None)
    images = [np.zeros((4, 6, 3), np.uint8), np.zeros((5, 6, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)]
    assert model.stages
    assert isinstance(model, StagedModel)
    halves = model.infer(model.stage(images, [{}] * 3))
    assert [labels.shape for labels in halves] == [(4, 6), (5, 6), (4, 6)]
    assert not NetworkModel(Net(), lambda media, context: declared(media, context), decode, None).stages
    Net.thread_safe = False
    assert not model.stages
