"""Boxes of ISO base media files (ISO/IEC 14496-12, 4.2): the container of AVIF and, where it has one, JPEG XL."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_lossy.errors import CodecError

__all__ = ["boxes"]


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (four-character type, body) of each box at the top level of ``data``.

    Raises:
        CodecError: a box reaches beyond the data.
    """
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        header = 8
        if size == 1:  # a 64-bit size follows the type
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:  # the last box of a file may reach to its end
            size = len(data) - position
        if size < header or position + size > len(data):
            raise CodecError(f"box {kind!r} at byte {position} has {size} bytes of {len(data) - position} left")
        yield kind, data[position + header : position + size]
        position += size
