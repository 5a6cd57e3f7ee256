"""``pytest-lossy retrain`` from a spec to derived specs, alone and with two processes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from pytest_lossy.cli import main
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.specs.index import index_specs

FILES = {
    "data.py": """
import numpy as np
from pytest_lossy.data.base import Sample

class Drawn:
    name, classes = "drawn", ("dark", "light")

    def __init__(self, split):
        self.split = split

    def __len__(self):
        return 12

    def sample_id(self, index):
        return f"{self.split}{index}"

    def group(self, index):
        return None

    def fingerprint(self):
        return self.split

    def load(self, index):
        random = np.random.default_rng((self.split == "train", index))
        labels = np.kron(random.integers(0, 2, (2, 2)), np.ones((8, 8), int)).astype(np.uint8)
        media = np.clip(60 + 100 * labels[..., None] + random.integers(-50, 50, (16, 16, 3)), 0, 255).astype(np.uint8)
        return Sample(self.sample_id(index), media, labels)
""",
    "net.py": """
import numpy as np, torch
from torch.nn import functional

def build():
    return torch.nn.Conv2d(3, 2, 3, padding=1)

def loss(network, samples, random):
    pixels = torch.from_numpy(np.stack([sample.media for sample in samples])).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(np.stack([sample.target for sample in samples])).long()
    return functional.cross_entropy(network(pixels), labels)
""",
    "net.yaml": """# kept
task: segmentation
model: {torch: ./net.py:build}
data: {factory: ./data.py:Drawn, kwargs: {split: test}}
codecs:
  jpeg: [50, 5]  # kept too
training: {loss: ./net.py:loss, data: {split: train}, batch_size: 4, iterations: 20, rate: 0.1}
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in load_file(folder / "weights" / f"{name}.safetensors").items()}


def test_a_model_per_level_and_a_control(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", str(folder / "net.yaml")]) == 0
    said = capsys.readouterr().out
    assert "[1/3] net.control: clean samples" in said
    assert "[3/3] net.jpeg-q5: jpeg q5" in said
    assert "held out" in said
    text = (folder / "net.jpeg-q5.yaml").read_text(encoding="utf-8")
    assert text.startswith("# kept\n")
    assert "# kept too" in text
    specs = {spec.name: spec for spec in index_specs(sorted(folder.glob("*.yaml")), folder)}
    assert sorted(specs) == ["net", "net.control", "net.jpeg-q5", "net.jpeg-q50"]
    record = specs["net.jpeg-q5"].spec.retrained
    assert record is not None
    assert (record.parent, record.control, record.codec, record.levels) == ("net", "net.control", "jpeg", (5,))
    assert (record.iterations, record.seed, len(record.validation)) == (20, 1, 10)
    assert specs["net.control"].spec.retrained.control is None  # type: ignore[union-attr]
    changed, control = weights(folder, "net.jpeg-q5"), weights(folder, "net.control")
    assert not all(np.array_equal(changed[key], control[key]) for key in changed)
    runtime = ModelRuntime.load(specs["net.jpeg-q5"], RuntimeOptions(device=("cpu",)))  # its sha256 fits its weights
    runtime.close()
    assert not list((folder / "weights").glob("*.checkpoint*"))


def test_what_is_there_is_not_trained_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["retrain", str(folder / "net.yaml"), "--levels", "5"]
    main(call)
    before = weights(folder, "net.jpeg-q5")
    stamp = (folder / "weights" / "net.jpeg-q5.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    main(call)
    assert capsys.readouterr().out.count("is there already") == 2
    assert (folder / "weights" / "net.jpeg-q5.safetensors").stat().st_mtime_ns == stamp
    main([*call, "--force"])
    after = weights(folder, "net.jpeg-q5")
    assert all(np.array_equal(before[key], after[key]) for key in before)  # the same seed, the same bits
    main([*call, "--iterations", "3"])
    assert "20/20" not in capsys.readouterr().out.rpartition("[1/2]")[2]


def test_mix_seed_and_epochs(folder: Path) -> None:
    assert main(["retrain", str(folder / "net.yaml"), "--mix", "--seed", "2", "--epochs", "3"]) == 0
    [spec] = index_specs([folder / "net.jpeg-mix.s2.yaml"], folder)
    record = spec.spec.retrained
    assert record is not None
    assert (record.levels, record.seed, record.control) == ((50, 5), 2, "net.control.s2")
    assert record.iterations == 3 * (11 // 4)  # one of twelve is held out, and a batch has four


def test_specs_elsewhere_name_the_same_files(folder: Path) -> None:
    """A derived spec in another folder finds code, data and tags where its parent does."""
    path = folder / "net.yaml"
    (folder / "tags.csv").write_text("sample,time\ntest0,night\n", encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("# kept", "# yaml-language-server: $schema=./lossy.json")
    text = text.replace("kwargs: {split: test}}", "kwargs: {split: test}, tags: tags.csv}")
    path.write_text(text.replace("jpeg: [50, 5]", "jpeg: {levels: [50, 5]}"), encoding="utf-8")
    out = folder / "seeds" / "two"
    assert main(["retrain", str(path), "--mix", "--seed", "2", "--iterations", "2", "--out", str(out)]) == 0
    derived = (out / "net.jpeg-mix.s2.yaml").read_text(encoding="utf-8")
    for line in ("$schema=../../lossy.json", "torch: ../../net.py:build", "factory: ../../data.py:Drawn"):
        assert line in derived
    assert "tags: ../../tags.csv" in derived
    assert "split: test" in derived
    assert "weights: weights/net.jpeg-mix.s2.safetensors" in derived
    [spec] = index_specs([out / "net.jpeg-mix.s2.yaml"], folder)
    runtime = ModelRuntime.load(spec, RuntimeOptions(device=("cpu",)))
    assert runtime.dataset.load(0).tags
    runtime.close()
    assert not (folder / "net.jpeg-mix.s2.yaml").exists()


def test_two_processes_share_the_work(folder: Path) -> None:
    call = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "pytest_lossy.cli",
    ]
    done = subprocess.run(
        [*call, "retrain", str(folder / "net.yaml"), "--levels", "5"], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[2/2] net.jpeg-q5") == 1  # only the first process speaks
    together = weights(folder, "net.jpeg-q5")
    main(["retrain", str(folder / "net.yaml"), "--levels", "5", "--force"])
    alone = weights(folder, "net.jpeg-q5")
    for key, value in together.items():  # gradients are averaged over the same batches, in another order of addition
        np.testing.assert_allclose(value, alone[key], atol=2e-3)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (("training:", "#"), [], "has no 'training' section; add one"),
        (("split: train", "split: test"), [], "the training data are the test data; name another split"),
        (("", ""), ["--codec", "jpg"], "unknown codec 'jpg'; did you mean 'jpeg'"),
        (("", ""), ["--levels", "500"], "--levels: jpeg: level 500 is outside 1..100"),
        (("torch: ./net.py:build", "callable: ./net.py:build"), [], "a 'callable' model cannot be retrained"),
    ],
)
def test_refusals(
    folder: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], arguments: list[str], message: str
) -> None:
    path = folder / "net.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    assert main(["retrain", str(path), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (folder / "weights").exists() or not list((folder / "weights").iterdir())
