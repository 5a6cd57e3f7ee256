"""Reading stills: every stored mode, and one clear error for everything that is none."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import colours, png, save
from PIL import Image, ImageOps

from pytest_lossy.data.images import file_fingerprint, list_images, read_image, read_label_map
from pytest_lossy.errors import DataError, MissingInputError


def test_rgb_is_kept(tmp_path: Path) -> None:
    pixels = colours()
    path = save(tmp_path / "a.png", pixels)
    found, source = read_image(path)
    assert np.array_equal(found, pixels)
    assert (source.format, source.mode, source.notes) == ("PNG", "RGB", ())
    assert source.bytes == path.stat().st_size


def test_grey_is_repeated(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    found, source = read_image(save(tmp_path / "a.png", grey))
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=2))
    assert source.mode == "L"


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    pixels = np.dstack([colours(), np.full((6, 8), 40, np.uint8)])
    found, source = read_image(save(tmp_path / "a.png", pixels))
    assert np.array_equal(found, pixels[..., :3])
    assert source.notes == ("alpha dropped",)


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    image = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (8, 6), 9)])
    found, source = read_image(save(tmp_path / "a.png", image))
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=2))
    assert (source.mode, source.notes) == ("LA", ("alpha dropped",))


@pytest.mark.parametrize("transparency", [1, bytes([0, 128, 255])])
def test_a_palette_with_transparency(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 1]], np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    path = save(tmp_path / "a.png", image, transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, source = read_image(path)
    assert found.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 255, 0]]]
    assert (source.mode, source.notes) == ("P", ("alpha dropped",))


def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    for name in ("a.png", "a.tif"):
        found, source = read_image(save(tmp_path / name, values))
        assert found[..., 0].tolist() == [[0, 0, 1, 0x12, 0xFF]], name
        assert source.notes == ("16 bits reduced to the high 8",)


def test_16_bit_rgb_keeps_its_high_byte(tmp_path: Path) -> None:
    values = np.array([0x1234, 0xFFFF, 0x00FF], ">u2")
    found, _ = read_image(png(tmp_path / "a.png", 1, 1, 16, 2, b"\0" + values.tobytes()))
    assert found.tolist() == [[[0x12, 0xFF, 0x00]]]


def test_cmyk_becomes_what_pillow_shows(tmp_path: Path) -> None:
    image = Image.fromarray(colours(16, 16)).convert("CMYK")
    path = save(tmp_path / "a.jpg", image, quality=95)
    found, source = read_image(path)
    assert source.mode == "CMYK"
    with Image.open(path) as opened:
        assert np.array_equal(found, np.asarray(opened.convert("RGB")))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    found, _ = read_image(save(tmp_path / "a.png", Image.fromarray(np.array([[True, False]]))))
    assert found.tolist() == [[[255] * 3, [0] * 3]]


def test_a_single_pixel(tmp_path: Path) -> None:
    assert read_image(save(tmp_path / "a.png", colours(1, 1)))[0].shape == (1, 1, 3)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif", "webp", "ppm"])
def test_every_listed_format_is_read(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / f"a.{kind}", colours(16, 16))
    assert read_image(path)[0].shape == (16, 16, 3)
    assert list_images(tmp_path) == [path]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", colours(), exif=exif.tobytes())
    found, source = read_image(path)
    with Image.open(path) as opened:
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(opened)))
    assert found.shape[:2] == ((6, 8) if orientation < 5 else (8, 6))
    assert source.notes == (("EXIF orientation applied",) if orientation > 1 else ())


def test_quarter_turns_go_the_right_way(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the first row is the picture's right side
    pixels = colours()
    found, _ = read_image(save(tmp_path / "a.png", pixels, exif=exif.tobytes()))
    assert np.array_equal(found, np.rot90(pixels, -1))


def test_icc_profiles_are_noted_and_not_applied(tmp_path: Path) -> None:
    pixels = colours()
    found, source = read_image(save(tmp_path / "a.png", pixels, icc_profile=b"not a real profile"))
    assert np.array_equal(found, pixels)
    assert source.notes == ("ICC profile not applied",)


def test_damaged_exif_is_an_error_of_that_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours(16, 16)).save(stream, "WEBP", exif=exif.tobytes())
    path = tmp_path / "a.webp"
    path.write_bytes(stream.getvalue().replace(b"MM\0*", b"MM\0#").replace(b"II*\0", b"II#\0"))
    with pytest.raises(DataError, match=r"a.webp: cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif", "webp", "ppm"])
def test_truncated_files_are_named(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / f"a.{kind}", colours(40, 40))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=rf"a\.{kind}: (cannot be decoded|is not an image)"):
        read_image(path)


def test_an_empty_file_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a.png: is not an image that Pillow can read; replace or remove"):
        read_image(tmp_path / "a.png")


def test_text_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(DataError, match="is not an image"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.png: no such file"):
        read_image(tmp_path / "a.png")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"a.png"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_by_their_header(tmp_path: Path, width: int, height: int) -> None:
    path = png(tmp_path / "a.png", width, height, 8, 2, b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (read_image, read_label_map):
            with pytest.raises(DataError, match=r"a\.png: .*bomb"):
                read(path)


def test_the_limit_of_pixels_can_be_chosen(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", colours())
    assert read_image(path, max_pixels=48)[0].shape == (6, 8, 3)
    with pytest.raises(DataError, match="8x6 pixels are over the limit of 47"):
        read_image(path, max_pixels=47)


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match="mode F holds no 8- or 16-bit pixels"):
        read_image(path)


def test_pixels_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.full((2, 2), 70_000, np.int32))
    with pytest.raises(DataError, match="exceed 16 bits"):
        read_image(path)
    with pytest.raises(DataError, match="exceed 16 bits"):
        read_label_map(path)


FILES = {}
for _kind, _mode in [
    ("PNG", "RGB"),
    ("PNG", "P"),
    ("JPEG", "RGB"),
    ("BMP", "RGB"),
    ("WEBP", "RGB"),
    ("PPM", "L"),
]:
    _stream = io.BytesIO()
    Image.fromarray(colours(12, 12)).convert(_mode).save(_stream, _kind)
    FILES[f"{_kind} {_mode}"] = _stream.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1),
)
def test_no_damage_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, edits: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(FILES[name])
    for place, value in edits:
        data[int(place * min(len(data), 300))] = value
    path = tmp_path_factory.getbasetemp() / "damaged.img"
    path.write_bytes(bytes(data[: int(keep * len(data)) if keep < 0.5 else None]))
    for read in (lambda: read_image(path, max_pixels=10**6), lambda: read_label_map(path, max_pixels=10**6)):
        with warnings.catch_warnings(), contextlib.suppress(DataError):
            warnings.simplefilter("ignore")
            read()


# Label maps


@pytest.mark.parametrize("kind", ["png", "tif", "bmp"])
def test_grey_labels_are_numbers(tmp_path: Path, kind: str) -> None:
    labels = np.array([[0, 1, 254, 255]], np.uint8)
    found = read_label_map(save(tmp_path / f"a.{kind}", labels))
    assert found.dtype == np.uint8
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_palette_labels_are_indices(tmp_path: Path, bits: int) -> None:
    labels = np.array([[0, 1, 3, 2]], np.uint8)
    image = Image.fromarray(labels, mode="P")
    image.putpalette([9, 9, 9] * 256)
    assert np.array_equal(read_label_map(save(tmp_path / "a.png", image, bits=bits)), labels)


def test_16_bit_labels_are_kept(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 300, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        found = read_label_map(save(tmp_path / name, labels))
        assert found.dtype == np.uint16
        assert np.array_equal(found, labels)


def test_32_bit_labels_within_16_bits_are_kept(tmp_path: Path) -> None:
    found = read_label_map(save(tmp_path / "a.tif", np.array([[0, 300]], np.int32)))
    assert found.tolist() == [[0, 300]]


def test_negative_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels exceed 16 bits"):
        read_label_map(save(tmp_path / "a.tif", np.array([[-1, 0]], np.int32)))


def test_one_bit_labels_are_0_and_1(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.array([[True, False]])))
    assert read_label_map(path).tolist() == [[1, 0]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_colour_label_maps_are_refused(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(colours()).convert("L").convert(mode))
    with pytest.raises(DataError, match=f"this one is {mode}; convert colours to class numbers"):
        read_label_map(path)


# Folders


def test_images_are_listed_in_order_and_by_suffix(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "c.txt", "sub/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert [path.name for path in list_images(tmp_path, recursive=True)] == ["a.jpeg", "b.PNG", "d.png"]


def test_missing_and_empty_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="gone: no such folder"):
        list_images(tmp_path / "gone")
    with pytest.raises(DataError, match="holds no image"):
        list_images(tmp_path)


def test_fingerprints_see_names_sizes_and_options(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    base = file_fingerprint(tmp_path, [first, second], "x")
    assert file_fingerprint(tmp_path, [first, second], "x") == base
    assert file_fingerprint(tmp_path, [first, second], "y") != base
    assert file_fingerprint(tmp_path, [second, first], "x") != base
    assert file_fingerprint(tmp_path, [first], "x") != base
    second.write_bytes(b"22")
    assert file_fingerprint(tmp_path, [first, second], "x") != base


def test_fingerprints_do_not_depend_on_the_place(tmp_path: Path) -> None:
    prints = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(b"1")
        prints.append(file_fingerprint(tmp_path / name, [tmp_path / name / "a"]))
    assert prints[0] == prints[1]


def test_names_that_are_no_utf8_have_a_fingerprint(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    try:
        path.write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert len(file_fingerprint(tmp_path, [path])) == 64
