"""UCF101: ``<root>/<class>/v_<Class>_g<group>_c<clip>.avi`` and the split files of the action recognition task.

Soomro, Zamir & Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild" (2012). torchvision's
``UCF101`` decodes every file to list them, which this package's listing does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pytest_lossy.data.listing import read_lines, unique_names
from pytest_lossy.data.video import ClipOptions, LabelledClips, VideoFile
from pytest_lossy.errors import DataError
from pytest_lossy.paths import from_spec
from pytest_lossy.registry import did_you_mean

__all__ = ["Ucf101", "Ucf101Options"]

_NAME = re.compile(r"v_(?P<group>.+_g\d+)_c\d+")


class Ucf101Options(ClipOptions):
    """Keyword arguments of ``ucf101``."""

    root: Annotated[str, Field(description="the folder of class folders of clips, relative to the spec")]
    split: Annotated[str, Field(description="testlist01.txt or another split file, relative to the spec")]
    class_list: Annotated[
        str | None,
        Field(description="classInd.txt, relative to the spec; default: beside the split file"),
    ] = None


class Ucf101(LabelledClips):
    """One split. The independent unit is the group: clips of one group were cut from one video."""

    Options = Ucf101Options
    media = "clips"

    def __init__(self, options: Ucf101Options, base: Path) -> None:
        root, split = from_spec(base, options.root), from_spec(base, options.split)
        class_list = (
            split.parent / "classInd.txt" if options.class_list is None else from_spec(base, options.class_list)
        )
        classes = _read_classes(class_list)
        files = []
        for number, line in read_lines(split, "split file"):
            # Lists for training end in the class's number, which the folder says already.
            name = re.sub(r"\s+\d+$", "", line)
            folder, _, file = name.rpartition("/")
            if folder not in classes:
                raise DataError(
                    f"{split}:{number}: '{line}' is of no class of {class_list}; a line is <class>/<clip>; "
                    f"{did_you_mean(folder, classes)}"
                )
            cut = _NAME.fullmatch(Path(file).stem)
            files.append(VideoFile(name, root / name, classes.index(folder), cut["group"] if cut else name))
        super().__init__("ucf101", root, files, classes, options)


def _read_classes(path: Path) -> tuple[str, ...]:
    """Class names of lines ``<number> <class>``, numbered from 1 without gaps."""
    names: list[str] = []
    for number, line in read_lines(path, "class list"):
        index, _, name = line.partition(" ")
        if not name.strip() or index != str(len(names) + 1):
            raise DataError(f"{path}:{number}: expected '{len(names) + 1} <class>', got '{line}'; mend the file")
        names.append(name.strip())
    return unique_names(path, names)
