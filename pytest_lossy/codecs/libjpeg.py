"""Other ways to the libjpeg-turbo that Pillow uses: no copies to four bytes a pixel and back, and no lock held meanwhile.

Pillow is the reference. Another library serves only after it gave, in this very process, the bytes and pixels that Pillow
gave for test pictures of many sizes, qualities and samplings; so nothing that is measured depends on which one served.
Measured on 480x360 pictures: encoding 0.33 ms instead of 0.52, decoding 0.41 instead of 1.02.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pytest_lossy.codecs.base import UInt8Array

__all__ = ["JpegLibrary", "OpenCVJpeg", "TorchvisionJpeg", "faster_library", "gives_pillows_results"]

_RGB = 3  # of torchvision.io.ImageReadMode
_SIZES_AND_NOISE = ((1, 1, 0), (8, 16, 400), (17, 33, 12), (50, 41, 0), (41, 67, 400))
_QUALITIES = (1, 5, 15, 24, 50, 90, 100)

_lock = threading.Lock()
_found: list[JpegLibrary | None] = []


class JpegLibrary(Protocol):
    """Baseline JPEG, 4:2:0, with the tables of the IJG, to bytes; any JPEG that Pillow wrote from RGB, to pixels."""

    name: str

    def encode(self, media: UInt8Array, quality: int) -> bytes:
        """(H, W, 3), uint8, RGB, contiguous, to a file of quality 1..100."""

    def decode(self, data: bytes) -> UInt8Array:
        """A file to (H, W, 3), uint8, RGB."""


class TorchvisionJpeg:
    """The operators behind ``torchvision.io``, without the import of torchvision, which takes two seconds.

    Raises:
        Exception: of any kind where this torchvision has no such operators (they are deprecated since 0.29).
    """

    name = "torchvision"

    def __init__(self) -> None:
        torch: Any = import_module("torch")
        if not hasattr(torch.ops.image, "decode_jpeg"):
            spec = find_spec("torchvision")
            if spec is None or spec.origin is None:
                raise ImportError("torchvision is not installed")
            torch.ops.load_library(str(next(Path(spec.origin).parent.glob("image*.so"))))
        self._encode: Callable[..., Any] = torch.ops.image.encode_jpeg
        self._decode: Callable[..., Any] = torch.ops.image.decode_jpeg
        self._from_numpy, self._frombuffer, self._byte = torch.from_numpy, torch.frombuffer, torch.uint8

    def encode(self, media: UInt8Array, quality: int) -> bytes:
        """See :class:`JpegLibrary`."""
        # torch warns of memory that must not be written to, although nothing here writes.
        tensor = self._from_numpy(media if media.flags.writeable else media.copy())
        data: bytes = self._encode(tensor.permute(2, 0, 1), quality).numpy().tobytes()
        return data

    def decode(self, data: bytes) -> UInt8Array:
        """See :class:`JpegLibrary`."""
        buffer = self._frombuffer(bytearray(data), dtype=self._byte)
        pixels: UInt8Array = self._decode(buffer, _RGB, False).permute(1, 2, 0).contiguous().numpy()
        return pixels


class OpenCVJpeg:
    """OpenCV, whose pictures are BGR.

    Raises:
        Exception: of any kind where it is not installed.
    """

    name = "opencv"

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2

    def encode(self, media: UInt8Array, quality: int) -> bytes:
        """See :class:`JpegLibrary`."""
        cv2 = self._cv2
        done, data = cv2.imencode(".jpg", cv2.cvtColor(media, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ValueError("OpenCV could not encode")
        encoded: bytes = data.tobytes()
        return encoded

    def decode(self, data: bytes) -> UInt8Array:
        """See :class:`JpegLibrary`."""
        cv2 = self._cv2
        if not data.endswith(b"\xff\xd9"):
            raise ValueError("the file has no end, and OpenCV would make one up")
        pixels: UInt8Array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        rgb: UInt8Array = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
        return rgb


def faster_library() -> JpegLibrary | None:
    """A library proven to give Pillow's results, sought once per process; None where there is none, or not yet.

    A process that has not loaded torch runs no model, and two seconds of loading it would win nothing.
    """
    if _found:
        return _found[0]
    if "torch" not in sys.modules:
        return None
    with _lock:
        if not _found:
            _found.append(next(filter(gives_pillows_results, _candidates()), None))
    return _found[0]


def _candidates() -> Iterator[JpegLibrary]:
    for build in (TorchvisionJpeg, OpenCVJpeg):
        try:
            yield build()
        except Exception:  # noqa: BLE001, S112  absent, of another version, or built without JPEG: Pillow serves
            continue


def gives_pillows_results(library: JpegLibrary) -> bool:
    """Whether all test pictures come out of ``library`` as out of Pillow, byte by byte; takes some 20 ms."""
    try:
        return all(_agrees(library, picture) for picture in _pictures())
    except Exception:  # noqa: BLE001  whatever it raises, it does not do what Pillow does
        return False


def _agrees(library: JpegLibrary, picture: UInt8Array) -> bool:
    for quality in _QUALITIES:
        written = _pillow(picture, quality=quality)
        if library.encode(picture, quality) != written or not _decodes_alike(library, written):
            return False
    others = [
        _pillow(picture, quality=30, subsampling=sampling, progressive=progressive, optimize=progressive)
        for sampling, progressive in (("4:4:4", False), ("4:2:2", False), ("4:2:2", True), ("4:2:0", True))
    ]
    return all(_decodes_alike(library, data) for data in others)


def _decodes_alike(library: JpegLibrary, data: bytes) -> bool:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.array_equal(library.decode(data), np.asarray(image))


def _pillow(picture: UInt8Array, **parameters: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **parameters)
    return stream.getvalue()


def _pictures() -> Iterator[UInt8Array]:
    """Gradients, with a little noise, and with so much that most samples are 0 or 255."""
    generator = np.random.Generator(np.random.PCG64(0))
    for height, width, strength in _SIZES_AND_NOISE:
        slope = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] * np.array([1, 2, 3])
        noise = generator.integers(-strength, strength + 1, (height, width, 3))
        yield np.clip(slope % 256 + noise, 0, 255).astype(np.uint8)
