"""VP9 through libvpx: by quality (CRF), as one intra frame, and at a constant bit rate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_lossy.codecs.base import Levels, Media
from pytest_lossy.codecs.video import bitstream
from pytest_lossy.codecs.video.base import DecoderOptions, GopOptions, RateOptions, VideoCodec, VideoOptions

__all__ = ["Vp9", "Vp9Cbr", "Vp9CbrOptions", "Vp9Intra", "Vp9IntraOptions", "Vp9Options"]


class Vp9IntraOptions(VideoOptions):
    """What a spec may set for ``vp9-intra`` beside its levels."""

    speed: Annotated[int, Field(ge=0, le=5, description="libvpx's trade of bits for speed: 0 slow, 5 fast")] = 4
    tune: Annotated[Literal["psnr", "ssim"], Field(description="the metric that libvpx optimises")] = "psnr"
    pix_fmt: Annotated[Literal["yuv420p", "yuv422p", "yuv444p"], Field(description="subsampling")] = "yuv420p"


class Vp9Options(Vp9IntraOptions, GopOptions, DecoderOptions):
    """What a spec may set for ``vp9`` beside its levels."""

    alt_ref: Annotated[
        bool,
        Field(
            description="hidden frames from the future, VP9's B-frames; false: earlier frames alone, as a camera must"
        ),
    ] = True


class Vp9CbrOptions(Vp9IntraOptions, GopOptions, DecoderOptions, RateOptions):
    """What a spec may set for ``vp9-cbr`` beside its levels."""

    speed: Annotated[int, Field(ge=5, le=8, description="libvpx's trade of bits for speed in real time")] = 6


def _options(options: Vp9IntraOptions, gop: int) -> dict[str, str]:
    return {
        "deadline": "good",
        "cpu-used": str(options.speed),
        "tune": options.tune,
        "g": str(gop),
        "keyint_min": "0",  # libvpx: key frames at scene cuts too, and every g
        "qmin": "0",
        "qmax": "63",
        "row-mt": "0",
        "tile-columns": "0",
        "tile-rows": "0",
        "frame-parallel": "0",
        "error-resilient": "0",
        "aq-mode": "0",
        "static-thresh": "0",
        "drop-threshold": "0",
        "noise-sensitivity": "0",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
    }


class Vp9(VideoCodec[Vp9Options]):
    """VP9 clips; the level is libvpx's CRF (constant quality), 0 (best) to 63 (worst)."""

    Options = Vp9Options
    name = "vp9"
    levels = Levels(0, 63, (30, 40, 48, 54, 59, 63), higher_is_more_compressed=True)
    intra = "vp9-intra"
    encoder = "libvpx-vp9"
    bitstream = bitstream.VP9

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF; with hidden frames, a lookahead of 25 of which up to 7 are averaged."""
        options = _options(self.options, self.options.gop) | {"crf": str(int(level)), "b": "0"}
        if self.options.alt_ref:
            options |= {
                "auto-alt-ref": "1",
                "lag-in-frames": "25",
                "arnr-maxframes": "7",
                "arnr-strength": "5",
                "enable-tpl": "1",
            }
        return options


class Vp9Intra(VideoCodec[Vp9IntraOptions]):
    """One VP9 key frame; the level is libvpx's CRF."""

    Options = Vp9IntraOptions
    name = "vp9-intra"
    levels = Vp9.levels
    media = Media.IMAGE
    encoder = "libvpx-vp9"
    bitstream = bitstream.VP9

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF, a key frame alone."""
        return _options(self.options, 1) | {"crf": str(int(level)), "b": "0"}


class Vp9Cbr(VideoCodec[Vp9CbrOptions]):
    """VP9 clips at a constant bit rate, in real time as in a video call; the level is kbit/s (1000 bits).

    No frame is dropped; a rate that is too low is exceeded.
    """

    Options = Vp9CbrOptions
    name = "vp9-cbr"
    parameter = "kbps"
    levels = Levels(8, 100_000, (4000, 2000, 1000, 500, 250, 125), higher_is_more_compressed=False)
    intra = "vp9-intra"
    encoder = "libvpx-vp9"
    bitstream = bitstream.VP9

    def encoder_options(self, level: float) -> dict[str, str]:
        """Bit rate, least and largest rate, and buffer."""
        rate = int(level) * 1000
        size = round(rate * self.options.buffer)
        return _options(self.options, self.options.gop) | {
            "deadline": "realtime",
            "b": str(rate),
            "minrate": str(rate),
            "maxrate": str(rate),
            "bufsize": str(size),
            "rc_init_occupancy": str(size * 6 // 10),
        }
