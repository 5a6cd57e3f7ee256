"""The data set protocol: samples that are cheap to list and costly to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Context", "Dataset", "Sample", "SourceInfo", "UInt8Array"]

UInt8Array = npt.NDArray[np.uint8]
Context = Mapping[str, Any]
"""What a deployment knows besides pixels: person boxes of a top-down pose model, intrinsics, frame rate."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a sample's own compression and format, recorded beside the results."""

    format: str
    """``PNG``, ``JPEG``, ``rendered``, ..."""
    mode: str = "RGB"
    """The stored pixel mode before conversion to 8-bit RGB."""
    bytes: int | None = None
    notes: tuple[str, ...] = ()
    """Conversions applied, such as ``"alpha dropped"``."""
    codec: str | None = None
    """The lossy codec that wrote the source, in lower case: ``jpeg``, ``h264``, ``hevc``, ``vp9``; None where there is none
    or it is unknown."""
    quality: float | None = None
    """Estimated strength on that codec's quality scale: of a JPEG file, 1..100 as the IJG counts."""
    quality_exact: bool = True
    """False where the file's quantisation tables are not the IJG's, and ``quality`` is that of the nearest."""
    subsampling: str | None = None
    """Of the chroma, such as ``4:2:0``; None for grey and where it is unknown."""
    kbps: float | None = None
    """Mean bit rate of a video stream in kbit/s, without its container."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled unit of a data set."""

    id: str
    """Unique within the data set and stable between runs."""
    media: UInt8Array
    """(H, W, 3) or (T, H, W, 3), uint8, RGB, at source resolution."""
    target: Any
    """In torchvision's conventions; a label map is (H, W), integer, 255 ignored."""
    context: Context = field(default_factory=dict)
    group: str | None = None
    """The independent unit that this sample belongs to (a video, a camera); None where the sample is its own."""
    tags: tuple[str, ...] = ()
    """User's slices, such as ``("night", "camera-3")``."""
    frame: int | None = None
    """The labelled frame of a clip. None where the target describes the whole medium, or is a list with a target per frame
    (None where a frame has none) for a task on images."""
    source: SourceInfo | None = None


@runtime_checkable
class Dataset(Protocol):
    """A sequence of samples. Listing (``len``, ``sample_id``, ``group``) must not decode anything.

    ``load`` is called from several threads at once. A data set may have ``labelled = False``: it has no targets, and only
    label-free mode can use it. A registered class may say what it holds by ``media = "clips"`` (default ``"stills"``), or
    by a static method ``media_of(options)`` where its options decide.
    """

    @property
    def name(self) -> str:
        """The registry's name or the dotted path of the factory."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where the task has none."""

    def __len__(self) -> int: ...

    def sample_id(self, index: int) -> str:
        """The ``id`` that ``load(index)`` will carry."""

    def group(self, index: int) -> str | None:
        """The ``group`` that ``load(index)`` will carry."""

    def load(self, index: int) -> Sample:
        """Decode one sample.

        Raises:
            DataError: the sample is missing or damaged; the message names the file.
        """

    def fingerprint(self) -> str:
        """A hash that changes when the samples or their labels do."""
