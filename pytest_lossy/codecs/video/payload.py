"""What of a packet counts towards the rate: coded pictures and parameter sets, without framing and side information.

Start codes, OBU sizes, superframe indices, temporal and access unit delimiters, filler and supplemental enhancement
information belong to the transport or to nobody: MP4, RTP and Matroska each frame the same units in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Share", "annex_b_units", "av1_share", "h264_share", "hevc_share", "obus", "vp9_share"]


@dataclass(frozen=True, slots=True)
class Share:
    """Counted bytes of a packet."""

    payload: int
    """Pictures and parameter sets, each unit with its own header."""
    headers: int
    """The part of ``payload`` that is parameter sets: they describe the stream, not a picture."""

    def __add__(self, other: Share) -> Share:
        return Share(self.payload + other.payload, self.headers + other.headers)


def annex_b_units(data: bytes) -> Iterator[bytes]:
    """NAL units of a byte stream (annex B of H.264 and of H.265), without start codes and the zeros around them."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        following = data.find(b"\x00\x00\x01", start + 3)
        # A unit never ends in a zero byte (H.264, 7.4.1): zeros before the next start code are padding.
        unit = data[start + 3 : following if following >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit
        start = following


def _nal_share(data: bytes, kind: Callable[[bytes], int], pictures: range, parameter_sets: frozenset[int]) -> Share:
    payload = headers = 0
    for unit in annex_b_units(data):
        type_ = kind(unit)
        if type_ in parameter_sets:
            headers += len(unit)
        if type_ in pictures or type_ in parameter_sets:
            payload += len(unit)
    return Share(payload, headers)


def h264_share(packet: bytes) -> Share:
    """Slices (types 1 to 5), sequence and picture parameter sets (7, 8, 13, 15); H.264, table 7-1."""
    return _nal_share(packet, lambda unit: unit[0] & 0x1F, range(1, 6), frozenset({7, 8, 13, 15}))


def hevc_share(packet: bytes) -> Share:
    """Slice segments (types 0 to 31), video, sequence and picture parameter sets (32 to 34); H.265, table 7-1."""
    return _nal_share(packet, lambda unit: (unit[0] >> 1) & 0x3F, range(32), frozenset({32, 33, 34}))


def obus(data: bytes) -> Iterator[tuple[int, int]]:
    """Type and size of each open bitstream unit of a temporal unit; the size is without its own ``obu_size`` field.

    Follows the low-overhead format, sections 5.3 and 4.10.5 (leb128) of the AV1 specification.

    Raises:
        ValueError: the data ends within a unit.
    """
    position = 0
    while position < len(data):
        first = data[position]
        header = 2 if first & 0x04 else 1  # obu_extension_flag
        position += header
        size = len(data) - position
        if first & 0x02:  # obu_has_size_field
            size = shift = 0
            while True:
                if position >= len(data):
                    raise ValueError("an AV1 unit ends within its size")
                byte = data[position]
                size |= (byte & 0x7F) << shift
                shift += 7
                position += 1
                if not byte & 0x80:
                    break
        position += size
        if position > len(data):
            raise ValueError("an AV1 unit is longer than its packet")
        yield (first >> 3) & 0x0F, header + size


def av1_share(packet: bytes) -> Share:
    """Frames (types 3, 4, 6, 7) and sequence headers (1); not temporal delimiters, metadata or padding (2, 5, 15)."""
    payload = headers = 0
    for type_, size in obus(packet):
        if type_ == 1:
            headers += size
        if type_ in {1, 3, 4, 6, 7, 8}:
            payload += size
    return Share(payload, headers)


def vp9_share(packet: bytes) -> Share:
    """Everything but the superframe index (annex B of the VP9 specification); VP9 has no parameter sets."""
    last = packet[-1] if packet else 0
    index = 0
    if last & 0xE0 == 0xC0:
        size = 2 + ((last & 0x07) + 1) * (((last >> 3) & 0x03) + 1)
        if size <= len(packet) and packet[-size] == last:
            index = size
    return Share(len(packet) - index, 0)
