"""Video files, kinetics and ucf101."""

from __future__ import annotations

import contextlib
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_files import edit, moving, numbers, truncate, turn, write_clip
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import colours, save
from pydantic import ValidationError

from pytest_lossy.data.clip_file import read_clip
from pytest_lossy.data.video import ClipOptions, frames_needed, sample_frames
from pytest_lossy.errors import DataError, MissingInputError


def whole(total: int, pixels: int) -> tuple[int, int]:
    return 0, total


# Frame sampling


@pytest.mark.parametrize(
    ("total", "arguments", "expected"),
    [
        (12, ("uniform", 3), [2, 6, 10]),
        (10, ("uniform", 4), [1, 3, 6, 8]),
        (2, ("uniform", 4), [0, 0, 1, 1]),
        (12, ("dense", 4), [4, 5, 6, 7]),
        (3, ("dense", 4), [0, 1, 2, 2]),
        (12, ("strided", 4, 3), [1, 4, 7, 10]),
        (12, ("dense", 4, 3), [4, 5, 6, 7]),
        (5, ("strided", 4, 2), [0, 2, 4, 4]),
        (1, ("strided", 2, 9), [0, 0]),
    ],
)
def test_sampled_frames(total: int, arguments: tuple[Any, ...], expected: list[int]) -> None:
    found = sample_frames(total, *arguments)
    assert found.tolist() == expected
    assert found.dtype == np.int64


@given(
    total=st.integers(1, 500),
    sampling=st.sampled_from(["uniform", "dense", "strided"]),
    frames=st.integers(1, 64),
    stride=st.integers(1, 8),
)
def test_sampled_frames_rise_and_lie_in_the_clip(total: int, sampling: Any, frames: int, stride: int) -> None:
    found = sample_frames(total, sampling, frames, stride)
    assert found.shape == (frames,)
    assert (np.diff(found) >= 0).all()
    assert found[0] >= 0
    assert found[-1] < total
    if total >= frames_needed(sampling, frames, stride):
        assert len(set(found.tolist())) == frames
        before, after = found[0], total - 1 - found[-1]
        assert abs(before - after) <= 1 if sampling != "uniform" else before <= total / frames


# Decoding


def test_frames_are_decoded_in_order(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mp4"), whole)
    assert clip.frames.shape == (12, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert numbers(clip.frames) == list(range(12))
    assert np.abs(clip.frames.astype(int) - moving().astype(int)).max() < 12
    assert (clip.start, clip.total, clip.fps) == (0, 12, 25.0)
    assert (clip.source.format, clip.source.mode, clip.source.notes) == ("H264", "yuv420p", ())
    assert clip.source.bytes == (tmp_path / "a.mp4").stat().st_size


@pytest.mark.parametrize("start", [0, 1, 5, 11])
def test_a_window_holds_the_frames_that_the_whole_clip_holds(tmp_path: Path, start: int) -> None:
    path = write_clip(tmp_path / "a.mp4")
    clip = read_clip(path, lambda total, pixels: (start, min(total, start + 3)))
    assert np.array_equal(clip.frames, read_clip(path, whole).frames[start : start + 3])
    assert clip.source.notes == (f"frames {start}-{min(11, start + 2)} of 12",)


def test_rates_are_kept(tmp_path: Path) -> None:
    assert read_clip(write_clip(tmp_path / "a.mp4", rate=Fraction(30000, 1001)), whole).fps == pytest.approx(29.97003)
    times = [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert "frame rate varies" in read_clip(write_clip(tmp_path / "b.mp4", times=times), whole).source.notes


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.mov", "mpeg4")])
def test_other_containers(tmp_path: Path, name: str, codec: str) -> None:
    clip = read_clip(write_clip(tmp_path / name, codec=codec), whole)
    assert numbers(clip.frames) == list(range(12))
    assert clip.fps == pytest.approx(25)


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
    ids=["clockwise", "upside down", "counter-clockwise"],
)
def test_rotation_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int], turns: int) -> None:
    stored = read_clip(write_clip(tmp_path / "a.mp4"), whole).frames
    clip = read_clip(turn(tmp_path / "a.mp4", matrix), whole)
    assert np.array_equal(clip.frames, np.rot90(stored, turns, axes=(1, 2)))
    assert clip.source.notes == ("rotation applied",)
    if turns == -1:  # the mark of the upper left is now at the upper right
        assert clip.frames[0, 0, -1].min() > 200
        assert clip.frames[0, 0, 0].max() < 50


