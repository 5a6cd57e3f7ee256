"""command: external tools written here as Python scripts, and ffmpeg where it is installed."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image
from pydantic import ValidationError

from pytest_lossy.codecs.base import Codec, Media, round_trip
from pytest_lossy.codecs.command import CommandCodec, CommandOptions
from pytest_lossy.codecs.external import Template, first_line_of
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.codecs.media_files import FileFormat, read_media, write_media
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.codecs.y4m import read_y4m, write_y4m
from pytest_lossy.errors import CodecError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")

# Keeps the upper bits of each byte: a lossy codec of raw samples without any import but the standard library's.
SHIFT = """
import sys, zlib
source, target, shift = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = open(source, "rb").read()
open(target, "wb").write(zlib.compress(bytes(value >> shift << shift for value in data)))
"""
UNSHIFT = """
import sys, zlib
open(sys.argv[2], "wb").write(zlib.decompress(open(sys.argv[1], "rb").read()))
"""
COPY = "import sys; open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read())"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which every test has to leave empty."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def script(tmp_path: Path) -> Any:
    def write(name: str, code: str) -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(code)
        return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))}"

    return write


def options(encode: str, decode: str, **more: Any) -> CommandOptions:
    ranges = {"minimum": 0, "maximum": 7, "higher_is_more_compressed": True}
    return CommandOptions(
        encode=f"{encode} {{input}} {{output}} {{level}}", decode=f"{decode} {{input}} {{output}}", **(ranges | more)
    )


@pytest.fixture
def shifting(script: Any) -> CommandOptions:
    return options(script("encode", SHIFT), script("decode", UNSHIFT), input="rgb")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    frames=st.integers(0, 3),
    level=st.integers(0, 7),
    clip_tool=st.booleans(),
    form=st.sampled_from(["rgb", "y4m", "y4m-420"]),
)
def test_round_trip_keeps_shape_and_type_and_is_repeatable(
    shifting: CommandOptions, height: int, width: int, frames: int, level: int, clip_tool: bool, form: FileFormat
) -> None:
    if form != "rgb":  # samples, not headers, may be shifted
        level = 0
    codec = CommandCodec(shifting.model_copy(update={"media": "clip" if clip_tool else "image", "input": form}))
    clip = np.stack([white_noise(height, width, index) for index in range(max(1, frames))])
    media = clip if frames else clip[0]
    first, second = round_trip(codec, media, level), round_trip(codec, media, level)
    assert first.media.shape == media.shape
    assert first.media.dtype == np.uint8
    assert np.array_equal(first.media, second.media)
    assert first.payload_bits == second.payload_bits > 0
    if form == "rgb":
        assert np.array_equal(first.media, media >> level << level)


def test_rate_is_the_size_of_the_encoded_file(shifting: CommandOptions) -> None:
    codec, image = CommandCodec(shifting), natural(20, 30, 0)
    encoded = [codec.encode(image, level) for level in range(0, 8, 2)]
    assert [one.payload_bits for one in encoded] == [8 * len(one.data) for one in encoded]
    assert all(np.diff([one.payload_bits for one in encoded]) < 0)
    fidelity = [psnr(image, codec.decode(one)) for one in encoded[1:]]
    assert all(np.diff(fidelity) < 0)


@pytest.mark.parametrize("form", ["png", "ppm", "rgb"])
def test_exact_formats_reach_the_tool_exactly(script: Any, form: str) -> None:
    copy = script("copy", COPY)
    codec = CommandCodec(options(copy, copy, input=form, encoded_suffix=f".{form}"))
    image = natural(13, 17, 0)
    assert np.array_equal(round_trip(codec, image, 3).media, image)


def test_fields_are_filled_in_and_stay_one_argument(script: Any, tmp_path: Path) -> None:
    said = tmp_path / "said so.txt"
    tell = script("tell", f"import sys; open({str(said)!r}, 'w').write('\\n'.join(sys.argv[1:]))\n" + COPY)
    copy = script("copy", COPY)
    codec = CommandCodec(
        CommandOptions(
            encode=tell + " {input} {output} 'q={level}; rm -rf $HOME' {width}x{height} {frames} {fps} {{x}} {folder}",
            decode=copy + " {input} {output}",
            minimum=0,
            maximum=7,
            higher_is_more_compressed=True,
            integral=False,
            media="clip",
            encoded_suffix=".vid",
        )
    )
    clip = np.stack([natural(6, 8, seed) for seed in range(3)])
    codec.encode(clip, 2.5, fps=29.97)
    source, target, *rest, folder = said.read_text().split("\n")
    assert rest == ["q=2.5; rm -rf $HOME", "8x6", "3", "29.97", "{x}"]
    assert source == f"{folder}/input.rgb"
    assert target == f"{folder}/output.vid"
    assert " " in folder  # the temporary folder's name has spaces
    codec.encode(clip, 2.0)
    assert said.read_text().split("\n")[2:6] == ["q=2; rm -rf $HOME", "8x6", "3", "25"]


def beating(heart: Path) -> str:
    """A program that lives for a minute and writes to ``heart`` while it does."""
    return f"import time\nfor _ in range(1200):\n    open({str(heart)!r}, 'a').write('.')\n    time.sleep(0.05)\n"


def stops(heart: Path) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        before = heart.read_bytes()
        time.sleep(0.4)
        if heart.read_bytes() == before:
            return True
    return False


def test_a_hanging_tool_is_killed_with_its_children(script: Any, tmp_path: Path) -> None:
    heart = tmp_path / "heart"
    hang = script(
        "hang",
        f"import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"print('waiting for a licence', file=sys.stderr, flush=True)\n"
        f"subprocess.Popen({shlex.split(script('child', beating(heart)))!r}); time.sleep(60)",
    )
    codec = CommandCodec(options(hang, hang, timeout=2.0))
    begun = time.monotonic()
    with pytest.raises(CodecError, match=r"took longer than 2 s and was killed; raise 'timeout'\n  \| waiting for a l"):
        codec.encode(natural(4, 4, 0), 1)
    assert 2 <= time.monotonic() - begun < 15
    assert stops(heart)


def test_what_a_tool_leaves_running_is_killed(script: Any, tmp_path: Path) -> None:
    heart = tmp_path / "heart"
    child = shlex.split(script("child", beating(heart)))
    wait = f"import os, time\nwhile not os.path.exists({str(heart)!r}): time.sleep(0.01)\n"
    leave = script("leave", f"import subprocess; subprocess.Popen({child!r})\n{wait}{COPY}")
    codec = CommandCodec(options(leave, leave, encoded_suffix=".png"))
    codec.encode(natural(4, 4, 0), 1)
    assert stops(heart)


def test_an_interrupt_kills_the_tool(script: Any, tmp_path: Path) -> None:
    heart = tmp_path / "heart"
    hang = script("hang", beating(heart))
    codec = CommandCodec(options(hang, hang))

    def interrupt(*_: object) -> None:
        if not heart.exists():
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            codec.encode(natural(4, 4, 0), 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stops(heart)


def test_exit_status_and_last_words_are_reported(script: Any) -> None:
    fail = script(
        "fail", "import sys\nfor i in range(9000): print('line', i, file=sys.stderr)\nsys.exit('bad quality\\n')"
    )
    status = script("status", "import sys; sys.exit(3)")
    with pytest.raises(CodecError, match=r"^command: encode: .*failed with exit status 1") as caught:
        CommandCodec(options(fail, fail)).encode(natural(4, 4, 0), 1)
    assert str(caught.value).endswith("| bad quality")
    assert "line 8999" in str(caught.value)
    assert len(str(caught.value)) < 3_000
    with pytest.raises(CodecError, match="exit status 3; it wrote nothing"):
        CommandCodec(options(status, status)).encode(natural(4, 4, 0), 1)


def test_a_crash_is_named_by_its_signal(script: Any) -> None:
    crash = script("crash", "import os; os.abort()")
    with pytest.raises(CodecError, match="was ended by SIGABRT"):
        CommandCodec(options(crash, crash)).encode(natural(4, 4, 0), 1)


def test_a_tool_that_writes_nothing(script: Any) -> None:
    idle, empty = script("idle", ""), script("empty", "import sys; open(sys.argv[2], 'w')")
    image = natural(4, 4, 0)
    with pytest.raises(CodecError, match=r"encode: the tool ended well but wrote no \{output\}"):
        CommandCodec(options(idle, idle)).encode(image, 1)
    with pytest.raises(CodecError, match=r"wrote an empty \{output\}"):
        CommandCodec(options(empty, idle)).encode(image, 1)


@pytest.mark.parametrize(
    ("form", "written", "message"),
    [
        ("png", b"garbage", "is no readable png file"),
        ("png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 99, "is no readable png file"),
        ("ppm", b"P6\n4 4\n255\n\x00", "is no readable ppm file"),
        ("ppm", b"P6\n5 4\n255\n" + b"\0" * 60, "holds 5x4 pixels for a source of 1 frame of 4x4 pixels"),
        ("ppm", b"P6\n900000 900000\n255\n", "is no readable ppm file|holds 900000x900000 pixels"),
        ("ppm", b"P5\n4 4\n65535\n" + b"\0" * 32, "mode 'I'|mode 'I;16'"),
        ("rgb", b"\0" * 47, "holds 47 bytes, but 1 frame of 4x4 pixels take 48"),
        ("y4m", b"garbage", "is no YUV4MPEG2 file"),
        ("y4m", b"YUV4MPEG2 W4 H4 C444\nFRAME\n" + b"\0" * 47, "within frame 0"),
        ("y4m", b"YUV4MPEG2 W4 H4 C444\n" + (b"FRAME\n" + b"\0" * 48) * 2, "holds 2 frames of 4x4 pixels"),
        ("y4m", b"YUV4MPEG2 W4 H4 C420p10\nFRAME\n" + b"\0" * 48, "colour space '420p10'; write 8-bit"),
        ("y4m", b"YUV4MPEG2 W99999999 H99999999 C444\nFRAME\n", "within frame 0"),
        ("y4m", b"YUV4MPEG2 W4 H4\n", "holds no frame"),
    ],
)
def test_garbage_from_the_decoder_is_named(script: Any, form: str, written: bytes, message: str) -> None:
    garbage = script("garbage", f"import sys; open(sys.argv[2], 'wb').write({written!r})")
    codec = CommandCodec(options(script("copy", COPY), garbage, input="ppm", decoded=form))
    encoded = codec.encode(natural(4, 4, 0), 1)
    with pytest.raises(CodecError, match=f"decode: what '.*' wrote .*({message}).*has to return the source's size"):
        codec.decode(encoded)


def test_a_missing_tool_is_named_with_what_to_do() -> None:
    codec = CommandCodec(options("no-such-encoder", "no-such-decoder", version="no-such-encoder --version"))
    with pytest.raises(CodecError, match="'no-such-encoder' was not found; install it, or correct the command"):
        codec.encode(natural(4, 4, 0), 1)
    assert "version=unknown" in codec.fingerprint()


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_text("no program")
    path.chmod(0o644)
    with pytest.raises(CodecError, match=r"cannot be started: .*correct the command"):
        CommandCodec(options(str(path), "x")).encode(natural(4, 4, 0), 1)


def test_tools_do_not_read_our_input_and_keep_their_temporary_files_in_ours(script: Any, tmp_path: Path) -> None:
    tool = script(
        "tool",
        "import sys, tempfile; assert sys.stdin.read() == ''\n"
        "tempfile.NamedTemporaryFile(delete=False).write(b'rest')\n" + COPY,
    )
    codec = CommandCodec(options(tool, tool, encoded_suffix=".png"))
    image = natural(4, 4, 0)
    (tmp_path / "typed").write_text("yes\n")
    kept = os.dup(0)
    try:
        with (tmp_path / "typed").open() as typed:
            os.dup2(typed.fileno(), 0)
        assert np.array_equal(round_trip(codec, image, 1).media, image)  # the fixture looks for what is left
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "is not there"))
    with pytest.raises(CodecError, match=r"a temporary file cannot be used.*TMPDIR"):
        CommandCodec(options("true", "true")).encode(natural(4, 4, 0), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encode": "enc {input} {output} {leval}"}, "unknown field '{leval}'; did you mean 'level'?"),
        ({"encode": "enc {input} {output}"}, "has no {level}"),
        ({"encode": "enc {input} {level}"}, "has no {output}"),
        ({"decode": "dec {input} {output} {level}"}, "unknown field '{level}'"),
        ({"decode": "dec {input.name} {output}"}, "a field is a name in braces"),
        ({"decode": "dec {input!r} {output}"}, "a field is a name in braces"),
        ({"decode": "dec {} {input} {output}"}, "a field is a name in braces"),
        ({"decode": "dec {input} {output} }"}, "braces"),
        ({"decode": "dec '{input} {output}"}, "quotation"),
        ({"decode": " "}, "is empty"),
        ({"version": "enc {input}"}, "unknown field '{input}'"),
        ({"minimum": 7, "maximum": 7}, "minimum 7 is not below maximum 7"),
        ({"minimum": 0.5}, "0.5 is not a whole number; choose whole bounds"),
        ({"levels_default": [3, 99]}, "level 99 is outside 0..7"),
        ({"levels_default": [3.5]}, "level 3.5 is not a whole number"),
        ({"media": "clip", "input": "png"}, "input: 'png' holds one picture"),
        ({"media": "clip", "decoded": "ppm"}, "decoded: 'ppm' holds one picture"),
        ({"encoded_suffix": "/../x"}, "encoded_suffix"),
        ({"timeout": 0}, "timeout"),
        ({"qualty": 1}, "qualty"),
    ],
)
def test_mistakes_in_a_spec_are_found_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    good = {
        "encode": "enc {input} {output} {level}",
        "decode": "dec {input} {output}",
        "minimum": 0,
        "maximum": 7,
        "higher_is_more_compressed": True,
    }
    assert build_codec("command", good).name == "command"
    with pytest.raises(ValidationError) as caught:
        CommandOptions(**(good | changes))
    assert message in str(caught.value)


def test_levels_come_from_the_options() -> None:
    quality = CommandCodec(
        options("e", "d", minimum=1, maximum=9, higher_is_more_compressed=False, parameter="quality")
    )
    assert isinstance(quality, Codec)
    assert (quality.media, quality.parameter) == (Media.IMAGE, "quality")
    assert quality.levels.default == (9, 7, 5, 3, 1)
    assert CommandCodec(options("e", "d", levels_default=[5, 1, 3])).levels.default == (1, 3, 5)
    assert CommandCodec(options("e", "d", maximum=1, integral=False)).levels.default == (0, 0.25, 0.5, 0.75, 1)
    assert CommandCodec(options("e", "d", maximum=1)).levels.default == (0, 1)
    with pytest.raises(CodecError, match=r"command: level 8 is outside 0..7"):
        CommandCodec(options("e", "d")).encode(natural(4, 4, 0), 8)
    with pytest.raises(CodecError, match=r"needs uint8 \(H, W, 3\)"):
        CommandCodec(options("e", "d")).encode(np.zeros((2, 4, 4, 3), np.uint8), 1)


def test_fingerprint_holds_the_tools_version(script: Any, tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("\n  tool 1.2 beta\nmore")
    tool = script("version", f"print(open({str(number)!r}).read())")
    to_errors = script("version2", "import sys; print('tool 9', file=sys.stderr)")
    codec = CommandCodec(options("e", "d", version=tool))
    assert "version=tool 1.2 beta," in codec.fingerprint()
    assert "version=tool 9," in CommandCodec(options("e", "d", version=to_errors)).fingerprint()
    assert "version=unstated," in CommandCodec(options("e", "d")).fingerprint()
    assert codec.fingerprint() == CommandCodec(options("e", "d", version=tool, timeout=5)).fingerprint()
    number.write_text("tool 1.3")
    assert codec.fingerprint() == codec.fingerprint()  # asked once
    first_line_of.cache_clear()
    assert "version=tool 1.3," in codec.fingerprint()
    others = [
        options("e", "d2"),
        options("e2", "d"),
        options("e", "d", input="ppm"),
        options("e", "d", encoded_suffix=".j"),
    ]
    assert len({CommandCodec(one).fingerprint() for one in [*others, options("e", "d")]}) == 5


@given(st.text("ab {}'\"\\$;", max_size=12))
def test_templates_never_crash_and_values_never_add_arguments(text: str) -> None:
    try:
        template = Template(text, ("a", "b"))
    except ValueError:
        return
    values = {"a": "x y; 'z'", "b": "{a} $(b)"}
    assert len(template.filled(values)) == len(shlex.split(text)) > 0


@settings(deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), frames=st.integers(1, 3), subsampled=st.booleans())
def test_y4m_round_trip(height: int, width: int, frames: int, subsampled: bool) -> None:
    clip = np.stack([natural(height + 1, width + 1, seed)[:height, :width] for seed in range(frames)])
    data = write_y4m(clip, fps=30000 / 1001, subsampled=subsampled)
    assert b" F30000:1001 " in data
    decoded = read_y4m(data)
    assert decoded.shape == clip.shape
    if not subsampled:  # 219 luma levels for 256: at most two steps of rounding
        assert np.abs(decoded.astype(int) - clip).max() <= 3


@given(st.binary(max_size=60), st.sampled_from(["png", "ppm", "y4m", "y4m-420", "rgb"]))
def test_any_bytes_are_media_or_a_value_error(data: bytes, form: FileFormat) -> None:
    start = {"ppm": b"P6\n2 2\n255\n", "png": b"\x89PNG\r\n\x1a\n", "rgb": b""}.get(form, b"YUV4MPEG2 W2 H2\nFRAME\n")
    for content in (data, start + data):
        with contextlib.suppress(ValueError):
            assert read_media(content, form, (1, 2, 2, 3)).shape == (1, 2, 2, 3)


def test_grey_palette_and_alpha_pngs_become_rgb(tmp_path: Path) -> None:
    image = natural(5, 7, 0)
    grey = Image.fromarray(image).convert("L")
    for mode in ("L", "RGBA", "P", "1"):
        path = tmp_path / f"{mode}.png"
        converted = grey.convert(mode)
        converted.save(path)
        expected = np.asarray(converted.convert("RGB"))[None]
        assert np.array_equal(read_media(path.read_bytes(), "png", (1, 5, 7, 3)), expected)


@needs_ffmpeg
def test_y4m_is_what_ffmpeg_understands(tmp_path: Path) -> None:
    clip = np.stack([natural(17, 23, seed) for seed in range(2)])
    for subsampled, planes in ((False, 3 * 17 * 23), (True, 17 * 23 + 2 * 9 * 12)):
        (tmp_path / "in.y4m").write_bytes(write_y4m(clip, fps=25, subsampled=subsampled))
        command = ["ffmpeg", "-v", "error", "-i", "in.y4m", "-f", "rawvideo", "out.yuv", "-y", "copy.y4m"]
        subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
        assert len((tmp_path / "out.yuv").read_bytes()) == 2 * planes
        ours = read_y4m((tmp_path / "in.y4m").read_bytes())
        assert np.array_equal(read_y4m((tmp_path / "copy.y4m").read_bytes()), ours)
    # ffmpeg's own conversion of 4:4:4, BT.601 limited, to RGB: the same but for rounding.
    (tmp_path / "in.y4m").write_bytes(write_y4m(clip, fps=25, subsampled=False))
    convert = "ffmpeg -v error -i in.y4m -sws_flags accurate_rnd+full_chroma_int -pix_fmt rgb24 -f rawvideo -y out.rgb"
    subprocess.run(convert.split(), cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    theirs = np.frombuffer((tmp_path / "out.rgb").read_bytes(), np.uint8).reshape(clip.shape)
    assert np.abs(theirs.astype(int) - read_y4m((tmp_path / "in.y4m").read_bytes())).max() <= 2


@needs_ffmpeg
def test_a_jpeg_by_ffmpeg() -> None:
    codec = CommandCodec(
        CommandOptions(
            encode="ffmpeg -v error -i {input} -q:v {level} -pix_fmt yuvj420p {output}",
            decode="ffmpeg -v error -i {input} -pix_fmt rgb24 {output}",
            encoded_suffix=".jpg",
            parameter="q",
            minimum=2,
            maximum=31,
            higher_is_more_compressed=True,
            version="ffmpeg -version",
        )
    )
    image = natural(61, 83, 0)
    encoded = [codec.encode(image, level) for level in (2, 8, 31)]
    assert all(one.data[:2] == b"\xff\xd8" for one in encoded)
    assert Image.open(io.BytesIO(encoded[0].data)).size == (83, 61)
    quality = [psnr(image, codec.decode(one)) for one in encoded]
    assert quality[0] > 30 > quality[-1]
    # Pillow decodes the same file to the same picture but for chroma interpolation.
    assert psnr(JpegCodec().decode(encoded[0]), codec.decode(encoded[0])) > 35
    assert codec.encode(image, 8).data == encoded[1].data
    assert "version=ffmpeg version" in codec.fingerprint()


@needs_ffmpeg
def test_a_clip_through_h264_by_ffmpeg() -> None:
    codec = CommandCodec(
        CommandOptions(
            media="clip",
            encode="ffmpeg -v error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i {input} -c:v libx264 "
            "-preset veryfast -crf {level} -pix_fmt yuv420p -threads 1 {output}",
            decode="ffmpeg -v error -i {input} -fps_mode passthrough -f rawvideo -pix_fmt rgb24 {output}",
            encoded_suffix=".h264",
            parameter="crf",
            minimum=0,
            maximum=51,
            higher_is_more_compressed=True,
        )
    )
    scene = natural(64, 96, 0)
    clip = np.stack([scene[index : index + 48, 2 * index : 2 * index + 64] for index in range(10)])
    results = [round_trip(codec, clip, level, fps=30) for level in (10, 30, 45)]
    assert all(result.media.shape == clip.shape for result in results)
    assert all(np.diff([result.payload_bits for result in results]) < 0)
    quality = [psnr(clip, result.media) for result in results]
    assert quality[0] > 30
    assert all(np.diff(quality) < 0)
    # Each frame is its own, in order: nearest to the source frame of its index.
    for index, frame in enumerate(results[0].media):
        assert max(range(10), key=lambda other: psnr(clip[other], frame)) == index
    still = round_trip(codec, clip[0], 30)
    assert still.media.shape == clip[0].shape


def test_a_relative_program_is_found_from_the_current_folder(script: Any, tmp_path: Path, monkeypatch: Any) -> None:
    script("copy", COPY)
    monkeypatch.chdir(tmp_path)
    codec = CommandCodec(options(f"{sys.executable} -S copy.py", f"{sys.executable} -S copy.py", encoded_suffix=".png"))
    image = natural(4, 4, 0)
    assert np.array_equal(round_trip(codec, image, 0).media, image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.py", "temporary files"]


def test_media_files_use_the_stated_rate() -> None:
    assert b" F25:1 " in write_media(np.zeros((1, 2, 2, 3), np.uint8), "y4m", fps=25.0)
