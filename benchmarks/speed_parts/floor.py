"""The floor: forward, codec and one decoding of each source, each measured alone on one thread.

    python -m speed_parts.floor FOLDER NET COUNT CODEC LEVELS KEEP

With KEEP the allocator keeps freed memory (as pytest-lossy has it) and the codec is the one that pytest-lossy runs; without,
torch is as installed and JPEG is Pillow's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pytest_lossy.codecs import jpeg as jpeg_module
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.memory import keep_freed_memory
from speed_parts import nets
from speed_parts.clock import report

BATCH = 8


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this thread, and the result."""
    before = time.thread_time()
    result = work()
    return time.thread_time() - before, result


def main() -> None:
    """Measure and print seconds of each part for the whole grid."""
    folder, net_name, count, codec_name, levels, keep = sys.argv[1:]
    files = sorted((Path(folder) / "val").iterdir())[: int(count)]
    torch.set_num_threads(1)
    if keep == "keep":
        keep_freed_memory()
    else:
        jpeg_module.faster_library = lambda: None  # type: ignore[assignment]
    codec = build_codec(codec_name)
    grid = [float(level) for level in levels.split(",")]

    def opened(path: Path) -> np.ndarray[Any, Any]:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))

    opened(files[0])
    decode, images = timed(lambda: [opened(path) for path in files])

    def code() -> None:
        for level in grid:
            for image in images:
                codec.decode(codec.encode(image, level))

    codec.decode(codec.encode(images[0], grid[0]))
    coding, _ = timed(code)
    model = getattr(nets, net_name)().eval()
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (nets.MEAN, nets.STD))
    batches = [
        torch.stack(
            [
                torch.from_numpy(image).permute(2, 0, 1).float().div(255).sub(mean).div(std)
                for image in images[start : start + BATCH]
            ]
        )
        for start in range(0, len(images), BATCH)
    ]
    with torch.inference_mode():
        model(batches[0])
        forward, _ = timed(lambda: [model(batch).shape for batch in batches])
    report(decode=decode, codec=coding, forward=forward * (1 + len(grid)))


if __name__ == "__main__":
    main()
