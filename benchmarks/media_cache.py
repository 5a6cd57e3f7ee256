"""What the cache of encoded media saves, per codec: encoding a sample again against reading it back.

    python benchmarks/media_cache.py [--codecs jpeg,webp] [--samples 12] [--frames 12] [--data FOLDER]

One row per codec and level, medians over the samples in milliseconds of wall time on one core:

* ``encode``, ``decode``: of the codec, through the API that cases use; a codec of clips gets consecutive frames;
* ``store``: writing the entry, paid once, by the first run;
* ``warm``: key, read, checksum, restore, with the file in the page cache; ``cold``: after the kernel was told to drop it
  (the storage below may still hold it);
* ``ratio``: encode / warm, what a second run gains on this stage; ``saves``: (encode + decode) / (warm + decode).

A codec should set ``cached = False`` where ``ratio`` is under 1, or where what it saves is not worth its disk space.
Pictures: CamVid's validation frames (480x360 photographs) where FOLDER has them, else the mini world at that size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pytest_lossy.codecs.base import Codec, Encoded, Media, UInt8Array
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.engine.cache_entries import entry_key
from pytest_lossy.engine.cache_folder import CacheFolder
from pytest_lossy.engine.media_cache import MediaCache, worth_caching
from pytest_lossy.errors import LossyError
from pytest_lossy.results.evidence import pixel_digest

DATA = Path(os.environ.get("PYTEST_LOSSY_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIZE = (480, 360)
FPS = 25.0
REPEATS = 5


def pictures(folder: Path, count: int) -> tuple[str, list[UInt8Array]]:
    """Consecutive frames, (H, W, 3) each, and where they come from."""
    files = sorted((folder / "camvid" / "val").glob("*.png"))[:count]
    if len(files) == count:
        found = []
        for file in files:
            with Image.open(file) as image:
                found.append(np.asarray(image.convert("RGB")))
        return "CamVid", found
    from pytest_lossy.data.mini.render import render
    from pytest_lossy.data.mini.scene import sample_scene
    from pytest_lossy.data.mini.segmentation import SPLITS

    return "mini world", [render(sample_scene(SPLITS["val"].seed, index), SIZE).image for index in range(count)]


def fastest(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """Milliseconds of the fastest of some calls: other load on the machine only ever slows them."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def drop_from_memory(path: Path) -> None:
    """Ask the kernel to forget the pages of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # only clean pages are dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def measure(codec: Codec, level: float, samples: list[UInt8Array], folder: Path) -> dict[str, float]:
    """Medians over the samples."""
    cache, files = MediaCache(folder, 1 << 40), CacheFolder(folder)
    fps = FPS if codec.media is Media.CLIP else None
    rows: list[dict[str, float]] = []
    fingerprint = codec.fingerprint()
    for media in samples:
        digest = pixel_digest(media)
        key = entry_key(codec, digest, level, fps, fingerprint=fingerprint)
        parts: list[Encoded] = []

        def encode(media: UInt8Array = media, parts: list[Encoded] = parts) -> None:
            parts[:] = [codec.encode(media, level, fps=fps)]

        repeats = 1 if media.ndim == 4 else REPEATS
        row = {"encode": fastest(encode, repeats)}
        row["decode"] = fastest(lambda parts=parts: codec.decode(parts[0]), repeats)  # type: ignore[misc]
        row["store"] = fastest(lambda key=key, parts=parts: cache.put(key, parts))  # type: ignore[misc]
        path = files.entry(key.name)

        def read(digest: str = digest, parts: list[Encoded] = parts) -> None:
            found = cache.get(entry_key(codec, digest, level, fps, fingerprint=fingerprint))
            assert found == tuple(parts)

        row["warm"] = fastest(read, 4 * REPEATS)
        cold = []
        for _ in range(REPEATS):
            drop_from_memory(path)
            cold.append(fastest(read, 1))
        row["cold"] = statistics.median(cold)
        row["kB"] = path.stat().st_size / 1000
        rows.append(row)
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    medians["ratio"] = medians["encode"] / medians["warm"]
    medians["saves"] = (medians["encode"] + medians["decode"]) / (medians["warm"] + medians["decode"])
    return medians


def checksums() -> None:
    """The candidates for an entry's checksum."""
    for size in (2_000, 20_000, 200_000):
        data = os.urandom(size)
        calls = 2_000_000 // size
        candidates: dict[str, Callable[[], object]] = {
            "SHA-256": lambda data=data: hashlib.sha256(data).digest(),  # type: ignore[misc]
            "BLAKE2b": lambda data=data: hashlib.blake2b(data, digest_size=32).digest(),  # type: ignore[misc]
            "CRC-32": lambda data=data: zlib.crc32(data),  # type: ignore[misc]
        }
        figures = []
        for name, call in candidates.items():
            each = fastest(lambda call=call, calls=calls: [call() for _ in range(calls)]) / calls  # type: ignore[misc]
            figures.append(f"{name} {1000 * each:7.1f} us ({size / each / 1e6:.1f} GB/s)")
        print(f"checksum of {size:7,d} bytes: " + ", ".join(figures))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Encoding again against reading from the cache, per codec.")
    parser.add_argument("--codecs", help="names, separated by commas (default: all that work here)")
    parser.add_argument("--samples", type=int, default=12, help="pictures per codec of stills (default: 12)")
    parser.add_argument("--frames", type=int, default=12, help="frames per clip (default: 12)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds camvid/ (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the cache is made, to measure another disk")
    arguments = parser.parse_args()

    source, stills = pictures(arguments.data, max(arguments.samples, 2 * arguments.frames))
    clips = [np.stack(stills[start : start + arguments.frames]) for start in (0, arguments.frames)]
    stills = stills[: arguments.samples]
    height, width = stills[0].shape[:2]
    print(f"{len(stills)} pictures of {source}, {width}x{height}; clips of {arguments.frames} of them")
    checksums()
    columns = ("encode", "decode", "store", "warm", "cold", "kB", "ratio", "saves")
    print(f"{'codec, level':24}" + "".join(f"{column:>10}" for column in columns))
    for name in arguments.codecs.split(",") if arguments.codecs else CODECS.names():
        try:
            codec = build_codec(name)
            levels = codec.levels.default
            chosen = dict.fromkeys((levels[0], levels[len(levels) // 2], levels[-1]))
            if not getattr(codec, "compresses", True):
                print(f"{name:24}does not compress: never cached")
                continue
            for level in chosen:
                with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                    samples = clips if codec.media is Media.CLIP else stills
                    row = measure(codec, level, samples, Path(folder) / "media")
                label = f"{name} {codec.parameter}{level:g}{'' if worth_caching(codec) else ' (off)'}"
                print(f"{label:24}" + "".join(f"{row[column]:10.2f}" for column in columns))
        except LossyError as error:
            print(f"{name:24}{str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
