"""How time and memory grow with the number of cases: collection, scheduling, assembly, conclusions, report, merge.

    python benchmarks/scale.py [--cases 1000,10000,100000] [--stages run,collect,schedule,finish,merge]

Specs are synthetic: models of eight codecs of ten levels each, one gate and one knee a model. Each stage and size runs in a
fresh interpreter, so that its peak of resident memory is its own. Printed are seconds of the processor (which other load on
the machine disturbs least), microseconds a case, the peak in MB, seconds on the clock with start-up and disk, and, beside
the size before, the exponent p of ``seconds ~ cases ** p``: 1 is linear.

* ``run``: a real run with ``-n 2`` of a model that does nothing, on a data set of two samples; only up to 1,000 cases.
* ``collect``: ``pytest --collect-only``, from reading the specs to the list of items, nothing imported that infers.
* ``schedule``: the scheduler over workers that run nothing, costs of every case included (a model of xdist's protocol).
* ``finish``: what the controller does at the end: rows and replicates from their files to results.json and the pages. The
  rows are synthetic: plausible metrics with intervals, and 200 replicates of 100 units for each case.
* ``merge``: two shards with half of the models each become one report.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CODECS = ("jpeg", "webp", "avif", "jpeg-444", "jpeg-gray", "webp-fast", "jpeg-a", "jpeg-b")
LEVELS = (95, 90, 80, 70, 60, 50, 40, 30, 20, 10)
PER_MODEL = len(CODECS) * len(LEVELS) + 2  # clean, and one knee
STAGES = ("run", "collect", "schedule", "finish", "merge")
REPLICATES = 200
UNITS = 100
WORKERS = 8
RUN_LIMIT = 1_000

SPEC = """\
task: classification
architecture: family-{family}
model: {{callable: './nothing.py:build'}}
data: {{factory: './nothing.py:data', media: stills}}
codecs:
{codecs}
batch_size: 8
"""
NOTHING = """
import numpy as np
from pytest_lossy.data.base import Sample

class Data:
    name, classes = "nothing", ("a", "b")
    def __len__(self): return 2
    def sample_id(self, index): return str(index)
    def group(self, index): return None
    def load(self, index): return Sample(str(index), np.full((8, 8, 3), 90 + index, np.uint8), index)
    def fingerprint(self): return "nothing"

def data():
    return Data()

def build():
    return lambda media, context: [np.array([1.0, 0.0], np.float32) for _ in media]
"""
"""A data set of two tiny pictures and a model that always answers the same."""


def write_suite(folder: Path, cases: int) -> int:
    """Specs of about ``cases`` cases and their thresholds; how many models they are."""
    specs = folder / "model_specs"
    specs.mkdir()
    (specs / "nothing.py").write_text(NOTHING, encoding="utf-8")
    codecs = "\n".join(f"  {label}: {{codec: {_name(label)}, levels: {list(LEVELS)}}}" for label in CODECS)
    models = max(1, round(cases / PER_MODEL))
    rules = ['  "*": {"*": {"*": {primary: {max_drop: 90%}}}}']
    for number in range(models):
        text = SPEC.format(family=number % 7, codecs=codecs)
        (specs / f"m{number:05}.yaml").write_text(text, encoding="utf-8")
        rules.append(f"  m{number:05}: {{clean: {{top1: {{min: 0.1}}}}, jpeg: {{knee: {{no_milder_than: 95}}}}}}")
    (folder / "thresholds.yaml").write_text("version: 1\nmodels:\n" + "\n".join(rules) + "\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nlossy_gallery = 0\n", encoding="utf-8")
    return models


def _name(label: str) -> str:
    return label.partition("-")[0]


# What runs in an interpreter of its own; each prints one line of JSON


class Clock:
    """Processor seconds of named parts, one after the other."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.process_time()

    def note(self, name: str) -> None:
        """End a part."""
        now = time.process_time()
        self.parts[name] = self.parts.get(name, 0.0) + now - self._last
        self._last = now


