"""images and clips: plain folders without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_files import moving, numbers, truncate, write_clip
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save
from pydantic import ValidationError

from pytest_lossy.data.unlabelled import Clips, Images
from pytest_lossy.errors import DataError, MissingInputError

IMAGES, CLIPS = "pytest_lossy.data.unlabelled:Images", "pytest_lossy.data.unlabelled:Clips"


def images(root: Path, **options: Any) -> Any:
    return build(IMAGES, root, **{"path": "photos", **options})


def clips(root: Path, **options: Any) -> Any:
    return build(CLIPS, root, **{"path": "clips", **options})


# images


def photos(root: Path) -> Path:
    save(root / "photos" / "b.png", colours(seed=1))
    save(root / "photos" / "a.jpg", colours(9, 5, seed=2))
    save(root / "photos" / "night" / "c.png", colours(seed=3))
    (root / "photos" / "notes.txt").write_text("no image")
    return root


def test_images(tmp_path: Path) -> None:
    data = images(photos(tmp_path))
    assert (ids(data), groups(data), data.classes) == (["a.jpg", "b.png"], [None, None], ())
    sample = data.load(1)
    assert sample.target is None
    assert np.array_equal(sample.media, colours(seed=1))
    assert sample.source.format == "PNG"
    assert data.load(0).media.shape == (9, 5, 3)
    assert_protocol(data)
    assert_listing_needs_no_decoder(IMAGES, tmp_path, (".png", ".jpg"), path="photos")


def test_images_of_folders_in_the_folder(tmp_path: Path) -> None:
    data = images(photos(tmp_path), recursive=True)
    assert ids(data) == ["a.jpg", "b.png", "night/c.png"]
    assert data.fingerprint() != images(tmp_path).fingerprint()


def test_what_is_declared_of_unlabelled_data() -> None:
    assert (Images.labelled, Images.media) == (False, "stills")
    assert (Clips.labelled, Clips.media) == (False, "clips")


@pytest.mark.parametrize("kind", ["images", "clips"])
@pytest.mark.parametrize(
    ("given", "names"),
    [((), ()), (["car", "dog"], ("car", "dog")), (3, ("class 0", "class 1", "class 2"))],
)
def test_classes_by_name_or_number(tmp_path: Path, kind: str, given: Any, names: tuple[str, ...]) -> None:
    write_clip(photos(tmp_path) / "clips" / "a.mp4")
    assert (images if kind == "images" else clips)(tmp_path, classes=given).classes == names


@pytest.mark.parametrize("given", [0, -1, True, 2.5, "car", ["car", "car"], 10**9])
def test_classes_that_cannot_be(tmp_path: Path, given: Any) -> None:
    for make in (images, clips):
        with pytest.raises(ValidationError, match="classes"):
            make(photos(tmp_path), classes=given)


def test_images_of_one_sequence(tmp_path: Path) -> None:
    data = images(photos(tmp_path), one_sequence=True)
    assert groups(data) == ["sequence", "sequence"]
    assert_protocol(data)
    assert data.fingerprint() != images(tmp_path).fingerprint()


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    photos(tmp_path)
    with pytest.raises(DataError, match=r"a\.jpg: 5x9 pixels are over the limit of 44"):
        images(tmp_path, max_pixels=44).load(0)
    (tmp_path / "photos" / "a.jpg").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"a\.jpg: is not an image"):
        images(tmp_path).load(0)
    with pytest.raises(MissingInputError, match="gone: no such folder"):
        images(tmp_path, path="gone")
    (tmp_path / "clips").mkdir()
    with pytest.raises(DataError, match="clips: holds no image"):
        images(tmp_path, path="clips")


# clips of videos


def videos(root: Path) -> Path:
    write_clip(root / "clips" / "b.mp4", moving(20))
    write_clip(root / "clips" / "day" / "a.avi", codec="mpeg4", rate=10)
    return root


def test_videos(tmp_path: Path) -> None:
    data = clips(videos(tmp_path), frames=4)
    assert (data.name, ids(data), groups(data)) == ("clips", ["b.mp4", "day/a.avi"], [None, None])
    sample = data.load(0)
    assert sample.target is None
    assert numbers(sample.media) == [*range(20)]
    assert sample.context["frames"].tolist() == [2, 7, 12, 17]
    assert sample.context["fps"] == 25.0
    assert data.load(1).context["fps"] == pytest.approx(10)
    assert_protocol(data)
    assert_listing_needs_no_decoder(CLIPS, tmp_path, (".mp4", ".avi"), path="clips")


def test_several_clips_of_a_video_are_one_unit(tmp_path: Path) -> None:
    data = clips(videos(tmp_path), clips=2, frames=3)
    assert ids(data) == ["b.mp4#0", "b.mp4#1", "day/a.avi#0", "day/a.avi#1"]
    assert groups(data) == ["b.mp4", "b.mp4", "day/a.avi", "day/a.avi"]
    assert numbers(data.load(1).media) == [*range(10, 20)]
    assert_protocol(data)
    whole = clips(tmp_path, clips=2, frames=3, one_sequence=True)
    assert groups(whole) == ["sequence"] * 4
    for several in (data, whole):
        assert [several.load(index).context["video"] for index in (1, 2)] == ["b.mp4", "day/a.avi"]
    assert "video" not in clips(tmp_path).load(0).context
    assert_protocol(whole)
    assert data.fingerprint() != whole.fingerprint()


def test_damaged_videos_are_errors_or_are_skipped_and_counted(tmp_path: Path) -> None:
    truncate(videos(tmp_path) / "clips" / "day" / "a.avi")
    with pytest.raises(DataError, match=r"day/a\.avi: "):
        clips(tmp_path).load(1)
    data = clips(tmp_path, corrupt="skip")
    assert ids(data) == ["b.mp4"]
    assert data.notes[0].startswith("1 of 2 videos are damaged and were left out; the first: day/a.avi: ")


def test_videos_say_their_rate(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'fps' is for folders of frames, and videos say theirs; remove the option"):
        clips(videos(tmp_path), fps=30)


# clips of folders of frames


def frame_folders(root: Path, count: int = 12) -> Path:
    """Two clips; without padding, frame 10 sorts before frame 9 as text."""
    for index, pixels in enumerate(moving(count)):
        save(root / "clips" / "drive" / f"frame{index}.png", pixels)
    for index, pixels in enumerate(moving(3, 24, 32)):
        save(root / "clips" / "night" / "rain" / f"{index:06d}.jpg", pixels, quality=95)
    return root


def test_folders_of_frames(tmp_path: Path) -> None:
    data = clips(frame_folders(tmp_path), frames=4, fps=30)
    assert (data.name, ids(data), groups(data)) == ("clips", ["drive", "night/rain"], [None, None])
    sample = data.load(0)
    assert sample.target is None
    assert np.array_equal(sample.media, moving(12)), "in the order of their numbers"
    assert sample.context["frames"].tolist() == [1, 4, 7, 10]
    assert sample.context["fps"] == 30.0
    assert (sample.source.format, sample.source.notes) == ("PNG", ())
    assert sample.source.bytes == sum(path.stat().st_size for path in (tmp_path / "clips" / "drive").iterdir())
    assert data.load(1).media.shape == (3, 24, 32, 3)
    assert_protocol(data)
    assert "fps" not in clips(tmp_path).load(0).context
    assert_listing_needs_no_decoder(CLIPS, tmp_path, (".png", ".jpg"), path="clips")


def test_parts_and_limits_of_folders_of_frames(tmp_path: Path) -> None:
    data = clips(frame_folders(tmp_path), clips=2, sampling="dense", frames=2)
    assert ids(data) == ["drive#0", "drive#1", "night/rain#0", "night/rain#1"]
    assert groups(data) == ["drive", "drive", "night/rain", "night/rain"]
    assert [numbers(data.load(index).media) for index in range(4)] == [[*range(6)], [*range(6, 12)], [0], [1, 2]]
    assert data.load(1).source.notes == ("frames 6-11 of 12",)
    assert data.load(1).context["video"] == "drive"
    assert data.load(1).context["frames"].tolist() == [2, 3]
    assert_protocol(data)
    assert numbers(clips(tmp_path, max_frames=4, frames=2).load(0).media) == [4, 5, 6, 7]
    assert numbers(clips(tmp_path, max_pixels=48 * 64 * 5, frames=2).load(0).media) == [3, 4, 5, 6, 7]
    with pytest.raises(DataError, match="night/rain: has 3 frames, too few for 4 clips; lower 'clips'"):
        clips(tmp_path, clips=4).load(4)
    with pytest.raises(DataError, match="drive: a frame has 3072 pixels, more than 'max_pixels' 3071"):
        clips(tmp_path, max_pixels=3071).load(0)


@pytest.mark.parametrize("damage", ["size", "bytes"])
def test_damaged_frames_are_errors_or_their_clip_is_skipped(tmp_path: Path, damage: str) -> None:
    path = frame_folders(tmp_path) / "clips" / "drive" / "frame7.png"
    if damage == "size":
        save(path, colours(48, 65))
        message = r"drive/frame7\.png: the frame is 65x48, the first one is 64x48; the frames of a clip"
    else:
        path.write_bytes(path.read_bytes()[:80])
        message = r"drive/frame7\.png: cannot be decoded"
    with pytest.raises(DataError, match=message):
        clips(tmp_path).load(0)
    data = clips(tmp_path, corrupt="skip")
    assert ids(data) == ["night/rain"]
    assert data.notes[0].startswith("1 of 2 clips are damaged and were left out; the first: drive/frame7.png: ")
    for one in tmp_path.rglob("*.jpg"):
        one.write_bytes(b"")
    with pytest.raises(DataError, match=r"\(all 2 clips are damaged\)"):
        clips(tmp_path, corrupt="skip")


def test_fingerprint_follows_every_frame(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"fps": 30}, {"clips": 2}, {"one_sequence": True}, {"classes": 2}]
    prints = {clips(frame_folders(tmp_path), **options).fingerprint() for options in changes}
    save(tmp_path / "clips" / "drive" / "frame7.png", np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    prints.add(clips(tmp_path).fingerprint())
    (tmp_path / "clips" / "drive" / "frame7.png").rename(tmp_path / "clips" / "drive" / "frame77.png")
    prints.add(clips(tmp_path).fingerprint())
    assert len(prints) == 7


# Which of the two


def test_videos_beside_images_need_a_word(tmp_path: Path) -> None:
    frame_folders(videos(tmp_path))
    with pytest.raises(DataError, match="clips: holds 2 videos and 15 images; set 'stored' to videos or to frames"):
        clips(tmp_path)
    assert ids(clips(tmp_path, stored="videos")) == ["b.mp4", "day/a.avi"]
    assert ids(clips(tmp_path, stored="frames")) == ["drive", "night/rain"]


def test_folders_that_hold_no_clip(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="clips: no such folder"):
        clips(tmp_path)
    (tmp_path / "clips").mkdir()
    for stored, message in (("auto", "no video and no folder"), ("videos", "no video;"), ("frames", "no folder of")):
        with pytest.raises(DataError, match=message):
            clips(tmp_path, stored=stored)
    save(tmp_path / "clips" / "0.png", colours())
    with pytest.raises(DataError, match=r"clips/0\.png: lies in no folder of its own clip; move the frames"):
        clips(tmp_path)


@pytest.mark.parametrize(
    "options", [{"stored": "gif"}, {"fps": 0}, {"fps": float("inf")}, {"labels": "x"}, {"frames": 0}]
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        clips(videos(tmp_path), **options)
