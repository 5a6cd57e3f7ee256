"""Read still images and label maps: any stored mode in, 8-bit RGB or integer labels out, or one clear error.

Conversions, each noted in the sample's :class:`SourceInfo`: EXIF orientation is applied, alpha is dropped, grey is
repeated over the channels, 16-bit samples keep their high byte, CMYK and palettes are converted by Pillow; an embedded
ICC profile is not applied, as in the loaders of torchvision and OpenCV. Of a JPEG file the quality is estimated, so that
reports can tell which levels are milder than what the source has been through.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pytest_lossy.data.base import SourceInfo, UInt8Array
from pytest_lossy.data.source_quality import jpeg_quality, jpeg_subsampling
from pytest_lossy.errors import DataError, MissingInputError

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "file_fingerprint", "list_images", "read_image", "read_label_map"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})
MAX_PIXELS = 89_478_485
"""Pillow's own limit, 256 MiB of RGB: a larger header is taken for a decompression bomb."""

_ORIENTATION = 0x0112
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError)
"""What Pillow raises for damaged files."""


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[UInt8Array, SourceInfo]:
    """Decode one image file.

    Returns:
        (H, W, 3) uint8 RGB, and what was stored.

    Raises:
        DataError: missing, not an image, truncated, or larger than ``max_pixels``.
    """
    with _opened(path, max_pixels) as image:
        notes: list[str] = []
        stored, kind = image.mode, image.format or "unknown"
        quality, subsampling = jpeg_quality(image), jpeg_subsampling(image)
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)  # noqa: PLW2901
            notes.append("EXIF orientation applied")
        if image.info.get("icc_profile"):
            notes.append("ICC profile not applied")
        if image.mode.startswith(("I", "F")):
            image = _high_byte(image, path)  # noqa: PLW2901
            notes.append("16 bits reduced to the high 8")
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            notes.append("alpha dropped")
        if image.mode != "RGB":
            with warnings.catch_warnings():
                # A palette with byte transparency warns that alpha is lost; the note says so.
                warnings.simplefilter("ignore", UserWarning)
                image = image.convert("RGB")  # noqa: PLW2901
        pixels = np.array(image, dtype=np.uint8)
    return pixels, SourceInfo(
        format=kind,
        mode=stored,
        bytes=path.stat().st_size,
        notes=tuple(notes),
        codec="jpeg" if quality else None,
        quality=float(quality.quality) if quality else None,
        quality_exact=quality is None or quality.exact,
        subsampling=subsampling,
    )


def read_label_map(path: Path, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.integer]:
    """Decode a label image: grey or palette (the index is the label), 8 or 16 bits.

    Returns:
        (H, W), uint8 or uint16.

    Raises:
        DataError: as :func:`read_image`, or the image has colour channels.
    """
    with _opened(path, max_pixels) as image:
        if image.mode in ("L", "P"):
            return np.array(image, dtype=np.uint8)
        if image.mode in ("1", "I;16", "I;16B", "I;16L", "I"):
            values = np.array(image.convert("I") if image.mode == "1" else image)
            if image.mode == "1":
                return (values > 0).astype(np.uint8)
            if values.min(initial=0) < 0 or values.max(initial=0) > np.iinfo(np.uint16).max:
                raise DataError(f"{path}: labels exceed 16 bits; store class numbers")
            return values.astype(np.uint16)
        raise DataError(
            f"{path}: a label map is a grey or palette image whose values are class numbers, this one is {image.mode}; "
            "convert colours to class numbers"
        )


class _opened:  # noqa: N801  reads as a function in a with statement
    """An image that is fully decoded, or a DataError that names the file."""

    def __init__(self, path: Path, max_pixels: int) -> None:
        self.path, self.max_pixels = path, max_pixels

    def __enter__(self) -> Image.Image:
        path = self.path
        try:
            with warnings.catch_warnings():
                # Pillow warns at its own limit; ours is checked below, by name of the file.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(path)
            self.image: Image.Image = image
            width, height = image.size
            if width * height > self.max_pixels:
                image.close()
                raise DataError(
                    f"{path}: {width}x{height} pixels are over the limit of {self.max_pixels} (a decompression bomb?); "
                    "remove the file or scale it down"
                )
            image.load()
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; check the data set's folder") from None
        except UnidentifiedImageError:
            raise DataError(f"{path}: is not an image that Pillow can read; replace or remove the file") from None
        except Image.DecompressionBombError as error:
            raise DataError(f"{path}: {error}; remove the file or scale it down") from None
        except _DAMAGE as error:
            raise self._damaged(error) from None
        return image

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.image.close()
        if isinstance(error, _DAMAGE):  # metadata, such as EXIF, are parsed after the pixels
            raise self._damaged(error) from None

    def _damaged(self, error: BaseException) -> DataError:
        return DataError(f"{self.path}: cannot be decoded ({error}); replace or remove the file")


def _high_byte(image: Image.Image, path: Path) -> Image.Image:
    """16-bit grey to 8 bits; Pillow's own conversion clips everything above 255 to white."""
    values = np.asarray(image)
    if np.issubdtype(values.dtype, np.floating) or values.min(initial=0) < 0:
        raise DataError(f"{path}: mode {image.mode} holds no 8- or 16-bit pixels; convert the file")
    if values.max(initial=0) > np.iinfo(np.uint16).max:
        raise DataError(f"{path}: pixels exceed 16 bits; convert the file")
    return Image.fromarray((values >> 8).astype(np.uint8))


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The image files of a folder, sorted by relative path.

    Raises:
        DataError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: no such folder; place the images there or change the path in the spec")
    found = folder.rglob("*") if recursive else folder.iterdir()
    images = sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not images:
        raise DataError(f"{folder}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); place some there")
    return images


def file_fingerprint(root: Path, files: list[Path], *extra: str) -> str:
    """A hash over relative names and sizes: cheap, the same on every machine, and changed by most edits."""
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        digest.update(f"{name}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    for part in extra:
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()