def peak_mb() -> float:
    """Peak of this process's resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(clock: Clock, **more: Any) -> None:
    """Print what a stage found, for the process that started it."""
    print("FOUND " + json.dumps({"parts": clock.parts, "peak": peak_mb(), **more}), flush=True)


class CollectOnly:
    """A plugin that stops the clock once pytest has its list of items."""

    def __init__(self, clock: Clock, then: Callable[[Any, list[str]], None] | None = None) -> None:
        self.clock, self.then, self.count = clock, then, 0

    def pytest_collection_finish(self, session: Any) -> None:
        """Called once the list is final."""
        self.clock.note("collect")
        self.count = len(session.items)
        if self.then is not None:
            self.then(session.config, [item.nodeid for item in session.items])


def collected(folder: Path, probe: CollectOnly) -> None:
    """Collect the suite in this process."""
    import pytest

    os.chdir(folder)
    status = pytest.main(["--lossy-codec=all", "--collect-only", "-qqq", "-p", "no:cacheprovider"], plugins=[probe])
    assert status == pytest.ExitCode.OK, status


def stage_collect(folder: Path) -> None:
    """Read specs and thresholds, check and plan them, make the items."""
    clock = Clock()
    probe = CollectOnly(clock)
    with _quiet():
        collected(folder, probe)
    report(clock, cases=probe.count)


class Worker:
    """A worker as the scheduler sees it: it begins an item once it holds the next one, or was told to end."""

    def __init__(self, number: int) -> None:
        self.gateway = type("Gateway", (), {"id": f"gw{number}"})
        self.queue: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Called by the scheduler: more items."""
        self.queue += indices

    def shutdown(self) -> None:
        """Called by the scheduler: end after what is queued."""
        self.shutting_down = True


def stage_schedule(folder: Path) -> None:
    """Hand every item to workers that run nothing, in turns."""
    clock = Clock()
    ran = 0

    def schedule(config: Any, node_ids: list[str]) -> None:
        nonlocal ran
        from pytest_lossy.scheduling.distribution import make_scheduler

        clock.parts.clear()
        config.option.tx = ["popen"] * WORKERS
        scheduler = make_scheduler(config.pluginmanager.getplugin("lossy-hooks").run, config, None)
        workers = [Worker(number) for number in range(WORKERS)]
        for worker in workers:
            scheduler.add_node(worker)
            scheduler.add_node_collection(worker, node_ids)
        clock.note("known to the scheduler")
        scheduler.schedule()
        clock.note("costs")
        while not scheduler.tests_finished:
            for worker in workers:
                if len(worker.queue) > 1:
                    ran += 1
                    scheduler.mark_test_complete(worker, worker.queue.pop(0))
        ran += sum(len(worker.queue) for worker in workers)
        clock.note("hand out")

    with _quiet():
        collected(folder, CollectOnly(clock, schedule))
    report(clock, cases=ran)


def stage_finish(folder: Path) -> None:
    """From the files of a run to results.json and the pages."""
    from datetime import UTC, datetime

    from pytest_lossy.assembly import assemble
    from pytest_lossy.conclusions import conclude
    from pytest_lossy.planning import plan_cases, plan_run, read_specs
    from pytest_lossy.report.files import report_files
    from pytest_lossy.results.fingerprints import previous_warnings
    from pytest_lossy.results.report_folder import ReportFolder

    settings = _settings(folder)
    plan = plan_run(settings, read_specs(settings, [], folder, required=True), folder)
    planned = [
        (f"{spec.shown}::{spec.name}::{case.name}", spec, case)
        for spec in plan.specs
        for case in plan_cases(spec, settings, plan.thresholds)
    ]
    clock = Clock()
    report_folder = ReportFolder(folder / "lossy-report")
    document = assemble(
        report_folder.store,
        planned,
        plan,
        settings,
        started=datetime.now(UTC),
        seconds=1.0,
        exit_status=0,
        interrupted=False,
        workers=0,
        command="pytest --lossy-codec=all",
    )
    clock.note("assemble")
    document = conclude(document, report_folder.store, plan.thresholds)
    clock.note("conclude")
    content = document.to_json()
    clock.note("json")
    report_folder.publish("results.json", content)
    sizes = {"results.json": len(content)}
    del content
    clock.note("publish")
    for name, page in report_files(document):
        (folder / "lossy-report" / name).write_bytes(page)
        sizes[name] = len(page)
        clock.note(name)
    previous_warnings(folder / "lossy-report" / "results.json", document)
    clock.note("read again")
    report(clock, cases=len(planned), megabytes={name: round(size / 1e6, 2) for name, size in sizes.items()})


def stage_merge(folder: Path) -> None:
    """Two shards become one report."""
    from pytest_lossy.merging import merge

    clock = Clock()
    document = merge([folder / "part0", folder / "part1"], folder / "merged")
    clock.note("merge")
    report(clock, cases=len(document.cases))


def _quiet() -> Any:
    """Send pytest's words away, but not ours."""
    import contextlib
    import io

    return contextlib.redirect_stdout(io.StringIO())


