"""The wheel: built twice to the same bytes, complete, and working where nothing but its dependencies is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environments import closure, link_distributions, make_environment, run_in
from tests.packaging.lowest import lowest_versions

pytest.importorskip("hatchling", reason="the build backend is not installed")

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("pyproject.toml", "hatch_build.py", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile")
SAMPLE = "pytest_lossy/first_steps/sample"


def snapshot(target: Path, *, mode: int, when: int) -> Path:
    """A copy of what is built, with modes and times of its own: a checkout has those of its machine."""
    names = [Path(name) for name in BUILT_FROM]
    names += [path.relative_to(ROOT) for path in (ROOT / "pytest_lossy").rglob("*") if "__pycache__" not in path.parts]
    names += [Path("model_specs/segnet.py"), Path("model_specs/weights/segnet-mini.safetensors")]
    for name in sorted(names, reverse=when % 2 == 0):
        if (ROOT / name).is_file():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((ROOT / name).read_bytes())
            path.chmod(mode)
            os.utime(path, (when, when))
    return target


def build(root: Path, output: Path, *kinds: str) -> list[Path]:
    """Build with this environment's backend: no network."""
    targets = [argument for kind in kinds for argument in ("-t", kind)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1600000000"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(output), *targets],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(output.iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path], Path]:
    """sdist and wheel of two copies that differ in times and modes, and the first copy."""
    folder = tmp_path_factory.mktemp("builds")
    first = snapshot(folder / "first", mode=0o644, when=1_500_000_001)
    second = snapshot(folder / "second", mode=0o600, when=1_700_000_000)
    return build(first, folder / "1", "sdist", "wheel"), build(second, folder / "2", "sdist", "wheel"), first


@pytest.fixture(scope="module")
def wheel(builds: tuple[list[Path], list[Path], Path]) -> Path:
    return next(path for path in builds[0] if path.suffix == ".whl")


def test_two_builds_are_the_same_bytes(builds):
    once, again, _ = builds
    assert [path.name for path in once] == [path.name for path in again]
    assert len(once) == 2
    assert [digest(path) for path in once] == [digest(path) for path in again]


def test_the_source_archive_builds_the_same_wheel(builds, wheel, tmp_path):
    archive = next(path for path in builds[0] if path.name.endswith(".tar.gz"))
    with tarfile.open(archive) as members:
        members.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    (rebuilt,) = build(root, tmp_path / "rebuilt", "wheel")
    assert digest(rebuilt) == digest(wheel)


def test_the_wheel_holds_the_package_the_sample_and_nothing_else(builds, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(2020, 9, 13, 12, 26, 40)}  # SOURCE_DATE_EPOCH
        sample = {name: archive.read(name) for name in names if name.startswith(f"{SAMPLE}/")}
    first = builds[2]
    package = {path.relative_to(first).as_posix() for path in (first / "pytest_lossy").rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == package | set(sample)
    assert sample == {
        f"{SAMPLE}/segnet.py": (ROOT / "model_specs/segnet.py").read_bytes(),
        f"{SAMPLE}/segnet-mini.safetensors": (ROOT / "model_specs/weights/segnet-mini.safetensors").read_bytes(),
    }
    assert "pytest_lossy/py.typed" in names
    assert wheel.stat().st_size < 5e6


def test_an_editable_install_takes_the_sample_from_the_checkout(builds, tmp_path):
    """A copy in site-packages would grow old there."""
    pytest.importorskip("editables", reason="the backend of editable installs is not installed")
    (editable,) = build(builds[2], tmp_path, "wheel:editable")
    with zipfile.ZipFile(editable) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.startswith("pytest_lossy/")]
    assert any(name.endswith(".pth") for name in names)


def test_every_dependency_has_a_lower_bound_that_can_be_tested():
    versions = lowest_versions()
    assert {"pytest", "numpy", "av"} < set(versions)
    assert not {"torch", "torchvision"} & set(versions)


def test_it_works_where_only_its_dependencies_are_installed(wheel, tmp_path):
    """An environment without extras, an empty folder: install, init, first run."""
    python = make_environment(tmp_path / "env")
    link_distributions(tmp_path / "env", set(closure(["pytest-lossy"])) - {"pytest-lossy"})
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, cwd=tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    variables = {"PYTEST_LOSSY_CACHE": str(tmp_path / "cache")}
    first = run_in(python, "pytest-lossy", "init", "--no-ci", cwd=folder, **variables)
    assert first.returncode == 0, first.stderr
    arguments = ("--lossy-codec=jpeg", "--lossy-samples=3", "--lossy-level=jpeg:15", "--lossy-gallery=0")
    run = run_in(python, "python", "-m", "pytest", *arguments, cwd=folder, **variables)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "complete build() in" in " ".join(run.stdout.split())
    document = json.loads((folder / "lossy-report" / "results.json").read_text(encoding="utf-8"))
    verdicts = {row["id"].rpartition("::")[2]: row["verdict"] for row in document["cases"] if "sample" in row["id"]}
    assert set(verdicts) == {"clean", "jpeg-q15"}
    assert set(verdicts.values()) <= {"passed", "inconclusive"}  # three pictures prove little; nothing failed
