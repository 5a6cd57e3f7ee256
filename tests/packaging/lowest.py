"""Test this package with the lowest versions of its dependencies that pyproject.toml allows.

    python tests/packaging/lowest.py [--keep FOLDER] [PYTEST ARGUMENT ...]          # or: make lowest

Installs them from the package index into a virtual environment, where torch, torchvision and the tests' own tools are
linked from this one: torch's lowest version is a download of gigabytes and is not covered. Then it runs the first steps of a
new user in an empty folder, and the tests of the rooms that the dependencies serve, or those that are named.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.packaging.environments import closure, link_distributions, make_environment, run_in  # noqa: E402

LINKED = ("torch", "torchvision")
TOOLS = (
    "bjontegaard",
    "h5py",
    "imagecodecs",
    "jsonschema",
    "kneed",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "pycocotools",
    "pytest-rerunfailures",
    "torchmetrics",
)
"""What tests compare with, at the versions that are here."""
TESTS = (
    "tests/unit/analysis/test_analysis_bootstrap.py",
    "tests/unit/analysis/test_proportions.py",
    "tests/unit/codecs/test_every_codec.py",
    "tests/unit/codecs/test_image_codecs.py",
    "tests/unit/codecs/video",
    "tests/unit/data",
    "tests/unit/first_steps",
    "tests/unit/models",
    "tests/unit/report/test_report_html.py",
    "tests/unit/results",
    "tests/unit/scheduling",
    "tests/unit/specs",
    "tests/unit/tasks/test_detection_coco.py",
    "tests/unit/thresholds",
    "tests/unit/test_doctor_specs.py",
    "tests/unit/test_transforms.py",
    "tests/plugin/test_flags.py",
    "tests/plugin/test_inert.py",
    # Their references need more than the package does: a flag of swscale that PyAV 18 knows, an argument of scipy 1.15.
    "--deselect=tests/unit/codecs/video/test_video_colour.py::test_libswscale_agrees_without_subsampling",
    "--deselect=tests/unit/analysis/test_analysis_bootstrap.py::test_without_bias_it_is_scipys_percentile_interval",
)


def lowest_versions() -> dict[str, str]:
    """Dependency -> the version after its ``>=``, but for those that are linked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {}
    for text in project["dependencies"]:
        requirement = Requirement(text)
        bounds = [one.version for one in requirement.specifier if one.operator == ">="]
        if requirement.name not in LINKED:
            if len(bounds) != 1:
                raise SystemExit(f"pyproject.toml: '{text}' has no lower bound; write {requirement.name}>=VERSION")
            found[requirement.name] = bounds[0]
    return found


def prepare(folder: Path) -> Path:
    """Make the environment.

    Returns:
        its interpreter.
    """
    versions = lowest_versions()
    python = make_environment(folder / "env")
    linked = set(closure([*LINKED, *TOOLS], without=versions))
    link_distributions(folder / "env", linked)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    pins = [f"{name}=={version}" for name, version in versions.items()]
    done = subprocess.run([*pip, *pins], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode or "yanked" in done.stderr:
        raise SystemExit(f"the lowest versions cannot be installed, or were withdrawn; raise them:\n{done.stderr}")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"], cwd=ROOT, check=True
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(wheel)], check=True)
    return python


def first_steps(python: Path, folder: Path) -> None:
    """What a new user does, outside of the repository."""
    folder.mkdir(exist_ok=True)
    for arguments in (
        ("pytest-lossy", "init"),
        ("python", "-m", "pytest", "--lossy-codec=jpeg", "--lossy-samples=8", "-n2"),
        ("pytest-lossy", "doctor"),
    ):
        done = run_in(python, *arguments, cwd=folder, PYTEST_LOSSY_CACHE=str(folder / "cache"))
        print("$", *arguments, "\n" + done.stdout[-1500:] + done.stderr[-3000:], flush=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} ended with status {done.returncode}")


def main() -> int:
    """Run everything; 0 where all of it passes."""
    parser = argparse.ArgumentParser(description="Test with the lowest versions that pyproject.toml allows.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the environment there and leave it")
    parser.add_argument("tests", nargs="*", default=TESTS, metavar="ARGUMENT", help="for pytest; default: a selection")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        python = prepare(folder)
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(python), "list", "--disable-pip-version-check"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name, version in lowest_versions().items():
            there = re.search(rf"(?mi)^{re.escape(name)} +(\S+)", listing)
            print(f"{name:16} {there[1] if there else 'missing':12} (>={version})", flush=True)
        first_steps(python, folder / "empty")
        command = [python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *options.tests]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
