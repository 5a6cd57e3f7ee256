"""Interpreter, libraries, processor, GPUs and the cache folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pytest_lossy import __version__
from pytest_lossy.cache_command import cache_info
from pytest_lossy.cores import usable_cores
from pytest_lossy.doctor.findings import Finding
from pytest_lossy.engine.media_cache import DEFAULT_LIMIT_BYTES
from pytest_lossy.errors import LossyError
from pytest_lossy.paths import CACHE_VARIABLE, media_cache_folder
from pytest_lossy.results.document import Environment
from pytest_lossy.results.environment import describe_environment

__all__ = ["check_cache", "check_machine", "check_torch"]

_EXTRA = re.compile(r"([A-Za-z0-9_.-]+).*extra *== *['\"]([\w-]+)['\"]")
_PAIR = "install a matching pair: pip install --upgrade --force-reinstall torch torchvision"


def check_machine(progress: Callable[[str], None]) -> Iterator[Finding]:
    """Everything but the codecs."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", _check_python),
        ("versions", check_versions),
        ("PyAV", _check_av),
        ("torch", check_torch),
        ("extras", _check_extras),
        ("cache", check_cache),
    ]
    for name, check in checks:
        progress(name)
        yield from check()


def _check_python() -> Iterator[Finding]:
    found: Environment = describe_environment([])
    yield Finding(
        "machine",
        "python",
        "works",
        f"{found.python}, pytest-lossy {__version__}, {found.platform}",
        {"python": found.python, "pytest_lossy": __version__, "platform": found.platform, "executable": sys.executable},
    )
    packages = dict(found.packages)
    shown = ", ".join(f"{name} {version}" for name, version in packages.items() if name != "pytest-lossy")
    yield Finding("machine", "packages", "works", shown, packages)
    cores = usable_cores()
    yield Finding(
        "machine",
        "processor",
        "works",
        f"{found.cpu}, {found.instruction_set}; {cores} of {os.cpu_count()} cores usable",
        {"cpu": found.cpu, "instruction_set": found.instruction_set, "cores": os.cpu_count(), "usable_cores": cores},
    )


def check_versions() -> Iterator[Finding]:
    """Whether Python and every package are as recent as this package's metadata ask for."""
    needs = str(importlib.metadata.metadata("pytest-lossy").json.get("requires_python", ">=3.11"))
    wrong = []
    if not SpecifierSet(needs).contains(platform.python_version(), prereleases=True):
        wrong.append(("python", f"is {platform.python_version()}, and {needs} is needed", f"use a Python {needs}"))
    for requirement in map(Requirement, importlib.metadata.requires("pytest-lossy") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append((requirement.name, "is not installed", f"pip install '{requirement}'"))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            reason = f"is {version}, and {requirement.specifier} is needed"
            wrong.append((requirement.name, reason, f"pip install --upgrade '{requirement}'"))
    for name, reason, action in wrong:
        yield Finding("machine", name, "broken", reason=f"{name} {reason}", action=action)
    if not wrong:
        yield Finding("machine", "versions", "works", "Python and every dependency are as recent as needed")


def _check_av() -> Iterator[Finding]:
    try:
        import av

        versions = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
        found = {"av": av.__version__, **versions}
    except Exception as error:  # noqa: BLE001  a broken binary package may raise anything
        yield Finding("machine", "PyAV", "broken", reason=_said(error), action="pip install --force-reinstall av")
        return
    shown = f"{found['av']} with libavcodec {found.get('libavcodec', 'unknown')}"
    yield Finding("machine", "PyAV", "works", shown, found)


def check_torch() -> Iterator[Finding]:
    """Whether torch and torchvision fit each other, which only their compiled operators show, and which GPUs there are."""
    try:
        import torch
        import torchvision
    except Exception as error:  # noqa: BLE001  a mismatched pair fails in many ways, at import
        reason = "; ".join(filter(None, (_mismatch(), _said(error))))
        yield Finding("machine", "torch", "broken", reason=reason, action=_PAIR)
        return
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }
    build = f"CUDA {found['cuda']}" if found["cuda"] else "no CUDA"
    shown = f"{found['torch']} ({build}), torchvision {found['torchvision']}; {found['threads']} threads"
    try:
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist()
        if kept != [1]:
            raise RuntimeError(f"torchvision.ops.nms keeps {kept}, not [1]")
    except Exception as error:  # noqa: BLE001  as above
        reason = "; ".join(filter(None, (_mismatch(), _said(error))))
        yield Finding("machine", "torch", "broken", shown, found, reason=reason, action=_PAIR)
        return
    mismatch = _mismatch()
    action = _PAIR if mismatch else None
    yield Finding("machine", "torch", "works", shown, found, reason=mismatch, action=action)
    yield _gpus(torch)


