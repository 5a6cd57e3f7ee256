"""A small action network, trained here for less than a minute, on real clips through video codecs; and without labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.real import small_action
from tests.real.conftest import primary, run_cli
from tests.real.training import train_once

pytestmark = pytest.mark.real

ITERATIONS = 150
UNSEEN = ("doing_exercises4.mp4", "doing_exercises44.mp4", "typing45.mp4", "typing48.mp4")
"""Two videos of each class that the network is not trained on."""

SPEC = """
task: action
architecture: frame-stack
model:
  torch: ./small_action.py:build
  weights: small_action.safetensors
  input: {{function: ./small_action.py:prepare}}
data: {data}
codecs: {codecs}
batch_size: 2
"""
SAMPLING = "sampling: strided, frames: 8, stride: 2, max_frames: 16"


@pytest.fixture(scope="session")
def videos(real_data: Path) -> list[Path]:
    return sorted((real_data / "kinetics-tiny").rglob("*.mp4"))


@pytest.fixture
def specs(project: Path, videos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the small network, trained on eight videos."""
    seen = [name_of(video) for video in videos if video.name not in UNSEEN]
    weights = train_once(tmp_path_factory, small_action, ITERATIONS, seen, videos[0].parents[1])
    folder = project / "model_specs"
    shutil.copy(small_action.__file__, folder)
    shutil.copy(weights, folder)
    return folder


def name_of(video: Path) -> str:
    return f"{video.parent.name}/{video.name}"


def rates(document: dict[str, Any], codec: str) -> dict[float, tuple[float, float, float]]:
    """Level -> bits per pixel, kbit/s, dB."""
    return {row["level"]: (row["bpp"], row["kbps"], row["psnr"]) for row in document["cases"] if row["codec"] == codec}


def test_streams_and_motion_jpeg(project: Path, specs: Path, videos: list[Path]) -> None:
    rows = [f"{name_of(video)},{'unseen' if video.name in UNSEEN else 'seen'}\n" for video in videos]
    (specs / "parts.csv").write_text("".join(["id,part\n", *rows]), encoding="utf-8")
    data = f"{{name: kinetics, kwargs: {{root: {videos[0].parents[1]}, {SAMPLING}}}, tags: parts.csv}}"
    codecs = "{h264: {levels: [23, 37, 51], preset: veryfast}, jpeg: [75, 5]}"
    (specs / "small.yaml").write_text(SPEC.format(data=data, codecs=codecs), encoding="utf-8")
    process, document = run_cli(project, "--lossy-codec=h264,jpeg", f"--lossy-cache={project / 'cache'}")
    assert process.returncode == 0, process.stdout
    assert "kbit/s" in process.stdout
    assert {row["samples"] for row in document["cases"]} == {12}
    # Trained on these eight for long enough to know them; of four unseen ones nothing can be asked.
    for row in document["cases"]:
        assert row["metrics"]["top1{seen}"]["value"] == pytest.approx(1, abs=0.13), row["id"]
        assert row["metrics"]["top1"]["value"] > 0.6, row["id"]
        assert row["metrics"]["top5"]["value"] is None, "there are two classes"
    stream, stills = rates(document, "h264"), rates(document, "jpeg")
    assert (len(stream), len(stills)) == (3, 2)
    for column in range(3):
        values = [stream[level][column] for level in (23, 37, 51)]
        assert values == sorted(values, reverse=True), "bits, kbit/s and PSNR fall as CRF rises"
        assert stills[75][column] > stills[5][column]
    # A stream predicts frames from frames; motion JPEG sends each anew. Near equal PSNR it takes several times the bits.
    assert stills[5][0] > 2 * stream[37][0]
    assert stills[5][2] < stream[37][2]


def test_agreement_of_plain_clips(project: Path, specs: Path, videos: list[Path]) -> None:
    """The same videos without their class folders' meaning, over two stream codecs."""
    data = (
        f"{{name: clips, kwargs: {{path: {videos[0].parents[1]}, {SAMPLING}, classes: [exercise, typing], clips: 1}}}}"
    )
    codecs = "{h264: {levels: [51], preset: veryfast}, vp9: {levels: [63], speed: 5}}"
    (specs / "small.yaml").write_text(SPEC.format(data=data, codecs=codecs), encoding="utf-8")
    process, document = run_cli(
        project, "--lossy-codec=all", "--lossy-reference=clean", f"--lossy-cache={project / 'cache'}"
    )
    assert process.returncode == 0, process.stdout
    assert {row["reference"] for row in document["cases"]} == {"clean"}
    agreement = {row["codec"]: row["metrics"]["top1"]["value"] for row in document["cases"]}
    assert agreement["clean"] == 1
    assert all(0.8 < value <= 1 for value in agreement.values())
    answers = next(row["answers"] for row in document["cases"] if row["level"] is None)
    assert answers.keys() == {"exercise", "typing"}
    assert sum(answers.values()) == pytest.approx(1)
    # Of twelve videos each share is a twelfth; the network tells the eight that it knows apart.
    assert all(round(12 * share, 6) in range(4, 9) for share in answers.values())
    assert all(row["kbps"] > 0 for row in document["cases"] if row["level"] is not None)
    assert primary(document, "top1")[None]["value"] == 1
