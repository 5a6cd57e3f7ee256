"""H.264, H.265 and AV1 through NVIDIA's hardware encoder, as cameras and servers with a GPU use it.

Opens only where a GPU with an encoder and its driver are (data-centre GPUs such as A100 and H100 have none); elsewhere
encoding raises a :class:`CodecError` with the driver's own words. Bytes depend on GPU and driver: the fingerprint names the
driver, and results of different GPUs should not be compared.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_lossy.codecs.base import Levels
from pytest_lossy.codecs.video import bitstream
from pytest_lossy.codecs.video.base import DecoderOptions, GopOptions, VideoCodec, VideoOptions

__all__ = ["Av1Nvenc", "Av1NvencOptions", "H264Nvenc", "HevcNvenc", "NvencOptions"]


class Av1NvencOptions(VideoOptions, GopOptions, DecoderOptions):
    """What a spec may set for ``av1-nvenc`` beside its levels."""

    preset: Annotated[
        Literal["p1", "p2", "p3", "p4", "p5", "p6", "p7"], Field(description="from p1, fast, to p7, slow")
    ] = "p4"
    tune: Annotated[
        Literal["hq", "ll", "ull"], Field(description="high quality, low latency, or ultra low latency")
    ] = "hq"
    bframes: Annotated[int, Field(ge=0, le=4, description="B-frames between two others; not every GPU has them")] = 0


class NvencOptions(Av1NvencOptions):
    """What a spec may set for ``h264-nvenc`` and ``hevc-nvenc`` beside their levels."""

    pix_fmt: Annotated[Literal["yuv420p", "yuv444p"], Field(description="subsampling")] = "yuv420p"


def _options(options: Av1NvencOptions, level: float) -> dict[str, str]:
    return {
        "preset": options.preset,
        "tune": options.tune,
        "rc": "vbr",
        "cq": f"{level:g}",
        "b": "0",
        "multipass": "disabled",
        "rc-lookahead": "0",
        "spatial-aq": "0",
        "temporal-aq": "0",
        "g": str(options.gop),
        "bf": str(options.bframes),
    }


class H264Nvenc(VideoCodec[NvencOptions]):
    """H.264 clips; the level is NVENC's constant quality, 1 (best) to 51 (worst)."""

    Options = NvencOptions
    name = "h264-nvenc"
    parameter = "cq"
    levels = Levels(1, 51, (23, 30, 35, 40, 45, 50), higher_is_more_compressed=True)
    encoder = "h264_nvenc"
    bitstream = bitstream.H264
    minimum = (160, 64)

    def encoder_options(self, level: float) -> dict[str, str]:
        """Variable bit rate towards one quality, without a second pass or lookahead."""
        return _options(self.options, level)


class HevcNvenc(VideoCodec[NvencOptions]):
    """H.265 clips; the level is NVENC's constant quality, 1 (best) to 51 (worst)."""

    Options = NvencOptions
    name = "hevc-nvenc"
    parameter = "cq"
    levels = Levels(1, 51, (25, 30, 35, 40, 45, 50), higher_is_more_compressed=True)
    encoder = "hevc_nvenc"
    bitstream = bitstream.HEVC
    minimum = (160, 64)

    def encoder_options(self, level: float) -> dict[str, str]:
        """Variable bit rate towards one quality, without a second pass or lookahead."""
        return _options(self.options, level)


class Av1Nvenc(VideoCodec[Av1NvencOptions]):
    """AV1 clips; the level is NVENC's constant quality, 1 (best) to 63 (worst)."""

    Options = Av1NvencOptions
    name = "av1-nvenc"
    parameter = "cq"
    levels = Levels(1, 63, (30, 40, 48, 54, 59, 63), higher_is_more_compressed=True)
    encoder = "av1_nvenc"
    bitstream = bitstream.AV1
    minimum = (192, 128)

    def encoder_options(self, level: float) -> dict[str, str]:
        """Variable bit rate towards one quality, without a second pass or lookahead."""
        return _options(self.options, level)