@pytest.mark.parametrize(("space", "tag"), [("ITU601", 5), ("ITU709", 1)])
def test_colours_are_converted_as_tagged(tmp_path: Path, space: str, tag: int) -> None:
    colour = np.zeros((4, 48, 64, 3), np.uint8) + np.array([200, 60, 30], np.uint8)
    clip = read_clip(write_clip(tmp_path / "a.mp4", colour, matrix=(space, tag)), whole)
    assert np.abs(clip.frames.astype(int) - colour).max() <= 4


def test_pixels_that_are_not_square_are_noted(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mp4", aspect=Fraction(4, 3)), whole)
    assert clip.frames.shape[1:3] == (48, 64)
    assert clip.source.notes == ("pixels are 4:3, not square",)


@pytest.mark.parametrize(("first", "count"), [(0, 8), (6, 8), (5, 19)])
def test_clips_cut_by_an_edit_list_are_whole(tmp_path: Path, first: int, count: int) -> None:
    path = edit(write_clip(tmp_path / "a.mp4", moving(24)), first, count)
    clip = read_clip(path, whole)
    assert numbers(clip.frames) == [*range(first, first + count)]
    assert clip.total == count
    assert numbers(read_clip(path, lambda total, pixels: (2, 4)).frames) == [first + 2, first + 3]
    with pytest.raises(DataError, match=r"a\.mp4: (is truncated, its header promises 24|cannot be decoded)"):
        read_clip(truncate(path, 0.8), whole)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
def test_truncated_files_are_named(tmp_path: Path, name: str, codec: str) -> None:
    random = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    path = truncate(write_clip(tmp_path / name, random, codec=codec))
    with pytest.raises(DataError, match=rf"{name}: is truncated, its header promises|{name}: cannot be decoded"):
        read_clip(path, whole)


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "a.mp4", random)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) * 3 // 4, 97):
        data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mp4: (frame \d+ is damaged|cannot be decoded)"):
        read_clip(path, whole)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", bytes(1000)])
def test_files_that_are_no_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4: (cannot be decoded|holds no video)"):
        read_clip(tmp_path / "a.mp4", whole)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.mp4"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(16_000))
    with pytest.raises(DataError, match=r"a\.mp4: holds no video"):
        read_clip(tmp_path / "a.mp4", whole)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["a.mp4", "a.avi", "a.mkv"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0.05, 1),
)
def test_no_damage_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, edits: list[tuple[float, int]], keep: float
) -> None:
    whole_file = tmp_path_factory.getbasetemp() / f"whole-{name}"
    if not whole_file.exists():
        write_clip(whole_file, codec="mpeg4" if name == "a.avi" else "libx264")
    data = bytearray(whole_file.read_bytes())
    for place, value in edits:
        data[int(place * len(data))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(data[: int(keep * len(data))])
    with contextlib.suppress(DataError):
        clip = read_clip(path, lambda total, pixels: (0, min(total, 50)))
        assert clip.frames.ndim == 4
        assert len(clip.frames)


def test_playlists_fetch_nothing(tmp_path: Path) -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(DataError, match=r"a\.mp4: cannot be decoded"):
        read_clip(tmp_path / "a.mp4", whole)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"a\.mp4: no such file"):
        read_clip(tmp_path / "a.mp4", whole)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(DataError, match=r"folder\.mp4"):
        read_clip(tmp_path / "folder.mp4", whole)


# Kinetics


def kinetics(root: Path) -> Path:
    write_clip(root / "k" / "running" / "abcdefghijk_000010_000020.mp4")
    write_clip(root / "k" / "playing guitar" / "b.mp4", moving(20))
    write_clip(root / "k" / "playing guitar" / "abcdefghijk_000030_000040.mp4")
    return root


def test_kinetics(tmp_path: Path) -> None:
    data = build("kinetics", kinetics(tmp_path), root="k", frames=4)
    assert data.classes == ("playing guitar", "running")
    assert ids(data) == [
        "playing guitar/abcdefghijk_000030_000040.mp4",
        "playing guitar/b.mp4",
        "running/abcdefghijk_000010_000020.mp4",
    ]
    assert groups(data) == ["abcdefghijk", "playing guitar/b.mp4", "abcdefghijk"]
    sample = data.load(1)
    assert sample.target == {"label": 0, "video": "playing guitar/b.mp4"}
    assert sample.media.shape == (20, 48, 64, 3)
    assert sample.context["fps"] == 25.0
    assert sample.context["frames"].tolist() == [2, 7, 12, 17]
    assert data.load(2).target["label"] == 1
    assert_protocol(data)
    assert_listing_needs_no_decoder("kinetics", tmp_path, (".mp4",), root="k")


