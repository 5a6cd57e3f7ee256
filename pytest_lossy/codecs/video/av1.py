"""AV1 through SVT-AV1: by quality (CRF), as one intra frame, and at a constant bit rate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pytest_lossy.codecs.base import Levels, Media
from pytest_lossy.codecs.video import bitstream
from pytest_lossy.codecs.video.base import DecoderOptions, GopOptions, RateOptions, VideoCodec, VideoOptions

__all__ = ["Av1", "Av1Cbr", "Av1CbrOptions", "Av1Intra", "Av1IntraOptions", "Av1Options"]

_TUNES = {"vq": 0, "psnr": 1, "ssim": 2}
_RANDOM_ACCESS, _LOW_DELAY = 2, 1
_MINIMUM = (64, 64)
"""What SVT-AV1 took before version 3; later versions take less."""


class Av1IntraOptions(VideoOptions):
    """What a spec may set for ``av1-intra`` beside its levels."""

    preset: Annotated[int, Field(ge=0, le=12, description="SVT-AV1's trade of speed for bits: 0 slow, 12 fast")] = 8
    tune: Annotated[
        Literal["vq", "psnr", "ssim"], Field(description="what SVT-AV1 optimises: visual quality or a metric")
    ] = "psnr"
    pix_fmt: Annotated[
        Literal["yuv420p", "yuv420p10le"], Field(description="bits per sample; SVT-AV1 has 4:2:0 only")
    ] = "yuv420p"


class Av1Options(Av1IntraOptions, GopOptions, DecoderOptions):
    """What a spec may set for ``av1`` beside its levels."""

    low_delay: Annotated[
        bool, Field(description="predict from earlier frames alone, as a camera must; false: pyramids of B-frames")
    ] = False

    @model_validator(mode="after")
    def _tuned_for_low_delay(self) -> Av1Options:
        if self.low_delay and self.tune == "ssim":
            raise ValueError("SVT-AV1 has no tune ssim in low delay; set tune: vq or psnr, or low_delay: false")
        return self


class Av1CbrOptions(Av1IntraOptions, GopOptions, DecoderOptions, RateOptions):
    """What a spec may set for ``av1-cbr`` beside its levels."""

    tune: Annotated[Literal["vq", "psnr"], Field(description="what SVT-AV1 optimises: visual quality or PSNR")] = "psnr"


def _options(options: Av1IntraOptions, gop: int, parameters: dict[str, int]) -> dict[str, str]:
    fixed = {
        "lp": 1,  # level of parallelism: one picture at a time
        "tune": _TUNES[options.tune],
        "aq-mode": 2,
        "film-grain": 0,
        "scd": 0,
        "irefresh-type": 2,  # key frames, so that each group decodes alone
        "fast-decode": 0,
        "enable-overlays": 0,
        "enable-qm": 0,
        "tile-rows": 0,
        "tile-columns": 0,
    }
    return {
        "preset": str(options.preset),
        "g": str(gop),
        "svtav1-params": ":".join(f"{key}={value}" for key, value in (fixed | parameters).items()),
    }


class Av1(VideoCodec[Av1Options]):
    """AV1 clips; the level is SVT-AV1's CRF, 1 (best) to 63 (worst)."""

    Options = Av1Options
    name = "av1"
    levels = Levels(1, 63, (30, 40, 48, 54, 59, 63), higher_is_more_compressed=True)
    intra = "av1-intra"
    encoder = "libsvtav1"
    bitstream = bitstream.AV1
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF."""
        structure = _LOW_DELAY if self.options.low_delay else _RANDOM_ACCESS
        return _options(self.options, self.options.gop, {"pred-struct": structure}) | {"crf": str(int(level))}


class Av1Intra(VideoCodec[Av1IntraOptions]):
    """One AV1 key frame; the level is SVT-AV1's CRF."""

    Options = Av1IntraOptions
    name = "av1-intra"
    levels = Av1.levels
    media = Media.IMAGE
    encoder = "libsvtav1"
    bitstream = bitstream.AV1
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """CRF, a key frame alone."""
        return _options(self.options, 1, {"pred-struct": _RANDOM_ACCESS}) | {"crf": str(int(level))}


class Av1Cbr(VideoCodec[Av1CbrOptions]):
    """AV1 clips at a constant bit rate; the level is kbit/s (1000 bits). SVT-AV1 has it in low delay only.

    Below what its largest quantiser reaches, which is 90 kbit/s for a noisy clip of 320x240, the rate is exceeded.
    """

    Options = Av1CbrOptions
    name = "av1-cbr"
    parameter = "kbps"
    levels = Levels(8, 100_000, (4000, 2000, 1000, 500, 250, 125), higher_is_more_compressed=False)
    intra = "av1-intra"
    encoder = "libsvtav1"
    bitstream = bitstream.AV1
    minimum = _MINIMUM

    def encoder_options(self, level: float) -> dict[str, str]:
        """Bit rate and buffer, in milliseconds."""
        buffer = round(1000 * self.options.buffer)
        parameters = {
            "pred-struct": _LOW_DELAY,
            "rc": 2,
            "buf-sz": buffer,
            "buf-initial-sz": buffer * 6 // 10,
            "buf-optimal-sz": buffer * 6 // 10,
        }
        rate = str(int(level) * 1000)
        return _options(self.options, self.options.gop, parameters) | {"b": rate, "maxrate": rate}
