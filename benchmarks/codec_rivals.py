"""Other libraries for the formats of the codecs, each as its users would call it, on one thread."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lossy.codecs.base import UInt8Array

FPS = 25
CLIP_REPEATS = 2
MUXERS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "ivf", "libvpx-vp9": "ivf"}

Encode = Callable[[UInt8Array, float], Any]
Decode = Callable[[bytes], Any]


@dataclass(frozen=True)
class Rival:
    """Another way to the same format; either half may be missing. Data are prepared and converted outside of the timing."""

    name: str
    encode: Encode | None = None
    decode: Decode | None = None
    repeats: int = 5
    prepare: Callable[[UInt8Array], Any] = lambda media: media
    as_bytes: Callable[[Any], bytes] = bytes
    as_rgb: Callable[[Any], UInt8Array] = np.asarray


def module(name: str) -> Any:
    """An optional library; None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def opencv(extension: str, flags: Callable[[Any, float], list[int]]) -> list[Rival]:
    """cv2, where its build has the format."""
    cv2 = module("cv2")
    if cv2 is None or not cv2.haveImageWriter(extension):
        return []
    cv2.setNumThreads(1)
    return [
        Rival(
            "cv2",
            lambda media, level: cv2.imencode(extension, media, flags(cv2, level))[1],
            lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
            prepare=lambda media: np.ascontiguousarray(media[..., ::-1]),
            as_bytes=lambda data: data.tobytes(),
            as_rgb=lambda pixels: pixels[..., ::-1],
        )
    ]


def imagecodecs(encode: Callable[[Any], Encode], decode: Callable[[Any], Decode]) -> list[Rival]:
    """imagecodecs, where it is installed."""
    library = module("imagecodecs")
    return [Rival("imagecodecs", encode(library), decode(library))] if library else []


def jpeg_rivals() -> list[Rival]:
    """libjpeg-turbo, in four wrappings."""
    found = opencv(".jpg", lambda cv2, level: [cv2.IMWRITE_JPEG_QUALITY, int(level)])
    found += imagecodecs(
        lambda library: lambda media, level: library.jpeg8_encode(media, level=int(level), subsampling="420"),
        lambda library: library.jpeg8_decode,
    )
    simple = module("simplejpeg")
    if simple is not None:
        found.append(
            Rival(
                "simplejpeg",
                lambda media, level: simple.encode_jpeg(
                    media, quality=int(level), colorspace="RGB", colorsubsampling="420", fastdct=False
                ),
                lambda data: simple.decode_jpeg(data, colorspace="RGB", fastdct=False, fastupsample=False),
            )
        )
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

    torch.set_num_threads(1)
    found.append(
        Rival(
            "torchvision",
            lambda media, level: encode_jpeg(media, quality=int(level)),
            lambda data: decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB),
            prepare=lambda media: torch.from_numpy(np.ascontiguousarray(media.transpose(2, 0, 1))),
            as_bytes=lambda data: data.numpy().tobytes(),
            as_rgb=lambda pixels: pixels.permute(1, 2, 0).numpy(),
        )
    )
    return found


def webp_rivals() -> list[Rival]:
    """libwebp."""
    return opencv(".webp", lambda cv2, level: [cv2.IMWRITE_WEBP_QUALITY, int(level)]) + imagecodecs(
        lambda library: lambda media, level: library.webp_encode(media, level=int(level), lossless=False, method=4),
        lambda library: lambda data: library.webp_decode(data, hasalpha=False),
    )


def avif_rivals() -> list[Rival]:
    """libavif; imagecodecs and Pillow with libaom at speed 6, OpenCV at the same speed with what its build chose."""
    return opencv(
        ".avif", lambda cv2, level: [cv2.IMWRITE_AVIF_QUALITY, int(level), cv2.IMWRITE_AVIF_SPEED, 6]
    ) + imagecodecs(
        lambda library: (
            lambda media, level: library.avif_encode(
                media, level=int(level), speed=6, pixelformat="420", codec="aom", numthreads=1
            )
        ),
        lambda library: lambda data: library.avif_decode(data, numthreads=1),
    )


