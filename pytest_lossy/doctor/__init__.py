"""``pytest-lossy doctor``: what works on this machine, found out by trying it.

A check yields :class:`Finding` objects as it goes; a new kind of check is one generator, added to :func:`diagnose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_lossy.doctor.codecs import check_codecs
from pytest_lossy.doctor.findings import Finding, exit_status, finding_lines, heading_lines, verdict_line
from pytest_lossy.doctor.machine import check_machine

__all__ = ["Finding", "diagnose", "diagnose_specs", "exit_status", "finding_lines", "heading_lines", "verdict_line"]


def diagnose(progress: Callable[[str], None], codecs: Sequence[str] | None = None) -> Iterator[Finding]:
    """Check the machine, then the codecs.

    Args:
        progress: called with the name of what is being tried, before it is: whatever hangs or crashes is known by it.
        codecs: registry names; None for all.
    """
    yield from check_machine(progress)
    yield from check_codecs(progress, codecs)


def diagnose_specs(
    progress: Callable[[str], None], root: Path, specs: Path | None = None, device: str = "auto"
) -> Iterator[Finding]:
    """Build the model of every spec and run one sample.

    Args:
        progress: as of :func:`diagnose`.
        root: the repository, whose pytest configuration says where specs and gates are.
        specs: a folder of specs, or one; None for what the configuration says.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    try:
        from pytest_lossy.doctor.specs import check_specs  # needs torch, whose absence was said above
    except Exception as error:  # noqa: BLE001  a broken binary package may raise anything
        reason = f"no model can be built: {type(error).__name__}: {error}"
        yield Finding("spec", "specs", "untested", reason=reason, action="repair what is broken above", needed=False)
        return
    yield from check_specs(progress, root, specs, device)
