"""NVDEC: what hardware hands over is read as what FFmpeg's decoders give; where there is none, an error says so."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from moving_clips import STREAMS, natural_clip

from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.codecs.video import decoder
from pytest_lossy.codecs.video.av1 import Av1Options
from pytest_lossy.codecs.video.h264 import H264, H264Options
from pytest_lossy.codecs.video.hevc import HevcOptions
from pytest_lossy.errors import CodecError, LossyError

CLIP = natural_clip(6, 70, 90)


class Downloaded:
    """A decoder whose frames have the layout that pictures have which were copied from a GPU."""

    def __init__(self, name: str, layout: str) -> None:
        self.context = decoder._software(name)
        self.layout = layout

    def parse(self, data: bytes | None) -> list[av.Packet]:
        return self.context.parse(data)

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        return [self._changed(frame) for frame in self.context.decode(packet)]

    def _changed(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Samples are moved, not converted: matrix and range stay."""
        changed = frame.reformat(format=self.layout)
        changed.colorspace, changed.color_range = frame.colorspace, frame.color_range
        return changed


@pytest.mark.parametrize(
    ("family", "options", "layout"),
    [
        (STREAMS[0], H264Options(), "nv12"),
        (STREAMS[0], H264Options(matrix="bt601", range="full"), "nv12"),
        (STREAMS[1], HevcOptions(), "nv12"),
        (STREAMS[1], HevcOptions(pix_fmt="yuv420p10le"), "p010le"),
        (STREAMS[2], Av1Options(pix_fmt="yuv420p10le"), "p010le"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_interleaved_pictures_are_the_same(family, options, layout, monkeypatch):
    software = family(options)
    encoded = software.encode(CLIP, software.levels.default[1])
    # dav1d stands for the accelerated decoder of AV1, which does nothing without a GPU.
    monkeypatch.setattr(decoder, "_nvdec", lambda _: Downloaded(software.bitstream.decoder, layout))
    hardware = family(options.model_copy(update={"decoder": "nvdec"}))
    assert np.array_equal(hardware.decode(encoded), software.decode(encoded))


def test_a_layout_that_nobody_reads_is_named(monkeypatch):
    monkeypatch.setattr(decoder, "_nvdec", lambda name: Downloaded(name, "nv16"))
    codec = H264(H264Options(decoder="nvdec"))
    with pytest.raises(CodecError, match="the stream decodes to nv16; this package reads yuv420p"):
        codec.decode(codec.encode(CLIP, 30))


def test_a_fingerprint_of_its_own():
    assert "decoder=nvdec" in build_codec("hevc", {"decoder": "nvdec"}).fingerprint()


@pytest.mark.parametrize("name", ["h264", "h264-cbr", "hevc", "hevc-cbr", "av1", "av1-cbr", "vp9", "vp9-cbr"])
def test_an_error_where_there_is_no_gpu(name):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here: tests/gpu decodes with it")
    codec = build_codec(name, {"decoder": "nvdec"})
    encoded = build_codec(name, {}).encode(CLIP, codec.levels.default[0], fps=25)
    with pytest.raises(CodecError, match=r"NVDEC does not open here \(.+\); remove 'decoder: nvdec', or run where"):
        codec.decode(encoded)


@pytest.mark.parametrize("name", ["h264-intra", "jpeg", "packet-loss"])
def test_others_have_no_such_option(name):
    with pytest.raises(LossyError, match="decoder"):
        build_codec(name, {"decoder": "nvdec"})


def test_an_unknown_decoder_is_refused():
    with pytest.raises(LossyError, match="decoder: Input should be 'software' or 'nvdec'"):
        build_codec("h264", {"decoder": "cuda"})
