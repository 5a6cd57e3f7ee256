"""Entry point of the plugin: hooks that pytest calls in every run of every project that has it installed.

Imports nothing but the standard library and light modules of ours: without a lossy flag the plugin must not slow down,
colour or break an ordinary run. With one, :mod:`pytest_lossy.hooks` brings the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_lossy.options import add_options, is_active

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_lossy.fixtures import LossyCodec
    from pytest_lossy.own_tests.evaluation import Lossy
    from pytest_lossy.own_tests.result import LossyResult

__all__ = [
    "lossy",
    "lossy_codec",
    "lossy_level",
    "lossy_result",
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_xdist_auto_num_workers",
]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Called when this plugin is registered: declare the hooks that other code may implement."""
    from pytest_lossy import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called once at start-up: declare flags and ini values."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Called once options are known, on the controller and in each worker."""
    config.addinivalue_line(
        "markers",
        "lossy(model, task, codec, level): set on every case of pytest-lossy, for -m 'lossy(codec=\"jpeg\")'; a Python "
        "test that carries it runs beside them",
    )
    config.addinivalue_line(
        "markers",
        "lossy_levels(codec, levels=None, *, label=None, **options): run a test that takes lossy_codec or lossy_level once "
        "per level (default: the codec's own grid); several markers are several codecs",
    )
    config.addinivalue_line(
        "markers",
        "lossy_spec(*, model, data, task, codec, level=None, name=None, ...): declare a spec in Python and run the test, "
        "which may take lossy_result, once for clean data and once per codec and level",
    )
    if is_active(config) and not config.option.help and not config.option.version:
        from pytest_lossy.extensions import register_extensions
        from pytest_lossy.fixtures import register_hooks_for_python, register_narrowing
        from pytest_lossy.hooks import activate

        register_extensions(config)
        activate(config)
        register_narrowing(config)
        register_hooks_for_python(config)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Called by xdist for ``-n auto``, before pytest_configure; None leaves the answer to xdist."""
    if not is_active(config) or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    from pytest_lossy.hooks import workers_of_auto

    return workers_of_auto(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Called for every test function that is collected: anything slow here slows every project's collection."""
    if "lossy_codec" in metafunc.fixturenames or any(
        mark.name == "lossy_levels" for mark in metafunc.definition.own_markers
    ):
        from pytest_lossy.fixtures import parametrise

        parametrise(metafunc)
    if "lossy_result" in metafunc.fixturenames or any(
        mark.name == "lossy_spec" for mark in metafunc.definition.own_markers
    ):
        from pytest_lossy.own_tests.marker import parametrise_spec

        parametrise_spec(metafunc)


@pytest.fixture
def lossy(request: pytest.FixtureRequest) -> Iterator[Lossy]:
    """Evaluates a model under compression: lossy.evaluate(model, data, task="segmentation", codec="jpeg", level=15)."""
    from pytest_lossy.own_tests.evaluation import evaluator

    with evaluator(request) as tool:
        yield tool


@pytest.fixture
def lossy_result(request: pytest.FixtureRequest) -> LossyResult:
    """What a case of @pytest.mark.lossy_spec(...) measured: lossy_result["miou"], lossy_result.retention("miou")."""
    from pytest_lossy.own_tests.marker import result_of

    return result_of(request)


@pytest.fixture
def lossy_codec(request: pytest.FixtureRequest) -> LossyCodec:
    """A codec at a level of @pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15]); call it with an image or a clip."""
    from pytest_lossy.fixtures import lossy_codec_of

    return lossy_codec_of(request)


@pytest.fixture
def lossy_level(lossy_codec: LossyCodec) -> float:
    """The level of lossy_codec, a whole number where the codec's levels are."""
    return lossy_codec.level
