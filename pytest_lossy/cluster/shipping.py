"""The user's repository on machines that do not share its disk: one archive of code, specs and weights.

What is not shipped, by rule or because the user excluded it, and links that lead out of the repository become links to the
place that the file has on the driver's machine: where a machine of the cluster sees that place too, it works the same.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_lossy.errors import ConfigurationError

__all__ = ["LIMIT_BYTES", "Shipment", "pack_repository", "plan_shipment", "translate_path", "unpack_repository"]

LIMIT_BYTES = 512 * 2**20
"""What a run ships, at most: code and weights fit, data sets should lie where the machines can read them."""

_NEVER = {"__pycache__", "node_modules"}
_LINKS = ".lossy-links.json"


@dataclass(frozen=True)
class Shipment:
    """What is shipped of a repository."""

    root: Path
    files: tuple[str, ...]
    """Relative to ``root``."""
    links: dict[str, str]
    """Relative path -> what it points to: absolute on the driver's machine, or relative within the repository."""
    bytes: int


def plan_shipment(root: Path, exclude: Sequence[str], own: Sequence[Path]) -> Shipment:
    """Decide what is shipped.

    Left out are hidden folders, virtual environments, caches, what the user excludes, and the folders that runs write.

    Args:
        root: of the repository, absolute.
        exclude: patterns on paths relative to ``root``; a folder's pattern covers everything in it.
        own: report, baselines and cache, which no worker reads.

    Raises:
        ConfigurationError: it is too much; the message says where the bytes are.
    """
    files: list[str] = []
    links: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    for path, name in _walk(root, exclude, set(own), links):
        size = path.stat().st_size
        files.append(name)
        sizes[name.partition("/")[0]] += size
    total = sum(sizes.values())
    if total > LIMIT_BYTES:
        largest = ", ".join(f"{name} ({_mib(size)})" for name, size in sizes.most_common(4))
        raise ConfigurationError(
            f"{root}: {_mib(total)} would be shipped to the Ray cluster, more than {_mib(LIMIT_BYTES)}; most of it is in "
            f"{largest}. Exclude data with --lossy-ray-exclude=GLOB (or lossy_ray_exclude), and place them at the same path "
            "on every machine"
        )
    return Shipment(root, tuple(files), links, total)


def _walk(root: Path, exclude: Sequence[str], own: set[Path], links: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Every file to ship and its name; notes the links on the way."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        kept = []
        for name in sorted(folders):
            path, relative = here / name, (here / name).relative_to(root).as_posix()
            if path in own or name in _NEVER:
                continue
            if path.is_symlink():
                links[relative] = _target(path, root)
            elif name.startswith(".") or (path / "pyvenv.cfg").exists() or _excluded(relative, exclude):
                links[relative] = str(path)
            else:
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path, relative = here / name, (here / name).relative_to(root).as_posix()
            if path.is_symlink():
                links[relative] = _target(path, root)
            elif _excluded(relative, exclude):
                links[relative] = str(path)
            elif path.is_file():
                yield path, relative


def _excluded(relative: str, exclude: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(relative, pattern.strip("/")) for pattern in exclude)


def _target(link: Path, root: Path) -> str:
    """Where a link leads: relative if it stays in the repository, else absolute."""
    target = Path(os.path.normpath(link.parent / link.readlink()))
    return os.path.relpath(target, link.parent) if target.is_relative_to(root) else str(target)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def pack_repository(shipment: Shipment) -> bytes:
    """The archive; weights hardly compress, so that nothing is.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name in shipment.files:
            try:
                archive.write(shipment.root / name, name)
            except FileNotFoundError:
                continue  # a temporary file that is gone by now
            except OSError as error:
                raise ConfigurationError(
                    f"{shipment.root / name}: cannot be read ({error.strerror}) and shipped to the Ray cluster; correct "
                    "that, or exclude it with --lossy-ray-exclude=GLOB"
                ) from None
        archive.writestr(_LINKS, json.dumps(shipment.links))
    return stream.getvalue()


def unpack_repository(archive: bytes, target: Path) -> None:
    """The repository again.

    Args:
        archive: of :func:`pack_repository`, from this run's own driver.
        target: folder to make.

    Raises:
        OSError: the disk refuses.
    """
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        links: dict[str, str] = json.loads(packed.read(_LINKS))
        for entry in packed.infolist():
            if entry.filename == _LINKS:
                continue
            written = Path(packed.extract(entry, target))
            written.chmod(
                (entry.external_attr >> 16) & 0o777 | 0o600
            )  # external codecs may be scripts of the repository
    for name, place in links.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink():
            path.symlink_to(place)


def translate_path(path: Path, origin: Path, target: Path) -> Path:
    """A path of the driver on a worker: within the shipped repository, or the same path elsewhere."""
    return target / path.relative_to(origin) if path.is_relative_to(origin) else path
