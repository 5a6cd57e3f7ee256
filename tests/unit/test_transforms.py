"""``RandomLossy``: what it compresses, what it leaves alone, how it draws."""

from __future__ import annotations

import io
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from pytest_lossy.codecs.base import UInt8Array, round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import CodecError, LossyError
from pytest_lossy.transforms import RandomLossy

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 33, 3), dtype=np.uint8)
CLIP = np.stack([PIXELS, PIXELS[::-1], PIXELS])
ALWAYS_Q20 = {"jpeg": [20]}


def with_pillow(pixels: UInt8Array, quality: int, **options: Any) -> UInt8Array:
    """JPEG by Pillow itself."""
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG", quality=quality, **options)
    return np.asarray(PIL.Image.open(stream))


def chw(media: UInt8Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(media, -1, -3)))


def drawn(transform: RandomLossy, count: int) -> list[Any]:
    """What ``count`` samples would meet."""
    torch.manual_seed(0)
    return [transform.make_params([chw(PIXELS)])["draws"][0] for _ in range(count)]


def test_images_of_every_type_meet_the_codec() -> None:
    transform, expected = RandomLossy(ALWAYS_Q20, p=1), chw(with_pillow(PIXELS, 20))
    plain = transform(chw(PIXELS))
    assert type(plain) is torch.Tensor
    assert torch.equal(plain, expected)
    image = transform(tv_tensors.Image(chw(PIXELS)))
    assert type(image) is tv_tensors.Image
    assert torch.equal(image, expected)
    picture = transform(PIL.Image.fromarray(PIXELS))
    assert isinstance(picture, PIL.Image.Image)
    assert picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), with_pillow(PIXELS, 20))


def test_the_input_is_left_as_it_is() -> None:
    tensor = chw(PIXELS).clone()
    RandomLossy(ALWAYS_Q20, p=1)(tensor)
    assert torch.equal(tensor, chw(PIXELS))


def test_grey_images_stay_grey() -> None:
    transform, grey = RandomLossy({"jpeg": [60]}, p=1), PIXELS[..., 0]
    picture = transform(PIL.Image.fromarray(grey))
    assert picture.mode == "L"
    expected = with_pillow(np.stack([grey] * 3, -1), 60).astype(int)
    assert np.abs(np.asarray(picture) - expected[..., 1]).max() <= 1
    tensor = transform(torch.from_numpy(grey)[None])
    assert tensor.shape == (1, 24, 33)
    assert np.abs(tensor[0].numpy() - expected[..., 1]).max() <= 1


@pytest.mark.parametrize("wrap", [lambda tensor: tensor, tv_tensors.Video], ids=["tensor", "Video"])
def test_four_dimensions_are_a_clip(wrap: Any) -> None:
    codec = build_codec("h264", {"gop": 7})
    expected = round_trip(codec, CLIP, 35, fps=10).media
    assert not np.array_equal(expected[0], round_trip(codec, CLIP[:1], 35, fps=10).media[0])  # predicted, not intra
    result = RandomLossy({"h264": {"levels": [35], "gop": 7}}, p=1, fps=10)(wrap(chw(CLIP)))
    assert torch.equal(result, chw(expected))
    assert type(result) is type(wrap(chw(CLIP)))
    frames = RandomLossy(ALWAYS_Q20, p=1)(wrap(chw(CLIP)))
    assert torch.equal(frames, torch.stack([chw(with_pillow(frame, 20)) for frame in CLIP]))


def test_a_batch_of_images_draws_for_each() -> None:
    batch = tv_tensors.Image(torch.stack([chw(PIXELS)] * 40))
    qualities = list(range(20, 80))
    known = {with_pillow(PIXELS, q).tobytes(): q for q in qualities} | {PIXELS.tobytes(): None}
    torch.manual_seed(0)
    result = RandomLossy({"jpeg": (20, 79)}, p=0.7)(batch)
    assert type(result) is tv_tensors.Image
    found = [known[np.ascontiguousarray(image.permute(1, 2, 0).numpy()).tobytes()] for image in result]
    assert 5 < found.count(None) < 20
    assert len(set(found)) > 12


