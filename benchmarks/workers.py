"""What two workers gain on two cores: the reference suite with ``-n 2``, and with ``-n 0`` on one core and on both.

    python benchmarks/workers.py [--rounds 3] [--codec all] [--samples 20] [--model GLOB]

Every round runs the three variants one after the other, in fresh processes without the cache of encoded media:

* ``one core``: ``-n 0``, pinned to the first of two cores;
* ``threads``: ``-n 0`` on both cores, so with two inference threads;
* ``workers``: ``-n 2`` on both cores.

Printed are the seconds on the clock and of processors for each, the ratios ``one core / workers`` (the target is 1.7) and
``threads / workers`` (at least 1) of each round, their median and range, and how long each worker was busy with cases: the
clock beyond that is start-up and the report. The results of all variants are compared byte for byte; a difference ends the
benchmark with status 1.

Ratios are taken within a round, since other load on the machine comes and goes; for figures to publish let it be idle.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VARIANTS = {"one core": (1, ()), "threads": (2, ()), "workers": (2, ("-n2",))}
"""Cores, and arguments."""


@dataclass
class Run:
    """One run of the suite."""

    clock: float
    processors: float
    busy: dict[str, float] = field(default_factory=dict)
    """Process -> seconds of its cases."""


def run(arguments: argparse.Namespace, folder: Path, cores: list[int], more: tuple[str, ...]) -> Run:
    """Run the suite once, on these cores alone."""
    command = [sys.executable, "-m", "pytest", f"--lossy-codec={arguments.codec}", f"--lossy-report={folder}", *more]
    command += ["--lossy-no-cache", "-p", "no:cacheprovider", "-p", "no:randomly", "-q"]
    command += [f"--lossy-samples={arguments.samples}"] if arguments.samples else []
    command += [f"--lossy-model={arguments.model}"] if arguments.model else []
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        check=False,
    )
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # a missed gate is no failure of the benchmark
        sys.exit(
            f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    busy: Counter[str] = Counter()
    for row in json.loads((folder / "results.json").read_bytes())["cases"]:
        busy[row["worker"] or "main"] += row["seconds"]
    processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(clock, processors, dict(busy))


def content(folder: Path) -> dict[str, Any]:
    """What must not depend on how a suite ran: rows without time and place, and every file of evidence."""
    document = json.loads((folder / "results.json").read_bytes())
    for row in document["cases"]:
        del row["seconds"], row["worker"]
    files = {
        f"{kind}/{path.name}": path.read_bytes()
        for kind in ("evidence", "replicates")
        for path in sorted((folder / kind).iterdir())
    }
    return {**{name: part for name, part in document.items() if name != "run"}, **files}


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Two workers against one process, on two cores.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", default="all", help="as --lossy-codec (default: %(default)s)")
    parser.add_argument("--samples", type=int, help="as --lossy-samples (default: all)")
    parser.add_argument("--model", help="as --lossy-model")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="default: %(default)s")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("two cores are needed")
    chosen = arguments.variants.split(",")
    ratios: dict[str, list[float]] = {name: [] for name in chosen if name != "workers"}
    folder = Path(tempfile.mkdtemp(prefix="lossy-workers-"))
    try:
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
        for number in range(1, arguments.rounds + 1):
            found = {}
            for name in chosen:
                count, more = VARIANTS[name]
                found[name] = run(arguments, folder / name, cores[:count], more)
                busy = ", ".join(f"{process} {seconds:.1f}" for process, seconds in sorted(found[name].busy.items()))
                print(
                    f"round {number} {name:9} {found[name].clock:7.1f} s, {found[name].processors:7.1f} s of processors; "
                    f"busy with cases: {busy}",
                    flush=True,
                )
            for name, values in ratios.items() if "workers" in found else ():
                values.append(found[name].clock / found["workers"].clock)
            expected = content(folder / chosen[0])
            for name in chosen[1:]:
                seen = content(folder / name)
                if differing := [
                    part for part in sorted(seen.keys() | expected) if seen.get(part) != expected.get(part)
                ]:
                    sys.exit(f"the results of '{chosen[0]}' and '{name}' differ in {', '.join(differing)}")
        for name, values in ratios.items() if "workers" in chosen else ():
            print(f"{name} / workers: {spread(values)}")
        print("results of all variants are equal, byte for byte")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
