"""Quantisation tables of JPEG other than the IJG's: named or given, and checked.

A table is 64 whole numbers in natural order: row by row, each row from low to high horizontal frequency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from PIL import JpegPresets

from pytest_lossy.registry import did_you_mean

__all__ = ["Tables", "checked_tables", "named_tables", "tables_digest"]

Tables = tuple[tuple[int, ...], ...]
"""(luma,) or (luma, chroma), each 64 numbers in natural order."""

COEFFICIENTS = 64
LARGEST = 255
"""Baseline JPEG stores an entry in one byte (ITU-T T.81, B.2.4.1)."""


def checked_tables(value: Any) -> str | Tables | None:
    """Return the option ``qtables`` as the name of a preset, as tuples, or None.

    Raises:
        ValueError: the name is unknown, or there are not one or two tables of 64 whole numbers 1..255.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if value not in JpegPresets.presets:
            raise ValueError(f"unknown preset '{value}'; {did_you_mean(value, JpegPresets.presets)}")
        return value
    if not isinstance(value, Sequence) or not 1 <= len(value) <= 2:
        raise ValueError("give the name of a preset, or a list of one or two tables (luma, chroma)")
    for number, table in enumerate(value, start=1):
        if not isinstance(table, Sequence) or len(table) != COEFFICIENTS:
            size = len(table) if isinstance(table, Sequence) else "no"
            raise ValueError(f"table {number} has {size} entries; give {COEFFICIENTS}, row by row")
        wrong = [entry for entry in table if not _is_entry(entry)]
        if wrong:
            raise ValueError(f"table {number} holds {wrong[0]!r}; entries are whole numbers 1..{LARGEST}")
    return tuple(tuple(int(entry) for entry in table) for table in value)


def _is_entry(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST


def named_tables(tables: str | Tables) -> Tables:
    """The tables themselves, those of a Pillow preset where ``tables`` is its name."""
    if not isinstance(tables, str):
        return tables
    preset: Any = JpegPresets.presets[tables]
    return tuple(tuple(table) for table in preset["quantization"])


def tables_digest(tables: str | Tables) -> str:
    """Twelve hexadecimal digits of the tables' SHA-256, after the preset's name where there is one."""
    digest = hashlib.sha256(bytes(entry for table in named_tables(tables) for entry in table)).hexdigest()[:12]
    return f"{tables}:{digest}" if isinstance(tables, str) else digest