def test_a_batch_of_clips_draws_for_each() -> None:
    batch = torch.stack([chw(CLIP)] * 12)
    torch.manual_seed(0)
    result = RandomLossy({"jpeg": (20, 79)}, p=1)(batch)
    assert result.shape == batch.shape
    assert len({clip.numpy().tobytes() for clip in result}) > 6
    for clip in result:  # one level within a clip: its first and last frame are the same picture
        assert torch.equal(clip[0], clip[2])


def test_an_empty_batch_stays_empty() -> None:
    assert RandomLossy(ALWAYS_Q20, p=1)(tv_tensors.Image(torch.zeros((0, 3, 8, 8), dtype=torch.uint8))).shape[0] == 0


def test_a_stream_codec_meets_an_image_as_an_intra_frame() -> None:
    result = RandomLossy({"h264": [40]}, p=1)(chw(PIXELS))
    intra = build_codec("h264-intra")
    assert torch.equal(result, chw(intra.decode(intra.encode(PIXELS, 40))))


def test_boxes_masks_key_points_and_labels_pass_through() -> None:
    sample = {
        "boxes": tv_tensors.BoundingBoxes([[0, 0, 5, 5]], format="XYXY", canvas_size=(24, 33)),
        "mask": tv_tensors.Mask(torch.ones(24, 33, dtype=torch.uint8)),
        "scores": torch.rand(3),
        "image": tv_tensors.Image(chw(PIXELS)),
        "name": "a.png",
        "id": 7,
        "array": PIXELS,
    }
    if hasattr(tv_tensors, "KeyPoints"):
        sample["points"] = tv_tensors.KeyPoints([[1.0, 2.0]], canvas_size=(24, 33))
    result = RandomLossy(ALWAYS_Q20, p=1)(sample)
    assert torch.equal(result["image"], chw(with_pillow(PIXELS, 20)))
    assert {key: value is sample[key] for key, value in result.items()} == {key: key != "image" for key in sample}


def test_images_of_one_sample_meet_the_same() -> None:
    transform = RandomLossy({"jpeg": (10, 95)}, p=1)
    torch.manual_seed(3)
    for _ in range(5):
        left, right = transform(tv_tensors.Image(chw(PIXELS)), tv_tensors.Image(chw(PIXELS)))
        assert torch.equal(left, right)


def test_of_plain_tensors_the_first_is_the_image() -> None:
    labels = torch.tensor([1, 2])
    image, kept = RandomLossy(ALWAYS_Q20, p=1)(chw(PIXELS), labels)
    assert torch.equal(image, chw(with_pillow(PIXELS, 20)))
    assert kept is labels


def test_views_and_other_memory_layouts() -> None:
    transform = RandomLossy(ALWAYS_Q20, p=1)
    for view in (chw(PIXELS)[:, ::2, ::3], chw(PIXELS).flip(2), chw(PIXELS).transpose(1, 2)):
        hwc = np.ascontiguousarray(view.permute(1, 2, 0).numpy())
        assert torch.equal(transform(view), chw(with_pillow(hwc, 20)))
    last = torch.stack([chw(PIXELS)] * 2).contiguous(memory_format=torch.channels_last)
    assert torch.equal(transform(last), torch.stack([chw(with_pillow(PIXELS, 20))] * 2))


def test_inside_compose() -> None:
    train = v2.Compose([v2.ToImage(), RandomLossy(ALWAYS_Q20, p=1), v2.ToDtype(torch.float32, scale=True)])
    assert torch.allclose(train(PIL.Image.fromarray(PIXELS)), chw(with_pillow(PIXELS, 20)) / 255)
    one = v2.RandomChoice([RandomLossy(ALWAYS_Q20, p=1), RandomLossy({"jpeg": [90]}, p=1)])
    assert one(chw(PIXELS)).shape == (3, 24, 33)


