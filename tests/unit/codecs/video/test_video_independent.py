"""Decoders that share no code with this package: ffmpeg's command line, and OpenCV."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from moving_clips import ALL, STREAMS, media_for, natural_clip, psnr

from pytest_lossy.codecs.video.av1 import Av1Options
from pytest_lossy.codecs.video.decoder import decoded_frames
from pytest_lossy.codecs.video.h264 import H264Options
from pytest_lossy.codecs.video.hevc import HevcOptions
from pytest_lossy.codecs.video.vp9 import Vp9Options

CLIP = natural_clip(12, 96, 128)
SUFFIXES = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "ivf", "libvpx-vp9": "ivf"}
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the path")
PIX_FMTS = [
    *[(STREAMS[0], H264Options, name) for name in ("yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le")],
    *[(STREAMS[1], HevcOptions, name) for name in ("yuv422p", "yuv444p", "yuv420p10le")],
    (STREAMS[2], Av1Options, "yuv420p10le"),
    *[(STREAMS[3], Vp9Options, name) for name in ("yuv422p", "yuv444p")],
]


def ffmpeg(encoded, codec, *arguments):
    form = SUFFIXES[codec.encoder]
    return subprocess.run(
        ["ffmpeg", "-v", "error", "-f", form, "-i", "-", "-fps_mode", "passthrough", *arguments, "-f", "rawvideo", "-"],
        input=encoded.data,
        capture_output=True,
        check=True,
    ).stdout


def samples(encoded, codec):
    """All decoded samples as ffmpeg's rawvideo lays them out."""
    frames = decoded_frames(codec.bitstream, encoded.data, codec.options.colour)
    return b"".join(plane.tobytes() for planes, _ in frames for plane in planes)


@needs_ffmpeg
@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_samples_are_those_of_ffmpeg(family):
    codec = family()
    encoded = codec.encode(media_for(codec, CLIP), codec.levels.default[1])
    assert samples(encoded, codec) == ffmpeg(encoded, codec)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("family", "options", "pix_fmt"), PIX_FMTS, ids=lambda value: getattr(value, "name", str(value))
)
def test_samples_of_other_pixel_formats_are_those_of_ffmpeg(family, options, pix_fmt):
    codec = family(options(pix_fmt=pix_fmt))
    encoded = codec.encode(CLIP, codec.levels.default[1])
    assert samples(encoded, codec) == ffmpeg(encoded, codec, "-pix_fmt", pix_fmt)


@needs_ffmpeg
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("family", STREAMS, ids=lambda family: family.name)
def test_colours_are_those_of_ffmpeg(family, matrix, range_):
    codec = family(family.Options(matrix=matrix, range=range_))
    clip = natural_clip(2, 96, 128)
    encoded = codec.encode(clip, 20)
    flags = ["-sws_flags", "bilinear+accurate_rnd+full_chroma_int+bitexact", "-pix_fmt", "rgb24"]
    theirs = np.frombuffer(ffmpeg(encoded, codec, *flags), np.uint8).reshape(clip.shape)
    ours = codec.decode(encoded)
    # The wrong matrix or range costs 10 dB and more; ffmpeg interpolates chroma in another way.
    assert psnr(ours, theirs) > 40
    assert np.abs(ours.mean(axis=(0, 1, 2)) - theirs.mean(axis=(0, 1, 2))).max() < 0.6


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on the path")
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("family", STREAMS, ids=lambda family: family.name)
def test_streams_say_their_matrix_range_and_rate(family, matrix, range_):
    codec = family(family.Options(matrix=matrix, range=range_))
    encoded = codec.encode(CLIP[:3], 40, fps=30000 / 1001)
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-f", SUFFIXES[codec.encoder], "-show_streams", "-of", "json", "-"],
        input=encoded.data,
        capture_output=True,
        check=True,
    ).stdout
    stream = json.loads(probe)["streams"][0]
    assert (stream["width"], stream["height"]) == (128, 96)
    # VP9 names BT.601 as a whole, as SMPTE 170M or as BT.470 BG: one matrix.
    assert stream["color_space"] in ({"bt709"} if matrix == "bt709" else {"smpte170m", "bt470bg"})
    assert stream["color_range"] == {"limited": "tv", "full": "pc"}[range_]
    assert stream["r_frame_rate"] == "30000/1001"


@pytest.mark.parametrize("family", STREAMS, ids=lambda family: family.name)
def test_opencv_decodes_the_same_pictures(family, tmp_path):
    cv2 = pytest.importorskip("cv2")
    codec = family(family.Options(matrix="bt601"))  # OpenCV takes every stream for BT.601
    encoded = codec.encode(CLIP, 20)
    path = tmp_path / f"clip.{SUFFIXES[codec.encoder]}"
    path.write_bytes(encoded.data)
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame[..., ::-1])
    capture.release()
    if not frames:
        pytest.skip(f"this build of OpenCV does not decode {codec.name}")
    ours = codec.decode(encoded)
    assert len(frames) == len(ours)
    assert psnr(np.stack(frames), ours) > 34
