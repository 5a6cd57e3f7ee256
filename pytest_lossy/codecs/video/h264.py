"""H.264 through libx264: by quality (CRF), as one intra frame, and at a constant bit rate.

x264 decides from the preset what is not named here (references, motion search, trellis). Group of pictures, B-frames,
lookahead, macroblock tree and adaptive quantisation are pinned, whatever preset and tune say of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pytest_lossy.codecs.base import Levels, Media
from pytest_lossy.codecs.video import bitstream
from pytest_lossy.codecs.video.base import DecoderOptions, GopOptions, RateOptions, VideoCodec, VideoOptions

__all__ = ["H264", "H264Cbr", "H264CbrOptions", "H264Intra", "H264IntraOptions", "H264Options"]

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
Tune = Literal["none", "film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"]
PixelFormat = Literal["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


class H264IntraOptions(VideoOptions):
    """What a spec may set for ``h264-intra`` beside its levels."""

    preset: Annotated[Preset, Field(description="x264's trade of speed for bits")] = "medium"
    tune: Annotated[Tune, Field(description="x264's adjustment to content or metric")] = "none"
    pix_fmt: Annotated[PixelFormat, Field(description="subsampling and bits per sample")] = "yuv420p"


class H264Options(H264IntraOptions, GopOptions, DecoderOptions):
    """What a spec may set for ``h264`` beside its levels."""

    bframes: Annotated[
        int, Field(ge=0, le=16, description="B-frames between two others; 0 is what cameras send, 3 what streams do")
    ] = 3

    @model_validator(mode="after")
    def _no_delay(self) -> H264Options:
        if self.tune == "zerolatency" and self.bframes:
            raise ValueError(f"tune zerolatency has no B-frames and bframes is {self.bframes}; set bframes: 0")
        return self


class H264CbrOptions(H264Options, RateOptions):
    """What a spec may set for ``h264-cbr`` beside its levels."""

    bframes: Annotated[int, Field(ge=0, le=16, description="B-frames between two others; cameras send none")] = 0


# What x264's tunes set of the options that are pinned below, which would otherwise undo them (x264_param_tune).
_TUNED = {
    "animation": {"aq-strength": "0.6"},
    "grain": {"aq-strength": "0.5"},
    "stillimage": {"aq-strength": "1.2"},
    "psnr": {"aq-mode": "0"},
    "ssim": {"aq-mode": "2"},
}


def _common(options: H264IntraOptions) -> dict[str, str]:
    chosen = {
        "preset": options.preset,
        "aq-mode": "1",
        "aq-strength": "1.0",
        "rc-lookahead": "0",
        "mbtree": "0",
        "nal-hrd": "none",
        "x264-params": "cpu-independent=1:deterministic=1:sync-lookahead=0:lookahead-threads=1",
    }
    if options.tune != "none":
        chosen["tune"] = options.tune
    return chosen | _TUNED.get(options.tune, {})


def _gop(options: H264Options) -> dict[str, str]:
    return {"g": str(options.gop), "keyint_min": str(max(1, options.gop // 10)), "bf": str(options.bframes)}


class H264(VideoCodec[H264Options]):
    """H.264 clips; the level is x264's CRF, 0 (lossless in 8 bits) to 51 (worst)."""

    Options = H264Options
    name = "h264"
    levels = Levels(0, 51, (23, 30, 35, 40, 45, 50), higher_is_more_compressed=True, integral=False)
    intra = "h264-intra"
    encoder = "libx264"
    bitstream = bitstream.H264

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF with macroblock tree, a lookahead of 40 frames and key frames at scene cuts too."""
        options = _common(self.options) | _gop(self.options) | {"crf": f"{level:g}", "sc_threshold": "40"}
        if self.options.tune != "zerolatency":
            options |= {"mbtree": "1", "rc-lookahead": "40"}
        return options


class H264Intra(VideoCodec[H264IntraOptions]):
    """One H.264 intra frame; the level is x264's CRF.

    Without macroblock tree: with it, x264 raises the quantiser of every frame by 5.4 (at its ``qcomp`` of 0.6) and lowers it
    again where later frames refer to a block; a still has none.
    """

    Options = H264IntraOptions
    name = "h264-intra"
    levels = H264.levels
    media = Media.IMAGE
    encoder = "libx264"
    bitstream = bitstream.H264

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF, a key frame alone."""
        return _common(self.options) | {
            "crf": f"{level:g}",
            "g": "1",
            "keyint_min": "1",
            "bf": "0",
            "sc_threshold": "0",
        }


class H264Cbr(VideoCodec[H264CbrOptions]):
    """H.264 clips at a constant bit rate; the level is kbit/s (1000 bits).

    As a camera sends them: no lookahead, key frames every ``gop`` alone, and a buffer of ``buffer`` seconds of the bit rate
    (VBV) that is 60 % full when a clip begins, so that a clip of less than a second or two may take more than its rate.
    Unused bits are not filled up.
    """

    Options = H264CbrOptions
    name = "h264-cbr"
    parameter = "kbps"
    levels = Levels(8, 200_000, (4000, 2000, 1000, 500, 250, 125), higher_is_more_compressed=False)
    intra = "h264-intra"
    encoder = "libx264"
    bitstream = bitstream.H264

    def encoder_options(self, level: float) -> dict[str, str]:
        """Bit rate, largest rate and buffer."""
        rate = int(level) * 1000
        size = round(rate * self.options.buffer)
        return (
            _common(self.options)
            | _gop(self.options)
            | {
                "b": str(rate),
                "maxrate": str(rate),
                "bufsize": str(size),
                "rc_init_occupancy": str(size * 6 // 10),
                "sc_threshold": "0",
            }
        )