def test_p_is_the_share_that_is_compressed() -> None:
    count = sum(draw is not None for draw in drawn(RandomLossy(ALWAYS_Q20, p=0.3), 3000))
    assert abs(count - 900) < 4 * math.sqrt(3000 * 0.3 * 0.7)
    assert not any(drawn(RandomLossy(ALWAYS_Q20, p=0), 50))
    assert all(drawn(RandomLossy(ALWAYS_Q20, p=1), 50))


def test_levels_are_uniform_and_reach_both_ends() -> None:
    counts = Counter(draw.level for draw in drawn(RandomLossy({"jpeg": (19, 10)}, p=1), 4000))
    assert set(counts) == set(range(10, 20))
    chi_squared = sum((count - 400) ** 2 / 400 for count in counts.values())
    assert chi_squared < 33.7  # 1 in 10 000 at 9 degrees of freedom


def test_log_levels_have_the_same_share_of_each_octave() -> None:
    transform = RandomLossy({"h264-cbr": (125, 3999)}, p=1, distribution="log")
    octaves = Counter(int(math.log2(draw.level / 125)) for draw in drawn(transform, 3000))
    assert set(octaves) == set(range(5))
    assert sum((count - 600) ** 2 / 600 for count in octaves.values()) < 23.5  # 1 in 10 000 at 4 degrees of freedom


def test_fractional_levels_and_named_levels() -> None:
    levels = [draw.level for draw in drawn(RandomLossy({"jxl": (0.5, 2.5)}, p=1), 500)]
    assert 0.5 <= min(levels) < 0.52
    assert 2.48 < max(levels) <= 2.5
    assert len(set(levels)) == 500
    assert {draw.level for draw in drawn(RandomLossy({"jpeg": [50, 15]}, p=1), 50)} == {15, 50}
    assert {draw.level for draw in drawn(RandomLossy("jpeg", p=1), 200)} == {95, 75, 50, 30, 15, 10, 5}


def test_codecs_are_alike_or_weighted() -> None:
    plain = Counter(draw.label for draw in drawn(RandomLossy(["jpeg", "webp"], p=1), 2000))
    assert abs(plain["jpeg"] - 1000) < 4 * math.sqrt(500)
    weighted = RandomLossy({"jpeg": None, "webp": None, "avif": None}, p=1, weights={"jpeg": 3, "webp": 1, "avif": 0})
    counts = Counter(draw.label for draw in drawn(weighted, 2000))
    assert abs(counts["jpeg"] - 1500) < 4 * math.sqrt(375)
    assert counts["avif"] == 0


