"""What data sets of files share: ids, groups and a fingerprint, known without decoding anything."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pytest_lossy.data.images import file_fingerprint
from pytest_lossy.errors import DataError, MissingInputError

__all__ = ["Entry", "MediaListing", "content_digest", "read_lines", "read_text", "require_files", "unique_names"]

Label = TypeVar("Label")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Label]):
    """One sample of a listing."""

    id: str
    media: Path
    label: Label
    """What its target is made from: a class, a file, parsed annotations."""
    group: str | None = None


class MediaListing(Generic[Label]):
    """A list of media files and what their labels are: the base of most data sets; ``load`` is left to them.

    Args:
        name: the registry's name.
        root: what names in the fingerprint are relative to.
        entries: in the order of the data set.
        classes: class names in label order.
        notes: what a reader of the results must know of the selection, such as how many samples were left out.
        extra: whatever else decides what is loaded, for the fingerprint: options, digests of label files.

    Raises:
        MissingInputError: a medium is not there.
        DataError: there are no samples, or two have one id.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        entries: Sequence[Entry[Label]],
        classes: tuple[str, ...] = (),
        *,
        notes: Iterable[str] = (),
        extra: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.classes = classes
        self.notes = tuple(notes)
        self._root, self._entries, self._extra = root, tuple(entries), tuple(extra)
        if not self._entries:
            raise DataError(f"{root}: no sample is left; change the selection in the spec, or place the data there")
        repeated = [name for name, count in Counter(entry.id for entry in self._entries).items() if count > 1]
        if repeated:
            raise DataError(f"{root}: sample '{repeated[0]}' is listed twice; list each once")
        require_files([entry.media for entry in self._entries], "file")

    def __len__(self) -> int:
        return len(self._entries)

    def sample_id(self, index: int) -> str:
        """The medium's path below the data set's folder."""
        return self._entries[index].id

    def group(self, index: int) -> str | None:
        """The independent unit that the sample belongs to; None where it is its own."""
        return self._entries[index].group

    def fingerprint(self) -> str:
        """A hash over the names and sizes of the media, the classes, the labels and the options."""
        files = list(dict.fromkeys(entry.media for entry in self._entries))
        names = (f"{entry.id}\0{entry.group}" for entry in self._entries)
        return file_fingerprint(self._root, files, *self.classes, *names, *self._extra, *self._labels())

    def _labels(self) -> Iterable[str]:
        """What identifies the labels in the fingerprint: their digest where they are files, else their text."""
        return (str(entry.label) for entry in self._entries)


def require_files(paths: Sequence[Path], what: str, action: str = "add them") -> None:
    """Check that files exist; one error for all that do not.

    Raises:
        MissingInputError: naming the first and counting the rest.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise MissingInputError(f"{missing[0]}: no such {what} ({len(missing)} of {len(paths)} are missing); {action}")


def read_text(path: Path, what: str) -> str:
    """A UTF-8 file.

    Args:
        path: the file.
        what: what it is, for messages.

    Raises:
        MissingInputError: it is not there.
        DataError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"{path}: no such {what}; place it there or change the path in the spec") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this {what} is not UTF-8 text; convert or replace the file") from None
    except OSError as error:
        raise DataError(f"{path}: this {what} cannot be read ({error.strerror}); replace the file") from None


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """(1-based number, stripped text) of the lines of a text file that are not blank.

    Raises:
        MissingInputError: it is not there.
        DataError: it cannot be read, or holds no line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path, what).splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise DataError(f"{path}: this {what} is empty; replace the file")
    return lines


def content_digest(path: Path) -> str:
    """A hash of a label file's bytes; of nothing where there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "absent"


def unique_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Class names in label order.

    Raises:
        DataError: a name is listed twice: slices and gates could not tell the two apart.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{path}: class '{repeated[0]}' is listed twice; make the names unique")
    return tuple(names)
