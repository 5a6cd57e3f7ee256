"""User tags for any data set: a CSV file beside the data, whose cells become slices such as ``miou{night}``."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.registry import did_you_mean

__all__ = ["TaggedDataset", "read_tags"]

_FORBIDDEN = frozenset("[]{}\n\r\0")


def read_tags(path: Path) -> dict[str, tuple[str, ...]]:
    """Read tags: a header, then one row per sample; the first column is the sample's id, every other cell a tag.

    Empty cells give no tag. A header ``id,weather,camera`` and a row ``0007.png,rain,camera-3`` give the sample
    ``0007.png`` the tags ``rain`` and ``camera-3``.

    Raises:
        DataError: the file cannot be read or used; every problem with its line.
        MissingInputError: it is not there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file of tags; place it there or remove 'data.tags'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8 text") from None
    tags: dict[str, tuple[str, ...]] = {}
    problems = []
    reader = csv.reader(text.splitlines())
    try:
        width = len(next(reader, []))
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) > width:
                problems.append(f"{path}:{reader.line_num}: has {len(cells)} cells, the header {width}")
            if cells[0] in tags:
                problems.append(f"{path}:{reader.line_num}: sample '{cells[0]}' is listed twice; keep one row")
            wrong = [cell for cell in cells[1:] if _FORBIDDEN & set(cell)]
            if wrong:
                problems.append(f"{path}:{reader.line_num}: tag '{wrong[0]}' holds a bracket; write it without")
            tags[cells[0]] = tuple(dict.fromkeys(cell for cell in cells[1:] if cell))
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: is no CSV ({error}); mend it there")
    if problems:
        raise DataError("\n".join(problems))
    return tags


class TaggedDataset:
    """A data set whose samples carry further tags.

    Args:
        dataset: any data set.
        tags: sample id -> tags; samples that are not listed keep their own.
        path: where the tags come from, for messages.

    Raises:
        DataError: a listed sample is not in the data set.
    """

    def __init__(self, dataset: Dataset, tags: Mapping[str, tuple[str, ...]], path: Path) -> None:
        self._dataset, self._tags = dataset, dict(tags)
        ids = {dataset.sample_id(index) for index in range(len(dataset))}
        unknown = [name for name in tags if name not in ids]
        if unknown:
            raise DataError(
                f"{path}: sample '{unknown[0]}' is not in the data set ({len(unknown)} such rows); "
                f"{did_you_mean(unknown[0], sorted(ids)[:2000])}"
            )
        self.name, self.classes = dataset.name, dataset.classes
        self.labelled: bool = getattr(dataset, "labelled", True)
        self.notes: tuple[str, ...] = tuple(getattr(dataset, "notes", ()))

    def __len__(self) -> int:
        return len(self._dataset)

    def sample_id(self, index: int) -> str:
        """As the data set says."""
        return self._dataset.sample_id(index)

    def group(self, index: int) -> str | None:
        """As the data set says."""
        return self._dataset.group(index)

    def load(self, index: int) -> Sample:
        """The sample with its own tags and those of the file."""
        sample = self._dataset.load(index)
        added = self._tags.get(self.sample_id(index), ())
        return dataclasses.replace(sample, tags=tuple(dict.fromkeys([*sample.tags, *added])))

    def fingerprint(self) -> str:
        """Changes with the data set and with the tags."""
        listed = repr(sorted(self._tags.items()))
        return hashlib.sha256(f"{self._dataset.fingerprint()}\0{listed}".encode("utf-8", "surrogateescape")).hexdigest()
