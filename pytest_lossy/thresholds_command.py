"""``pytest-lossy thresholds check``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_lossy.errors import LossyError
from pytest_lossy.options import DEFAULT_SPECS, DEFAULT_THRESHOLDS

__all__ = ["add_thresholds"]

_UNUSABLE = 2


def add_thresholds(commands: Any) -> None:
    """Declare the command.

    Args:
        commands: what ``add_subparsers`` returned.
    """
    thresholds = commands.add_parser("thresholds", help="look after gates")
    actions = thresholds.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="find gates that match nothing, never decide, or contradict each other; status 1 if there are any, 2 if a file "
        "cannot be used",
    )
    check.add_argument(
        "paths",
        type=Path,
        nargs="*",
        default=[Path(DEFAULT_THRESHOLDS)],
        metavar="PATH",
        help=f"thresholds files (default: {DEFAULT_THRESHOLDS})",
    )
    check.add_argument(
        "--specs",
        type=Path,
        action="append",
        metavar="PATH",
        help=f"folder of specs, or one spec (default: {DEFAULT_SPECS}); repeatable",
    )
    check.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="a results.json: also say which gates its numbers show to be too loose, too close, or impossible together",
    )
    check.add_argument(
        "--codec",
        action="append",
        default=[],
        metavar="NAME",
        help="a codec that is run with --lossy-codec, though no spec lists it; repeatable",
    )
    check.add_argument(
        "--level",
        action="append",
        default=[],
        type=_levels,
        metavar="CODEC:LEVEL[,LEVEL]",
        help="levels that are run with --lossy-level; repeatable",
    )
    check.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="GLOB",
        help="models whose gates are not looked at, such as those that Python tests declare; repeatable",
    )
    check.set_defaults(run=_check)


def _levels(text: str) -> tuple[str, tuple[float, ...]]:
    label, _, numbers = text.partition(":")
    try:
        return label, tuple(dict.fromkeys(float(number) for number in numbers.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not CODEC:LEVEL[,LEVEL]; write jpeg:5,10") from None


def _check(arguments: argparse.Namespace) -> int:
    from pytest_lossy.gate_check import CheckOptions, check_files

    options = CheckOptions(
        files=arguments.paths,
        specs=arguments.specs or [Path(DEFAULT_SPECS)],
        results=arguments.results,
        codecs=arguments.codec,
        levels=arguments.level,
        ignored=arguments.ignore,
    )
    try:
        checked = check_files(options, Path.cwd())
    except LossyError as error:
        sys.stderr.write(f"pytest-lossy: {error}\n")
        return _UNUSABLE
    wrong = 0
    for path, gates, found in checked:
        findings = sum(not one.hint for one in found)
        wrong += findings
        lines = [str(one) for one in found]
        lines.append(
            f"{path}: {_count(findings, 'finding')}, {_count(len(found) - findings, 'hint')}, in {_count(gates, 'gate')}"
        )
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if wrong else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
