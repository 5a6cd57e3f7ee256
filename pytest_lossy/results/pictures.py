"""Pictures of samples beside ``results.json``, read back for a report."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pytest_lossy.results.document import ResultsDocument

__all__ = ["PICTURE_LIMIT", "read_pictures"]

PICTURE_LIMIT = 1_000_000
"""Bytes of one picture; a thumbnail has a few thousand."""


def read_pictures(folder: Path, document: ResultsDocument) -> dict[str, bytes]:
    """Read the pictures that a document names.

    What is missing is left out, as is whatever is no picture below ``gallery/``: a results file may come from
    anywhere, and must not make its reader publish another file.

    Args:
        folder: where ``results.json`` is.
        document: its content.
    """
    gallery = (folder / "gallery").resolve()
    found: dict[str, bytes] = {}
    for name in sorted({path for sample in document.gallery for path in sample.pictures.values()}):
        if PurePosixPath(name).parts[:1] != ("gallery",):
            continue
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(gallery) or path.stat().st_size > PICTURE_LIMIT:
                continue
            content = path.read_bytes()
        except (OSError, ValueError):  # gone, a folder, or a name that no file can have
            continue
        if _is_picture(content):
            found[name] = content
    return found


def _is_picture(content: bytes) -> bool:
    """Whether the first bytes are those of WebP or JPEG, the formats of ``GallerySample.pictures``."""
    return (content[:4] == b"RIFF" and content[8:12] == b"WEBP") or content[:3] == b"\xff\xd8\xff"
