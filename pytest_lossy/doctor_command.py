"""``pytest-lossy doctor``: its flags and its printing; the checks are in :mod:`pytest_lossy.doctor`."""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
from itertools import chain
from pathlib import Path
from typing import Any

__all__ = ["add_doctor"]


def add_doctor(commands: Any) -> None:
    """Add the command to the subparsers of ``pytest-lossy``."""
    parser = commands.add_parser("doctor", help="try every codec and every spec, and check what this machine offers")
    parser.add_argument("--specs", type=Path, metavar="PATH", help="a folder of specs or one spec (default: as pytest)")
    parser.add_argument("--no-specs", action="store_true", help="build no model")
    parser.add_argument("--device", default="auto", help="of the models: auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--json", action="store_true", help="for programs: fingerprints and every figure")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_lossy import doctor

    if not faulthandler.is_enabled() and sys.stderr is sys.__stderr__:
        faulthandler.enable()  # a library that crashes is named by its own lines
    found, area = [], None
    findings = doctor.diagnose(_progress)
    if not arguments.no_specs:
        findings = chain(findings, doctor.diagnose_specs(_progress, Path.cwd(), arguments.specs, arguments.device))
    for finding in findings:
        if sys.stderr.isatty():
            _print("\r\x1b[K", end="", file=sys.stderr)
        found.append(finding)
        if not arguments.json:
            lines = [] if finding.area == area else doctor.heading_lines(finding.area)
            _print("\n".join([*lines, *doctor.finding_lines(finding)]))
        area = finding.area
    status = doctor.exit_status(found)
    if arguments.json:
        _print(json.dumps({"status": status, "findings": [finding.as_json() for finding in found]}, indent=2))
    else:
        _print(f"\n{doctor.verdict_line(found)}")
    return status


def _progress(name: str) -> None:
    if sys.stderr.isatty():
        _print(f"\r\x1b[Ktrying {name} ...", end="", file=sys.stderr)


def _print(text: str, **options: Any) -> None:
    print(text, flush=True, **options)  # noqa: T201  a command
