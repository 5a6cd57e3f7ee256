"""H.264 and H.265 on real clips, and H.264 intra frames of photographs, through the public command line."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.registry import build_dataset
from tests.real import commonest_hue
from tests.real.conftest import run_cli

pytestmark = pytest.mark.real

SPEC = """
task: {task}
model: {{callable: './commonest_hue.py:build'}}
data: {data}
codecs: {codecs}
batch_size: 2
"""
CLASSES = list(commonest_hue.CLASSES)


@pytest.fixture
def specs(project: Path) -> Path:
    shutil.copy(commonest_hue.__file__, project / "model_specs")
    return project / "model_specs"


@pytest.fixture
def clips(project: Path, real_data: Path) -> list[Path]:
    """The four clips of 640x360, in ``typing`` of the project."""
    folder = project / "typing"
    folder.mkdir()
    small = []
    for video in sorted((real_data / "kinetics-tiny" / "typing").glob("*.mp4")):
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            if (stream.width, stream.height) == (640, 360):
                (folder / video.name).symlink_to(video)
                small.append(folder / video.name)
    assert len(small) == 4
    return small


def label_free(project: Path, codec: str) -> list[dict[str, Any]]:
    process, document = run_cli(
        project, f"--lossy-codec={codec}", "--lossy-reference=clean", f"--lossy-cache={project / 'cache'}"
    )
    assert process.returncode == 0, process.stdout
    rows: list[dict[str, Any]] = document["cases"]
    assert {row["reference"] for row in rows} == {"clean"}
    assert rows[0]["metrics"]["top1"]["value"] == 1
    assert all(0 < row["metrics"]["top1"]["value"] <= 1 for row in rows)
    assert sum(rows[0]["answers"].values()) == pytest.approx(1)
    return rows


def assert_falling(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    ordered = sorted(rows, key=lambda row: row["level"])
    for mild, severe in itertools.pairwise(ordered):
        for column in columns:
            assert severe[column] < mild[column], f"{column} of {severe['id']}"


def test_rates_of_real_clips(project: Path, specs: Path, clips: list[Path]) -> None:
    data = f"{{name: clips, kwargs: {{path: ../typing, frames: 1, max_frames: 24, classes: {CLASSES}}}}}"
    grid = "{levels: [23, 33, 43], preset: veryfast}"
    codecs = f"{{h264: {grid}, hevc: {grid}}}"
    (specs / "hue.yaml").write_text(SPEC.format(task="action", data=data, codecs=codecs), encoding="utf-8")
    rows = label_free(project, "all")
    curves = {name: [row for row in rows if row["codec"] == name] for name in ("h264", "hevc")}
    for curve in curves.values():
        assert [row["samples"] for row in curve] == [4, 4, 4]
        assert_falling(curve, ("bpp", "kbps", "psnr"))
    # kbit/s from nothing but the rate, the frame size and what the files say of themselves.
    seconds = sum(24 / frames_per_second(clip) for clip in clips)
    pixels = len(clips) * 24 * 640 * 360
    for row in curves["h264"] + curves["hevc"]:
        assert row["kbps"] == pytest.approx(row["bpp"] * pixels / seconds / 1000, rel=1e-5), row["id"]
    # And from the bytes of the streams themselves.
    data = build_dataset("clips", {"path": "typing", "frames": 1, "max_frames": 24}, project)
    bits = sum(payload_bits(data, index) for index in range(4))
    row = next(row for row in curves["h264"] if row["level"] == 33)
    assert row["kbps"] == pytest.approx(bits / seconds / 1000, rel=1e-5)


def frames_per_second(video: Path) -> float:
    with av.open(str(video)) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return float(rate)


def payload_bits(data: Any, index: int) -> int:
    """Slices and parameter sets (types 1 to 5, 7, 8 of H.264's table 7-1) of a clip at CRF 33, without start codes."""
    sample = data.load(index)
    encoded = build_codec("h264", {"preset": "veryfast"}).encode(sample.media, 33, fps=sample.context["fps"])
    units = [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", encoded.data)]
    return 8 * sum(len(unit) for unit in units if unit and unit[0] % 32 in (1, 2, 3, 4, 5, 7, 8))


def test_intra_frames_of_photographs(project: Path, specs: Path, real_data: Path) -> None:
    """A spec that lists the stream codec runs on stills as its intra twin, under that label."""
    folder = project / "images"
    folder.mkdir()
    for image in sorted((real_data / "coco128" / "images").glob("*.jpg"))[:32]:
        (folder / image.name).symlink_to(image)
    data = f"{{name: images, kwargs: {{path: ../images, classes: {CLASSES}}}}}"
    codecs = "{h264: {levels: [23, 35, 47], preset: veryfast}, jpeg: [50]}"
    (specs / "hue.yaml").write_text(SPEC.format(task="classification", data=data, codecs=codecs), encoding="utf-8")
    rows = label_free(project, "all")
    assert {row["codec"] for row in rows} == {"clean", "h264-intra", "jpeg"}
    assert {row["samples"] for row in rows} == {32}
    assert all(row["kbps"] is None for row in rows), "stills have no duration"
    intra = [row for row in rows if row["codec"] == "h264-intra"]
    assert_falling(intra, ("bpp", "psnr"))
    agreement = {row["level"]: row["metrics"]["top1"]["value"] for row in intra}
    assert agreement[47] < agreement[23] <= 1
    # H.264 predicts blocks from their neighbours and JPEG does not: at JPEG's rate it has the better PSNR.
    jpeg = next(row for row in rows if row["codec"] == "jpeg")
    curve = sorted((np.log(row["bpp"]), row["psnr"]) for row in intra)
    assert np.interp(np.log(jpeg["bpp"]), *zip(*curve, strict=True)) > jpeg["psnr"] + 0.5
