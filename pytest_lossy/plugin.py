"""Entry point of the plugin: hooks that pytest calls in every run of every project that has it installed.

Imports nothing but the standard library and light modules of ours: without a lossy flag the plugin must not slow down,
colour or break an ordinary run. With one, :mod:`pytest_lossy.hooks` brings the rest.
"""

from __future__ import annotations

import pytest

from pytest_lossy.options import add_options, is_active

__all__ = ["pytest_addoption", "pytest_configure"]


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
    if is_active(config) and not config.option.help and not config.option.version:
        from pytest_lossy.hooks import activate

        activate(config)