def test_targets_satisfy_the_task(tmp_path: Path) -> None:
    from pytest_lossy.tasks.registry import build_task

    data = build("kinetics", kinetics(tmp_path), root="k")
    assert build_task("action", data.classes).check(np.zeros(2, np.float32), data.load(0).target) is None


def test_a_class_list_with_spaces(tmp_path: Path) -> None:
    kinetics(tmp_path)
    (tmp_path / "list.txt").write_text("running\nplaying drums\nplaying guitar\n", encoding="utf-8")
    data = build("kinetics", tmp_path, root="k", class_list="list.txt")
    assert data.classes == ("running", "playing drums", "playing guitar")
    assert [data.load(index).target["label"] for index in range(3)] == [0, 2, 2]
    assert data.notes == ("1 of 3 listed classes have no folder",)


def test_several_clips_of_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / "k" / "a" / "v.mp4", moving(20))
    data = build("kinetics", tmp_path, root="k", clips=3, sampling="dense", frames=4)
    assert ids(data) == ["a/v.mp4#0", "a/v.mp4#1", "a/v.mp4#2"]
    assert groups(data) == ["a/v.mp4"] * 3
    parts = [data.load(index) for index in range(3)]
    assert [numbers(part.media) for part in parts] == [[*range(6)], [*range(6, 13)], [*range(13, 20)]]
    assert {part.target["video"] for part in parts} == {"a/v.mp4"}
    assert parts[2].context["frames"].tolist() == [1, 2, 3, 4]
    assert_protocol(data)
    with pytest.raises(DataError, match=r"v\.mp4: has 20 frames, too few for 21 clips; lower 'clips'"):
        build("kinetics", tmp_path, root="k", clips=21).load(0)


def test_long_clips_are_cut_to_their_middle_and_say_so(tmp_path: Path) -> None:
    write_clip(tmp_path / "k" / "a" / "v.mp4", moving(20))
    sample = build("kinetics", tmp_path, root="k", max_frames=6, frames=3).load(0)
    assert numbers(sample.media) == [*range(7, 13)]
    assert sample.source is not None
    assert sample.source.notes == ("frames 7-12 of 20",)
    assert sample.context["frames"].tolist() == [1, 3, 5]
    sample = build("kinetics", tmp_path, root="k", max_pixels=48 * 64 * 5, frames=3).load(0)
    assert numbers(sample.media) == [*range(7, 12)]


def test_limits_that_leave_too_little(tmp_path: Path) -> None:
    write_clip(tmp_path / "k" / "a" / "v.mp4", moving(20))
    data = build("kinetics", tmp_path, root="k", max_frames=6, sampling="strided", frames=4, stride=2)
    with pytest.raises(DataError, match=r"leave 6 of 20 frames, and the sampling needs 7; raise the limits"):
        data.load(0)
    with pytest.raises(DataError, match="a frame has 3072 pixels, more than 'max_pixels' 3071"):
        build("kinetics", tmp_path, root="k", max_pixels=3071).load(0)
    short = build("kinetics", tmp_path, root="k", sampling="strided", frames=40)
    assert short.load(0).context["frames"][-1] == 19, "a short clip repeats its last frame"


