"""What a broken model, file or data set looks like: an error of its cases, explained once, and never our traceback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts

BROKEN = [
    ("raise", "*the model raised ZeroDivisionError: the answer is not 42*"),
    ("nan", "*returned NaN or infinite class scores*"),
    ("shape", "*the network returned (5, 3) for a batch of 5*"),
    ("count", "*the network returned (1, 3, 40, 56) for a batch of 5*"),
    ("classes", "*class 4 is predicted but the data has classes 0..2*class_map*"),
]


@pytest.mark.parametrize(("how", "message"), BROKEN, ids=[how for how, _ in BROKEN])
def test_a_model_that_misbehaves(suite: pytest.Pytester, how: str, message: str) -> None:
    toy.write_spec(suite.path, model=f"torch: ./net.py:build_broken\nkwargs: {{how: {how}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines([message])
    for ours in ("*pytest_lossy/*", "*Traceback*"):
        result.stdout.no_fnmatch_line(ours)
    assert set(verdicts(suite).values()) == {"error"}
    assert all(row["error"] for row in results(suite)["cases"])


def test_the_users_own_frames_are_shown(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, model="torch: ./net.py:build_broken\nkwargs: {how: raise}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "clean")
    result.stdout.fnmatch_lines(["*net.py:* in forward: raise ZeroDivisionError*", "*on 000.png, 001.png*"])


def test_out_of_gpu_memory_halves_the_batch_and_says_so(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, model="torch: ./net.py:build_broken\nkwargs: {how: oom}")
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=4)
    row = results(suite)["cases"][0]
    assert row["batch_size"] == 2
    assert "batches of 2 instead of 5" in row["notes"][0]


LOADING = [
    (
        "torch: ./net.py:build_raises",
        "*building the model raised RuntimeError: no such checkpoint in the bucket*",
    ),
    ("torch: ./net.py:build_list", "*returned list; return a torch.nn.Module*"),
    ("torch: ./net.py:bild", "*net.py has no 'bild'; did you mean 'build'?*"),
    ("torch: ./nett.py:build", "*nett.py: no such file*"),
    ("torch: nopackage.mod:build", "*cannot import 'nopackage.mod'*"),
    (
        "torch: ./net.py:build\nweights: none.safetensors",
        "*none.safetensors: No such file*place the file there*",
    ),
    ("onnx: none.onnx", "*none.onnx: No such file*"),
    ("litert: none.tflite", "*none.tflite: No such file*"),
    ("torch: ./net.py:build\nkwargs: {depth: 3}", "*unexpected keyword argument 'depth'*"),
]


@pytest.mark.parametrize(("model", "message"), LOADING, ids=[model.replace("\n", " ") for model, _ in LOADING])
def test_a_model_that_cannot_load(suite: pytest.Pytester, model: str, message: str) -> None:
    toy.write_spec(suite.path, model=model)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-p", "no:randomly")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert set(verdicts(suite).values()) == {"error"}
    assert results(suite)["models"][0]["error"]


def test_a_load_error_is_explained_once_per_worker(run: Run, suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, model="torch: ./net.py:build_raises")
    result = run("--lossy-codec=jpeg")
    result.assert_outcomes(errors=4)
    errors = [line for line in result.outlines if "(model_specs/toy.yaml) is not available" in line]
    assert 1 <= len([line for line in errors if not line.startswith("ERROR")]) <= 2


def test_other_models_run_on(run: Run, suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "broken", model="torch: ./net.py:build_raises")
    run("--lossy-codec=jpeg").assert_outcomes(passed=4, errors=4)


def test_weights_that_do_not_match(suite: pytest.Pytester) -> None:
    import torch
    from safetensors.torch import save_file

    weights = suite.path / "model_specs" / "w.safetensors"
    save_file({"conv.weight": torch.zeros(3, 3, 1, 1), "conv.bais": torch.zeros(3)}, weights)
    toy.write_spec(suite.path, model="torch: ./net.py:build\nweights: w.safetensors")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "clean")
    result.stdout.fnmatch_lines(["*1 missing (conv.bias); 1 unexpected (conv.bais did you mean 'conv.bias'?)*"])
    wrong = "0" * 64
    toy.write_spec(suite.path, model=f"torch: ./net.py:build\nweights: w.safetensors\nsha256: '{wrong}'")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "clean")
    actual = hashlib.sha256(weights.read_bytes()).hexdigest()
    result.stdout.fnmatch_lines([f"*w.safetensors: sha256 is {actual}, the spec says {wrong}*"])
    weights.write_bytes(b"not weights")
    toy.write_spec(suite.path, model="torch: ./net.py:build\nweights: w.safetensors")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "clean")
    result.stdout.fnmatch_lines(["*w.safetensors: cannot be loaded as safetensors*"])


@pytest.mark.parametrize("kind", ["weights", "data"])
def test_optional_specs_skip_with_their_reason(run: Run, suite: pytest.Pytester, kind: str) -> None:
    path = toy.write_spec(
        suite.path,
        model="torch: ./net.py:build" + ("\nweights: absent.pt" if kind == "weights" else ""),
        extra="requires: optional",
    )
    if kind == "data":
        path.write_text(path.read_text(encoding="utf-8").replace("../images", "../absent"), encoding="utf-8")
    result = run("--lossy-codec=jpeg", "-rs")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["SKIPPED*absent*"])
    assert result.ret == 0
    rows = results(suite)["cases"]
    assert {row["verdict"] for row in rows} == {"not_run"}
    assert all("absent" in row["error"] for row in rows)


def own_data(suite: pytest.Pytester) -> Path:
    """Replace the shared images by a copy that the test may damage."""
    for folder in ("images", "labels"):
        (suite.path / folder).unlink()
    toy.write_images(suite.path, count=4)
    return suite.path


def grey(path: Path) -> None:
    Image.fromarray(np.full((40, 56), 120, np.uint8)).save(path)


def rgba(path: Path) -> None:
    Image.fromarray(np.full((40, 56, 4), 120, np.uint8)).save(path)


def sixteen(path: Path) -> None:
    Image.fromarray(np.full((40, 56), 30_000, np.uint16)).save(path)


def cmyk(path: Path) -> None:
    Image.new("CMYK", (56, 40), (20, 30, 40, 10)).save(path.with_suffix(".jpg"))
    path.unlink()


@pytest.mark.parametrize("convert", [grey, rgba, sixteen, cmyk])
def test_unusual_images_are_converted_and_counted(suite: pytest.Pytester, convert: object) -> None:
    root = own_data(suite)
    convert(root / "images" / "002.png")  # type: ignore[operator]
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=4)
    sources = results(suite)["models"][0]["data"]["sources"]
    assert sum(sources.values()) == 4
    assert len(sources) == 2


def test_one_pixel_images(suite: pytest.Pytester) -> None:
    root = own_data(suite)
    for index in range(4):
        Image.fromarray(np.array([[toy.COLORS[index % 3]]], np.uint8)).save(root / "images" / f"00{index}.png")
        Image.fromarray(np.array([[index % 3]], np.uint8)).save(root / "labels" / f"00{index}.png")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:90").assert_outcomes(passed=2)


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def bomb(path: Path) -> None:
    """A header that claims 65,000 x 65,000 pixels."""
    data = bytearray(path.read_bytes())
    data[16:24] = (65_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))


DAMAGE = [
    ("images/002.png", truncate, "*images/002.png: cannot be decoded*"),
    ("images/002.png", lambda path: path.write_bytes(b""), "*images/002.png: is not an image*"),
    ("images/002.png", bomb, "*images/002.png: *decompression bomb*remove the file or scale it down*"),
    ("labels/002.png", truncate, "*labels/002.png: cannot be decoded*"),
    (
        "labels/002.png",
        lambda path: Image.fromarray(np.zeros((20, 20), np.uint8)).save(path),
        "*labels/002.png: the label map is 20x20, the image is 56x40*",
    ),
    (
        "labels/002.png",
        lambda path: Image.fromarray(np.full((40, 56), 7, np.uint8)).save(path),
        "*labels/002.png: label 7 is none of the 3 classes*",
    ),
    (
        "labels/002.png",
        lambda path: Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(path),
        "*labels/002.png: a label map is a grey or palette image*",
    ),
]


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGE, ids=[str(number) for number in range(len(DAMAGE))])
def test_a_damaged_sample(suite: pytest.Pytester, name: str, damage: object, message: str) -> None:
    root = own_data(suite)
    damage(root / name)  # type: ignore[operator]
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_no_sample(suite: pytest.Pytester) -> None:
    root = own_data(suite)
    for path in (root / "images").iterdir():
        path.unlink()
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*images: holds no image*"])


def test_an_image_without_labels(suite: pytest.Pytester) -> None:
    root = own_data(suite)
    (root / "labels" / "001.png").unlink()
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*labels/001.png: no such label map (1 of 4 images*'missing_labels: skip'*"])
    spec = suite.path / "model_specs" / "toy.yaml"
    text = spec.read_text(encoding="utf-8").replace("{images:", "{missing_labels: skip, images:")
    spec.write_text(text, encoding="utf-8")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*1 of 4 images have no label map and were left out*"])
    assert {row["samples"] for row in results(suite)["cases"]} == {3}
