"""Start-up time that the installed plugin adds to ``pytest --collect-only``, beside other plugins.

Each variant runs in a fresh interpreter, in turns, on a folder with one trivial test. Printed are the difference to pytest
alone in processor time of the fastest rounds (which other load on the machine disturbs least), the median and quartiles
of the differences round by round, and the heavy modules that the variant imported.

    python benchmarks/startup.py [--rounds 30]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

VARIANTS = {
    "pytest alone": [],
    "pytest-lossy": ["-p", "pytest_lossy.plugin"],
    "pytest-xdist": ["-p", "xdist.plugin"],
    "pytest-rerunfailures": ["-p", "pytest_rerunfailures"],
    "hypothesis": ["-p", "_hypothesis_pytestplugin"],
}
HEAVY = ("torch", "numpy", "PIL", "scipy", "pydantic", "av")
PROBE = """
import sys, pytest
code = pytest.main(sys.argv[1:])
print("HEAVY", [name for name in {heavy!r} if name in sys.modules])
"""


def run(folder: Path, options: list[str]) -> float:
    """Processor seconds (user and system) of one collection in a fresh interpreter."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *options, str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
        for options in VARIANTS.values():
            run(folder, options)
        times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds):
            for variant, options in VARIANTS.items():
                times[variant].append(run(folder, options))
        base = times["pytest alone"]
        print(f"pytest alone: median {1000 * statistics.median(base):.0f} ms over {rounds} rounds")
        for variant, values in times.items():
            if variant == "pytest alone":
                continue
            added = [1000 * (value - alone) for value, alone in zip(values, base, strict=True)]
            low, middle, high = statistics.quantiles(added, n=4)
            fastest = 1000 * (min(values) - min(base))
            print(
                f"{variant:22s} adds {fastest:6.1f} ms (fastest rounds); "
                f"median {middle:.1f}, quartiles {low:.1f} .. {high:.1f}"
            )
        options = VARIANTS["pytest-lossy"]
        probe = subprocess.run(
            [sys.executable, "-c", PROBE.format(heavy=HEAVY), "-q", "--collect-only", *options, str(folder)],
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            check=True,
            capture_output=True,
            text=True,
        )
        print("heavy modules imported with pytest-lossy:", probe.stdout.rpartition("HEAVY")[2].strip())


if __name__ == "__main__":
    main()
