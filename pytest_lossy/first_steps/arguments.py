"""The flags of ``pytest-lossy init``; nothing heavy is imported before it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_init"]


def add_init(commands: Any) -> None:
    """Add the command to the subparsers of ``pytest-lossy``."""
    parser = commands.add_parser(
        "init", help="look at a repository and write what a first run needs: specs, gates, a CI example, options"
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="DIR", help="default: here")
    parser.add_argument("--task", metavar="NAME", help="segmentation, detection, pose, classification, depth or action")
    parser.add_argument("--name", help="of your model's spec (default: that of its file)")
    parser.add_argument(
        "--model",
        metavar="REF",
        help="a model file, file.py:function, package.module:function or a name of torchvision's (default: as found)",
    )
    parser.add_argument("--data", metavar="DIR", help="of a data set in a known layout (default: as found)")
    parser.add_argument(
        "--sample",
        action="store_const",
        const=True,
        help="write a sample that runs at once (default: where there is no spec yet)",
    )
    parser.add_argument("--no-sample", dest="sample", action="store_const", const=False, help="write no sample")
    parser.add_argument("--no-ci", dest="ci", action="store_false", help="write no CI example")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_lossy.first_steps.choices import Wishes
    from pytest_lossy.first_steps.command import InitOptions, init
    from pytest_lossy.first_steps.dialogue import ask_choice, ask_yes, is_terminal

    options = InitOptions(
        Wishes(arguments.task, arguments.name, arguments.model, arguments.data, arguments.sample),
        ci=arguments.ci,
        force=arguments.force,
        dry_run=arguments.dry_run,
    )
    asking = is_terminal() and not arguments.yes
    try:
        return init(
            arguments.folder.absolute(),
            options,
            _say,
            ask_choice if asking else None,
            ask_yes if asking else None,
        )
    except KeyboardInterrupt:
        print("\nInterrupted; run init again, which continues.", file=sys.stderr)  # noqa: T201  a command
        return 130


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a command
