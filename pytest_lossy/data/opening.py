"""From a spec's ``data`` section to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_lossy.data.base import Dataset
from pytest_lossy.data.maite import MaiteDataset, is_maite_dataset
from pytest_lossy.data.registry import build_dataset
from pytest_lossy.data.tagged import TaggedDataset, read_tags
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec
from pytest_lossy.specs.schema import DataSection
from pytest_lossy.usercode import import_callable

__all__ = ["open_dataset"]


def open_dataset(section: DataSection, base: Path) -> Dataset:
    """Build a spec's data set, with the user's tags.

    Args:
        section: the spec's ``data``.
        base: folder of the spec.

    Raises:
        MissingInputError: it holds no sample, or its files are not there.
        DataError: what a factory returned is no data set.
    """
    if section.factory is not None:
        dataset: Any = import_callable(section.factory, base)(**section.kwargs)
        origin = section.factory
    elif section.maite is not None:
        dataset = MaiteDataset(import_callable(section.maite, base)(**section.kwargs), section.maite)
        origin = section.maite
    else:
        dataset = build_dataset(section.name or "", section.kwargs, base)
        origin = section.name or ""
    missing = [
        name
        for name in ("name", "classes", "__len__", "sample_id", "group", "load", "fingerprint")
        if not hasattr(dataset, name)
    ]
    if missing and is_maite_dataset(dataset):
        raise DataError(f"'{origin}' returned a MAITE data set; write 'maite: {origin}' instead of 'factory'")
    if missing:
        raise DataError(
            f"'{origin}' returned {type(dataset).__name__} without {', '.join(missing)}; implement "
            "pytest_lossy.data.base.Dataset"
        )
    if len(dataset) == 0:
        raise MissingInputError(f"data set '{origin}' holds no sample; check its folder and split")
    checked: Dataset = dataset
    if section.tags is None:
        return checked
    path = from_spec(base, section.tags)
    return TaggedDataset(checked, read_tags(path), path)