def _mismatch() -> str | None:
    """What torchvision's metadata say of the torch that it was built for, where that is not the one installed."""
    try:
        installed = importlib.metadata.version("torch")
        needs = [Requirement(text) for text in importlib.metadata.requires("torchvision") or ()]
    except importlib.metadata.PackageNotFoundError as error:
        return f"{error.name} is not installed"
    for requirement in needs:
        if requirement.name == "torch" and not requirement.specifier.contains(installed, prereleases=True):
            version = importlib.metadata.version("torchvision")
            return f"torchvision {version} was built for torch{requirement.specifier}, and torch is {installed}"
    return None


def _compute(torch: Any, device: str) -> None:
    """Convolve on a device, as every network does.

    Raises:
        RuntimeError: the result is not that of the processor; or whatever torch raises where it has no kernels for the
            device.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, 16, 16, generator=generator)
    kernel = torch.rand(4, 3, 3, 3, generator=generator)
    expected = torch.nn.functional.conv2d(images, kernel)
    result = torch.nn.functional.conv2d(images.to(device), kernel.to(device)).cpu()
    if not torch.allclose(expected, result, rtol=1e-2):  # a GPU may round to 10 bits of mantissa
        raise RuntimeError("a convolution gives another result than on the processor")


def _gpus(torch: Any) -> Finding:
    """What torch can compute on besides the processor."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            properties = [torch.cuda.get_device_properties(index) for index in range(count)]
        except Exception as error:  # noqa: BLE001  a driver may fail in any way
            return Finding("machine", "GPUs", "broken", reason=_said(error), action="repair the driver", needed=False)
    if not properties:
        remark = "; ".join(dict.fromkeys(_said(entry.message) for entry in said))
        reason = remark or ("torch sees no GPU" if torch.version.cuda else "this torch was built without CUDA")
        return Finding(
            "machine", "GPUs", "absent", "none: inference runs on the processor", reason=reason, needed=False
        )
    names = [f"{found.name} ({found.total_memory / 2**30:.0f} GiB)" for found in properties]
    details = [{"name": found.name, "memory_bytes": int(found.total_memory)} for found in properties]
    for index in range(len(properties)):
        try:
            _compute(torch, f"cuda:{index}")
        except Exception as error:  # noqa: BLE001  a wheel without kernels for this GPU raises anything
            reason = f"cuda:{index} is there and cannot compute: {_said(error)}"
            action = f"install a torch that supports {names[index]}, or run with --lossy-device=cpu"
            return Finding("machine", "GPUs", "broken", ", ".join(names), {"devices": details}, reason, action)
    return Finding("machine", "GPUs", "works", ", ".join(names), {"devices": details}, needed=False)


def _check_extras() -> Iterator[Finding]:
    """The package's own extras, as its metadata declare them."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("pytest-lossy") or ():
        found = _EXTRA.match(requirement)
        if found and found.group(2) != "dev":
            extras.setdefault(found.group(2), []).append(found.group(1))
    missing = {}
    for extra, packages in extras.items():
        absent = [name for name in packages if not _installed(name)]
        if absent:
            missing[extra] = absent
    present = [extra for extra in extras if extra not in missing]
    if missing:
        needs = "; ".join(f"{extra} needs {', '.join(names)}" for extra, names in missing.items())
        yield Finding(
            "machine",
            "extras",
            "absent",
            f"{', '.join(present) or 'none'} installed",
            {"installed": present, "missing": list(missing)},
            reason=needs,
            action=f"where they are wanted: pip install 'pytest-lossy[{','.join(missing)}]'",
            needed=False,
        )
    else:
        yield Finding(
            "machine", "extras", "works", ", ".join(present), {"installed": present, "missing": []}, needed=False
        )


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_cache(folder: Path | None = None) -> Iterator[Finding]:
    """The cache of encoded media: what it holds, and whether a run could write there. Nothing is created."""
    folder = folder or media_cache_folder()
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    try:
        info = cache_info(folder, DEFAULT_LIMIT_BYTES)
        free = shutil.disk_usage(there).free
    except (LossyError, OSError) as error:
        yield Finding("machine", "cache", "broken", str(folder), reason=_said(error), action=_elsewhere(), needed=False)
        return
    details = {"folder": str(folder), "entries": info.entries, "bytes": info.size, "free_bytes": free}
    shown = f"{folder}: {info.entries} entries, {info.size / 1e6:.1f} MB; {free / 1e9:.1f} GB free"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        reason = f"{there} cannot be written: runs work, but encode everything again"
        yield Finding("machine", "cache", "broken", shown, details, reason, _elsewhere(), needed=False)
        return
    yield Finding("machine", "cache", "works", shown, details, needed=False)


def _elsewhere() -> str:
    return f"choose another folder: --lossy-cache=DIR, or {CACHE_VARIABLE} in the environment"


def _said(error: object) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, (LossyError, Warning)) else f"{type(error).__name__}: {text}"
