"""Hypothesis strategies: search for the mildest compression that breaks what your code promises.

>>> from hypothesis import given
>>> from pytest_lossy import strategies as lossy
>>> @given(codec=lossy.codec_levels(["jpeg", "webp"]), image=lossy.images())
... def test_brightness_survives(codec, image):
...     assert abs(codec(image).mean() - image.mean()) < 30

A failing example shrinks to mild compression, few chain steps and small, flat images, in the order in which the test draws
them: write the codec before the image, and the reported compression is the mildest that hypothesis could reach. Every image
takes the same number of choices whatever it shows, so that a simpler image never buys a more severe level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from pytest_lossy.codecs.base import Levels, UInt8Array
from pytest_lossy.codecs.declared import CodecChoice, Declarations, LossyCodec, codec_choices
from pytest_lossy.errors import CodecError

__all__ = ["CONTENTS", "Content", "chains", "clips", "codec_levels", "images"]

Content = Literal["flat", "gradient", "edges", "natural", "noise"]
CONTENTS: tuple[Content, ...] = ("flat", "gradient", "edges", "natural", "noise")
"""What an image may show, simple to complex: one colour; a ramp; bars or a checkerboard; 1/f noise, whose spectrum is that
of photographs; white noise."""

IMAGE_CODECS = ("jpeg", "webp", "avif", "h264", "hevc", "av1", "vp9")
CHAIN_STEPS = ("resize", "jpeg", "webp", "h264")

_MOST_STEPS = 1000
"""A codec with more levels than this is searched on a geometric grid."""


@st.composite
def images(
    draw: st.DrawFn, min_side: int = 1, max_side: int = 64, *, contents: Sequence[Content] = CONTENTS
) -> UInt8Array:
    """Images, (H, W, 3), uint8, RGB; both sides ``min_side``..``max_side`` pixels.

    A pattern blends between two colours, each any of the 2^24. Shrinks to ``contents[0]``, to the smallest size and to
    black; the second colour shrinks to the first where that is black, and so to low contrast.

    Args:
        draw: supplied by hypothesis.
        min_side: pixels, at least 1.
        max_side: pixels.
        contents: what to show, the simplest first.
    """
    scene = _Scene(draw, contents)
    height, width = draw(st.integers(min_side, max_side)), draw(st.integers(min_side, max_side))
    return scene.paint(height, width)


@st.composite
def clips(
    draw: st.DrawFn,
    min_side: int = 1,
    max_side: int = 48,
    *,
    min_frames: int = 1,
    max_frames: int = 6,
    contents: Sequence[Content] = CONTENTS,
) -> UInt8Array:
    """Clips, (T, H, W, 3), uint8, RGB: a camera pans over an image, up to 4 pixels a frame in each direction.

    Shrinks like :func:`images`, to few frames and to no motion.

    Args:
        draw: supplied by hypothesis.
        min_side: pixels, at least 1.
        max_side: pixels.
        min_frames: at least 1.
        max_frames: frames.
        contents: what to show, the simplest first.
    """
    scene = _Scene(draw, contents)
    down, right = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    frames = draw(st.integers(min_frames, max_frames))
    height, width = draw(st.integers(min_side, max_side)), draw(st.integers(min_side, max_side))
    wide = scene.paint(height + down * (frames - 1), width + right * (frames - 1))
    return np.stack([wide[down * t : down * t + height, right * t : right * t + width] for t in range(frames)])


def codec_levels(
    codecs: Declarations = IMAGE_CODECS, *, shrink_to: Literal["mild", "severe"] = "mild"
) -> st.SearchStrategy[LossyCodec]:
    """Codecs at a level, ready to call: ``codec(image)``.

    Shrinks to the first of ``codecs`` and to its mildest level. To find the mildest level of each codec, search for one
    codec at a time.

    Args:
        codecs: names or a mapping of labels to levels, as :func:`pytest_lossy.fixtures.codec_choices` reads them; but a
            codec without levels is searched over all that it has, not over its default grid. Levels that are no whole
            numbers are searched in 100 to 1000 even steps, bit rates in 1 % steps.
        shrink_to: ``severe`` searches for the most severe level at which a condition still holds.

    Raises:
        LossyError: a name is unknown, an option does not fit, or a level is out of range.
    """
    if shrink_to not in ("mild", "severe"):
        raise CodecError(f"unknown direction {shrink_to!r}; write shrink_to='mild' or shrink_to='severe'")
    step = -1 if shrink_to == "severe" else 1
    options = [(choice.lossy, _searched(choice)[::step]) for choice in codec_choices(codecs)]
    return st.sampled_from(options).flatmap(lambda option: st.sampled_from(option[1]).map(option[0].at))


def chains(
    codecs: Declarations = CHAIN_STEPS, *, min_steps: int = 1, max_steps: int = 3
) -> st.SearchStrategy[LossyCodec]:
    """Chains of codecs, as footage that is compressed, scaled and compressed again; ready to call like any codec.

    The level is that of the last step. Shrinks to few steps, to the first of ``codecs`` and to mild levels.

    Args:
        codecs: what the steps are drawn from, as in :func:`codec_levels`.
        min_steps: at least 1.
        max_steps: at most so many.

    Raises:
        LossyError: as for :func:`codec_levels`.
    """
    return st.lists(codec_levels(codecs), min_size=min_steps, max_size=max_steps).map(_chain)


def _chain(steps: list[LossyCodec]) -> LossyCodec:
    written = [{**step.declaration, "level": step.level} for step in steps]
    return LossyCodec.build("chain", steps[-1].level, {"steps": written})


def _searched(choice: CodecChoice) -> Sequence[float]:
    """The levels to search, mild to severe."""
    grid = choice.lossy.codec.levels
    if choice.bounds is None and choice.declared:
        return choice.levels
    return _steps(grid, *(choice.bounds or (grid.minimum, grid.maximum)))


def _steps(grid: Levels, low: float, high: float) -> Sequence[float]:
    """The levels from ``low`` to ``high``, both included, mild to severe."""
    if grid.integral and high - low < _MOST_STEPS:
        levels: list[float] = list(range(int(low), int(high) + 1))
    elif grid.integral:
        start = max(low, 1)
        count = math.ceil(math.log(high / start) / math.log(1.01))
        ratio = (high / start) ** (1 / count)
        levels = sorted({int(low), int(high), *(round(start * ratio**index) for index in range(count + 1))})
    elif low == high:
        levels = [low]
    else:
        # Steps of a power of ten, so that reported levels are short.
        digits = 2 - math.floor(math.log10(high - low))
        first, last = math.ceil(round(low * 10**digits, 6)), math.floor(round(high * 10**digits, 6))
        levels = sorted({low, high, *(round(index / 10**digits, digits) for index in range(first, last + 1))})
    return sorted(levels, key=grid.severity)


class _Scene:
    """What an image shows, at any size; all its choices are drawn, whichever of them matter."""

    def __init__(self, draw: st.DrawFn, contents: Sequence[Content]) -> None:
        unknown = set(contents) - set(CONTENTS)
        if unknown or not contents:
            raise CodecError(f"unknown contents {sorted(unknown)}; choose from {', '.join(CONTENTS)}")
        self.content = draw(st.sampled_from(list(contents)))
        channel = st.integers(0, 255)
        self.first = np.array(draw(st.tuples(channel, channel, channel)), np.float32)
        self.second = np.array(draw(st.tuples(channel, channel, channel)), np.float32)
        self.form, self.seed = draw(st.integers(0, 7)), draw(st.integers(0, 2**16 - 1))

    def paint(self, height: int, width: int) -> UInt8Array:
        """(height, width, 3)."""
        blended = self.first + self._pattern(height, width) * (self.second - self.first)
        return np.broadcast_to(np.rint(blended), (height, width, 3)).astype(np.uint8)

    def _pattern(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """Values 0..1 that broadcast to (height, width, 3)."""
        if self.content == "flat":
            return np.zeros((1, 1, 1), np.float32)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        if self.content == "gradient":
            angle = self.form * math.pi / 4
            return _stretched(math.cos(angle) * x + math.sin(angle) * y)[..., None]
        if self.content == "edges":
            period = 1 + self.seed % 16
            rows, columns = (y // period) % 2, (x // period) % 2
            bars: npt.NDArray[np.float32] = (rows, columns, (rows + columns) % 2)[self.form % 3][..., None]
            return bars
        rng = np.random.default_rng(self.seed)
        if self.content == "noise":
            white: npt.NDArray[np.float32] = rng.random((height, width, 3), np.float32)
            return white
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
        frequency[0, 0] = 1
        spectrum = np.fft.fft2(rng.standard_normal((height, width))) / frequency
        return _stretched(np.fft.ifft2(spectrum).real.astype(np.float32))[..., None]


def _stretched(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``values`` scaled to 0..1; 0 where they are all alike."""
    span = values.max() - values.min()
    scaled: npt.NDArray[np.float32] = (values - values.min()) / (span if span > 0 else 1)
    return scaled
