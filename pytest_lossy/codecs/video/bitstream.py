"""Bitstreams as bytes that decode alone: byte streams (annex B) of H.264 and H.265, IVF files of AV1 and VP9."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_lossy.codecs.video.payload import Share, av1_share, h264_share, hevc_share, vp9_share

__all__ = ["AV1", "H264", "HEVC", "VP9", "Bitstream", "ivf", "ivf_packets"]

_IVF_HEADER = struct.Struct("<4sHH4sHHIIII")
_IVF_FRAME = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Bitstream:
    """One coding format."""

    decoder: str
    """FFmpeg's name. Decoding is exact by each standard, so that another decoder gives the same samples."""
    accelerated: str
    """FFmpeg's name of the decoder that hands its work to a GPU."""
    share: Callable[[bytes], Share]
    """What of a packet counts towards the rate."""
    fourcc: bytes | None
    """Of IVF; None where packets are joined without a container."""

    def join(self, packets: Sequence[bytes], size: tuple[int, int], fps: Fraction) -> bytes:
        """Packets as one stream; ``size`` is width and height of the coded picture."""
        return b"".join(packets) if self.fourcc is None else ivf(self.fourcc, packets, size, fps)


def ivf(fourcc: bytes, packets: Sequence[bytes], size: tuple[int, int], fps: Fraction) -> bytes:
    """An IVF file: a header of 32 bytes, then each packet after its length and time stamp."""
    header = _IVF_HEADER.pack(
        b"DKIF", 0, _IVF_HEADER.size, fourcc, *size, fps.numerator, fps.denominator, len(packets), 0
    )
    frames = (_IVF_FRAME.pack(len(packet), index) + packet for index, packet in enumerate(packets))
    return header + b"".join(frames)


def ivf_packets(data: bytes) -> Iterator[bytes]:
    """Packets of an IVF file.

    Raises:
        ValueError: the data is no IVF file, or ends within a packet.
    """
    if len(data) < _IVF_HEADER.size or data[:4] != b"DKIF":
        raise ValueError("the data is no IVF file")
    position = _IVF_HEADER.size
    while position < len(data):
        start = position + _IVF_FRAME.size
        if start > len(data):
            raise ValueError("an IVF file ends within a frame header")
        length = _IVF_FRAME.unpack_from(data, position)[0]
        position = start + length
        if position > len(data):
            raise ValueError("an IVF file ends within a frame")
        yield data[start:position]


H264 = Bitstream("h264", "h264", h264_share, None)
HEVC = Bitstream("hevc", "hevc", hevc_share, None)
AV1 = Bitstream("libdav1d", "av1", av1_share, b"AV01")
VP9 = Bitstream("vp9", "vp9", vp9_share, b"VP90")
