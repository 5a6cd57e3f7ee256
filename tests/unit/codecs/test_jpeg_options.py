"""JPEG's custom quantisation tables: the IJG's own formula and Pillow's presets as oracles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image, JpegPresets

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.codecs.jpeg import JpegCodec, JpegOptions
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import CodecError

# ITU-T T.81, tables K.1 and K.2, as printed there: natural order.
LUMA = """
16 11 10 16 24 40 51 61      12 12 14 19 26 58 60 55      14 13 16 24 40 57 69 56      14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77    24 35 55 64 81 104 113 92    49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""
CHROMA = """
17 18 24 47 99 99 99 99      18 21 26 66 99 99 99 99      24 26 56 99 99 99 99 99      47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99
"""
ANNEX_K = [[int(entry) for entry in table.split()] for table in (LUMA, CHROMA)]
DISTINCT = [list(range(1, 65)), list(range(65, 129))]


def pillow(image: UInt8Array, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", **options)
    return stream.getvalue()


def stored_tables(data: bytes) -> dict[int, list[int]]:
    """The tables of a baseline file in natural order, read from its DQT segments (T.81, B.2.4.1 and figure A.6)."""
    zigzag = sorted(
        ((row, column) for row in range(8) for column in range(8)),
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
    tables, position = {}, 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position + 4 : position + 2 + length]
        while data[position + 1] == 0xDB and segment:
            assert segment[0] >> 4 == 0, "8-bit entries"
            table = [0] * 64
            for (row, column), entry in zip(zigzag, segment[1:65], strict=True):
                table[8 * row + column] = entry
            tables[segment[0]] = table
            segment = segment[65:]
        position += 2 + length
    return tables


@pytest.mark.parametrize("level", range(1, 101))
def test_annex_k_tables_give_the_bytes_of_the_plain_codec(level: int) -> None:
    image = natural(24, 40, 1)
    plain = JpegCodec().encode(image, level)
    assert JpegCodec(JpegOptions(qtables=ANNEX_K)).encode(image, level) == plain
    assert plain.data == pillow(image, quality=level)


@pytest.mark.parametrize("preset", sorted(JpegPresets.presets))
def test_q50_uses_a_preset_as_it_is(preset: str) -> None:
    image = natural(33, 47, 2)
    subsampling = ["4:4:4", "4:2:2", "4:2:0"][JpegPresets.presets[preset]["subsampling"]]
    codec = JpegCodec(JpegOptions(qtables=preset, subsampling=subsampling))
    assert codec.encode(image, 50).data == pillow(image, quality=preset)


def test_tables_are_in_natural_order() -> None:
    data = JpegCodec(JpegOptions(qtables=DISTINCT)).encode(natural(16, 16, 0), 50).data
    assert stored_tables(data) == dict(enumerate(DISTINCT))


def test_one_table_serves_all_components() -> None:
    image = natural(40, 40, 3)
    for subsampling in ("4:4:4", "4:2:0"):
        codec = JpegCodec(JpegOptions(qtables=[ANNEX_K[0]], subsampling=subsampling))
        twice = JpegCodec(JpegOptions(qtables=[ANNEX_K[0]] * 2, subsampling=subsampling))
        encoded = codec.encode(image, 30)
        assert stored_tables(encoded.data).keys() == {0}
        assert np.array_equal(codec.decode(encoded), twice.decode(twice.encode(image, 30)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 255), min_size=64, max_size=64), st.integers(1, 100))
def test_scaling_is_the_ijgs(table: list[int], level: int) -> None:
    image = natural(8, 8, 0)
    data = JpegCodec(JpegOptions(qtables=[table])).encode(image, level).data
    # libjpeg's jpeg_quality_scaling and jpeg_add_quant_table, written out.
    if level < 50:
        expected = [min(255, max(1, (entry * (5000 // level) + 50) // 100)) for entry in table]
    else:
        expected = [min(255, max(1, (entry * (200 - level * 2) + 50) // 100)) for entry in table]
    assert stored_tables(data) == {0: expected}


def test_the_ends_of_the_scale() -> None:
    def luma(level: int) -> list[int]:
        return stored_tables(JpegCodec(JpegOptions(qtables=ANNEX_K)).encode(natural(8, 8, 0), level).data)[0]

    assert (luma(1), luma(50), luma(100)) == ([255] * 64, ANNEX_K[0], [1] * 64)


@pytest.mark.parametrize("tables", ["web_low", "maximum", [[1] * 64], [[255] * 64] * 2, DISTINCT], ids=repr)
@pytest.mark.parametrize("progressive", [False, True])
def test_rate_and_quality_rise_with_q(tables: str | list[list[int]], progressive: bool) -> None:
    codec = JpegCodec(JpegOptions(qtables=tables, progressive=progressive))
    images = [natural(96, 128, seed) for seed in range(3)]
    sizes, qualities = [], []
    for level in (2, 5, 10, 20, 40, 60, 80, 95, 100):
        encoded = [codec.encode(image, level) for image in images]
        sizes.append(np.mean([one.payload_bits for one in encoded]))
        qualities.append(np.mean([psnr(image, codec.decode(one)) for image, one in zip(images, encoded, strict=True)]))
    assert all(np.diff(sizes) >= 0)
    assert all(np.diff(qualities) >= -0.01)


def test_a_large_noisy_image_fits_the_encoders_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.MAXBLOCK", 65_536)
    image = white_noise(300, 300, 0)
    codec = JpegCodec(JpegOptions(qtables=[[1] * 64], subsampling="4:4:4", progressive=True, optimize=True))
    assert psnr(image, codec.decode(codec.encode(image, 50))) > 45


def test_fingerprints_tell_tables_apart() -> None:
    options = ["web_low", "web_high", ANNEX_K, ANNEX_K[:1], ANNEX_K[::-1], [ANNEX_K[0]] * 2, None]
    fingerprints = {JpegCodec(JpegOptions(qtables=tables)).fingerprint() for tables in options}
    assert len(fingerprints) == len(options)
    assert "qtables=web_high:" in JpegCodec(JpegOptions(qtables="web_high")).fingerprint()
    as_lists, as_tuples = (JpegOptions(qtables=kind(map(kind, ANNEX_K))) for kind in (list, tuple))
    assert JpegCodec(as_lists).fingerprint() == JpegCodec(as_tuples).fingerprint()


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ("web_hihg", "did you mean 'web_high'"),
        ([], "one or two tables"),
        ([[1] * 64] * 3, "one or two tables"),
        (50, "one or two tables"),
        ([[1] * 63], "table 1 has 63 entries; give 64"),
        ([[1] * 64, [1] * 65], "table 2 has 65 entries"),
        ([3], "table 1 has no entries"),
        ([[0] * 64], "table 1 holds 0"),
        ([[256] * 64], "table 1 holds 256"),
        ([[1.5] * 64], "table 1 holds 1.5"),
        ([[True] * 64], "table 1 holds True"),
        ([["16"] * 64], "table 1 holds '16'"),
    ],
)
def test_wrong_tables_are_refused(tables: object, word: str) -> None:
    with pytest.raises(CodecError, match=word):
        build_codec("jpeg", {"qtables": tables})
