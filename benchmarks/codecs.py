"""Every codec beside the fastest libraries for its format, in one run, on one thread each; and what the cache saves.

    python benchmarks/codecs.py [--codecs jpeg,h264] [--samples 8] [--frames 24] [--data FOLDER]

One row per codec and one per rival. Milliseconds of wall time per frame: of stills the median over the pictures of the
fastest of five calls, of clips the fastest of two. ``x`` is the codec's time over the rival's: above 1, the rival is faster.

* ``size``: the rival's bytes over the codec's, at the same level and options as far as the rival takes them;
* ``bytes``: whether the rival writes the codec's very bytes;
* ``pixels``: whether the rival decodes the codec's bytes to the same pixels, otherwise the largest and the mean difference.
  Of video these come from the way to RGB, above all from how chroma is enlarged: the decoded planes are the same.

OpenCV works in its own order, BGR: turning RGB into it is not counted. ``ffmpeg`` is the command line with files of raw
RGB at the other end; its time includes the start of the process, which is printed once. ``PyAV`` is libavcodec in this
process with the same encoder and options, and swscale for the colours; the codec converts colours itself, bit-exactly.
At the end the cache: encoding again against reading from it, see ``benchmarks/media_cache.py``.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from codec_rivals import CLIP_REPEATS, FPS, STILLS, Rival, ffmpeg_rival, pyav_rival, run
from media_cache import DATA, fastest, measure, pictures

from pytest_lossy.codecs.base import Codec, Encoded, Media, UInt8Array
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.errors import LossyError

LEVELS = {"jpeg": 75, "webp": 75, "avif": 50, "jxl": 2, "jpeg2000": 36, "h264": 30, "hevc": 30, "av1": 40, "vp9": 40}
"""One common level each; the middle of the default grid for others."""


def compare(codec: Codec, level: float, samples: list[UInt8Array], rivals: list[Rival]) -> None:
    """Time the codec and its rivals side by side, sample by sample, and print their rows."""
    fps = float(FPS) if codec.media is Media.CLIP else None
    own_repeats = CLIP_REPEATS if codec.media is Media.CLIP else 5
    times: dict[str, list[tuple[float | None, float | None]]] = {}
    sizes: dict[str, list[float]] = {}
    same: dict[str, list[bool]] = {}
    furthest: dict[str, list[tuple[int, float] | str]] = {}
    for media in samples:
        frames = len(media) if media.ndim == 4 else 1
        kept: list[Encoded] = []

        def encode(media: UInt8Array = media, kept: list[Encoded] = kept) -> None:
            kept[:] = [codec.encode(media, level, fps=fps)]

        spent = fastest(encode, own_repeats)
        encoded = kept[0]
        decoded = codec.decode(encoded)
        back = fastest(lambda encoded=encoded: codec.decode(encoded), own_repeats)  # type: ignore[misc]
        times.setdefault("", []).append((spent / frames, back / frames))
        for rival in rivals:
            there = home = None
            if rival.encode is not None:
                try:
                    ready = rival.prepare(media)
                    written = rival.as_bytes(rival.encode(ready, level))
                    there = fastest(lambda r=rival, m=ready: r.encode(m, level), rival.repeats) / frames  # type: ignore[misc]
                    sizes.setdefault(rival.name, []).append(len(written) / len(encoded.data))
                    same.setdefault(rival.name, []).append(written == encoded.data)
                except Exception as error:  # noqa: BLE001  another library may refuse in its own way
                    furthest.setdefault(rival.name, []).append(f"encode: {error}")
            if rival.decode is not None:
                try:
                    pixels = rival.as_rgb(rival.decode(encoded.data))
                    home = fastest(lambda r=rival, d=encoded.data: r.decode(d), rival.repeats) / frames  # type: ignore[misc]
                    furthest.setdefault(rival.name, []).append(distance(pixels, decoded))
                except Exception as error:  # noqa: BLE001  as above
                    furthest.setdefault(rival.name, []).append(f"decode: {error}")
            times.setdefault(rival.name, []).append((there, home))
    own = [median(times[""], half) for half in (0, 1)]
    label = f"{codec.name} {codec.parameter}{level:g}"
    print(f"{label:24}{own[0]:9.2f}{'':8}{own[1]:9.2f}")
    for rival in rivals:
        cells = ""
        for half in (0, 1):
            value = median(times[rival.name], half)
            cells += f"{'':17}" if value is None else f"{value:9.2f}{own[half] / value:7.2f}x"  # type: ignore[operator]
        size = f"{statistics.median(sizes[rival.name]):8.2f}" if rival.name in sizes else f"{'':8}"
        identical = "" if rival.name not in same else "identical" if all(same[rival.name]) else "differ"
        print(f"{'  ' + rival.name:24}{cells}{size}  {identical:10}{pixel_words(furthest.get(rival.name, []))}")


def distance(pixels: UInt8Array, decoded: UInt8Array) -> tuple[int, float]:
    """Largest and mean absolute difference."""
    if pixels.shape != decoded.shape:
        raise ValueError(f"{pixels.shape}, not {decoded.shape}")
    gaps = np.abs(pixels.astype(np.int16) - decoded)
    return int(gaps.max()), float(gaps.mean())


def median(times: list[tuple[float | None, float | None]], half: int) -> float | None:
    """Of the encode times (0) or of the decode times (1); None where there are none."""
    found = [pair[half] for pair in times if pair[half] is not None]
    return statistics.median(found) if found else None  # type: ignore[type-var]


def pixel_words(found: list[tuple[int, float] | str]) -> str:
    """The largest and the mean difference over the samples, or why there is none."""
    problems = list(dict.fromkeys(entry[:90] for entry in found if isinstance(entry, str)))
    gaps = [entry for entry in found if not isinstance(entry, str)]
    words = []
    if gaps:
        largest, mean = max(gap for gap, _ in gaps), statistics.mean(gap for _, gap in gaps)
        words = [f"within {largest}, mean {mean:.2f}" if largest else "identical"]
    return "; ".join([*words, *problems])


def cache_saving(codec: Codec, level: float, samples: list[UInt8Array]) -> None:
    """One row: what a second run gains."""
    with tempfile.TemporaryDirectory() as folder:
        row = measure(codec, level, samples, Path(folder) / "media")
    frames = len(samples[0]) if samples[0].ndim == 4 else 1
    kept = "on" if getattr(codec, "cached", True) else "off"
    label = f"{codec.name} {codec.parameter}{level:g}"
    print(
        f"{label:24}{row['encode'] / frames:9.2f}{row['warm'] / frames:9.3f}{row['cold'] / frames:9.3f}"
        f"{row['ratio']:9.0f}x{row['saves']:8.1f}x   {kept}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Codecs beside the fastest libraries for their formats.")
    parser.add_argument("--codecs", help="names, separated by commas (default: all that work here)")
    parser.add_argument("--samples", type=int, default=8, help="pictures (default: 8)")
    parser.add_argument("--frames", type=int, default=24, help="frames of the clip (default: 24)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds camvid/ (default: %(default)s)")
    arguments = parser.parse_args()

    source, images = pictures(arguments.data, max(arguments.samples, arguments.frames))
    stills, clip = images[: arguments.samples], np.stack(images[: arguments.frames])
    height, width = images[0].shape[:2]
    print(f"{len(stills)} pictures of {source}, {width}x{height}, and a clip of {len(clip)}; one thread each")
    has_ffmpeg = shutil.which("ffmpeg") is not None
    if has_ffmpeg:
        version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
        start = fastest(lambda: run(["ffmpeg", "-v", "error", "-version"]))
        print(
            f"ffmpeg {version}: its process starts in {start:.0f} ms, {start / len(clip):.1f} ms per frame of the clip"
        )
    head = f"{'codec':24}{'encode':>9}{'x':>8}{'decode':>9}{'x':>8}{'size':>8}  {'bytes':10}pixels"
    print(f"{head}\n{'':24}{'ms/frame':>9}{'':8}{'ms/frame':>9}")

    chosen: list[tuple[Codec, float, list[UInt8Array]]] = []
    for name in arguments.codecs.split(",") if arguments.codecs else CODECS.names():
        try:
            codec: Any = build_codec(name)
            codec.fingerprint()
            level = LEVELS.get(name.partition("-")[0] if codec.parameter == "crf" else name)
            level = codec.levels.default[len(codec.levels.default) // 2] if level is None else level
            samples = [clip] if codec.media is Media.CLIP else stills
            codec.encode(samples[0][:1] if codec.media is Media.CLIP else samples[0], level)  # does it work here?
            with tempfile.TemporaryDirectory() as folder:
                rivals = STILLS[name]() if name in STILLS else []
                if codec.media is Media.CLIP and name in LEVELS:
                    rivals = [pyav_rival(codec)]
                    rivals += [ffmpeg_rival(codec, clip.shape, Path(folder))] if has_ffmpeg else []
                compare(codec, level, samples, rivals)
        except LossyError as error:
            print(f"{name:24}not measured: {str(error).splitlines()[0].partition(';')[0]}")
            continue
        if getattr(codec, "compresses", True):
            chosen.append((codec, level, samples))

    print("\nA second run reads from the cache what the first one encoded")
    print(f"{'':24}{'encode':>9}{'warm':>9}{'cold':>9}{'encode':>10}{'decoded':>9}\n", end="")
    print(f"{'codec':24}{'ms/frame':>9}{'ms/frame':>9}{'ms/frame':>9}{'/ warm':>10}{'saved':>9}   cache")
    for codec, level, samples in chosen:
        cache_saving(codec, level, samples)


if __name__ == "__main__":
    main()
