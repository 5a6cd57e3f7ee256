"""cityscapes with ``sequence``: clips with one labelled frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import save
from pydantic import ValidationError

from pytest_lossy.data.cityscapes import Cityscapes, CityscapesOptions
from pytest_lossy.errors import DataError, MissingInputError

SNIPPETS = (("frankfurt", "000000", 294), ("frankfurt", "000001", 538), ("munster", "000000", 19))
"""City, sequence, and the labelled frame: the 20th of 30."""


def picture(number: int, height: int = 4, width: int = 6) -> np.ndarray:
    """Told from the pictures of other frames by its grey level."""
    return np.full((height, width, 3), number % 251, np.uint8)


def sequences(root: Path) -> Path:
    """The layout of leftImg8bit_sequence_trainvaltest.zip and gtFine_trainvaltest.zip; no leftImg8bit/."""
    for city, sequence, labelled in SNIPPETS:
        for number in range(labelled - 19, labelled + 11):
            name = f"{city}_{sequence}_{number:06d}_leftImg8bit.png"
            save(root / "leftImg8bit_sequence" / "val" / city / name, picture(number))
        for kind, value in (("labelIds", 7), ("labelTrainIds", 0), ("instanceIds", 7)):
            name = f"{city}_{sequence}_{labelled:06d}_gtFine_{kind}.png"
            save(root / "gtFine" / "val" / city / name, np.full((4, 6), value, np.uint8))
    return root


def clips(root: Path, **options: Any) -> Any:
    return build("cityscapes", root, root=".", **options)


def levels(media: np.ndarray) -> list[int]:
    assert media.min(axis=(1, 2, 3)).tolist() == media.max(axis=(1, 2, 3)).tolist()
    return media[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("options", "numbers", "frame"),
    [
        ({"sequence": 1}, [294], 0),
        ({"sequence": 4}, [291, 292, 293, 294], 3),
        ({"sequence": 4, "frames_after": 2}, [293, 294, 295, 296], 1),
        ({"sequence": 3, "frames_after": 2}, [294, 295, 296], 0),
        ({"sequence": 30, "frames_after": 10}, [*range(275, 305)], 19),
    ],
)
def test_clips_around_the_labelled_frame(
    tmp_path: Path, options: dict[str, Any], numbers: list[int], frame: int
) -> None:
    sample = clips(sequences(tmp_path), **options).load(0)
    assert levels(sample.media) == [number % 251 for number in numbers]
    assert sample.frame == frame
    assert sample.context == {"fps": 17.0}
    assert sample.target.tolist() == [[0] * 6] * 4
    folder = tmp_path / "leftImg8bit_sequence" / "val" / "frankfurt"
    assert sample.source.bytes == sum(
        (folder / f"frankfurt_000000_{number:06d}_leftImg8bit.png").stat().st_size for number in numbers
    )


def test_one_sample_per_label_map(tmp_path: Path) -> None:
    data = clips(sequences(tmp_path), sequence=5)
    assert ids(data) == [
        "frankfurt/frankfurt_000000_000294_leftImg8bit.png",
        "frankfurt/frankfurt_000001_000538_leftImg8bit.png",
        "munster/munster_000000_000019_leftImg8bit.png",
    ]
    assert groups(data) == ["frankfurt/000000", "frankfurt/000001", "munster/000000"]
    assert levels(data.load(2).media) == [15, 16, 17, 18, 19]
    assert_protocol(data)
    assert clips(tmp_path, sequence=5, labels="labelTrainIds").load(1).target.max() == 0
    assert_listing_needs_no_decoder("cityscapes", tmp_path, (".png",), root=".", sequence=5)


def test_ids_are_those_of_the_stills(tmp_path: Path) -> None:
    sequences(tmp_path)
    for city, sequence, labelled in SNIPPETS:
        name = f"{city}_{sequence}_{labelled:06d}_leftImg8bit.png"
        save(tmp_path / "leftImg8bit" / "val" / city / name, picture(labelled))
    stills, moving = clips(tmp_path), clips(tmp_path, sequence=3)
    assert ids(stills) == ids(moving)
    one, other = stills.load(1), moving.load(1)
    assert one.frame is None
    assert one.context == {}
    assert np.array_equal(one.media, other.media[2])
    assert np.array_equal(one.target, other.target)


def test_the_kind_of_media_is_known_without_files() -> None:
    assert Cityscapes.media_of(CityscapesOptions(root=".")) == "stills"
    assert Cityscapes.media_of(CityscapesOptions(root=".", sequence=1)) == "clips"


def test_missing_frames_are_named(tmp_path: Path) -> None:
    folder = sequences(tmp_path) / "leftImg8bit_sequence" / "val" / "frankfurt"
    (folder / "frankfurt_000001_000537_leftImg8bit.png").unlink()
    assert len(clips(tmp_path, sequence=1)) == 3
    with pytest.raises(
        MissingInputError, match=r"frankfurt_000001_000537_leftImg8bit\.png: no such frame \(1 of 9 .* ask for fewer"
    ):
        clips(tmp_path, sequence=3)
    (folder / "frankfurt_000001_000538_leftImg8bit.png").unlink()
    with pytest.raises(MissingInputError, match=r"frankfurt_000001_000538_leftImg8bit\.png: no such frame"):
        clips(tmp_path, sequence=1)


def test_frames_before_the_first(tmp_path: Path) -> None:
    labels = sequences(tmp_path) / "gtFine" / "val" / "munster"
    (labels / "munster_000000_000019_gtFine_labelIds.png").rename(labels / "munster_000000_000002_gtFine_labelIds.png")
    assert levels(clips(tmp_path, sequence=3).load(2).media) == [0, 1, 2]
    with pytest.raises(DataError, match=r"munster_000000_000002_leftImg8bit\.png: frame 2 has no 3 frames before it"):
        clips(tmp_path, sequence=4)


def test_frames_that_do_not_fit(tmp_path: Path) -> None:
    folder = sequences(tmp_path) / "leftImg8bit_sequence" / "val" / "frankfurt"
    save(folder / "frankfurt_000000_000293_leftImg8bit.png", picture(293, width=7))
    with pytest.raises(DataError, match=r"000293_leftImg8bit\.png: the frame is 7x4, the labelled one is 6x4"):
        clips(tmp_path, sequence=2).load(0)
    (folder / "frankfurt_000000_000293_leftImg8bit.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"000293_leftImg8bit\.png: is not an image"):
        clips(tmp_path, sequence=2).load(0)
    save(folder / "frankfurt_000000_000294_leftImg8bit.png", picture(294, width=7))
    with pytest.raises(DataError, match=r"000294_gtFine_labelIds\.png: the label map is 6x4, the image is 7x4"):
        clips(tmp_path, sequence=2).load(0)


def test_folders_and_labels_that_are_missing(tmp_path: Path) -> None:
    sequences(tmp_path)
    with pytest.raises(MissingInputError, match=r"leftImg8bit/val: no such folder"):
        clips(tmp_path)
    with pytest.raises(MissingInputError, match=r"leftImg8bit_sequence/train: no such folder"):
        clips(tmp_path, sequence=2, split="train")
    for path in tmp_path.rglob("*_gtFine_labelTrainIds.png"):
        path.unlink()
    with pytest.raises(MissingInputError, match=r"holds no label map \*_gtFine_labelTrainIds\.png; .* change 'labels'"):
        clips(tmp_path, sequence=2, labels="labelTrainIds")
    save(tmp_path / "gtFine" / "val" / "x" / "x_gtFine_labelIds.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(DataError, match=r"x_leftImg8bit\.png: is not named <city>_<sequence>_<frame>"):
        clips(tmp_path, sequence=2)


def test_fingerprint_follows_every_frame(tmp_path: Path) -> None:
    sequences(tmp_path)
    shapes = [{"sequence": 1}, {"sequence": 3}, {"sequence": 3, "frames_after": 1}, {"sequence": 3, "frames_after": 2}]
    prints = {clips(tmp_path, **options).fingerprint() for options in shapes}
    name = "frankfurt_000000_000293_leftImg8bit.png"
    random = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    save(tmp_path / "leftImg8bit_sequence" / "val" / "frankfurt" / name, random)
    assert clips(tmp_path, sequence=1).fingerprint() in prints
    prints.add(clips(tmp_path, sequence=3).fingerprint())
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence": -1}, "greater than or equal to 0"),
        ({"sequence": 21}, "needs 20 frames before the labelled one, and a snippet has 19"),
        ({"sequence": 31, "frames_after": 10}, "needs 20 frames before"),
        ({"sequence": 3, "frames_after": 11}, "less than or equal to 10"),
        ({"sequence": 3, "frames_after": 3}, "no clip of 3 frames; raise 'sequence'"),
        ({"frames_after": 1}, "no clip of 0 frames; raise 'sequence'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CityscapesOptions(root=".", **options)  # type: ignore[arg-type]