def jxl_rivals() -> list[Rival]:
    """libjxl: the library behind the codec, called directly; OpenCV where its build has the format."""
    return opencv(".jxl", lambda cv2, level: [cv2.IMWRITE_JPEGXL_DISTANCE, int(level)]) + imagecodecs(
        lambda library: (
            lambda media, level: library.jpegxl_encode(media, distance=level, effort=7, lossless=False, numthreads=1)
        ),
        lambda library: lambda data: library.jpegxl_decode(data, numthreads=1),
    )


def jpeg2000_rivals() -> list[Rival]:
    """OpenJPEG through Pillow, to the same PSNR."""
    from PIL import Image

    def encode(image: Any, level: float) -> bytes:
        stream = io.BytesIO()
        image.save(stream, "JPEG2000", quality_mode="dB", quality_layers=[level], irreversible=True, no_jp2=True, mct=1)
        return stream.getvalue()

    def decode(data: bytes) -> UInt8Array:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)

    return [Rival("Pillow", encode, decode, prepare=Image.fromarray)]


STILLS: Mapping[str, Callable[[], list[Rival]]] = {
    "jpeg": jpeg_rivals,
    "webp": webp_rivals,
    "avif": avif_rivals,
    "jxl": jxl_rivals,
    "jpeg2000": jpeg2000_rivals,
}


def pyav_rival(codec: Any) -> Rival:
    """libavcodec in this process, from RGB and back by swscale."""
    import av

    def encode(media: UInt8Array, level: float) -> bytes:
        context = av.CodecContext.create(codec.encoder, "w")
        context.width, context.height, context.pix_fmt = media.shape[2], media.shape[1], "yuv420p"
        context.time_base, context.framerate, context.thread_count = Fraction(1, FPS), Fraction(FPS), 1
        context.options = codec.encoder_options(level)
        packets = []
        for index, picture in enumerate(media):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts = index
            packets += context.encode(frame)
        packets += context.encode(None)
        return b"".join(map(bytes, packets))

    def decode(data: bytes) -> list[UInt8Array]:
        with av.open(io.BytesIO(data), format=MUXERS[codec.encoder]) as container:
            container.streams.video[0].codec_context.thread_count = 1
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    return Rival("PyAV", encode, decode, CLIP_REPEATS, as_rgb=np.stack)


def ffmpeg_rival(codec: Any, shape: tuple[int, ...], folder: Path) -> Rival:
    """The command line, one thread, files at both ends. Input is written before the clock starts."""
    raw, stream, result = folder / "in.rgb", folder / "in.bin", folder / "out.bin"
    size = f"{shape[2]}x{shape[1]}"
    quiet = ["ffmpeg", "-y", "-nostdin", "-v", "error", "-threads", "1"]
    picture = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    muxer = MUXERS[codec.encoder]

    def prepare(media: UInt8Array) -> Path:
        raw.write_bytes(media.tobytes())
        return raw

    def encode(source: Path, level: float) -> None:
        options = [word for key, value in codec.encoder_options(level).items() for word in (f"-{key}", value)]
        colours = ["-vf", "scale=out_color_matrix=bt709", "-pix_fmt", "yuv420p", "-colorspace", "bt709"]
        command = [*quiet, *picture, "-s", size, "-r", str(FPS), "-i", str(source), *colours]
        run([*command, "-threads", "1", "-c:v", codec.encoder, *options, "-f", muxer, str(result)])

    def decode(data: bytes) -> None:
        stream.write_bytes(data)
        run([*quiet, "-i", str(stream), "-sws_flags", "bilinear", *picture, str(result)])

    return Rival(
        "ffmpeg",
        encode,
        decode,
        CLIP_REPEATS,
        prepare,
        as_bytes=lambda _: result.read_bytes(),
        as_rgb=lambda _: np.frombuffer(result.read_bytes(), np.uint8).reshape(-1, *shape[1:]),
    )


def run(command: list[str]) -> None:
    """Run a tool, or say its last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it says nothing"])[-1])
