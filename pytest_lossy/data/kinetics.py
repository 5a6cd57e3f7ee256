"""Class folders of clips, as Kinetics comes: ``<root>/<class>/<clip>.mp4``.

Kay et al., "The Kinetics Human Action Video Dataset" (2017). torchvision's ``Kinetics`` decodes every file to list them,
which this package's listing does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pytest_lossy.data.class_folders import class_folders
from pytest_lossy.data.clip_file import list_clips
from pytest_lossy.data.video import ClipOptions, LabelledClips, VideoFile
from pytest_lossy.paths import from_spec

__all__ = ["Kinetics", "KineticsOptions"]

_CUT = re.compile(r"(?P<video>.{11})_\d{6}_\d{6}")
"""YouTube id, first and last second."""


class KineticsOptions(ClipOptions):
    """Keyword arguments of ``kinetics``."""

    root: Annotated[str, Field(description="the folder that holds one folder per class, relative to the spec")]
    class_list: Annotated[
        str | None,
        Field(
            description="a text file with one folder name per line, in label order, relative to the spec; default: the "
            "folder names, sorted"
        ),
    ] = None


class Kinetics(LabelledClips):
    """Clips whose class is their folder. The independent unit is the video that a clip was cut from."""

    Options = KineticsOptions
    media = "clips"

    def __init__(self, options: KineticsOptions, base: Path) -> None:
        root = from_spec(base, options.root)
        class_list = None if options.class_list is None else from_spec(base, options.class_list)
        found = class_folders(root, class_list, list_clips)
        files = []
        for path, label in found.files:
            name = path.relative_to(root).as_posix()
            cut = _CUT.fullmatch(path.stem)
            files.append(VideoFile(name, path, label, cut["video"] if cut else name))
        super().__init__("kinetics", root, files, found.classes, options, found.notes)
