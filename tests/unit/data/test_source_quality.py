import io
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from shutil import which

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pytest_lossy.codecs.jpeg_tables import named_tables
from pytest_lossy.data.base import SourceInfo
from pytest_lossy.data.clip_file import read_clip
from pytest_lossy.data.images import read_image
from pytest_lossy.data.source_quality import (
    jpeg_quality,
    nearest_quality,
    quality_counts,
    quality_summary,
    standard_tables,
    yuv_subsampling,
)
from pytest_lossy.results.document import DataInfo

PICTURE = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def written(**options) -> Image.Image:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, format="JPEG", **options)
    return Image.open(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_quality_that_pillow_writes_is_recovered(quality):
    with written(quality=quality) as image:
        found = jpeg_quality(image)
    assert found is not None
    assert (found.quality, found.exact) == (quality, True)


@pytest.mark.parametrize("quality", [1, 5, 24, 25, 49, 50, 51, 75, 90, 99, 100])
@pytest.mark.parametrize("form", [{"progressive": True}, {"subsampling": "4:4:4", "optimize": True}, {"grey": True}])
def test_forms_of_the_file_do_not_matter(quality, form, tmp_path):
    path = tmp_path / "picture.jpg"
    options = {key: value for key, value in form.items() if key != "grey"}
    Image.fromarray(PICTURE[..., 0] if form.get("grey") else PICTURE).save(path, quality=quality, **options)
    info = read_image(path)[1]
    assert (info.codec, info.quality, info.quality_exact) == ("jpeg", quality, True)
    assert info.subsampling == (None if form.get("grey") else form.get("subsampling", "4:2:0"))


@pytest.mark.parametrize("quality", range(5, 101, 5))
def test_what_opencv_writes_is_recovered(quality):
    done, data = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    with Image.open(io.BytesIO(data.tobytes())) as image:
        found = jpeg_quality(image)
    assert found is not None
    assert (found.quality, found.exact) == (quality, True)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_subsampling_is_read(subsampling, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", quality=80, subsampling=subsampling)
    assert read_image(tmp_path / "a.jpg")[1].subsampling == subsampling


def test_quality_survives_orientation_and_colour_conversion(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "a.jpg", quality=61, exif=exif)
    pixels, info = read_image(tmp_path / "a.jpg")
    assert pixels.shape == (32, 24, 3)
    assert (info.quality, info.quality_exact, info.mode) == (61, True, "CMYK")


def test_tables_of_a_camera_are_reported_as_the_nearest():
    with written(qtables="web_high") as image:
        found = jpeg_quality(image)
    assert found is not None
    assert not found.exact
    luma, chroma = named_tables("web_high")
    logs = {
        q: sum(
            np.abs(np.log(np.array(mine) / standard)).mean()
            for mine, standard in zip((luma, chroma), standard_tables(q), strict=True)
        )
        for q in range(1, 101)
    }
    assert found.quality == min(logs, key=logs.__getitem__)


@given(quality=st.integers(20, 90), places=st.sets(st.integers(0, 63), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_few_changed_entries_move_the_estimate_little(quality, places):
    luma, chroma = (table.copy() for table in standard_tables(quality))
    for place in places:
        luma[place] = min(255, luma[place] + 1 + luma[place] // 10)
    found = nearest_quality(luma, chroma)
    assert not found.exact
    assert abs(found.quality - quality) <= 2


def test_entries_of_sixteen_bits_count_as_the_largest_of_eight():
    luma, chroma = (table.astype(int) for table in standard_tables(3))
    luma[luma == 255] = 4000
    assert nearest_quality(luma, chroma).quality == 3


@pytest.mark.parametrize(("form", "name"), [("PNG", "a.png"), ("WEBP", "a.webp"), ("BMP", "a.bmp")])
def test_other_formats_have_no_quality(form, name, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / name)
    info = read_image(tmp_path / name)[1]
    assert (info.format, info.codec, info.quality, info.kbps) == (form, None, None, None)


def test_a_multi_picture_file_of_a_phone_is_a_jpeg(tmp_path):
    first, second = Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1])
    first.save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[second], quality=88)
    info = read_image(tmp_path / "a.mpo")[1]
    assert (info.format, info.codec, info.quality) == ("MPO", "jpeg", 88)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("yuv420p", "4:2:0"),
        ("yuvj422p", "4:2:2"),
        ("yuv444p10le", "4:4:4"),
        ("nv12", "4:2:0"),
        ("rgb24", None),
        (None, None),
    ],
)
def test_pixel_formats_name_their_subsampling(name, expected):
    assert yuv_subsampling(name) == expected


def jpeg(quality: float, *, exact: bool = True) -> SourceInfo:
    return SourceInfo("JPEG", codec="jpeg", quality=quality, quality_exact=exact)


def test_counts_are_exact_builtins_in_one_order_and_the_summary_fits_the_results():
    sources = [jpeg(90), None, jpeg(80), SourceInfo("PNG"), jpeg(80), jpeg(71, exact=False)]
    sources += [SourceInfo("H264", codec="h264", kbps=512.4), SourceInfo("H264", codec="h264", kbps=900)]
    counts = quality_counts(sources)
    assert counts == quality_counts(reversed(sources))
    assert json.dumps(counts) == json.dumps(quality_counts(reversed(sources)))
    summary = DataInfo(name="d", source_quality=quality_summary(counts)).source_quality
    assert summary["jpeg"].model_dump() == {
        "parameter": "q",
        "count": 4,
        "minimum": 71,
        "median": 80,
        "maximum": 90,
        "nonstandard": 1,
    }
    assert (summary["h264"].parameter, summary["h264"].median, summary["h264"].maximum) == ("kbps", 512, 900)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_the_median_is_numpys_lower_one(qualities):
    found = quality_summary(quality_counts(map(jpeg, qualities)))["jpeg"]
    assert found["median"] == np.percentile(qualities, 50, method="inverted_cdf")
    assert (found["minimum"], found["maximum"], found["count"]) == (min(qualities), max(qualities), len(qualities))


def test_a_source_survives_the_way_to_disk_as_builtins():
    info = asdict(jpeg(80))
    assert SourceInfo(**{**json.loads(json.dumps(info)), "notes": ()}) == jpeg(80)


@pytest.mark.real
def test_real_photographs(real_data):
    frames = sorted((real_data / "7scenes").glob("*.color.jpg"))
    infos = [read_image(path)[1] for path in frames]
    assert {(info.quality, info.quality_exact, info.subsampling) for info in infos} == {(80, True, "4:2:0")}


@pytest.mark.real
def test_the_bit_rate_of_real_clips_is_what_ffprobe_says(real_data):
    if which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    clips = sorted(
        path for path in (real_data / "kinetics-tiny").rglob("*") if path.suffix in {".mp4", ".avi", ".webm"}
    )
    for path in clips[:4]:
        source = read_clip(path, lambda total, _: (0, min(total, 2))).source
        assert (source.codec, source.kbps is not None) == (probed(path, "codec_name"), True)
        assert source.kbps == pytest.approx(float(probed(path, "bit_rate")) / 1000, rel=0.02)


def probed(path: Path, entry: str) -> str:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", f"stream={entry}"]
    found = subprocess.run(
        [*command, "-of", "default=nokey=1:noprint_wrappers=1", str(path)], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()
