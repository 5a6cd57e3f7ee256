"""The flags and ini values. Imports nothing: pytest loads this module in every run of every project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["add_options", "is_active"]

DEFAULT_SPECS = "model_specs"
DEFAULT_THRESHOLDS = "thresholds.yaml"
DEFAULT_REPORT = "lossy-report"
DEFAULT_REPLICATES = 1000
DEFAULT_TOLERANCE = "5%"
DEFAULT_MARGIN = "2%"
DEFAULT_BASELINES = ".lossy-baselines"
DEFAULT_SPILL = "2GiB"
DEFAULT_CACHE_SIZE = "10GiB"
DEFAULT_GALLERY = 3


def add_options(parser: pytest.Parser) -> None:
    """Declare the flags and their ini twins."""
    group = parser.getgroup("lossy", "model robustness under lossy compression (pytest-lossy)")
    group.addoption(
        "--lossy-codec",
        action="append",
        metavar="NAME[,NAME]",
        help="run the model specs under these codecs ('all': those that each spec lists); repeatable. The only "
        "flag that turns pytest-lossy on",
    )
    group.addoption(
        "--lossy-level",
        action="append",
        metavar="CODEC:LEVEL[,LEVEL]",
        help="levels instead of the specs', for example jpeg:5,10,15; repeatable",
    )
    group.addoption("--lossy-model", action="append", metavar="GLOB", help="only models whose name matches; repeatable")
    group.addoption("--lossy-task", action="append", metavar="NAME", help="only models of this task; repeatable")
    group.addoption("--lossy-specs", metavar="PATH", help=f"folder of specs, or one spec (default: {DEFAULT_SPECS})")
    group.addoption("--lossy-thresholds", metavar="PATH", help=f"gates (default: {DEFAULT_THRESHOLDS})")
    group.addoption(
        "--lossy-samples",
        metavar="N",
        help="only the first N samples of a fixed shuffle: a smoke run, marked as such",
    )
    group.addoption(
        "--lossy-device",
        metavar="DEVICE",
        help="auto, cpu, cuda or cuda:0, or a list that workers take turns in (default: auto, a GPU where there is one)",
    )
    group.addoption(
        "--lossy-reference",
        metavar="WHAT",
        help="labels, or clean: label-free, agreement with the model's own prediction for the clean sample (default: as "
        "the spec says, else labels where the data has them)",
    )
    group.addoption("--lossy-report", metavar="DIR", help=f"where results go (default: {DEFAULT_REPORT})")
    group.addoption("--lossy-replicates", metavar="B", help=f"bootstrap replicates (default: {DEFAULT_REPLICATES})")
    group.addoption(
        "--lossy-tolerance",
        metavar="SHARE",
        # argparse formats help texts: the second % keeps the first
        help=f"the share of the clean metric that a model may lose before its knee (default: {DEFAULT_TOLERANCE}%)",
    )
    group.addoption(
        "--lossy-knee",
        action="store_true",
        default=False,
        help="instead of a case for every level, find the knee and the operating limit of each curve by bisection, between "
        "the mildest and the most severe level of the spec or of --lossy-level",
    )
    group.addoption(
        "--lossy-gallery",
        metavar="N",
        help="samples that the report shows of the most severe and of the middle level of each curve, at most, and 10 N of "
        f"the whole run; 0 for none (default: {DEFAULT_GALLERY})",
    )
    group.addoption(
        "--lossy-cache",
        metavar="DIR",
        help="where encoded media are kept between runs (default: the platform's cache folder)",
    )
    group.addoption(
        "--lossy-cache-size",
        metavar="SIZE",
        help=f"the least recently used of them are removed beyond this size (default: {DEFAULT_CACHE_SIZE})",
    )
    group.addoption(
        "--lossy-no-cache",
        action="store_true",
        default=None,
        help="encode everything again, and keep nothing",
    )
    group.addoption(
        "--lossy-spill",
        metavar="SIZE",
        help=f"disk for decoded sources during the run, 0 for none (default: {DEFAULT_SPILL})",
    )
    group.addoption(
        "--lossy-resume",
        action="store_true",
        default=None,
        help="take over what the run before had measured, where its inputs were the same, and judge it again",
    )
    group.addoption(
        "--lossy-shard",
        metavar="I/N",
        help="this machine's share of the curves, such as 1/4; 'pytest-lossy merge' makes one report of all shares",
    )
    group.addoption(
        "--lossy-save",
        metavar="NAME",
        help=f"keep this run's numbers as a baseline of that name (in {DEFAULT_BASELINES}/, or lossy_baselines)",
    )
    group.addoption(
        "--lossy-compare",
        metavar="REF",
        help="compare with a baseline: a name, a report folder or results.json, or 'last' for what this run replaces",
    )
    group.addoption(
        "--lossy-compare-fail",
        metavar="RULE",
        help="fail where a case is worse for certain, and by more than 'miou drop > 1%%' or 'primary loss > 0.01' says",
    )
    group.addoption(
        "--lossy-update",
        action="store_true",
        default=False,
        help="write gates from what this run measures, a margin beyond the intervals, for the cases that ran; old "
        "ones fail nothing",
    )
    group.addoption(
        "--lossy-update-new-only",
        action="store_true",
        default=False,
        help="the same, only for cases that have no gate",
    )
    group.addoption(
        "--lossy-margin",
        metavar="SHARE",
        help=f"how far beyond the interval new gates lie, as a share of the metric (default: {DEFAULT_MARGIN}%)",
    )
    group.addoption(
        "--lossy-engine",
        metavar="NAME",
        help="local, or ray: spread the cases over a Ray cluster (default: local)",
    )
    group.addoption(
        "--lossy-ray-address",
        metavar="ADDRESS",
        help="of the cluster: auto, host:port or ray://host:port (default: $RAY_ADDRESS, else one of this machine alone)",
    )
    group.addoption(
        "--lossy-ray-workers",
        metavar="N",
        help="how many workers to ask Ray for (default: one per selected case, as far as the cluster has room)",
    )
    group.addoption("--lossy-ray-cpus", metavar="N", help="CPUs that a worker asks for and keeps busy (default: 1)")
    group.addoption(
        "--lossy-ray-gpus",
        metavar="SHARE",
        help="GPUs that a worker asks for, at most 1, such as 0.5 (default: 1 where the device is a GPU)",
    )
    group.addoption(
        "--lossy-ray-env",
        action="append",
        metavar="NAME[,NAME]",
        help="environment variables that workers get from here, such as DATA_ROOT; repeatable",
    )
    group.addoption(
        "--lossy-ray-exclude",
        action="append",
        metavar="GLOB",
        help="paths below the root directory that are not shipped to the cluster, such as data: its machines read them "
        "where they lie; repeatable",
    )
    group.addoption(
        "--lossy-strict",
        action="store_true",
        default=None,
        help="a case without a gate, or an inconclusive one, fails",
    )
    for name, text in (
        ("specs", "default of --lossy-specs"),
        ("thresholds", "default of --lossy-thresholds"),
        ("device", "default of --lossy-device"),
        ("reference", "default of --lossy-reference"),
        ("report", "default of --lossy-report"),
        ("replicates", "default of --lossy-replicates"),
        ("tolerance", "default of --lossy-tolerance"),
        ("gallery", "default of --lossy-gallery"),
        ("margin", "default of --lossy-margin"),
        ("cache", "default of --lossy-cache"),
        ("cache_size", "default of --lossy-cache-size"),
        ("spill", "default of --lossy-spill"),
        ("engine", "default of --lossy-engine"),
        ("ray_address", "default of --lossy-ray-address"),
        ("ray_workers", "default of --lossy-ray-workers"),
        ("ray_cpus", "default of --lossy-ray-cpus"),
        ("ray_gpus", "default of --lossy-ray-gpus"),
        ("ray_env", "default of --lossy-ray-env, separated by blanks"),
        ("ray_exclude", "default of --lossy-ray-exclude, separated by blanks"),
        ("baselines", f"where --lossy-save keeps baselines (default: {DEFAULT_BASELINES})"),
    ):
        parser.addini(f"lossy_{name}", text, type="string", default="")
    parser.addini("lossy_no_cache", "default of --lossy-no-cache", type="bool", default=False)
    parser.addini("lossy_strict", "default of --lossy-strict", type="bool", default=False)


def is_active(config: pytest.Config) -> bool:
    """Whether the one flag that turns pytest-lossy on was given."""
    return bool(config.getoption("lossy_codec", None))
