"""``pytest-lossy doctor``: what works on this machine, found out by trying it.

A check yields :class:`Finding` objects as it goes; a new kind of check is one generator, added to :func:`diagnose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pytest_lossy.doctor.codecs import check_codecs
from pytest_lossy.doctor.findings import Finding, exit_status, finding_lines, heading_lines, verdict_line
from pytest_lossy.doctor.machine import check_machine

__all__ = ["Finding", "diagnose", "exit_status", "finding_lines", "heading_lines", "verdict_line"]


def diagnose(progress: Callable[[str], None], codecs: Sequence[str] | None = None) -> Iterator[Finding]:
    """Check the machine, then the codecs.

    Args:
        progress: called with the name of what is being tried, before it is: whatever hangs or crashes is known by it.
        codecs: registry names; None for all.
    """
    yield from check_machine(progress)
    yield from check_codecs(progress, codecs)
