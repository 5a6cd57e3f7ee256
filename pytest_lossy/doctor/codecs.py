"""Every codec is tried: a small picture or clip is encoded, decoded and compared with the source."""

from __future__ import annotations

import importlib.util
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from pytest_lossy.codecs.base import Codec, Media, UInt8Array
from pytest_lossy.codecs.registry import CODECS, build_codec, codec_options
from pytest_lossy.doctor.findings import Finding
from pytest_lossy.errors import LossyError
from pytest_lossy.results.fingerprints import parse_fingerprint

__all__ = ["check_codec", "check_codecs", "moving_picture"]

WIDTH, HEIGHT, FRAMES, FPS = 640, 480, 6, 25.0
REPEATS, ENOUGH_SECONDS = 3, 0.3
FAITHFUL_DB = 15.0
"""PSNR at a codec's mildest default level, below which its output is another picture; a good codec exceeds 25 dB."""

_COPY = "import shutil, sys; shutil.copyfile(*sys.argv[1:3])"
_EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "chain": ("tried as resize 0.5, jpeg 80", {"steps": ["resize 0.5", "jpeg 80"]}),
    "command": (
        "tried with a tool that copies its input",
        {
            "encode": f"{shlex.quote(sys.executable)} -IS -c '{_COPY}' {{input}} {{output}} {{level}}",
            "decode": f"{shlex.quote(sys.executable)} -IS -c '{_COPY}' {{input}} {{output}}",
            "minimum": 0,
            "maximum": 1,
            "higher_is_more_compressed": True,
        },
    ),
    "nrtk": (
        "tried with BrightnessPerturber",
        {
            "perturber": "nrtk.impls.perturb_image.photometric.enhance:BrightnessPerturber",
            "parameter": "factor",
            "minimum": 0.5,
            "maximum": 0.95,
            "higher_is_more_compressed": False,
            "integral": False,
        },
    ),
}
"""Codecs whose options have no defaults."""

_EXTRAS = {"jxl": ("imagecodecs", "jxl"), "jpeg2000": ("imagecodecs", "jxl"), "nrtk": ("nrtk", "nrtk")}
"""Codec -> the module that it needs and the extra that brings it."""
_EVERYWHERE = frozenset({"pyav", "libavcodec", "pillow", "imagecodecs"})
"""Versions that the machine's findings show."""
_NO_VERSIONS = frozenset({"code", "colour", "pinned", "swept"})


def check_codecs(progress: Callable[[str], None], names: Sequence[str] | None = None) -> Iterator[Finding]:
    """Try codecs by registry name; None for all that are registered."""
    for name in CODECS.names() if names is None else names:
        progress(name)
        yield check_codec(name)


def check_codec(name: str) -> Finding:
    """Try one codec. Nothing that it raises escapes."""
    known, options = _EXAMPLES.get(name, ("", None))
    try:
        codec = build_codec(name, options)
    except LossyError as error:
        schema = _required_options(name)
        if schema:
            return Finding(
                "codec",
                name,
                "untested",
                reason=f"its options {', '.join(schema)} have no defaults",
                action="a spec that sets them tries it",
                needed=False,
            )
        return _failed(name, error)
    except Exception as error:  # noqa: BLE001  another package's code may raise anything
        return _failed(name, error)
    try:
        return _tried(name, codec, known)
    except Exception as error:  # noqa: BLE001  a broken library may raise anything, and the other codecs wait
        return _failed(name, error)


