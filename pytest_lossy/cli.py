"""``pytest-lossy``: what needs no pytest run."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pytest_lossy import __version__
from pytest_lossy.doctor_command import add_doctor
from pytest_lossy.errors import LossyError
from pytest_lossy.first_steps.arguments import add_init
from pytest_lossy.thresholds_command import add_thresholds

if TYPE_CHECKING:
    from pytest_lossy.analysis.budget import Budget

__all__ = ["json_schema", "main"]

_ANNOTATED = re.compile(r"typing\.Annotated\[([\w.]+), .*?\](?=[,\]]|$)")
"""``Annotated[float, AllowInfNan(...)]`` reads as ``float``."""


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a spec, of thresholds.yaml or of results.json.

    Args:
        name: ``spec``, ``thresholds`` or ``results``.
    """
    if name == "spec":
        from pytest_lossy.specs.schema import spec_json_schema

        schema = spec_json_schema()
    elif name == "thresholds":
        from pytest_lossy.thresholds.reader import thresholds_json_schema

        schema = thresholds_json_schema()
    else:
        from pytest_lossy.results.document import ResultsDocument

        schema = ResultsDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _schema(arguments: argparse.Namespace) -> int:
    print(json.dumps(json_schema(arguments.name), indent=2))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from pytest_lossy.codecs.registry import CODECS, build_codec, codec_options
    from pytest_lossy.data.registry import DATASETS, dataset_options
    from pytest_lossy.tasks.registry import TASKS, task_metrics, task_options

    for name in CODECS.names():
        try:
            codec = build_codec(name)
        except LossyError:
            print(f"codec {name}: its options decide its levels")
        else:
            levels = codec.levels
            default = ", ".join(f"{level:g}" for level in levels.default)
            print(f"codec {name}: {codec.parameter} {levels.minimum:g}..{levels.maximum:g}, default {default}")
        _print_options(codec_options(name))
    for name in TASKS.names():
        print(f"task {name}: {', '.join(metric.name for metric in task_metrics(name))}")
        _print_options(task_options(name))
    for name in DATASETS.names():
        print(f"data {name}")
        _print_options(dataset_options(name))
    return 0


def _print_options(options: type[BaseModel] | None) -> None:
    """One line per option: name, type, default, meaning."""
    for name, field in (options.model_fields if options else {}).items():
        plain = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
        kind = _ANNOTATED.sub(r"\1", plain).replace("typing.", "")
        default = "needed" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        print(f"  {name}: {kind}, {default}"[:120])
        if field.description:
            print(f"      {field.description}")


def _report(arguments: argparse.Namespace) -> int:
    from pytest_lossy.report.files import report_files
    from pytest_lossy.results.files import write_atomically
    from pytest_lossy.results.pictures import read_pictures
    from pytest_lossy.results.reader import read_results

    document = read_results(arguments.results)
    folder = arguments.output or arguments.results.parent
    pictures = read_pictures(arguments.results.parent, document)
    for name, content in report_files(document, pictures, arguments.budget):
        write_atomically(folder / name, content)
        print(folder / name)
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from pytest_lossy.merging import merge
    from pytest_lossy.report.files import report_files
    from pytest_lossy.results.files import write_atomically
    from pytest_lossy.results.pictures import read_pictures

    document = merge(arguments.folders, arguments.output, partial=arguments.partial)
    for name, content in report_files(document, read_pictures(arguments.output, document)):
        write_atomically(arguments.output / name, content)
    for warning in document.run.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    counts = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in sorted(document.run.counts.items()))
    print(f"{arguments.output / 'index.html'}: {counts}")
    failed = any(row.outcome == "failed" for row in document.cases) or document.run.status != "complete"
    return 1 if failed else 0


def _compare(arguments: argparse.Namespace) -> int:
    from pytest_lossy.comparing import compare_runs, find_baseline
    from pytest_lossy.report.comparison_rows import change_rows, comparison_sentence, move_text, power_text
    from pytest_lossy.report.lookup import Lookup

    here, baselines = Path.cwd(), arguments.baselines
    before = find_baseline(str(arguments.before), baselines, Path("lossy-report"), here)
    after = find_baseline(str(arguments.after), baselines, Path("lossy-report"), here)
    comparison = compare_runs(before, after.document, after.folder, arguments.fail)
    lookup = Lookup(after.document)
    for row in change_rows(lookup, comparison):
        if row.change.verdict != "unchanged" or arguments.all:
            print(
                f"{row.word}: {row.where}: {row.change.metric} {row.before} -> {row.after}, {row.difference}, p {row.p}"
            )
    for move in comparison.moves:
        print(f"{move.model}, {move.codec}: {move_text(lookup, move)}")
    for text in comparison.differences:
        print(f"also different: {text}")
    print(comparison_sentence(comparison))
    power = power_text(comparison)
    if power:
        print(power)
    worse = any(change.failed if arguments.fail else change.verdict == "worse" for change in comparison.changes)
    return 1 if worse else 0


