"""Media sorted into one folder per class, as ImageNet and Kinetics come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_lossy.data.listing import read_lines, unique_names
from pytest_lossy.errors import DataError, MissingInputError

__all__ = ["ClassFolders", "class_folders"]

Lister = Callable[[Path], list[Path]]


class ClassFolders:
    """The files of each class.

    Attributes:
        classes: folder names in label order.
        files: (file, label), by label and then by name.
        notes: which classes of the list have no folder.
    """

    def __init__(self, classes: tuple[str, ...], files: list[tuple[Path, int]], notes: tuple[str, ...]) -> None:
        self.classes, self.files, self.notes = classes, files, notes


def class_folders(root: Path, class_list: Path | None, lister: Lister) -> ClassFolders:
    """List one folder per class.

    Args:
        root: holds the folders; hidden ones are left out.
        class_list: a text file with one folder name per line, in label order; what follows the name after a space is a
            comment, as in ``LOC_synset_mapping.txt``. Folders that it does not list are an error; listed classes without a
            folder keep their label and are noted, so that a subset can be read with the whole set's labels. None: the
            sorted folder names, as torchvision's ``ImageFolder``.
        lister: folder -> its files, recursively.

    Raises:
        MissingInputError: the folder or the list is missing.
        DataError: there is no folder, or one that the list does not name, or one without files.
    """
    if not root.is_dir():
        raise MissingInputError(f"{root}: no such folder; place the class folders there or change the path in the spec")
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise DataError(f"{root}: holds no class folder; choose the folder whose subfolders are the classes")
    if class_list is None:
        classes = tuple(folders)
    else:
        names = [_name(line, folders) for _, line in read_lines(class_list, "class list")]
        classes = unique_names(class_list, names)
        unknown = sorted(set(folders) - set(classes))
        if unknown:
            raise DataError(
                f"{class_list}: does not list the class folder '{unknown[0]}' ({len(unknown)} of {len(folders)} are not "
                f"listed); add it, or remove {root / unknown[0]}"
            )
    present = set(folders)
    files = [(path, label) for label, name in enumerate(classes) if name in present for path in lister(root / name)]
    absent = len(classes) - len(present)
    notes = (f"{absent} of {len(classes)} listed classes have no folder",) if absent else ()
    return ClassFolders(classes, files, notes)


def _name(line: str, folders: list[str]) -> str:
    """The folder that a line names: its first word, unless the whole line is one (Kinetics has spaces in its names)."""
    first = line.split(maxsplit=1)[0]
    return first if line not in folders and first in folders else line
