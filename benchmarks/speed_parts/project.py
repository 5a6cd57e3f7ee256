"""A project with the benchmark's specs and pictures, and everything that runs in it, each in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from speed_parts.clock import measured
from speed_parts.pictures import ROOT, prepare

JPEG = (95, 75, 50, 30, 15, 10, 5)
H264 = (23, 30, 35, 40, 45, 50)
SPEC = """\
task: segmentation
architecture: encoder-decoder
model:
  torch: ./nets.py:{net}
  input: {{mean: [0.41, 0.43, 0.43], std: [0.30, 0.31, 0.30]}}
data: {{name: camvid, kwargs: {{root: ../pictures-{count}}}}}
codecs:
  jpeg: {jpeg}
  h264: {h264}
batch_size: 8
"""


class Project:
    """A folder with model specs of the light and the heavy net.

    Args:
        folder: empty.
        count: pictures that are made at once.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.kind = self._pictures(count)
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.specs = folder / "model_specs"
        self.specs.mkdir()
        shutil.copy(Path(__file__).with_name("nets.py"), self.specs)
        shutil.copy(ROOT / "model_specs" / "segnet.py", self.specs)

    def _pictures(self, count: int) -> str:
        folder = self.folder / f"pictures-{count}"
        return "" if folder.exists() else prepare(folder, count)

    def floor(self, net: str, count: int, codec: str, allocator: str) -> dict[str, float]:
        """Seconds of the floor's parts, and their sum: in processor time, and spread over the cores."""
        levels = ",".join(map(str, JPEG if codec == "jpeg" else H264))
        name = "jpeg" if codec == "jpeg" else "h264-intra"
        arguments = [str(self._data(count)), net, str(count), name, levels, allocator]
        found = measured(self._python("-m", "speed_parts.floor", *arguments))
        total = sum(found.values())
        return {**found, "processor": total, "wall": total / self.cores}

    def loop(self, kind: str, threads: int, net: str, count: int) -> dict[str, Any]:
        """What users do today."""
        levels = ",".join(map(str, JPEG))
        arguments = [kind, str(self._data(count)), net, str(count), levels, str(threads)]
        return measured(self._python("-m", "speed_parts.loops", *arguments))

    def ours(self, net: str, count: int, codec: str, *options: str) -> dict[str, float]:
        """The loop over all cases of a pytest-lossy run."""
        self._data(count)
        self._run(net, count, codec, "-p", "speed_parts.ours", "--lossy-no-cache", *options)
        found: dict[str, float] = json.loads((self.folder / "clock.json").read_text(encoding="utf-8"))
        return found

    def values(self, net: str) -> list[float]:
        """mIoU of the last run: clean, then the levels of JPEG."""
        document = json.loads((self.folder / "lossy-report" / "results.json").read_text(encoding="utf-8"))
        rows = {row["level"]: row["metrics"]["miou"]["value"] for row in document["cases"] if row["model"] == net}
        return [rows[level] for level in (None, *JPEG)]

    def whole(self, net: str, count: int, *options: str) -> dict[str, float]:
        """A whole command, from start-up to the report."""
        self._data(count)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        self._run(net, count, "jpeg", "--lossy-no-cache", *options)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"wall": wall, "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}

    def cold_and_warm(self, net: str, count: int) -> tuple[dict[str, float], dict[str, float]]:
        """H.264 with an empty cache of encoded media, and again."""
        self._data(count)
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        found = []
        for _ in range(2):
            self._run(net, count, "h264", "-p", "speed_parts.ours", f"--lossy-cache={cache}")
            found.append(json.loads((self.folder / "clock.json").read_text(encoding="utf-8")))
        return found[0], found[1]

    def peak(self, count: int) -> float:
        """The largest resident memory of a run over so many pictures, in MB."""
        self._data(count)
        self._run("light", count, "jpeg", "-p", "speed_parts.ours", "--lossy-no-cache", "--lossy-level=jpeg:15")
        return float(json.loads((self.folder / "clock.json").read_text(encoding="utf-8"))["peak"])

    def bootstrap(self) -> None:
        """Print what the bootstrap of a case takes."""
        print(self._python("-m", "speed_parts.bootstrap").rstrip())

    def script(self, name: str, *arguments: str) -> None:
        """Run another benchmark of this folder."""
        output = self._python(str(Path(__file__).resolve().parents[1] / name), *arguments)
        print("".join(f"  {line}\n" for line in output.splitlines()), end="")

    def _data(self, count: int) -> Path:
        self._pictures(count)
        return self.folder / f"pictures-{count}"

    def _run(self, net: str, count: int, codec: str, *options: str) -> None:
        spec = SPEC.format(net=net, count=count, jpeg=list(JPEG), h264=list(H264))
        (self.specs / f"{net}.yaml").write_text(spec, encoding="utf-8")
        self._python("-m", "pytest", "-q", f"--lossy-codec={codec}", f"--lossy-model={net}", *options)

    def _python(self, *arguments: str) -> str:
        paths = [str(Path(__file__).resolve().parents[1]), str(ROOT / "model_specs"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "SPEED_OUT": str(self.folder / "clock.json"),
        }
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout
