"""Time of one piece of work: wall, processor, and the largest resident memory of the process."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """What a ``with`` block took."""

    wall = processor = 0.0

    def as_dict(self) -> dict[str, float]:
        """Seconds, and MB at most so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"wall": self.wall, "processor": self.processor, "peak": peak}


@contextmanager
def clock(children: bool = False) -> Iterator[Clock]:
    """Measure the block; ``children``: processes that ended in it count too."""
    found = Clock()
    wall, processor = time.perf_counter(), _processor(children)
    yield found
    found.wall, found.processor = time.perf_counter() - wall, _processor(children) - processor


def _processor(children: bool) -> float:
    who = [resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN] if children else [resource.RUSAGE_SELF]
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


def report(**found: Any) -> None:
    """Print one line for the process that asked."""
    print("MEASURED " + json.dumps(found), flush=True)


def measured(output: str) -> dict[str, Any]:
    """The last line that :func:`report` printed."""
    lines = [line for line in output.splitlines() if line.startswith("MEASURED ")]
    if not lines:
        raise RuntimeError(f"nothing was measured:\n{output[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("MEASURED "))
    return found
