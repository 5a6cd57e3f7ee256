"""The repository on another machine: what is shipped, what is linked, and what is too much."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from pytest_lossy.cluster import shipping
from pytest_lossy.cluster.node import NodeFolder
from pytest_lossy.cluster.shipping import pack_repository, plan_shipment, translate_path, unpack_repository
from pytest_lossy.errors import ConfigurationError, ResultsError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name, text in {
        "model_specs/net.py": "import torch",
        "model_specs/weights/net.pt": "weights",
        "data/images/0.png": "picture",
        "data/list.txt": "0",
        "tools/encode": "#!/bin/sh",
        ".git/HEAD": "ref",
        "venv/pyvenv.cfg": "",
        "venv/lib/big.py": "",
        "model_specs/__pycache__/net.pyc": "",
        "lossy-report/results.json": "{}",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "tools" / "encode").chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "label.png").write_text("label", encoding="utf-8")
    (root / "labels").symlink_to(tmp_path / "elsewhere")
    (root / "latest.pt").symlink_to("model_specs/weights/net.pt")
    return root


def test_code_and_weights_are_shipped_and_the_rest_is_linked(repository: Path, tmp_path: Path) -> None:
    shipment = plan_shipment(repository, ["data/images", "*.txt"], [repository / "lossy-report"])
    assert shipment.files == ("model_specs/net.py", "model_specs/weights/net.pt", "tools/encode")
    target = tmp_path / "node" / "repository"
    unpack_repository(pack_repository(shipment), target)
    assert (target / "model_specs" / "net.py").read_text(encoding="utf-8") == "import torch"
    assert not (target / "model_specs" / "net.py").is_symlink()
    assert os.access(target / "tools" / "encode", os.X_OK), "an external codec may be a script of the repository"
    assert (target / "data" / "images" / "0.png").read_text(encoding="utf-8") == "picture", "this machine sees it, too"
    assert (target / "labels" / "label.png").read_text(encoding="utf-8") == "label"
    assert not (target / "lossy-report").exists()
    repository.rename(tmp_path / "gone")
    assert not (target / "data" / "images").exists(), "and one that does not is told so by the data set"
    assert (target / "latest.pt").read_text(encoding="utf-8") == "weights"
    assert (target / "data" / "list.txt").readlink() == repository / "data" / "list.txt"


def test_too_much_is_an_error_that_says_where_it_is(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LIMIT_BYTES", 30)
    with pytest.raises(ConfigurationError, match=r"would be shipped .*model_specs \(.*--lossy-ray-exclude=GLOB"):
        plan_shipment(repository, [], [])
    assert plan_shipment(repository, ["model_specs"], []).bytes <= 30


def test_paths_outside_the_repository_stay() -> None:
    root, here = Path("/home/me/repository"), Path("/tmp/node/repository")
    assert translate_path(root / "model_specs" / "a.yaml", root, here) == here / "model_specs" / "a.yaml"
    assert translate_path(Path("/data/a.yaml"), root, here) == Path("/data/a.yaml")


def _die_holding(archive: bytes, base: Path) -> None:
    NodeFolder("dead", archive, base)
    os._exit(9)


def test_the_last_worker_removes_the_folder_and_a_dead_one_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    archive, base = pack_repository(plan_shipment(repository, [], [])), tmp_path / "base"
    process = multiprocessing.get_context("spawn").Process(target=_die_holding, args=(archive, base))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert (base / "dead").is_dir()
    first = NodeFolder("run", archive, base)
    assert not (base / "dead").exists()
    second = NodeFolder("run", archive, base)
    assert first.repository == second.repository
    first.leave()
    first.leave()
    assert (second.repository / "model_specs" / "net.py").exists()
    second.leave()
    assert not (base / "run").exists()


def test_a_disk_that_refuses_is_named(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"base/run: cannot be written"):
        NodeFolder("run", pack_repository(plan_shipment(repository, [], [])), tmp_path / "base")