def _settings(folder: Path) -> Any:
    from dataclasses import replace

    found: list[Any] = []

    class Probe:
        def pytest_collection(self, session: Any) -> bool:
            found.append(session.config.pluginmanager.getplugin("lossy-hooks").run.settings)
            return True

    import pytest

    os.chdir(folder)
    (folder / "one").mkdir(exist_ok=True)
    shutil.copy(folder / "model_specs" / "m00000.yaml", folder / "one" / "m00000.yaml")
    with _quiet():
        pytest.main(["--lossy-codec=all", "--lossy-specs=one", "--collect-only", "-qqq"], plugins=[Probe()])
    return replace(found[0], specs=folder / "model_specs")


# The files of a run that never was


def write_run(folder: Path, store_folder: Path, models: range, seed: int = 1) -> None:
    """Rows, models and replicates as workers leave them, without waiting for the disk."""
    import numpy as np

    from pytest_lossy.cases import Case
    from pytest_lossy.results.document import DataInfo, MetricInfo, ModelInfo

    random = np.random.default_rng(seed)
    for kind in ("rows", "models", "replicates", "started"):
        (store_folder / kind).mkdir(parents=True, exist_ok=True)
    metrics = [
        MetricInfo(name=name, title=name, higher_is_better=name != "ece")
        for name in ("top1", "top5", "mean_class_accuracy", "ece")
    ]
    levels = len(LEVELS)
    kept = 1 - 0.4 * (np.arange(levels) / (levels - 1)) ** 3
    for number in models:
        name = f"m{number:05}"
        clean = Case(name, "classification", "clean")
        base = 0.8 + 0.02 * random.standard_normal(REPLICATES)
        info = ModelInfo(
            name=name,
            spec=f"model_specs/{name}.yaml",
            task="classification",
            architecture=f"family-{number % 7}",
            primary="top1",
            metrics=metrics,
            details={"format": "callable", "weights_sha256": None},
            data=DataInfo(name="nothing", fingerprint="nothing", samples=UNITS, sources={"PNG RGB": UNITS}),
        )
        (store_folder / "models" / f"{name}.json").write_text(info.model_dump_json(), encoding="utf-8")
        _write_case(store_folder, clean, 0.8, base, 1.0, None, random)
        for place, label in enumerate(CODECS):
            for level, share in zip(LEVELS, kept ** (1 + place / 8 + number % 5 / 10), strict=True):
                case = Case(name, "classification", label, _name(label), "q", float(level))
                drawn = base * share + 0.004 * random.standard_normal(REPLICATES)
                _write_case(store_folder, case, 0.8 * float(share), drawn, float(share), 4.0 * level / 95, random)
        knee = Case(name, "classification", "jpeg", "jpeg", "q", None, knee=True)
        _write_row(store_folder, knee, {}, None)


def _write_case(
    folder: Path, case: Any, value: float, drawn: Any, share: float, bpp: float | None, random: Any
) -> None:
    import io

    import numpy as np

    fields = {"low": value - 0.04, "high": value + 0.04}
    if not case.is_clean:
        fields |= {"retention": share, "retention_low": share - 0.02, "retention_high": share + 0.02}
        fields |= {"loss": 0.8 - value, "loss_low": 0.78 - value, "loss_high": 0.82 - value}
    names = ("top1", "top5", "mean_class_accuracy", "ece", "top1[a]", "top1[b]", "top1[c]", "top1[d]")
    _write_row(folder, case, {name: {"value": value, **fields} for name in names}, bpp)
    arrays = {
        "version": np.array(1),
        "metric": np.array(["top1", "ece"], dtype=np.str_),
        "point": np.array([value, value]),
        "replicates": np.stack([drawn, drawn]),
        "units": np.array(UNITS, dtype=np.int64),
        "samples": np.array("all"),
        "tag": np.array([], dtype=np.str_),
        "tag_units": np.array([], dtype=np.int64),
    }
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    (folder / "replicates" / f"{case.slug}.npz").write_bytes(stream.getvalue())


def _write_row(folder: Path, case: Any, metrics: dict[str, Any], bpp: float | None) -> None:
    severe = case.level is not None and case.level < 20
    row: dict[str, Any] = {
        "id": f"model_specs/{case.model}.yaml::{case.model}::{case.name}",
        "model": case.model,
        "task": case.task,
        "codec": case.label,
        "codec_name": case.codec_name,
        "parameter": case.parameter,
        "level": case.level,
        "verdict": "failed" if severe else "passed",
        "outcome": "failed" if severe else "passed",
        "primary": "top1",
        "metrics": metrics,
        "bpp": bpp,
        "psnr": 35.0,
        "samples": UNITS,
        "units": UNITS,
        "seconds": 1.5,
        "fingerprint": "jpeg(pillow=12)",
    }
    if metrics:
        row["gates"] = [
            {
                "metric": "top1",
                "bound": "max_drop",
                "limit": 0.9,
                "quantity": "retention",
                "observed": 0.5,
                "low": 0.4,
                "high": 0.6,
                "required": 0.1,
                "comparison": ">=",
                "verdict": row["verdict"],
                "met": not severe,
                "file": "thresholds.yaml",
                "line": 3,
            }
        ]
    (folder / "rows" / f"{case.slug}.json").write_text(json.dumps(row), encoding="utf-8")


