"""``pytest-lossy doctor`` in a repository: every model is built and predicts one sample, and every fault is explained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pytest_lossy import cli, doctor
from pytest_lossy.doctor.findings import Finding, exit_status
from tests.plugin import toy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    toy.write_images(tmp_path, count=3)
    toy.write_spec(tmp_path)
    return tmp_path


def found_in(root: Path, specs: Path | None = None, device: str = "cpu") -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.diagnose_specs(lambda _: None, root, specs, device)}


def test_a_spec_that_works_is_built_and_scored(root):
    toy.write_thresholds(root, "toy: {clean: {miou: {min: 0.5}}}")
    found = found_in(root)
    assert {name: finding.state for name, finding in found.items()} == {"thresholds.yaml": "works", "toy": "works"}
    details = found["toy"].details
    assert (details["samples"], details["cases"], details["device"]) == (3, 4, "cpu")
    assert 0.5 < details["metrics"]["miou"] <= 1
    json.dumps(found["toy"].as_json(), allow_nan=False)
    assert found["thresholds.yaml"].summary == "1 rules"


@pytest.mark.parametrize(
    ("model", "reason", "action"),
    [
        ("torch: ./net.py:build_raises", "no such checkpoint in the bucket", "--lossy-model=toy"),
        ("torch: ./net.py:bild", "net.py has no 'bild'", "did you mean 'build'"),
        ("torch: ./net.py:build_broken\nkwargs: {how: raise}", "the answer is not 42", "--lossy-model=toy"),
        ("torch: ./net.py:build_broken\nkwargs: {how: shape}", "returned (1, 3) for a batch of 1", ""),
        ("torch: ./net.py:build_list", "list", ""),
        ("torch: ./net.py:build\nweights: w.safetensors", "w.safetensors: No such file", "place the file there"),
    ],
)
def test_a_model_that_fails_is_explained_and_the_next_one_is_tried(model, reason, action, root):
    toy.write_spec(root, model=model)
    toy.write_spec(root, "zoo")
    found = found_in(root)
    assert (found["toy"].state, found["zoo"].state) == ("broken", "works")
    assert exit_status(found.values()) == 1
    assert reason in (found["toy"].reason or "")
    assert action in (found["toy"].action or "")
    assert "Traceback" not in (found["toy"].reason or "")


def test_every_problem_of_every_file_is_a_finding(root):
    path = root / "model_specs" / "bad.yaml"
    path.write_text(
        "task: segmentaton\nmodel: {torch: ./net.py:build}\ndata: {name: x}\ncodecs: {}\n", encoding="utf-8"
    )
    (root / "thresholds.yaml").write_text(
        "version: 1\nmodels: {toy: {jpeg: {5: {miuo: {min: 1}}}}}\n", encoding="utf-8"
    )
    found = list(doctor.diagnose_specs(lambda _: None, root, None, "cpu"))
    broken = [finding for finding in found if finding.state == "broken"]
    assert [finding.name for finding in broken] == ["bad.yaml", "bad.yaml", "thresholds.yaml"]
    assert all("bad.yaml:" in (finding.reason or "") for finding in broken[:2])
    assert "did you mean 'segmentation'" in (broken[0].action or "")
    assert "thresholds.yaml:2" in (broken[2].reason or "")
    assert found[-1].state == "works"


def test_two_models_of_one_name_are_reported(root):
    toy.write_spec(root, "twin", extra="name: toy")
    assert "is also used by" in (found_in(root)["names"].reason or "")


def test_an_optional_model_whose_files_are_missing_breaks_nothing(root):
    extra = "requires: optional\nneeds: fetch w.safetensors from the archive"
    toy.write_spec(root, model="torch: ./net.py:build\nweights: w.safetensors", extra=extra)
    finding = found_in(root)["toy"]
    assert (finding.state, finding.needed, finding.action) == ("absent", False, "fetch w.safetensors from the archive")
    assert "w.safetensors: No such file" in (finding.reason or "")


def test_a_repository_without_specs_is_pointed_to_init(tmp_path):
    finding = found_in(tmp_path)["specs"]
    assert (finding.state, exit_status([finding])) == ("absent", 0)
    assert "pytest-lossy init" in (finding.action or "")
    assert exit_status(found_in(tmp_path, Path("nowhere")).values()) == 1
    assert not list(tmp_path.iterdir())


def test_folders_of_pytests_configuration_are_used(root):
    (root / "model_specs").rename(root / "quality")
    (root / "pytest.ini").write_text(
        "[pytest]\nlossy_specs = quality\nlossy_thresholds = gates.yaml\n", encoding="utf-8"
    )
    toy.write_thresholds(root, "toy: {clean: {miou: {min: 0.5}}}").rename(root / "gates.yaml")
    assert set(found_in(root)) == {"gates.yaml", "toy"}
    (root / "pyproject.toml").write_text("a = = 1", encoding="utf-8")
    (root / "pytest.ini").unlink()
    assert "is not valid TOML" in (found_in(root)["pytest's ini"].reason or "")


def test_a_device_that_is_not_there_is_an_error(root):
    assert "CUDA devices" in (found_in(root, device="cuda:9")["toy"].reason or "")


def test_without_torch_the_specs_are_left_untested(root, monkeypatch):
    monkeypatch.delitem(sys.modules, "pytest_lossy.doctor.specs", raising=False)
    monkeypatch.setitem(sys.modules, "pytest_lossy.engine.runtime", None)
    (finding,) = doctor.diagnose_specs(lambda _: None, root)
    assert (finding.state, finding.needed) == ("untested", False)


def test_the_command_tries_the_specs_of_this_folder(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr(doctor, "diagnose", lambda progress: iter(()))
    assert cli.main(["doctor", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("toy ") and "works" in line for line in lines)
    assert lines[-1] == "1 works, 1 absent; all that is needed works"  # there is no thresholds.yaml
    assert cli.main(["doctor", "--json", "--specs", "model_specs/toy.yaml"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["findings"]] == ["thresholds.yaml", "toy"]