def _tried(name: str, codec: Codec, known: str) -> Finding:
    clip = moving_picture()
    media = clip if codec.media is Media.CLIP else clip[0]
    level, fps = codec.levels.default[0], FPS if codec.media is Media.CLIP else None
    small = np.ascontiguousarray(media[:2, :48, :64] if media.ndim == 4 else media[:48, :64])
    codec.decode(codec.encode(small, level, fps=fps))  # loads libraries, so that they are not timed
    encoded, encode_seconds = _timed(lambda: codec.encode(media, level, fps=fps))
    decoded, decode_seconds = _timed(lambda: codec.decode(encoded))
    fingerprint = codec.fingerprint()
    if decoded.shape != media.shape or decoded.dtype != np.uint8:
        raise ValueError(f"decodes {media.shape} uint8 to {decoded.shape} {decoded.dtype}")
    psnr = _psnr(media, decoded)
    if psnr < FAITHFUL_DB:
        raise ValueError(f"decodes to another picture: {psnr:.1f} dB PSNR at {codec.parameter}{level:g}")
    frames = len(media) if media.ndim == 4 else 1
    return Finding(
        "codec",
        name,
        "works",
        summary=known or _versions(codec, fingerprint),
        details={
            "fingerprint": fingerprint,
            "level": float(level),
            "encode_ms": round(1000 * encode_seconds / frames, 2),
            "decode_ms": round(1000 * decode_seconds / frames, 2),
            "psnr": round(psnr, 2) if math.isfinite(psnr) else None,
            "frames": frames,
            "width": WIDTH,
            "height": HEIGHT,
        },
        needed=_needed(name),
    )


def _failed(name: str, error: Exception) -> Finding:
    """Messages of ours end with a next action."""
    message = str(error) if isinstance(error, LossyError) else f"{type(error).__name__}: {error}"
    reason, _, action = " ".join(message.split()).rpartition("; ")
    if not reason or not isinstance(error, LossyError):
        reason, action = " ".join(message.split()), "reinstall the package that provides it"
    absent = False
    if name.endswith("-nvenc"):
        absent, action = True, "needs an NVIDIA GPU that has an encoder, and its driver; nothing else depends on it"
    elif name in _EXTRAS:
        module, extra = _EXTRAS[name]
        absent = importlib.util.find_spec(module) is None
        action = f"pip install 'pytest-lossy[{extra}]'" if absent else action
    return Finding(
        "codec",
        name,
        "absent" if absent else "broken",
        reason=reason,
        action=action,
        needed=not absent and _needed(name),
    )


def _needed(name: str) -> bool:
    """Other packages' codecs and hardware are no business of whoever does not use them."""
    return name in CODECS.builtin and not name.endswith("-nvenc")


def _required_options(name: str) -> list[str]:
    try:
        schema = codec_options(name)
    except LossyError:
        return []
    return [key for key, field in schema.model_fields.items() if field.is_required()] if schema else []


def _versions(codec: Codec, fingerprint: str) -> str:
    """The libraries in a fingerprint: what is neither an option nor a digest."""
    found = parse_fingerprint(fingerprint)
    if found is None:
        return fingerprint
    model: Any = type(getattr(codec, "options", None))
    chosen = set(getattr(model, "model_fields", ()))
    versions = {key: value for key, value in found.fields.items() if key not in chosen | _NO_VERSIONS}
    own = {key: value for key, value in versions.items() if key not in _EVERYWHERE} or versions
    return ", ".join(f"{key} {value}" for key, value in own.items())


def _timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the seconds of the fastest of a few calls: other load on the machine only ever slows them."""
    times: list[float] = []
    while len(times) < REPEATS and (not times or sum(times) < ENOUGH_SECONDS):
        started = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - started)
    return result, min(times)


def _psnr(source: UInt8Array, decoded: UInt8Array) -> float:
    error = float(np.mean((source.astype(np.float32) - decoded) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


@cache
def moving_picture() -> UInt8Array:
    """(6, 480, 640, 3): noise with the 1/f spectrum of photographs (Field 1987), under a moving camera."""
    margin = 2 * FRAMES
    height, width = HEIGHT + margin, WIDTH + margin
    rng = np.random.Generator(np.random.PCG64(0))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)

    def plane() -> Any:
        values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / frequency).real
        return (values - values.mean()) / values.std()

    luma = plane()
    picture = np.stack([128 + 45 * luma + 15 * plane() for _ in range(3)], axis=-1)
    pixels = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    clip = np.stack([pixels[2 * step : HEIGHT + 2 * step, step : WIDTH + step] for step in range(FRAMES)])
    clip.flags.writeable = False
    return clip
