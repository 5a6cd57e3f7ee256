"""ImageNet-style class folders: ``<root>/<class>/*.JPEG``.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (IJCV 2015); the layout of torchvision's
``ImageFolder``, read with this package's own listing, which neither imports torch nor skips files silently.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.base import Sample
from pytest_lossy.data.class_folders import class_folders
from pytest_lossy.data.images import list_images, read_image
from pytest_lossy.data.listing import Entry, MediaListing
from pytest_lossy.paths import from_spec

__all__ = ["ImageNet", "ImageNetOptions"]


class ImageNetOptions(BaseModel):
    """Keyword arguments of ``imagenet``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Annotated[str, Field(description="the folder that holds one folder per class, relative to the spec")]
    class_list: Annotated[
        str | None,
        Field(
            description="a text file with one folder name per line, in label order, relative to the spec; default: the "
            "folder names, sorted"
        ),
    ] = None


class ImageNet(MediaListing[int]):
    """Still images; the target is the class, an integer."""

    Options = ImageNetOptions

    def __init__(self, options: ImageNetOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        class_list = None if options.class_list is None else from_spec(base, options.class_list)
        found = class_folders(root, class_list, lambda folder: list_images(folder, recursive=True))
        entries = [Entry(path.relative_to(root).as_posix(), path, label) for path, label in found.files]
        super().__init__("imagenet", root, entries, found.classes, notes=found.notes)

    def load(self, index: int) -> Sample:
        """Decode one image.

        Raises:
            DataError: the image is missing or damaged.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media)
        return Sample(entry.id, media, entry.label, group=entry.group, source=source)
