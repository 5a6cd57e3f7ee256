"""Colour conversion against ITU-T H.273 in floating point, published triples, and libswscale."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.codecs.video.colour import LAYOUTS, ColourFormat, to_rgb, to_yuv

WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}
FORMATS = [ColourFormat(*parts) for parts in itertools.product(LAYOUTS, WEIGHTS, ("limited", "full"))]
FULL_CHROMA = [colour for colour in FORMATS if colour.pix_fmt.startswith("yuv444p")]


def name(colour: ColourFormat) -> str:
    return f"{colour.pix_fmt}-{colour.matrix}-{colour.range}"


def exact(image: np.ndarray, colour: ColourFormat) -> np.ndarray:
    """(H, W, 3) unrounded Y'CbCr: equations 23 to 31 of H.273."""
    r, g, b = np.moveaxis(image.astype(np.float64) / 255, -1, 0)
    kr, kg, kb = WEIGHTS[colour.matrix]
    y = kr * r + kg * g + kb * b
    pb, pr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    bits = colour.layout.bits
    if colour.range == "limited":
        step = 2 ** (bits - 8)
        return np.stack([step * (219 * y + 16), step * (224 * pb + 128), step * (224 * pr + 128)], axis=-1)
    top = 2**bits - 1
    return np.stack([top * y, top * pb + 2 ** (bits - 1), top * pr + 2 ** (bits - 1)], axis=-1)


def back(image: np.ndarray, colour: ColourFormat) -> np.ndarray:
    out = np.empty_like(image)
    to_rgb(to_yuv(image, colour), colour, out)
    return out


@pytest.mark.parametrize("colour", FULL_CHROMA, ids=name)
def test_samples_are_the_nearest_integers_of_h273(colour):
    image = np.random.default_rng(1).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    expected = np.minimum(exact(image, colour), 2**colour.layout.bits - 1)
    ours = np.stack(to_yuv(image, colour), axis=-1)
    # Half a step of rounding, and the coefficients' 16 fraction bits.
    assert np.abs(ours - expected).max() <= 0.5 + 0.01


# ITU-R BT.601 and BT.709 colour bars at 100 %, as printed in every table of them.
@pytest.mark.parametrize(
    ("matrix", "rgb", "triple"),
    [
        ("bt601", (255, 255, 255), (235, 128, 128)),
        ("bt601", (255, 0, 0), (81, 90, 240)),
        ("bt601", (0, 255, 0), (145, 54, 34)),
        ("bt601", (0, 0, 255), (41, 240, 110)),
        ("bt601", (0, 0, 0), (16, 128, 128)),
        ("bt709", (255, 255, 255), (235, 128, 128)),
        ("bt709", (255, 0, 0), (63, 102, 240)),
        ("bt709", (0, 255, 0), (173, 42, 26)),
        ("bt709", (0, 0, 255), (32, 240, 118)),
    ],
)
def test_colour_bars(matrix, rgb, triple):
    image = np.full((2, 2, 3), rgb, np.uint8)
    planes = to_yuv(image, ColourFormat("yuv420p", matrix, "limited"))
    assert tuple(int(plane[0, 0]) for plane in planes) == triple


@pytest.mark.parametrize("colour", FORMATS, ids=name)
def test_greys_stay_neutral_and_come_back(colour):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (2, 256, 3))
    luma, cb, cr = to_yuv(ramp, colour)
    neutral = 1 << (colour.layout.bits - 1)
    assert (cb == neutral).all()
    assert (cr == neutral).all()
    assert (np.diff(luma[0].astype(int)) >= 0).all()
    error = np.abs(back(ramp, colour).astype(int) - ramp)
    # 219 steps for 256 greys lose one; more steps lose none.
    assert error.max() <= (1 if (colour.range, colour.layout.bits) == ("limited", 8) else 0)


