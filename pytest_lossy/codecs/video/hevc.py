"""H.265 through libx265: by quality (CRF), as one intra frame, and at a constant bit rate.

x265 decides from preset and tune what is not named here. Its own message in the stream is off: it names the processor, and
the bytes of a clip would differ between machines.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pytest_lossy.codecs.base import Levels, Media
from pytest_lossy.codecs.video import bitstream
from pytest_lossy.codecs.video.base import DecoderOptions, GopOptions, RateOptions, VideoCodec, VideoOptions

__all__ = ["Hevc", "HevcCbr", "HevcCbrOptions", "HevcIntra", "HevcIntraOptions", "HevcOptions"]

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
Tune = Literal["none", "psnr", "ssim", "grain", "animation", "fastdecode", "zerolatency"]
PixelFormat = Literal["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


_MINIMUM = (80, 80)
"""x265 opens from 16x16 on, but version 4.2 is not safe there. Its coding-unit tree writes beyond its buffers up to a width
of 48; where one coding unit of 64 is a whole row or column, B-frames and weighted prediction read what nobody wrote,
and bytes differ from run to run; and high bit rates are refused with coding units of 16 (levels, H.265, A.4.1)."""


class HevcIntraOptions(VideoOptions):
    """What a spec may set for ``hevc-intra`` beside its levels."""

    preset: Annotated[Preset, Field(description="x265's trade of speed for bits")] = "fast"
    tune: Annotated[Tune, Field(description="x265's adjustment to content or metric")] = "none"
    pix_fmt: Annotated[PixelFormat, Field(description="subsampling and bits per sample")] = "yuv420p"


class HevcOptions(HevcIntraOptions, GopOptions, DecoderOptions):
    """What a spec may set for ``hevc`` beside its levels."""

    bframes: Annotated[
        int, Field(ge=0, le=16, description="B-frames between two others; 0 is what cameras send, 4 what streams do")
    ] = 4

    @model_validator(mode="after")
    def _no_delay(self) -> HevcOptions:
        if self.tune == "zerolatency" and self.bframes:
            raise ValueError(f"tune zerolatency has no B-frames and bframes is {self.bframes}; set bframes: 0")
        return self


class HevcCbrOptions(HevcOptions, RateOptions):
    """What a spec may set for ``hevc-cbr`` beside its levels."""

    bframes: Annotated[int, Field(ge=0, le=16, description="B-frames between two others; cameras send none")] = 0


def _options(options: HevcIntraOptions, parameters: dict[str, str | int]) -> dict[str, str]:
    fixed: dict[str, str | int] = {
        "log-level": "none",
        "info": 0,
        "pools": "none",
        "frame-threads": 1,
        "wpp": 0,
        "pmode": 0,
        "pme": 0,
        "lookahead-slices": 0,
        "repeat-headers": 1,
        "annexb": 1,
        "hrd": 0,
        "aud": 0,
        "open-gop": 0,
        "cutree": 0,
    }
    if options.tune == "none":  # a tune has its own
        fixed |= {"aq-mode": 2, "aq-strength": "1.0"}
    chosen = {
        "preset": options.preset,
        "x265-params": ":".join(f"{key}={value}" for key, value in (fixed | parameters).items()),
    }
    return chosen if options.tune == "none" else chosen | {"tune": options.tune}


def _gop(options: HevcOptions) -> dict[str, str | int]:
    return {"keyint": options.gop, "min-keyint": max(1, options.gop // 10), "bframes": options.bframes}


class Hevc(VideoCodec[HevcOptions]):
    """H.265 clips; the level is x265's CRF, 0 (best) to 51 (worst)."""

    Options = HevcOptions
    name = "hevc"
    levels = Levels(0, 51, (25, 30, 35, 40, 45, 50), higher_is_more_compressed=True, integral=False)
    intra = "hevc-intra"
    encoder = "libx265"
    bitstream = bitstream.HEVC
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF with coding-unit tree, a lookahead of 20 frames and key frames at scene cuts too."""
        parameters = _gop(self.options) | {"scenecut": 40}
        if self.options.tune != "zerolatency":
            parameters |= {"cutree": 1, "rc-lookahead": max(20, self.options.bframes + 1)}
        return _options(self.options, parameters) | {"crf": f"{level:g}"}


class HevcIntra(VideoCodec[HevcIntraOptions]):
    """One H.265 intra frame; the level is x265's CRF. Without coding-unit tree, see ``H264Intra``."""

    Options = HevcIntraOptions
    name = "hevc-intra"
    levels = Hevc.levels
    media = Media.IMAGE
    encoder = "libx265"
    bitstream = bitstream.HEVC
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF, a key frame alone."""
        alone: dict[str, str | int] = {"keyint": 1, "min-keyint": 1, "bframes": 0, "scenecut": 0, "rc-lookahead": 0}
        return _options(self.options, alone) | {"crf": f"{level:g}"}


class HevcCbr(VideoCodec[HevcCbrOptions]):
    """H.265 clips at a constant bit rate; the level is kbit/s (1000 bits). As ``H264Cbr``."""

    Options = HevcCbrOptions
    name = "hevc-cbr"
    parameter = "kbps"
    levels = Levels(8, 200_000, (4000, 2000, 1000, 500, 250, 125), higher_is_more_compressed=False)
    intra = "hevc-intra"
    encoder = "libx265"
    bitstream = bitstream.HEVC
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """Bit rate, largest rate and buffer."""
        rate = int(level)
        parameters = _gop(self.options) | {
            "bitrate": rate,
            "vbv-maxrate": rate,
            "vbv-bufsize": max(1, round(rate * self.options.buffer)),
            "vbv-init": "0.6",
            "scenecut": 0,
            "rc-lookahead": self.options.bframes + 1 if self.options.bframes else 0,
        }
        return _options(self.options, parameters)
