"""The same bytes again, from any thread or process; no noise; nothing imported early; options that an encoder ignores."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from moving_clips import ALL, media_for, natural_clip

from pytest_lossy.codecs.video.colour import ColourFormat
from pytest_lossy.codecs.video.encoder import EncoderSetup, encode_packets, open_encoder
from pytest_lossy.codecs.video.nvenc import Av1Nvenc, H264Nvenc, HevcNvenc
from pytest_lossy.errors import CodecError

COLOUR = ColourFormat("yuv420p", "bt709", "limited")


def digest(index: int) -> str:
    """Of bytes and decoded pixels; importable by a spawned process."""
    family = ALL[index]
    codec = family()
    encoded = codec.encode(media_for(codec, natural_clip(10, 80, 112)), codec.levels.default[2])
    return hashlib.sha256(encoded.data + codec.decode(encoded).tobytes()).hexdigest()


@pytest.mark.parametrize("index", range(len(ALL)), ids=lambda index: ALL[index].name)
def test_ten_repetitions_and_four_threads_give_the_same_bytes(index):
    first = digest(index)
    assert {digest(index) for _ in range(9)} == {first}
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(digest, [index] * 8)) == {first}


def test_two_processes_give_the_same_bytes():
    here = [digest(index) for index in range(len(ALL))]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(digest, range(len(ALL)), chunksize=1) == here


def test_different_codecs_in_threads_do_not_disturb_each_other():
    alone = [digest(index) for index in range(len(ALL))]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(digest, range(len(ALL)))) == alone


def python(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=120)


def test_encoders_write_nothing_to_the_terminal():
    result = python(
        "import os, numpy as np\n"
        "from pytest_lossy.codecs.base import Media\n"
        "from pytest_lossy.codecs.video import av1, h264, hevc, vp9\n"
        "families = [h264.H264, h264.H264Cbr, hevc.Hevc, hevc.HevcIntra, hevc.HevcCbr, av1.Av1, av1.Av1Cbr, vp9.Vp9]\n"
        "clip = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)\n"
        "for family in families:\n"
        "    media = clip[0] if family.media is Media.IMAGE else clip\n"
        "    codec = family()\n"
        "    codec.fingerprint()\n"
        "    codec.decode(codec.encode(media, codec.levels.default[0]))\n"
        "assert 'SVT_LOG' not in os.environ\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def small_digests() -> list[str]:
    """Of pictures that are smaller than what some encoders were made for."""
    rng, digests = np.random.default_rng(5), []
    for index, family in enumerate(ALL):
        codec = family()
        for height, width in ((40, 40), (64, 64), (20, 48), (200, 10), (98, 66)):
            media = media_for(codec, rng.integers(0, 256, (5, height, width, 3), dtype=np.uint8))
            data = codec.encode(media, codec.levels.default[index % 2]).data
            digests.append(f"{codec.name} {width}x{height} {hashlib.sha256(data).hexdigest()}")
    return digests


def test_bytes_do_not_depend_on_what_memory_held_before():
    """x265 4.2 writes beyond its buffers and reads what nobody wrote in narrow pictures: padding keeps away from that."""
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path.insert(0, {str(here)!r})\n"
        "import test_video_exactness as tests\n"
        "print(*tests.small_digests(), sep='\\n')\n"
    )
    outputs = []
    for fill in ("0", "85", "170"):  # glibc fills each allocation with this value; other systems run the same thrice
        environment = os.environ | {"MALLOC_PERTURB_": fill}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.splitlines())
    assert outputs[0] == outputs[1] == outputs[2] == small_digests()


def test_importing_codecs_does_not_import_pyav():
    result = python(
        "import sys\n"
        "from pytest_lossy.codecs.video import av1, h264, hevc, nvenc, vp9\n"
        "h264.H264(), nvenc.H264Nvenc()\n"
        "sys.exit('av' in sys.modules)\n"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("encoder", "options", "words"),
    [
        ("libx264", {"crff": "30"}, "crff=30"),
        ("libx264", {"x264-params": "nonsense=1"}, "nonsense"),
        ("libx264", {"x264-params": "me=quick"}, "me = quick"),
        ("libx265", {"x265-params": "log-level=none:bfrmes=3"}, "bfrmes"),
        ("libx265", {"x265-params": "log-level=none:bframes=many"}, "bframes"),
        ("libx265", {"preset": "quick", "x265-params": "log-level=none"}, "preset/tune quick"),
        ("libsvtav1", {"svtav1-params": "nonsense=1"}, "nonsense"),
        ("libsvtav1", {"svtav1-params": "tune=99"}, "bad parameter"),
        ("libvpx-vp9", {"row_mt": "0"}, "row_mt=0"),
        ("libvpx-vp9", {"crf": "99"}, "99"),
        ("libnothing", {}, "libnothing"),
    ],
)
def test_a_mistyped_encoder_option_is_an_error(encoder, options, words, capfd):
    setup = EncoderSetup(encoder, options, (64, 64), COLOUR, Fraction(25))
    for _ in range(2):  # the second time as the first
        with pytest.raises(CodecError) as caught:
            open_encoder(setup)
        assert words in str(caught.value)
    assert capfd.readouterr().err == ""


def test_the_log_level_of_pyav_is_left_as_it_was():
    import av

    before = av.logging.get_level()
    try:
        for level in (None, av.logging.ERROR):
            av.logging.set_level(level)
            with pytest.raises(CodecError):
                open_encoder(EncoderSetup("libx264", {"x264-params": "nonsense=2"}, (64, 64), COLOUR, Fraction(25)))
            assert av.logging.get_level() == level
    finally:
        av.logging.set_level(before)


def test_frames_are_taken_one_by_one():
    """An encoder without lookahead hands out its first packet before the last frame is asked for."""
    asked = []

    def frames():
        for number in range(20):
            asked.append(number)
            yield tuple(np.full(side, 100 + number, np.uint8) for side in ((64, 64), (32, 32), (32, 32)))

    options = {"crf": "30", "bf": "0", "rc-lookahead": "0", "mbtree": "0"}
    packets = encode_packets(EncoderSetup("libx264", options, (64, 64), COLOUR, Fraction(25)), frames())
    next(packets)
    assert len(asked) < 5
    assert len(list(packets)) == 19


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_fingerprints_name_versions_and_options(family):
    import av

    fingerprint = family().fingerprint()
    assert fingerprint.startswith(f"{family.name}(pyav={av.__version__},libavcodec=")
    assert fingerprint == family().fingerprint()
    signs = {"libx264": "core ", "libx265": "build ", "libsvtav1": "v", "libvpx-vp9": "v"}
    version = fingerprint.split(f"{family.encoder}=")[1].split(",")[0]
    # Libraries are asked through Linux's list of loaded files; elsewhere libavcodec's version has to do.
    expected = (signs[family.encoder], "with libavcodec") if sys.platform != "linux" else (signs[family.encoder],)
    assert version.startswith(expected)
    assert all(f"{name}=" in fingerprint for name in family.Options.model_fields)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_probe_returns_the_encoder_version(family):
    codec = family()
    assert codec.probe() in codec.fingerprint()


@pytest.mark.parametrize("family", [H264Nvenc, HevcNvenc, Av1Nvenc], ids=lambda family: family.name)
def test_hardware_encodes_or_says_why_not(family):
    codec = family()
    assert codec.fingerprint().startswith(f"{family.name}(pyav=")
    clip = natural_clip(4, 144, 208)
    refusal = None
    try:
        codec.probe()
    except CodecError as error:
        refusal = str(error)
    if refusal is None:
        assert codec.decode(codec.encode(clip, 30)).shape == clip.shape
        return
    assert f"encoder {codec.encoder} does not open here: " in refusal
    assert "avcodec_open2" not in refusal  # the driver's words, not the name of a C function
    with pytest.raises(CodecError, match="does not open here"):
        codec.encode(clip, 30)
