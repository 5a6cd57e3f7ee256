"""packet-loss: what is lost, what the decoder makes of it, ffmpeg's command line as a second decoder."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise

from pytest_lossy.codecs.base import Codec, Encoded, Media, UInt8Array, round_trip
from pytest_lossy.codecs.packet_loss import START_CODE, PacketLossCodec, PacketLossOptions, _unpack
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.codecs.video.payload import annex_b_units
from pytest_lossy.errors import CodecError

SLICE, IDR_SLICE = 1, 5


@cache
def moving(frames: int = 12, height: int = 96, width: int = 128, noise: float = 6.0) -> UInt8Array:
    """A camera that pans over a picture; sensor noise keeps the frames large enough for several packets."""
    scene = natural(height + frames, width + 2 * frames, 0).astype(np.float64)
    rng = np.random.default_rng(0)
    frame = [scene[index : index + height, 2 * index : 2 * index + width] for index in range(frames)]
    clip = np.stack(frame) + rng.normal(0, noise, (frames, height, width, 3))
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def small(**more: Any) -> PacketLossCodec:
    return PacketLossCodec(PacketLossOptions(**({"packet_bytes": 300, "preset": "veryfast"} | more)))


def decode_in_another_process(encoded: Encoded) -> bytes:
    return small().decode(encoded).tobytes()


@settings(max_examples=30, deadline=None)
@given(
    frames=st.integers(1, 6),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    percent=st.floats(0, 99),
    gop=st.integers(1, 7),
    seed=st.integers(0, 5),
    noisy=st.booleans(),
    fps=st.sampled_from([None, 1.0, 29.97]),
)
def test_round_trip_keeps_shape_and_type_and_is_repeatable(
    frames: int, height: int, width: int, percent: float, gop: int, seed: int, noisy: bool, fps: float | None
) -> None:
    codec = small(gop=gop, seed=seed, packet_bytes=200)
    make = white_noise if noisy else natural
    clip = np.stack([make(height + 1, width + 1, index)[:height, :width] for index in range(frames)])
    first, second = round_trip(codec, clip, percent, fps=fps), round_trip(codec, clip, percent, fps=fps)
    assert first.media.shape == clip.shape
    assert first.media.dtype == np.uint8
    assert np.array_equal(first.media, second.media)
    assert first.payload_bits == second.payload_bits > first.header_bits > 0


def test_slices_fit_a_packet() -> None:
    sent = _unpack(small().encode(moving(), 0).data)
    assert len(sent) == 12
    assert max(len(unit) for units in sent for unit in units) <= 300
    assert sum(len(units) > 2 for units in sent) > 6  # a packet is a part of a frame


def test_no_loss_is_the_stream_itself() -> None:
    import av

    encoded = small().encode(moving(), 0)
    data = b"".join(START_CODE + unit for units in _unpack(encoded.data) for unit in units)
    context = av.CodecContext.create("h264", "r")
    frames = [
        frame for packet in [*context.parse(data), *context.parse(None), None] for frame in context.decode(packet)
    ]
    decoded = small().decode(encoded)
    assert len(frames) == 12
    luma = np.stack([frame.to_ndarray(format="yuv420p")[:96] for frame in frames]).astype(float)
    # BT.709 luma in limited range, recomputed from our RGB, up to rounding and chroma interpolation.
    again = 16 + decoded @ np.array([0.2126, 0.7152, 0.0722]) * 219 / 255
    assert np.abs(luma - again).mean() < 0.5
    assert psnr(moving(), decoded) > 26


@given(low=st.floats(0, 99), high=st.floats(0, 99), seed=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_losses_are_nested_and_spare_what_decoding_needs(low: float, high: float, seed: int) -> None:
    low, high = sorted((low, high))
    codec, clip = small(gop=5, seed=seed), moving(7, 48, 64)
    all_, mild, severe = (_unpack(codec.encode(clip, level).data) for level in (0, low, high))
    for index, (sent, more, fewer) in enumerate(zip(all_, mild, severe, strict=True)):
        assert set(fewer) <= set(more) <= set(sent)
        lost = [unit for unit in sent if unit not in fewer]
        assert {unit[0] & 31 for unit in lost} <= {SLICE, IDR_SLICE}
        assert not (lost and index == 0)


def test_the_share_that_is_lost_is_the_level() -> None:
    sent = lost = 0
    for seed in range(15):
        codec = small(seed=seed, packet_bytes=200, crf=8)
        before, after = (sum(map(len, _unpack(codec.encode(moving(), level).data)[1:])) for level in (0, 25))
        sent += before
        lost += before - after
    assert sent > 2_000
    assert abs(lost / sent - 0.25) < 4 * (0.25 * 0.75 / sent) ** 0.5


def test_loss_harms_more_the_more_is_lost_and_costs_the_same() -> None:
    results = [[round_trip(small(seed=seed), moving(), level) for seed in range(6)] for level in (0, 2, 10, 40, 90)]
    quality = [np.mean([psnr(moving(), result.media) for result in row]) for row in results]
    assert all(np.diff(quality) < 0)
    assert len({result.payload_bits for row in results for result in row}) == 1


def test_damage_ends_with_the_next_key_frame() -> None:
    codec = small(gop=4)
    encoded = codec.encode(moving(), 0)
    intact = codec.decode(encoded)
    units = _unpack(encoded.data)
    assert [unit[0] & 31 for unit in units[4][-1:]] == [IDR_SLICE]
    lost = b""
    for index, frame in enumerate(units):
        kept = [] if index == 1 else frame
        lost += len(kept).to_bytes(4, "big") + b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept)
    damaged = codec.decode(replace(encoded, data=lost))
    same = [np.array_equal(one, other) for one, other in zip(damaged, intact, strict=True)]
    assert same == [True, False, False, False, *[True] * 8]
    assert np.array_equal(damaged[1], damaged[0])  # nothing of it arrived: the last frame is shown again


def test_a_lost_packet_spoils_a_part_of_its_frame() -> None:
    codec = small()
    encoded = codec.encode(moving(), 0)
    units = _unpack(encoded.data)
    data = b""
    for index, frame in enumerate(units):
        kept = frame[:1] + frame[2:] if index == 3 else frame
        data += len(kept).to_bytes(4, "big") + b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept)
    damaged, intact = codec.decode(replace(encoded, data=data)), codec.decode(encoded)
    assert np.array_equal(damaged[:3], intact[:3])
    changed = (damaged[3] != intact[3]).any(axis=(1, 2))  # rows
    assert changed.any()
    assert not changed.all()
    assert psnr(damaged[3], intact[3]) > 20  # concealed, not black
    assert not np.array_equal(damaged[4], intact[4])  # and what refers to it


def test_clips_draw_independently_unless_told() -> None:
    first, second = moving(), moving()[:, ::-1].copy()

    def lost(codec: PacketLossCodec, clip: UInt8Array) -> list[int]:
        return [len(units) for units in _unpack(codec.encode(clip, 50).data)]

    assert lost(small(), first) != lost(small(), second)
    flat = [np.full((20, 32, 32, 3), value, np.uint8) for value in (50, 200)]  # one slice a frame
    assert lost(small(), flat[0]) != lost(small(), flat[1])
    assert lost(small(independent=False), flat[0]) == lost(small(independent=False), flat[1])
    assert len({tuple(lost(small(seed=seed), first)) for seed in range(4)}) == 4


def test_repetitions_threads_and_processes_give_the_same_bits() -> None:
    codec = small(gop=6)
    encoded = [codec.encode(moving(), level) for level in (1, 5, 20, 60)]
    assert all(codec.encode(moving(), 20) == encoded[2] for _ in range(9))
    alone = [codec.decode(one).tobytes() for one in encoded]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(lambda one: codec.decode(one).tobytes(), encoded)) == alone
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        assert processes.map(decode_in_another_process, encoded) == alone


@pytest.mark.skipif(sys.platform != "linux", reason="MALLOC_PERTURB_ is glibc's")
def test_concealment_reads_no_memory_that_nobody_wrote() -> None:
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "from test_packet_loss import small, moving\n"
        "for level in (5, 20, 60):\n"
        "    print(hashlib.sha256(small(gop=6).decode(small(gop=6).encode(moving(), level)).tobytes()).hexdigest())\n"
    )
    seen = set()
    for filling in ("0", "85", "255"):
        command = [sys.executable, "-c", code, str(Path(__file__).parent)]
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        seen.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(seen) == 1
    assert len(seen.pop().split()) == 3


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_concealment_agrees_with_ffmpegs_command_line(tmp_path: Path) -> None:
    # Another release of libavcodec, run by others: it conceals in the same way.
    codec = small()
    encoded = codec.encode(moving(), 5)
    units = _unpack(encoded.data)
    assert all(units)  # no frame is missing altogether, or the two would count differently
    assert sum(map(len, units)) < sum(map(len, _unpack(codec.encode(moving(), 0).data)))
    stream = b"".join(START_CODE + unit for frame in units for unit in frame)
    assert [unit for frame in units for unit in frame] == list(annex_b_units(stream))
    (tmp_path / "in.h264").write_bytes(stream)
    command = (
        "ffmpeg -v quiet -threads 1 -i in.h264 -fps_mode passthrough "
        "-sws_flags accurate_rnd+full_chroma_int+bilinear -f rawvideo -pix_fmt rgb24 out.rgb"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    theirs = np.frombuffer((tmp_path / "out.rgb").read_bytes(), np.uint8).reshape(moving().shape)
    ours = codec.decode(encoded)
    assert psnr(theirs, ours) > 35
    assert psnr(theirs, codec.decode(codec.encode(moving(), 0))) < psnr(theirs, ours) - 5


def test_a_still_never_suffers() -> None:
    image = moving()[0]
    assert np.array_equal(round_trip(small(), image, 99).media, round_trip(small(), image, 0).media)


@pytest.mark.parametrize("level", [-1, 99.5, float("nan")])
def test_levels_outside_the_range_are_refused(level: float) -> None:
    with pytest.raises(CodecError, match=r"packet-loss: level .* is outside"):
        small().encode(moving(), level)


@pytest.mark.parametrize("cut", [0, 3, 30, -1])
def test_damaged_data_are_told(cut: int) -> None:
    encoded = small().encode(moving(3, 32, 32), 0)
    with pytest.raises(CodecError, match=r"damaged data|first frame"):
        small().decode(replace(encoded, data=encoded.data[:cut]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=30), max_size=3), max_size=4))
def test_streams_of_garbage_are_refused(stream: list[list[bytes]]) -> None:
    data = b"".join(
        len(frame).to_bytes(4, "big") + b"".join(len(unit).to_bytes(4, "big") + unit for unit in frame)
        for frame in stream
    )
    with pytest.raises(CodecError, match=r"damaged data|first frame"):
        small().decode(Encoded(data, 0, (4, 8, 8, 3)))


def test_registry_and_fingerprint() -> None:
    codec = build_codec("packet-loss", {"seed": 3, "gop": 12})
    assert isinstance(codec, Codec)
    assert (codec.media, codec.parameter) == (Media.CLIP, "percent")
    assert "libx264=" in codec.fingerprint()
    assert "libavcodec=" in codec.fingerprint()
    assert len({small(seed=seed).fingerprint() for seed in range(3)}) == 3
    for wrong in ({"crf": 52}, {"gop": 0}, {"packet_bytes": 100}, {"preset": "quick"}, {"bframes": 2}):
        with pytest.raises(CodecError, match=next(iter(wrong))):
            build_codec("packet-loss", wrong)