def _rule(text: str) -> Any:
    from pytest_lossy.comparing import parse_fail_rule

    try:
        return parse_fail_rule(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cache(arguments: argparse.Namespace) -> int:
    from pytest_lossy import cache_command
    from pytest_lossy.engine.media_cache import DEFAULT_LIMIT_BYTES
    from pytest_lossy.paths import media_cache_folder

    folder = arguments.folder or media_cache_folder()
    if arguments.action == "info":
        print(cache_command.cache_info(folder, DEFAULT_LIMIT_BYTES).text())
    elif arguments.action == "clear":
        print(cache_command.clear_cache(folder, older_than_days=arguments.older_than, codec=arguments.codec).text())
    else:
        found = cache_command.verify_cache(folder)
        print(found.text())
        return 0 if found.sound else 1
    return 0


def _retrain(arguments: argparse.Namespace) -> int:
    from pytest_lossy.retrain.command import RetrainOptions, retrain

    options = RetrainOptions(
        codec=arguments.codec,
        levels=arguments.levels,
        mix=arguments.mix,
        iterations=arguments.iterations,
        epochs=arguments.epochs,
        seed=arguments.seed,
        patience=arguments.patience,
        device=arguments.device,
        threads=arguments.threads,
        force=arguments.force,
        out=arguments.out,
    )
    retrain(arguments.spec, options, lambda line: print(line, flush=True))
    return 0


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of levels; write 5,10,15") from None


def _budgets(text: str) -> tuple[Budget, ...]:
    from pytest_lossy.analysis.budget import parse_budgets

    try:
        return parse_budgets(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-lossy",
        description="Companion of `pytest --lossy-codec=...`, which tests vision models under lossy compression.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-lossy {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_init(commands)
    schema = commands.add_parser("schema", help="print a JSON Schema, for editors")
    schema.add_argument("name", choices=("spec", "thresholds", "results"))
    schema.set_defaults(run=_schema)
    listing = commands.add_parser("list", help="list codecs, tasks and data sets with their options")
    listing.set_defaults(run=_list)
    report = commands.add_parser("report", help="rebuild index.html, summary.md and results.csv from results.json")
    report.add_argument("results", type=Path, help="a results.json")
    report.add_argument("--output", type=Path, metavar="DIR", help="where to write (default: beside results.json)")
    report.add_argument(
        "--budget",
        type=_budgets,
        default=(),
        metavar="RATE[,RATE]",
        help="show the best codec and level under these: 0.5bpp,300kbps (default: round numbers within the run's rates)",
    )
    report.set_defaults(run=_report)
    merge = commands.add_parser(
        "merge", help="make one report of the shards of a run; status 1 if a gate was missed in any of them"
    )
    merge.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="report folders, one per shard")
    merge.add_argument("--output", type=Path, default=Path("lossy-report"), metavar="DIR", help="default: lossy-report")
    merge.add_argument("--partial", action="store_true", help="accept that shards or cases are missing")
    merge.set_defaults(run=_merge)
    compare = commands.add_parser("compare", help="say what is worse than in an earlier run; status 1 if anything is")
    compare.add_argument("before", help="a report folder, a results.json, or the name of a baseline")
    compare.add_argument("after", help="the same")
    compare.add_argument(
        "--fail", type=_rule, metavar="RULE", help="only such losses: 'miou drop > 1%%' (default: any)"
    )
    compare.add_argument("--all", action="store_true", help="list what did not change, too")
    compare.add_argument("--baselines", type=Path, default=Path(".lossy-baselines"), metavar="DIR")
    compare.set_defaults(run=_compare)
    retrain = commands.add_parser(
        "retrain", help="fine-tune a spec's model on compressed data, beside a control on clean data"
    )
    retrain.add_argument("spec", type=Path, help="a spec with a 'training' section")
    retrain.add_argument("--codec", default="jpeg", metavar="LABEL", help="as in the spec (default: jpeg)")
    retrain.add_argument("--levels", type=_levels, metavar="LEVEL[,LEVEL]", help="default: the spec's")
    retrain.add_argument("--mix", action="store_true", help="one model on all levels instead of one for each")
    length = retrain.add_mutually_exclusive_group()
    length.add_argument("--iterations", type=int, metavar="N", help="default: the spec's")
    length.add_argument("--epochs", type=float, metavar="N")
    retrain.add_argument("--seed", type=int, default=1)
    retrain.add_argument(
        "--patience",
        type=int,
        default=0,
        metavar="N",
        help="stop after N validations without a better one (default: never)",
    )
    retrain.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu); several GPUs by torchrun")
    retrain.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    retrain.add_argument("--force", action="store_true", help="train again what is there already")
    retrain.add_argument("--out", type=Path, metavar="DIR", help="of the new specs and weights (default: the spec's)")
    retrain.set_defaults(run=_retrain)
    add_thresholds(commands)
    cache = commands.add_parser("cache", help="look after the cache of encoded media")
    cache.add_argument("action", choices=("info", "clear", "verify"))
    cache.add_argument("--folder", type=Path, metavar="DIR", help="default: as --lossy-cache")
    cache.add_argument("--older-than", type=float, metavar="DAYS", help="clear: only what was not used for so long")
    cache.add_argument("--codec", metavar="NAME", help="clear: only what this codec encoded")
    cache.set_defaults(run=_cache)
    add_doctor(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 1 where the input is wrong, which is explained on standard error.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except LossyError as error:
        print(f"pytest-lossy: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `pytest-lossy list | head`; keep Python from complaining again while it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