@pytest.mark.parametrize("colour", FORMATS, ids=name)
def test_flat_colours_survive(colour):
    worst = 0
    for rgb in itertools.product((0, 85, 170, 255), repeat=3):
        image = np.full((4, 4, 3), rgb, np.uint8)
        worst = max(worst, int(np.abs(back(image, colour).astype(int) - image).max()))
    # Half a chroma step of 1/224 is magnified by up to 2 (1 - Kb) = 1.86, and luma's half step comes on top.
    assert worst <= (2 if colour.layout.bits == 8 else 1)


@pytest.mark.parametrize("colour", [c for c in FORMATS if c.layout.horizontal == 2], ids=name)
def test_chroma_is_taken_at_the_left_sites(colour):
    image = np.random.default_rng(2).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    full = exact(image, colour)[..., 1:]
    padded = np.pad(full, ((0, 0), (1, 0), (0, 0)), mode="edge")
    rows = (padded[:, :-1:2] + 2 * padded[:, 1::2] + np.roll(padded, -1, axis=1)[:, 1::2])[:, : image.shape[1] // 2] / 4
    expected = rows if colour.layout.vertical == 1 else (rows[0::2] + rows[1::2]) / 2
    _, cb, cr = to_yuv(image, colour)
    assert np.abs(np.stack([cb, cr], axis=-1) - expected).max() <= 0.5 + 0.01


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
def test_chroma_is_interpolated_linearly_between_sites(pix_fmt):
    colour = ColourFormat(pix_fmt, "bt601", "full")
    layout = colour.layout
    # Cr rises along columns and rows: in the interior linear interpolation is exact.
    y, x = np.mgrid[: 16 // layout.vertical, :16]
    cr = (100 + 2 * x + 4 * y).astype(np.uint8)
    luma, cb = np.full((16, 32), 60, np.uint8), np.full_like(cr, 128)
    out = np.empty((16, 32, 3), np.uint8)
    to_rgb((luma, cb, cr), colour, out)
    rows, columns = np.mgrid[:16, :32].astype(float)
    at = (rows - 0.5) / 2 if layout.vertical == 2 else rows
    expected = 60 + 1.402 * (100 + columns + 4 * at - 128)
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(out[inner][..., 0] - np.clip(expected[inner], 0, 255)).max() <= 0.5 + 0.01


def test_a_smaller_output_is_the_upper_left_part():
    colour = ColourFormat("yuv420p", "bt709", "limited")
    image = np.random.default_rng(3).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    planes = to_yuv(image, colour)
    whole, part = np.empty_like(image), np.empty((7, 9, 3), np.uint8)
    to_rgb(planes, colour, whole)
    to_rgb(planes, colour, part)
    np.testing.assert_array_equal(part, whole[:7, :9])


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("range_", ["limited", "full"])
def test_libswscale_agrees_without_subsampling(matrix, range_):
    import av
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    image = np.random.default_rng(4).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    space = Colorspace.ITU709 if matrix == "bt709" else Colorspace.ITU601
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
        format="yuv444p",
        dst_colorspace=space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG if range_ == "limited" else ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
        threads=1,
    )
    ours = np.stack(to_yuv(image, ColourFormat("yuv444p", matrix, range_)))
    assert np.abs(ours.astype(int) - frame.to_ndarray()).max() <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.sampled_from(FORMATS))
def test_any_content_converts(seed, rows, columns, colour):
    extreme = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (2 * rows, 2 * columns, 3))
    luma, cb, cr = to_yuv(extreme, colour)
    assert luma.shape == (2 * rows, 2 * columns)
    assert cb.shape == cr.shape == (2 * rows // colour.layout.vertical, 2 * columns // colour.layout.horizontal)
    low, high = (16, 235) if colour.range == "limited" else (0, 255)
    step = 1 << (colour.layout.bits - 8)
    top = high * step if colour.range == "limited" else (1 << colour.layout.bits) - 1
    assert low * step <= luma.min()
    assert luma.max() <= top
    if colour.layout.horizontal == 1:
        error = np.abs(back(extreme, colour).astype(int) - extreme)
        assert error.max() <= 2
