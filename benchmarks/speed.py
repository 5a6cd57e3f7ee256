"""How fast a run is, beside its floor and beside what users do today. One command; ratios with their spread.

    python benchmarks/speed.py [PART ...] [--rounds 2] [--images 48] [--heavy-images 16]

Everything that is compared runs in turns, each in a fresh process on the same pictures. Each ratio is given in wall time
and in processor time: on a machine that does other work only the second means much. It is the median over rounds, with the
range.

* ``a``: ours beside the floor, (forward + codec + one decoding of each source) / cores, each measured alone on one thread: a
  light and a heavy model, seven levels of JPEG and six of H.264. There are two floors. ``as is``: torch's allocator and
  Pillow as they come. ``tuned``: both as pytest-lossy runs them, which is the stricter one.
* ``b``: ours beside the loop that a good engineer would write: Pillow, batches of 8, the levels outside.
* ``c``: ours beside NRTK in MAITE's ``evaluate``, ``nrtk_perturber``, and albumentations in a DataLoader with two workers.
* ``d``: one worker beside two. ``e``: a second run with a warm cache (H.264). ``f``: start-up beside other plugins.
* ``g``: bootstrap and AP. ``h``: peak memory with 100 and with 2,000 pictures.

``ours`` is the loop over all cases inside of ``pytest --lossy-codec``: loading the model, evaluating, bootstrap, verdicts
and storing. Parts ``b`` and ``c`` check that all of them come to the same mIoU.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from speed_parts.project import JPEG, Project

PARTS = "abcdefgh"
MISS = 1e-9


def ratio(name: str, several: Sequence[dict[str, float]], base: Sequence[dict[str, float]], *, of: str = "") -> None:
    """Print how ``several`` compares with ``base``, round by round."""
    shown = []
    for kind in ("wall", "processor"):
        found = [one[kind] / other[kind] for one, other in zip(several, base, strict=True)]
        shown.append(f"{kind} {statistics.median(found):5.2f} ({min(found):.2f}..{max(found):.2f})")
    seconds = statistics.median(one["wall"] for one in several)
    processor = statistics.median(one["processor"] for one in several)
    print(f"  {name:38s} {'   '.join(shown)} x {of:12s} {seconds:7.2f} s, processor {processor:7.2f} s", flush=True)


def floors(project: Project, net: str, count: int, codec: str, rounds: int) -> None:
    """Part a, for one model and codec."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "keep": [], "plain": []}
    for _ in range(rounds):
        for kind in ("keep", "plain"):
            found[kind].append(project.floor(net, count, codec, kind))
        found["ours"].append(project.ours(net, count, codec))
    parts = {part: statistics.median(one[part] for one in found["keep"]) for part in ("forward", "codec", "decode")}
    print(f" {net}, {codec}, {count} pictures; floor, tuned: " + ", ".join(f"{k} {v:.2f} s" for k, v in parts.items()))
    ratio("ours", found["ours"], found["keep"], of="floor, tuned")
    ratio("ours", found["ours"], found["plain"], of="floor as is")


def loops(project: Project, net: str, count: int, rounds: int, kinds: Sequence[tuple[str, int]]) -> None:
    """Parts b and c, for one model."""
    ours, others = [], {kind: [] for kind in kinds}  # type: ignore[var-annotated]
    for _ in range(rounds):
        ours.append(project.ours(net, count, "jpeg"))
        for kind in kinds:
            others[kind].append(project.loop(*kind, net, count))
    print(f" {net}, jpeg, {count} pictures")
    values = project.values(net)
    for (kind, threads), found in others.items():
        ratio(f"{kind}, {threads} torch threads", found, ours, of="ours")
        worst = max(abs(a - b) for a, b in zip(found[0]["values"], values, strict=True))
        says = "the same" if worst <= MISS else f"differs by {worst:.1e}"
        print(f"    mIoU {says}" + ("" if threads == 1 or worst <= MISS else ": two threads give other bits"))


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="a to h; default all")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--heavy-images", type=int, default=16)
    chosen = parser.parse_args()
    unknown = sorted({*"".join(chosen.parts)} - {*PARTS})
    if unknown:
        parser.error(f"unknown part {unknown[0]}; choose from {' '.join(PARTS)}")
    wanted, rounds = "".join(chosen.parts) or PARTS, chosen.rounds
    light, heavy = chosen.images, chosen.heavy_images
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name), max(light, heavy))
        load = os.getloadavg()[0]
        print(f"{project.kind}; {project.cores} cores, load {load:.1f} at the start, {rounds} rounds", flush=True)
        for part in wanted:
            print(f"{part}:", flush=True)
            if part == "a":
                for net, count, several in (("light", light, rounds), ("heavy", heavy, max(1, rounds - 1))):
                    for codec in ("jpeg", "h264"):
                        floors(project, net, count, codec, several)
            elif part == "b":
                loops(project, "light", light, rounds, [("plain", 1), ("plain", project.cores)])
                loops(project, "heavy", heavy, max(1, rounds - 1), [("plain", 1), ("plain", project.cores)])
            elif part == "c":
                kinds = [
                    (kind, project.cores)
                    for kind, library in (("maite", "nrtk"), ("nrtk", "nrtk"), ("albumentations", "albumentations"))
                    if importlib.util.find_spec(library) or print(f"  {library} is not installed")
                ]
                loops(project, "light", light, rounds, kinds)
            elif part == "d":
                one, two = [], []
                for _ in range(rounds):
                    one.append(project.whole("light", light, "-n", "1"))
                    two.append(project.whole("light", light, "-n", "2"))
                ratio("whole command, -n 1", one, two, of="-n 2")
            elif part == "e":
                cold, warm = zip(*[project.cold_and_warm("light", light) for _ in range(rounds)], strict=True)
                ratio("h264, cold cache", cold, warm, of="warm cache")
            elif part == "f":
                project.script("startup.py", "--rounds", "10")
            elif part == "g":
                project.script("average_precision.py", "--images", "200", "--detections", "8000")
                project.bootstrap()
            else:
                few, many = project.peak(100), project.peak(2000)
                print(f"  peak memory: 100 pictures {few:.0f} MB, 2000 pictures {many:.0f} MB, {many / few:.3f} x")
    print(f"levels of jpeg: {JPEG}")


if __name__ == "__main__":
    main()
