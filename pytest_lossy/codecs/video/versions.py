"""Versions for fingerprints, read once per process."""

from __future__ import annotations

import ctypes
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from pytest_lossy.codecs.video.colour import ColourFormat
from pytest_lossy.errors import CodecError

__all__ = ["encoder_version", "library_versions"]

_IN_STREAM = {
    # The encoder signs its streams; x265 only where told to, for it names the processor too.
    "libx264": ({}, re.compile(rb"x264 - (core \d+(?: r\d+)?(?: [0-9a-f]{7,})?)")),
    "libx265": (
        {"x265-params": "log-level=none:info=1:pools=none:frame-threads=1"},
        re.compile(rb"x265 \((build \d+)\) - ([^:\s]+)"),
    ),
}
_IN_LIBRARY = {
    "libsvtav1": ("libSvtAv1Enc", "svt_av1_get_version"),
    "libvpx-vp9": ("libvpx", "vpx_codec_version_str"),
}


@cache
def library_versions() -> str:
    """PyAV and the libavcodec that it loaded."""
    import av

    avcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"pyav={av.__version__},libavcodec={avcodec}"


@cache
def encoder_version(encoder: str) -> str:
    """What an encoder says of itself; ``with libavcodec`` where it says nothing, or cannot be asked on this system.

    Raises:
        CodecError: the encoder does not open.
    """
    if encoder in _IN_STREAM:
        options, pattern = _IN_STREAM[encoder]
        found = pattern.search(_first_packet(encoder, options))
        if found:
            return " ".join(part.decode("ascii", "replace") for part in found.groups())
    if encoder.endswith("_nvenc"):
        return f"driver {_nvidia_driver() or 'unknown'}"
    if encoder in _IN_LIBRARY:
        return _library_version(*_IN_LIBRARY[encoder]) or "with libavcodec"
    return "with libavcodec"


def _nvidia_driver() -> str | None:
    """The encoder is in the driver and the chip."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:  # no driver, or no Linux
        return None
    found = re.search(r"\d+\.\d+(?:\.\d+)?", text)
    return found.group() if found else None


def _first_packet(encoder: str, options: dict[str, str]) -> bytes:
    # Here, not above: the encoder's file needs no version.
    from pytest_lossy.codecs.video.encoder import EncoderSetup, encode_packets

    setup = EncoderSetup(encoder, options, (16, 16), ColourFormat("yuv420p", "bt709", "limited"), Fraction(25))
    grey = (np.full((16, 16), 128, np.uint8), np.full((8, 8), 128, np.uint8), np.full((8, 8), 128, np.uint8))
    packets = list(encode_packets(setup, [grey]))
    if not packets:
        raise CodecError(f"encoder {encoder} returned no packet")
    return packets[0]


def _library_version(stem: str, function: str) -> str | None:
    """Ask the copy of a library that this process has already loaded: another copy may have another version."""
    import av  # noqa: F401  loads it

    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:  # no Linux
        return None
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count("/") and f"/{stem}" in line}
    for path in sorted(paths):
        if Path(path).name.startswith((f"{stem}-", f"{stem}.")):
            try:
                ask = getattr(ctypes.CDLL(path), function)
            except (OSError, AttributeError):
                continue
            ask.restype = ctypes.c_char_p
            answer = ask()
            return answer.decode("ascii", "replace").strip() if answer else None
    return None