def test_damaged_clips_are_errors_or_are_skipped_and_counted(tmp_path: Path) -> None:
    kinetics(tmp_path)
    truncate(tmp_path / "k" / "running" / "abcdefghijk_000010_000020.mp4")
    data = build("kinetics", tmp_path, root="k")
    assert len(data) == 3
    with pytest.raises(DataError, match=r"running/abcdefghijk_000010_000020\.mp4: "):
        data.load(2)
    skipping = build("kinetics", tmp_path, root="k", corrupt="skip")
    assert len(skipping) == 2
    (note,) = skipping.notes
    assert note.startswith("1 of 3 videos are damaged and were left out; the first: ")
    assert "the first: running/abcdefghijk_000010_000020.mp4: " in note, "the same in every folder"
    assert skipping.classes == ("playing guitar", "running")
    assert_protocol(skipping)
    for path in tmp_path.rglob("*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"\(all 3 videos are damaged\)"):
        build("kinetics", tmp_path, root="k", corrupt="skip")


def test_fingerprint_follows_what_is_loaded(tmp_path: Path) -> None:
    kinetics(tmp_path)
    changes: list[dict[str, Any]] = [{}, {"frames": 4}, {"sampling": "dense"}, {"clips": 2}, {"max_frames": 9}]
    prints = {build("kinetics", tmp_path, root="k", **options).fingerprint() for options in changes}
    write_clip(tmp_path / "k" / "running" / "abcdefghijk_000010_000020.mp4", moving(13))
    prints.add(build("kinetics", tmp_path, root="k").fingerprint())
    assert len(prints) == 6


@pytest.mark.parametrize(
    "options", [{"sampling": "random"}, {"frames": 0}, {"clips": 0}, {"corrupt": "ignore"}, {"fps": 3}]
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClipOptions.model_validate(options)


def test_folders_without_clips(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="k: no such folder"):
        build("kinetics", tmp_path, root="k")
    save(tmp_path / "k" / "a" / "x.png", colours())
    with pytest.raises(DataError, match="a: holds no video"):
        build("kinetics", tmp_path, root="k")


# UCF101


def ucf(root: Path) -> Path:
    for name in (
        "ApplyLipstick/v_ApplyLipstick_g01_c01",
        "ApplyLipstick/v_ApplyLipstick_g01_c02",
        "Archery/v_Archery_g02_c01",
    ):
        write_clip(root / "UCF-101" / f"{name}.avi", codec="mpeg4")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 ApplyLipstick\n2 Archery\n", encoding="utf-8")
    (lists / "testlist01.txt").write_text(
        "Archery/v_Archery_g02_c01.avi\r\nApplyLipstick/v_ApplyLipstick_g01_c02.avi\r\n", encoding="utf-8"
    )
    (lists / "trainlist01.txt").write_text(
        "ApplyLipstick/v_ApplyLipstick_g01_c01.avi 1\nArchery/v_Archery_g02_c01.avi 2\n", encoding="utf-8"
    )
    return root


def ucf101(root: Path, **options: Any) -> Any:
    return build("ucf101", root, **{"root": "UCF-101", "split": "ucfTrainTestlist/testlist01.txt", **options})


def test_ucf101(tmp_path: Path) -> None:
    data = ucf101(ucf(tmp_path))
    assert data.classes == ("ApplyLipstick", "Archery")
    assert ids(data) == ["Archery/v_Archery_g02_c01.avi", "ApplyLipstick/v_ApplyLipstick_g01_c02.avi"]
    assert groups(data) == ["Archery_g02", "ApplyLipstick_g01"]
    assert data.load(0).target == {"label": 1, "video": "Archery/v_Archery_g02_c01.avi"}
    assert numbers(data.load(0).media) == list(range(12))
    assert_protocol(data)
    train = ucf101(tmp_path, split="ucfTrainTestlist/trainlist01.txt")
    assert ids(train) == ["ApplyLipstick/v_ApplyLipstick_g01_c01.avi", "Archery/v_Archery_g02_c01.avi"]
    assert train.fingerprint() != data.fingerprint()


def test_ucf101_lists_that_are_wrong(tmp_path: Path) -> None:
    lists = ucf(tmp_path) / "ucfTrainTestlist"
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g02_c01.avi\nArchry/v_x.avi\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"testlist01\.txt:2: 'Archry/v_x\.avi' is of no class of .* mean 'Archery'"):
        ucf101(tmp_path)
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g09_c01.avi\n", encoding="utf-8")
    with pytest.raises(MissingInputError, match=r"v_Archery_g09_c01\.avi: no such video \(1 of 1 are missing\)"):
        ucf101(tmp_path)
    (lists / "classInd.txt").write_text("1 ApplyLipstick\n3 Archery\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"classInd\.txt:2: expected '2 <class>', got '3 Archery'"):
        ucf101(tmp_path)
    (lists / "classInd.txt").unlink()
    with pytest.raises(MissingInputError, match=r"classInd\.txt: no such class list"):
        ucf101(tmp_path)
    with pytest.raises(MissingInputError, match=r"gone\.txt: no such class list"):
        ucf101(tmp_path, class_list="gone.txt")
