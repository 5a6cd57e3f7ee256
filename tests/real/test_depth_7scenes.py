"""A small depth network, trained here for less than a minute, on the RGB-D frames of 7-Scenes; and without labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.real import small_depth
from tests.real.conftest import primary, run_cli
from tests.real.training import train_once

pytestmark = pytest.mark.real

ITERATIONS = 300
TRAINED_ON = 44
"""The first frames of 58; in the rest the camera looks elsewhere, and the network never sees them."""

SMALL = """
task: depth
architecture: encoder-decoder
model:
  torch: ./small_depth.py:build
  weights: small_depth.safetensors
  input: {{size: [120, 160], range: [-1, 1]}}
data: {data}
codecs:
  jpeg: [95, 30, 10, 2]
"""
CONSTANT = """
task: depth
model: {{callable: './small_depth.py:constant', kwargs: {{metres: {metres}}}}}
data: {data}
codecs:
  jpeg: [2]
"""


@pytest.fixture(scope="session")
def files(real_data: Path) -> list[Path]:
    """The colour files, in the order of the sequence."""
    return sorted((real_data / "7scenes").glob("*.color.jpg"))


@pytest.fixture(scope="session")
def weights(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [file.name for file in files[:TRAINED_ON]]
    return train_once(tmp_path_factory, small_depth, ITERATIONS, names, files[0].parent)


@pytest.fixture
def specs(project: Path, weights: Path) -> Path:
    folder = project / "model_specs"
    shutil.copy(small_depth.__file__, folder)
    shutil.copy(weights, folder)
    return folder


def test_the_curve_and_a_constant(project: Path, specs: Path, files: list[Path]) -> None:
    rows = [f"{file.name},{'seen' if i < TRAINED_ON else 'unseen'}\n" for i, file in enumerate(files)]
    (specs / "parts.csv").write_text("".join(["id,part\n", *rows]), encoding="utf-8")
    known = np.concatenate([small_depth.eighth_depth(file).ravel() for file in files[:TRAINED_ON]])
    data = f"{{name: rgbd, kwargs: {{root: {files[0].parent}}}, tags: parts.csv}}"
    (specs / "small.yaml").write_text(SMALL.format(data=data), encoding="utf-8")
    median = float(np.median(known[known > 0]))
    (specs / "constant.yaml").write_text(CONSTANT.format(data=data, metres=median), encoding="utf-8")
    process, document = run_cli(project, "--lossy-codec=jpeg", f"--lossy-cache={project / 'cache'}")
    assert process.returncode == 0, process.stdout
    small, constant = (
        {"cases": [row for row in document["cases"] if row["model"] == name]} for name in ("small", "constant")
    )
    assert {row["samples"] for row in document["cases"]} == {58}
    for part in ("", "{seen}", "{unseen}"):
        error, blind = (primary(one, f"abs_rel{part}")[None]["value"] for one in (small, constant))
        inliers, guessed = (primary(one, f"delta1{part}")[None]["value"] for one in (small, constant))
        assert error < 0.75 * blind, part
        assert inliers > guessed + 0.2, part
    # Sources are JPEG q80 themselves, and the network sees a sixteenth of the pixels: mild levels cost nothing.
    error = primary(small, "abs_rel")
    assert abs(error[95]["loss"]) < 0.01
    assert error[2]["value"] > error[None]["value"]
    assert error[2]["loss"] > 0, "errors rise, and a loss is still positive"
    assert error[2]["retention"] < 1
    guessed = primary(constant, "abs_rel")
    assert guessed[2]["value"] == guessed[None]["value"], "what never looks at the picture loses nothing"
    rates = {row["level"]: (row["bpp"], row["psnr"]) for row in small["cases"]}
    assert rates[95] > rates[30] > rates[10] > rates[2]
    assert any("within that sequence only" in note for note in small["cases"][0]["notes"])
    sources = document["models"][0]["data"]["sources"]
    assert sum(sources.values()) == 58
    assert all(name.startswith("JPEG") for name in sources)


def test_agreement_without_labels(project: Path, specs: Path, files: list[Path]) -> None:
    """The colour files alone, as a plain folder of images."""
    folder = project / "colour"
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file)
    data = "{name: images, kwargs: {path: ../colour, one_sequence: true}}"
    (specs / "small.yaml").write_text(SMALL.format(data=data), encoding="utf-8")
    process, document = run_cli(
        project, "--lossy-codec=jpeg", "--lossy-reference=clean", f"--lossy-cache={project / 'cache'}"
    )
    assert process.returncode == 0, process.stdout
    assert {row["reference"] for row in document["cases"]} == {"clean"}
    error, inliers = primary(document, "abs_rel"), primary(document, "delta1")
    assert error[None]["value"] == 0
    assert inliers[None]["value"] == 1
    assert 0 < error[95]["value"] < error[10]["value"] < error[2]["value"]
    assert error[2]["low"] > error[95]["high"]
    assert inliers[2]["value"] < 1
    answers = next(row["answers"] for row in document["cases"] if row["level"] is None)
    assert sum(answers.values()) == pytest.approx(1)
    assert answers["1-2 m"] + answers["2-4 m"] > 0.5, "a room"
    assert answers["unknown"] == 0
