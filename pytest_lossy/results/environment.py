"""What the numbers were computed with."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from pytest_lossy.results.document import Environment

__all__ = ["describe_environment", "package_versions"]

_PACKAGES = (
    "pytest",
    "pytest-lossy",
    "pytest-xdist",
    "numpy",
    "scipy",
    "pillow",
    "torch",
    "torchvision",
    "av",
    "imagecodecs",
    "opencv-python-headless",
    "h5py",
    "onnxruntime",
    "ai-edge-litert",
    "torchmetrics",
    "maite",
    "nrtk",
    "timm",
    "transformers",
)
# Vector extensions that change which kernels run, and with them the last bits of a result; widest first.
_EXTENSIONS = ("avx512_vnni", "avx512f", "avx2", "avx", "sse4_2", "sve", "asimd", "neon")


def describe_environment(devices: list[str]) -> Environment:
    """Versions, processor and devices of this process."""
    model, flags = _processor()
    extension = next((name for name in _EXTENSIONS if name in flags), "baseline")
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        cpu=model,
        instruction_set=f"{platform.machine()}/{extension}",
        packages=package_versions(),
        devices=devices,
    )


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that numbers may depend on."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return packages


def _processor() -> tuple[str, set[str]]:
    """Model name and feature flags, as far as the operating system tells."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip().lower(), value.strip())
    except OSError:
        pass
    flags = set((fields.get("flags") or fields.get("features") or "").lower().split())
    return fields.get("model name") or platform.processor() or "unknown", flags