def test_seeds_reproduce_and_differ() -> None:
    transform = RandomLossy({"jpeg": (10, 95), "webp": (5, 80)}, p=0.8)

    def run(seed: int) -> list[bytes]:
        torch.manual_seed(seed)
        return [transform(chw(PIXELS)).numpy().tobytes() for _ in range(6)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_what_follows_does_not_depend_on_what_was_drawn() -> None:
    after = []
    for p in (0, 0.5, 1):
        torch.manual_seed(5)
        RandomLossy({"jpeg": (10, 95), "h264": None}, p=p)(chw(PIXELS))
        after.append(torch.rand(1).item())
    assert len(set(after)) == 1


class Repeated(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return RandomLossy({"jpeg": (1, 100)}, p=1)(chw(PIXELS))


def test_workers_of_a_data_loader_differ_and_a_seed_reproduces_them() -> None:
    def epoch(seed: int) -> list[bytes]:
        loader = DataLoader(
            Repeated(),
            batch_size=4,
            num_workers=2,
            generator=torch.Generator().manual_seed(seed),
            multiprocessing_context="fork",
        )
        return [batch.numpy().tobytes() for batch in loader]

    first = epoch(0)
    assert len(set(first)) == 2  # each worker made one batch
    assert epoch(0) == first
    assert epoch(1) != first


def test_it_survives_pickling() -> None:
    declared = {
        "fine": {"codec": "jpeg", "subsampling": "4:4:4", "levels": (10, 95)},
        "twice": {"codec": "chain", "steps": ["jpeg 80", "h264"], "levels": (23, 45)},
    }
    transform = RandomLossy(declared, p=0.9, distribution="log", weights={"fine": 1, "twice": 2}, fps=12.5)
    copy = pickle.loads(pickle.dumps(transform))
    for media in (PIXELS, CLIP):
        results = []
        for each in (transform, copy):
            torch.manual_seed(11)
            results.append([each(chw(media)).numpy().tobytes() for _ in range(4)])
        assert results[0] == results[1]
    assert repr(copy) == repr(transform)
    assert "{fine: 10..95, twice: 23..45}, p=0.9" in repr(transform)


def test_older_torchvision_calls_the_same_by_other_names() -> None:
    """0.19 and 0.20 call ``_check_inputs``, ``_get_params`` and ``_transform``."""
    transform = RandomLossy({"jpeg": (10, 95)}, p=1)
    torch.manual_seed(1)
    expected = transform(chw(PIXELS))
    torch.manual_seed(1)
    transform._check_inputs([chw(PIXELS)])
    assert torch.equal(transform._transform(chw(PIXELS), transform._get_params([chw(PIXELS)])), expected)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (torch.rand(3, 8, 8), r"got float32; place it before v2.ToDtype\(torch.float32, scale=True\)"),
        (tv_tensors.Image(torch.rand(3, 8, 8)), "got float32; place it before"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"needs \(C, H, W\).*got \(8, 8, 3\); channels come first"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), r"got \(4, 8, 8\); .*alpha"),
        (torch.zeros(8, 8, dtype=torch.uint8), r"got \(8, 8\)"),
        (tv_tensors.Image(torch.zeros(2, 2, 3, 8, 8, dtype=torch.uint8)), r"got \(2, 2, 3, 8, 8\)"),
        (PIL.Image.new("RGBA", (8, 8)), r"mode RGB or L, got RGBA; place v2.Lambda"),
        (PIXELS, r"holds no image \(ndarray\); place v2.ToImage\(\) before it"),
        ({"label": 3}, r"holds no image \(int\)"),
    ],
)
@pytest.mark.parametrize("p", [0, 1])
def test_what_it_cannot_take_is_refused_whatever_it_draws(sample: Any, message: str, p: float) -> None:
    with pytest.raises(CodecError, match=message):
        RandomLossy(ALWAYS_Q20, p=p)(sample)


def test_a_bit_rate_needs_clips() -> None:
    with pytest.raises(CodecError, match="h264-cbr: compresses clips alone"):
        RandomLossy({"h264-cbr": (100, 500)}, p=1)(chw(PIXELS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codecs": {"jpg": (10, 95)}}, "unknown codec 'jpg'; did you mean 'jpeg'"),
        ({"codecs": {"jpeg": (0, 95)}}, "level 0 is outside 1..100"),
        ({"codecs": {"jpeg": (10, 95, 5)}}, "a tuple is a range of two levels"),
        ({"codecs": {"jpeg": {"quality": 5}}}, "unknown option 'quality'"),
        ({"codecs": {}}, "no codec is declared"),
        ({"codecs": "jpeg", "p": 1.5}, "p=1.5 is no probability"),
        ({"codecs": "jpeg", "p": math.nan}, "p=nan is no probability"),
        ({"codecs": "jpeg", "distribution": "normal"}, "unknown distribution 'normal'"),
        ({"codecs": {"h264": (0, 40)}, "distribution": "log"}, "levels above 0"),
        ({"codecs": "jpeg", "weights": {"webp": 1}}, "do not fit the codecs jpeg"),
        ({"codecs": ["jpeg", "webp"], "weights": {"webp": 1}}, "do not fit"),
        ({"codecs": "jpeg", "weights": {"jpeg": 0}}, "one at least above"),
        ({"codecs": ["jpeg", "webp"], "weights": {"jpeg": -1, "webp": 2}}, "none below 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LossyError, match=message):
        RandomLossy(**arguments)


@pytest.mark.gpu
def test_tensors_return_to_their_device() -> None:
    result = RandomLossy(ALWAYS_Q20, p=1)(chw(PIXELS).cuda())
    assert result.is_cuda
    assert torch.equal(result.cpu(), chw(with_pillow(PIXELS, 20)))
