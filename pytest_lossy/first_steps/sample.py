"""The sample that a first run works on: a small network with weights, on pictures that this package renders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pytest_lossy.errors import LossyError

__all__ = ["SAMPLE_NAME", "SAMPLE_SAMPLES", "SampleFiles", "sample_files"]

SAMPLE_NAME = "sample-segnet"
SAMPLE_SAMPLES = 32
"""Pictures: enough for intervals, and few enough for a first run of seconds."""

_PACKAGE = Path(__file__).parent / "sample"
_CHECKOUT = Path(__file__).parents[2] / "model_specs"


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """What is copied beside the sample's spec."""

    network: bytes
    """Python source with a ``build`` function."""
    weights: bytes
    """safetensors."""

    @property
    def sha256(self) -> str:
        """Of the weights, hexadecimal."""
        return hashlib.sha256(self.weights).hexdigest()


def sample_files(places: tuple[Path, ...] | None = None) -> SampleFiles:
    """Read the sample's network and weights.

    A wheel carries them (see ``hatch_build.py``); an editable install takes them from the reference suite.

    Args:
        places: folders to look in, first found wins; default: the package, then the checkout.

    Raises:
        LossyError: the installation lacks them.
    """
    candidates = [
        (place / "segnet.py", weights)
        for place in (places or (_PACKAGE, _CHECKOUT))
        for weights in (place / "segnet-mini.safetensors", place / "weights" / "segnet-mini.safetensors")
    ]
    for network, weights in candidates:
        if network.is_file() and weights.is_file():
            return SampleFiles(network.read_bytes(), weights.read_bytes())
    raise LossyError(
        f"{candidates[0][1]}: this installation lacks the sample; reinstall pytest-lossy, or run init with --no-sample"
    )