def write_shards(folder: Path, models: int) -> None:
    """Two published reports with half of the models each, through the same code as a run's end."""
    from pytest_lossy.results.reader import read_results

    for part in range(2):
        target = folder / f"part{part}"
        shutil.copytree(folder / "lossy-report", target)
        document = read_results(target / "results.json")
        mine = {f"m{number:05}" for number in range(part, models, 2)}
        planned = [row.id for row in document.cases]
        document = document.model_copy(
            update={
                "cases": [row for row in document.cases if row.model in mine],
                "curves": [],
                "rate_differences": [],
                "resilience": None,
                "models": [model for model in document.models if model.name in mine],
                "run": document.run.model_copy(update={"shard": f"{part + 1}/2", "planned": planned}),
            }
        )
        (target / "results.json").write_bytes(document.to_json())
        for path in (target / "replicates").iterdir():
            if path.name.partition("@")[0] not in mine:
                path.unlink()


# The table


def measure(stage: str, folder: Path) -> dict[str, Any]:
    """One stage in a fresh interpreter."""
    if stage == "run":
        return real_run(folder)
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    if done.returncode or not lines:
        sys.exit(f"{stage} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(lines[-1][6:])
    found["whole"] = time.perf_counter() - started
    return found


def real_run(folder: Path) -> dict[str, Any]:
    """The whole of a run with two workers, as a user starts it."""
    command = [sys.executable, "-m", "pytest", "--lossy-codec=all", "-n2", "-q", "-p", "no:cacheprovider"]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--lossy-no-cache"], cwd=folder, capture_output=True, check=False)
    whole, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    document = json.loads((folder / "lossy-report" / "results.json").read_bytes())
    counts = document["run"]["counts"]
    assert not counts.keys() & {"crashed", "error", "not_run"}, counts
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"parts": {"run": seconds}, "peak": peak, "whole": whole, "cases": len(document["cases"]), "counts": counts}


def rows(sizes: Sequence[int], stages: Sequence[str]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Measure every stage of every size."""
    for cases in sizes:
        with tempfile.TemporaryDirectory(prefix="lossy-scale-") as name:
            folder = Path(name)
            models = write_suite(folder, cases)
            for stage in stages:
                if stage == "run" and cases > RUN_LIMIT:
                    continue
                if stage == "finish":
                    write_run(folder, folder / "lossy-report" / ".run", range(models))
                if stage == "merge":
                    write_shards(folder, models)
                yield stage, cases, measure(stage, folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of everything but inference, by number of cases.")
    parser.add_argument(
        "--cases", default="1000,10000,100000", help="sizes, separated by commas (default: %(default)s)"
    )
    parser.add_argument("--stages", default=",".join(STAGES), help="default: %(default)s; merge needs finish")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        {
            "collect": stage_collect,
            "schedule": stage_schedule,
            "finish": stage_finish,
            "merge": stage_merge,
        }[arguments.stage](arguments.folder)
        return
    before: dict[str, tuple[int, float]] = {}
    print(f"{'stage':10}{'cases':>9}{'seconds':>10}{'us a case':>11}{'peak MB':>9}{'clock':>8}{'exponent':>10}  parts")
    for stage, _, found in rows([int(size) for size in arguments.cases.split(",")], arguments.stages.split(",")):
        seconds, count = sum(found["parts"].values()), found["cases"]
        exponent = ""
        if stage in before and before[stage][0] < count:
            exponent = f"{math.log(seconds / before[stage][1]) / math.log(count / before[stage][0]):.2f}"
        before[stage] = (count, seconds)
        parts = ", ".join(f"{name} {value:.2f}" for name, value in found["parts"].items())
        sizes = "".join(f", {name} {size} MB" for name, size in found.get("megabytes", {}).items())
        print(
            f"{stage:10}{count:9,d}{seconds:10.2f}{1e6 * seconds / count:11.0f}{found['peak']:9.0f}{found['whole']:8.1f}"
            f"{exponent:>10}  "
            f"{parts}{sizes}",
            flush=True,
        )


if __name__ == "__main__":
    main()
