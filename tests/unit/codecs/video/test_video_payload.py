"""What counts towards the rate: hand-made units, and ffmpeg's own parser as oracle."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_clips import ALL, STREAMS, media_for, natural_clip

from pytest_lossy.codecs.video.av1 import Av1
from pytest_lossy.codecs.video.bitstream import ivf, ivf_packets
from pytest_lossy.codecs.video.h264 import H264Cbr
from pytest_lossy.codecs.video.hevc import HevcCbr
from pytest_lossy.codecs.video.payload import (
    Share,
    annex_b_units,
    av1_share,
    h264_share,
    hevc_share,
    obus,
    vp9_share,
)

CLIP = natural_clip(5, 64, 96)


def test_h264_counts_slices_and_parameter_sets():
    def unit(type_: int, size: int) -> bytes:
        return bytes([0x60 | type_]) + b"\x55" * (size - 1)

    stream = b""
    for number, (type_, size) in enumerate([(9, 2), (7, 20), (8, 6), (6, 90), (5, 400), (12, 50), (1, 30), (10, 1)]):
        stream += (b"\x00\x00\x00\x01" if number % 2 else b"\x00\x00\x01") + unit(type_, size)
    assert h264_share(stream) == Share(payload=20 + 6 + 400 + 30, headers=26)


def test_hevc_counts_slices_and_parameter_sets():
    stream = b"".join(
        b"\x00\x00\x01" + bytes([type_ << 1, 1]) + b"\x55" * (size - 2)
        for type_, size in [(35, 3), (32, 24), (33, 40), (34, 7), (39, 60), (19, 300), (38, 80), (1, 25), (40, 9)]
    )
    assert hevc_share(stream) == Share(payload=24 + 40 + 7 + 300 + 25, headers=71)


def test_zeros_around_units_are_framing():
    assert list(annex_b_units(b"\x00\x00\x00\x01\x65\xaa\x00\x00\x00\x00\x01\x41\xbb\x80\x00\x00")) == [
        b"\x65\xaa",
        b"\x41\xbb\x80",
    ]
    assert list(annex_b_units(b"")) == []


def test_av1_counts_frames_and_sequence_headers():
    def unit(type_: int, size: int, extended: bool = False) -> bytes:
        length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
        return (
            bytes([type_ << 3 | (4 if extended else 0) | 2]) + (b"\x00" if extended else b"") + length + b"\x55" * size
        )

    packet = unit(2, 0) + unit(1, 10) + unit(5, 40) + unit(6, 300) + unit(3, 20, extended=True) + unit(15, 7)
    assert av1_share(packet) == Share(payload=11 + 301 + 22, headers=11)
    assert list(obus(bytes([6 << 3]) + b"\x55" * 9)) == [(6, 10)]  # without a size, to the end


@pytest.mark.parametrize("damaged", [b"\x32", b"\x32\x80", b"\x32\x05\x00"])
def test_av1_units_that_end_early_are_named(damaged):
    with pytest.raises(ValueError, match="AV1 unit"):
        av1_share(damaged)


def test_vp9_superframe_index_is_framing():
    marker = bytes([0xC0 | 1 << 3 | 1])  # two frames, sizes of two bytes
    index = marker + (300).to_bytes(2, "little") + (20).to_bytes(2, "little") + marker
    assert vp9_share(b"\x55" * 320 + index) == Share(320, 0)
    assert vp9_share(b"\x55" * 320) == Share(320, 0)
    assert vp9_share(b"") == Share(0, 0)
    assert vp9_share(b"\x01" * 5 + marker) == Share(6, 0)  # a last byte that only looks like one


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_ivf_returns_its_packets(packets):
    assert list(ivf_packets(ivf(b"VP90", packets, (64, 48), Fraction(25)))) == packets


@pytest.mark.parametrize("cut", [10, 32 + 5, 32 + 12 + 3])
def test_ivf_that_ends_early_is_named(cut):
    data = ivf(b"VP90", [b"\x55" * 20], (64, 48), Fraction(25))
    with pytest.raises(ValueError, match="IVF"):
        list(ivf_packets(data[:cut]))


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_payload_is_most_of_the_data_and_never_more(family):
    encoded = family().encode(media_for(family, CLIP), family.levels.default[0])
    assert 0 < encoded.payload_bits <= 8 * len(encoded.data)
    assert encoded.header_bits < 0.2 * encoded.payload_bits
    assert (encoded.header_bits == 0) == family.name.startswith("vp9")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the path")
@pytest.mark.parametrize(
    ("family", "form", "kinds"),
    [
        (STREAMS[0], "h264", "1-5|7|8"),
        (STREAMS[1], "hevc", "0-31|32-34"),
        (H264Cbr, "h264", "1-5|7|8"),
        (HevcCbr, "hevc", "0-34"),
    ],
    ids=["h264", "hevc", "h264-cbr", "hevc-cbr"],
)  # fmt: skip
def test_ffmpeg_counts_the_same_units(family, form, kinds):
    encoded = family().encode(natural_clip(30, 64, 96), family.levels.default[2])
    filtered = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", form, "-i", "-", "-c", "copy", "-bsf:v", f"filter_units=pass_types={kinds}",
         "-f", form, "-"],
        input=encoded.data, capture_output=True, check=True,
    ).stdout  # fmt: skip
    units = re.split(rb"\x00{2,3}\x01", filtered)
    assert 8 * sum(map(len, units)) == encoded.payload_bits


def test_av1_framing_is_what_is_left_over():
    encoded = Av1().encode(CLIP, 40)
    packets = list(ivf_packets(encoded.data))
    # Of each packet: a temporal delimiter of two bytes, and the size field of each other unit (one byte per 7 bits).
    framing = sum(
        2 + sum(-(-(size - 1).bit_length() // 7) for type_, size in obus(packet) if type_ != 2) for packet in packets
    )
    assert sum(map(len, packets)) - framing == encoded.payload_bits // 8
    assert np.sum([type_ == 1 for packet in packets for type_, _ in obus(packet)]) == 1
