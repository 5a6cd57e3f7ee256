"""Build the model that a spec declares: one adapter per format."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pytest_lossy.errors import LossyError, MissingInputError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.declaration import InputSection, ModelSection
from pytest_lossy.models.network import Network, NetworkModel
from pytest_lossy.models.outputs import output_decoder
from pytest_lossy.models.preprocessing import Prepare, declared_input
from pytest_lossy.paths import from_spec
from pytest_lossy.usercode import import_callable

__all__ = ["build_model", "check_sha256", "missing_files"]


def build_model(section: ModelSection, task: str, base: Path, device: str) -> Model:
    """Build the declared network with its pre- and post-processing.

    Args:
        section: the spec's ``model``.
        task: what the network's output means.
        base: folder of the spec; relative paths refer to it.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ModelError: files are missing or damaged, the sha256 differs, or the network cannot be built.
    """
    if section.callable is not None:
        from pytest_lossy.models.callable_model import CallableModel

        return CallableModel(import_callable(section.callable, base), section.kwargs, source=section.callable)
    if section.name is not None:
        return _build_named(section, task, base, device)
    network, published = _build_network(section, task, base, device)
    finish = import_callable(section.output.function, base) if section.output.function else None
    return NetworkModel(
        network,
        prepare=_preparation(section, network, published, task, base, device),
        decode=finish or output_decoder(task, section.output, network.expects.scores_layout),
        select=section.output.select,
    )


def _build_named(section: ModelSection, task: str, base: Path, device: str) -> Model:
    from pytest_lossy.models.given import adapt_model, build_seeded
    from pytest_lossy.models.names import MODELS

    try:
        build = MODELS.load(section.name or "")
    except ModelError:
        raise
    except LossyError as error:
        raise ModelError(str(error)) from error.__cause__
    return adapt_model(
        build_seeded(build, section.kwargs),
        task,
        device,
        source=f"model '{section.name}'",
        input=import_callable(section.input.function, base) if section.input.function else section.input,
        output=import_callable(section.output.function, base) if section.output.function else section.output,
    )


def _preparation(
    section: ModelSection, network: Network, published: Any, task: str, base: Path, device: str
) -> Prepare:
    """The user's function, what the spec declares, or for torchvision models the transforms of their weights."""
    if section.input.function:
        return import_callable(section.input.function, base)
    if section.torchvision is not None and section.input == InputSection():
        from pytest_lossy.models.torchvision_network import own_transforms

        return own_transforms(section.torchvision, published, task, device)
    return declared_input(section.input, network.expects, device)


def _build_network(section: ModelSection, task: str, base: Path, device: str) -> tuple[Network, Any]:
    """The network, and torchvision's entry of its published weights, where it has one."""
    if section.torch is not None:
        from pytest_lossy.models.torch_network import TorchNetwork

        build = import_callable(section.torch, base)
        weights = from_spec(base, section.weights) if section.weights else None
        digest = check_sha256(weights, section.sha256) if weights else None
        built = TorchNetwork(build, section.kwargs, weights, digest, device, source=section.torch)
        built.execute(section.execution)
        return built, None
    if section.torchvision is not None:
        return _build_torchvision(section.torchvision, section, base, device)
    if section.maite is not None:
        from pytest_lossy.models.maite_network import MaiteNetwork

        return MaiteNetwork(import_callable(section.maite, base), section.kwargs, task, source=section.maite), None
    path = from_spec(base, section.onnx or section.litert or section.export or "")
    digest = check_sha256(path, section.sha256)
    if section.onnx is not None:
        from pytest_lossy.models.onnx_network import OnnxNetwork

        return OnnxNetwork(path, digest, device), None
    if section.export is not None:
        from pytest_lossy.models.archive_network import ArchiveNetwork

        return ArchiveNetwork(path, digest, device), None
    from pytest_lossy.models.litert_network import LiteRTNetwork

    return LiteRTNetwork(path, digest), None


def _build_torchvision(name: str, section: ModelSection, base: Path, device: str) -> tuple[Network, Any]:
    from pytest_lossy.models.torchvision_network import TorchvisionNetwork, local_file, published_weights

    entry = published_weights(name, section.weights)
    if entry is not None:
        weights: Path | None = local_file(entry)
        classes = len(entry.meta["categories"]) if "categories" in entry.meta else None
    else:
        weights, classes = from_spec(base, section.weights) if section.weights else None, None
    digest = check_sha256(weights, section.sha256) if weights else None
    network = TorchvisionNetwork(name, section.kwargs, weights, classes, digest, device)
    network.execute(section.execution)
    return network, entry


def missing_files(section: ModelSection, base: Path) -> list[str]:
    """What the model's files lack, without loading or downloading anything; empty where nothing is missing."""
    name = section.onnx or section.litert or section.export or section.weights
    if name is None:
        return []
    path = from_spec(base, name)
    if section.torchvision is not None:
        from pytest_lossy.models.torchvision_network import published_file, published_weights

        entry = published_weights(section.torchvision, section.weights)
        if entry is not None:
            path = published_file(entry)
            return [] if path.exists() else [f"{path}: torchvision's weights {entry} are not there yet; {entry.url}"]
    return [] if path.exists() else [f"{path}: no such file; place the file there or change its path in the spec"]


def check_sha256(path: Path, expected: str | None) -> str:
    """Hash a file and compare.

    Returns:
        the hexadecimal sha256.

    Raises:
        ModelError: the file is missing or differs.
    """
    try:
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        kind = MissingInputError if isinstance(error, FileNotFoundError) else ModelError
        raise kind(f"{path}: {error.strerror or error}; place the file there or change its path in the spec") from None
    if expected is not None and actual != expected.lower():
        raise ModelError(
            f"{path}: sha256 is {actual}, the spec says {expected.lower()}; restore the file, or update the spec if the "
            "change is meant"
        )
    return actual
