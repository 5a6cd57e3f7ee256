"""Image perturbers of NRTK (the Natural Robustness Toolkit) as codecs: the level is one number of the perturber's.

A perturber is no compression: nothing is sent, and the rate is that of the pixels it returns. What it does to positions
cannot be undone in the labels, so that one which moves objects is refused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from pydantic import Field, StrictInt, field_validator

from pytest_lossy.codecs.base import Encoded, Media, UInt8Array
from pytest_lossy.codecs.checks import require
from pytest_lossy.codecs.level_options import LevelOptions
from pytest_lossy.errors import CodecError, LossyError
from pytest_lossy.registry import import_dotted, is_dotted
from pytest_lossy.usercode import explain_exception

__all__ = ["NrtkCodec", "NrtkOptions"]

LEVEL = "{level}"
"""Stands in ``kwargs`` where the level goes."""

_LIBRARIES = (
    "nrtk",
    "nrtk-albumentations",
    "albumentations",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "pybsm",
    "scikit-image",
    "scipy",
    "torch",
)
"""What NRTK's perturbers compute with."""

_SEEDS = 2**32


class NrtkOptions(LevelOptions):
    """What a spec sets for ``nrtk`` beside its levels."""

    perturber: Annotated[
        str,
        Field(
            description="package.module:Class of a PerturbImage, or a function that returns one, such as "
            "nrtk.impls.perturb_image.photometric.blur:GaussianBlurPerturber"
        ),
    ]
    parameter: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            description="the perturber's argument that takes the level, and the level's name in reports; only the name "
            "where kwargs say '{level}'",
        ),
    ]
    kwargs: dict[str, Any] = Field(
        default={}, description="the perturber's other arguments; the text '{level}' anywhere in them becomes the level"
    )
    seed: Annotated[
        StrictInt | None,
        Field(
            ge=0,
            description="of a random perturber, and needed for one: each picture gets a seed of its own, from this one and "
            "its pixels, the same at every level",
        ),
    ] = None

    @field_validator("perturber")
    @classmethod
    def _dotted(cls, path: str) -> str:
        if ":" not in path or not is_dotted(path):
            raise ValueError(f"'{path}' is not of the form package.module:Class; write NRTK's public path")
        return path

    @field_validator("kwargs")
    @classmethod
    def _own_seed(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        if "seed" in kwargs:
            raise ValueError("the seed of one perturber for all pictures; write 'seed' beside kwargs, not in them")
        return kwargs


class NrtkCodec:
    """One perturber, built with the level among its arguments; with a ``seed``, anew for each picture.

    The levels' range and direction are the spec's: nothing in a perturber tells whether a larger number does more harm.
    """

    Options = NrtkOptions
    name = "nrtk"
    media = Media.IMAGE
    compresses = False
    cached = False
    """Its output is as large as its input."""

    def __init__(self, options: NrtkOptions) -> None:
        self.options = options
        self.parameter = options.parameter
        self.levels = options.levels
        self._built = threading.local()

    def __reduce__(self) -> tuple[type[NrtkCodec], tuple[NrtkOptions]]:
        # To the workers of a data loader goes what it is built from: perturbers stay in their thread.
        return NrtkCodec, (self.options,)

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Perturb one picture, (H, W, 3), uint8, RGB.

        Raises:
            CodecError: the level is out of range, the perturber cannot be built, is random without a seed, moves objects, or
                returned something else than a picture of the same size and type.
        """
        require(self, media, level)
        perturber = self._perturber(media, level)
        found = _perturbed(perturber, media, self._name)
        if not isinstance(found, np.ndarray) or found.shape != media.shape or found.dtype != np.uint8:
            kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise CodecError(
                f"nrtk: {self._name} returned {kind} for uint8 {media.shape}; labels could not follow, use a perturber that "
                "keeps size and type"
            )
        return Encoded(data=found.tobytes(), payload_bits=8 * found.size, shape=media.shape)

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return the perturbed picture, (H, W, 3), uint8, RGB.

        Raises:
            CodecError: the data are damaged.
        """
        if len(encoded.data) != int(np.prod(encoded.shape)):
            raise CodecError("nrtk: damaged data; encode the picture again")
        return np.frombuffer(encoded.data, np.uint8).reshape(encoded.shape).copy()

    @property
    def versioned(self) -> bool:
        """Whether the perturber is NRTK's own: of other code only the file that defines it is in the fingerprint."""
        return self.options.perturber.startswith("nrtk.")

    def fingerprint(self) -> str:
        """Versions of NRTK and of what it computes with, a digest of the perturber's own file, and every argument."""
        options = self.options
        versions = [f"{name}={version}" for name in _LIBRARIES if (version := _version(name)) is not None]
        return (
            f"nrtk({','.join([*versions, f'code={self._code()}'])},perturber={options.perturber},"
            f"parameter={options.parameter},kwargs={_plain(options.kwargs)},seed={options.seed})"
        )

    @property
    def _name(self) -> str:
        return self.options.perturber.rpartition(":")[2]

    def _perturber(self, media: UInt8Array, level: float) -> Any:
        """A perturber for this picture: one per thread and level, but with a seed a new one each time."""
        if self.options.seed is not None:
            digest = hashlib.sha256(f"{self.options.seed}/{media.shape}/".encode() + media.tobytes()).digest()
            return self._build(level, int.from_bytes(digest[:8], "big") % _SEEDS)
        kept: dict[float, Any] = self._built.__dict__.setdefault("by_level", {})
        if level not in kept:
            kept.clear()  # levels come one after another, and a perturber may hold a network
            kept[level] = self._build(level, None)
        return kept[level]

    def _build(self, level: float, seed: int | None) -> Any:
        interfaces = _interfaces()
        try:
            make = import_dotted(self.options.perturber)
        except (LossyError, ImportError) as error:  # a perturber whose own extra is not installed says which
            raise CodecError(f"nrtk: {error}") from error.__cause__
        number = int(level) if self.levels.integral else float(level)
        arguments = _filled(self.options.kwargs, number)
        if arguments == self.options.kwargs:
            arguments[self.options.parameter] = number
        if seed is not None:
            arguments["seed"] = seed
        try:
            perturber = make(**arguments)
        except Exception as error:  # noqa: BLE001  a third-party perturber may raise anything
            raise CodecError(
                f"nrtk: {self._name} cannot be built at {self.parameter} {level:g}: {explain_exception(error)}"
            ) from None
        if not isinstance(perturber, interfaces.PerturbImage):
            raise CodecError(
                f"nrtk: {self.options.perturber} made a {type(perturber).__name__}; name a class of PerturbImage, or a "
                "function that returns one (a PerturbVideo cannot be used: clips are perturbed frame by frame)"
            )
        if seed is None and hasattr(perturber, "seed"):  # NRTK's random perturbers tell theirs
            raise CodecError(
                f"nrtk: {self._name} is random; add 'seed: 0' beside 'perturber', so that equal runs give equal numbers"
            )
        return perturber

    def _code(self) -> str:
        """A digest of the file that defines the perturber: what a class of the user's own does may change unversioned."""
        try:
            source = inspect.getsourcefile(inspect.unwrap(import_dotted(self.options.perturber)))
            return hashlib.sha256(Path(source or "").read_bytes()).hexdigest()[:12]
        except (LossyError, ImportError, OSError, TypeError):
            return "unknown"


def _interfaces() -> Any:
    try:
        from nrtk import interfaces
    except ImportError as error:
        raise CodecError(f"nrtk: needs NRTK; pip install 'pytest-lossy[nrtk]' ({error})") from None
    return interfaces


def _perturbed(perturber: Any, media: UInt8Array, name: str) -> Any:
    """The perturbed picture.

    Raises:
        CodecError: objects would no longer be where their labels say.
    """
    from smqtk_image_io.bbox import AxisAlignedBoundingBox

    height, width = media.shape[:2]
    probe = AxisAlignedBoundingBox((width // 8, height // 8), (width // 2, height // 2))  # off centre: flips move it
    found, boxes = perturber(image=media.copy(), boxes=[(probe, {"probe": 1.0})])
    for box, _ in boxes or ():
        moved = np.abs(np.subtract([*box.min_vertex, *box.max_vertex], [*probe.min_vertex, *probe.max_vertex]))
        if moved.max() > 0.5:
            raise CodecError(
                f"nrtk: {name} moves objects by up to {moved.max():g} pixels; labels cannot follow, use one that leaves "
                "them in place"
            )
    return found


def _filled(value: Any, level: float) -> Any:
    """A copy with every ``{level}`` replaced by the number."""
    if isinstance(value, Mapping):
        return {key: _filled(item, level) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, level) for item in value]
    return level if value == LEVEL else value


def _plain(value: Any) -> str:
    """Arguments in one order, without the brackets that a fingerprint is split at."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_plain(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_plain, value)) + "]"
    return quote(repr(value), safe=" '.+-/:")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
