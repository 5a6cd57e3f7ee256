"""What ``@pytest.mark.lossy_levels`` makes of a test, and what a lossy run keeps of such tests.

The fixtures stand in :mod:`pytest_lossy.plugin`, which pytest loads in every run; this module is imported once a test uses
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_lossy.cases import format_level
from pytest_lossy.codecs.declared import LossyCodec, chosen_levels, declare
from pytest_lossy.errors import CodecError, LossyError
from pytest_lossy.extensions import register_extensions

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.settings import Settings

__all__ = ["LossyCodec", "lossy_codec_of", "parametrise", "register_hooks_for_python", "register_narrowing"]

FIXTURES = ("lossy_codec", "lossy_level")
MARKER = "lossy_levels"


def lossy_codec_of(request: pytest.FixtureRequest) -> LossyCodec:
    """What the fixture ``lossy_codec`` returns."""
    import pytest

    if not isinstance(getattr(request, "param", None), LossyCodec):
        pytest.fail(
            f"{request.node.name} takes a fixture of pytest-lossy, but has no levels; mark it with "
            f'@pytest.mark.{MARKER}(codec="jpeg", levels=[50, 15])',
            pytrace=False,
        )
    codec: LossyCodec = request.param
    return codec


def parametrise(metafunc: pytest.Metafunc) -> None:
    """Give a test that carries ``lossy_levels`` one case per codec and level: markers as they are written, class first.

    Raises:
        pytest.Collector.CollectError: a marker is wrong, or the test takes neither fixture.
    """
    import pytest

    markers = list(metafunc.definition.iter_markers(MARKER))[::-1]
    if not markers:
        return
    problem = None
    cases: dict[str, LossyCodec] = {}
    meanings: dict[str, Mapping[str, Any]] = {}
    try:
        if FIXTURES[0] not in metafunc.fixturenames:
            raise CodecError(f"takes neither {' nor '.join(FIXTURES)}; add one as an argument, or remove the marker")
        register_extensions(metafunc.config)
        settings = _settings_of(metafunc.config)
        for marker in markers:
            found = _cases(marker, settings)
            meaning = meanings.setdefault(found[0].label, found[0].declaration)
            if meaning != found[0].declaration:
                raise CodecError(f"two codecs are called '{found[0].label}'; tell them apart with label=...")
            cases |= {f"{case.label}-{case.codec.parameter}{format_level(case.level)}": case for case in found}
    except LossyError as error:
        problem = str(error)
    if problem is not None:  # outside the handler: pytest would print the handled error, too
        path, line, _ = metafunc.definition.location
        place = f"{path}:{(line or 0) + 1}: {metafunc.definition.originalname}"
        raise pytest.Collector.CollectError(f"{place}: @pytest.mark.{MARKER}: {problem}")
    metafunc.parametrize(
        FIXTURES[0],
        [
            pytest.param(case, id=case_id, marks=pytest.mark.lossy(codec=case.label, level=_marker_level(case.level)))
            for case_id, case in cases.items()
        ],
        indirect=True,
    )


def _marker_level(level: float) -> int | str:
    """``-m 'lossy(level=15)'`` parses whole numbers and text, no fractions."""
    return int(level) if level == int(level) else format_level(level)


def _cases(marker: pytest.Mark, settings: Settings | None) -> list[LossyCodec]:
    """The cases of one marker, mild to severe."""

    def read(codec: str, levels: Any = None, *, label: str = "", **options: Any) -> list[LossyCodec]:
        if not isinstance(codec, str):
            raise CodecError(f'codec {codec!r} is not a name; write codec="jpeg"')
        lossy = declare(label, codec, options)
        grid = chosen_levels(lossy, levels)
        for name in (lossy.name, lossy.label):  # the label has the last word
            flagged = [
                level
                for choice in (settings.levels if settings else ())
                if choice.label == name
                for level in choice.levels
            ]
            grid = chosen_levels(lossy, flagged) if flagged else grid
        return [lossy.at(level) for level in grid]

    if "codec" not in marker.kwargs and not marker.args:
        raise CodecError('names no codec; write codec="jpeg"')
    try:
        return read(*marker.args, **marker.kwargs)
    except TypeError as error:
        raise CodecError(f"{str(error).rpartition('.')[2]}; write codec=..., levels=[...]") from None


def _settings_of(config: pytest.Config) -> Settings | None:
    """What the flags of a lossy run say; None in any other."""
    hooks: Any = config.pluginmanager.get_plugin("lossy-hooks")
    return hooks.run.settings if hooks is not None else None


def register_narrowing(config: pytest.Config) -> None:
    """Called in a lossy run, once its hooks are registered."""
    settings = _settings_of(config)
    if settings is not None and settings.codecs != ("all",):
        config.pluginmanager.register(_Narrowing(settings.codecs), "lossy-narrowing")


def register_hooks_for_python(config: pytest.Config) -> None:
    """Called in a lossy run, once its hooks are registered: what concerns Python tests, and other code's hooks."""
    from pytest_lossy.own_tests.running import OwnTestHooks
    from pytest_lossy.telling import TellingHooks

    hooks: Any = config.pluginmanager.get_plugin("lossy-hooks")
    config.pluginmanager.register(OwnTestHooks(hooks.run), "lossy-own-tests")
    if hooks.run.is_controller:
        config.pluginmanager.register(TellingHooks(config, hooks.run), "lossy-telling")


class _Narrowing:
    """``--lossy-codec=jpeg`` leaves of the tests marked with ``lossy_levels`` the cases of that codec or label."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Called after collection."""
        other = [item for item in items if self._is_other(item)]
        if other:
            chosen = set(map(id, other))
            config.hook.pytest_deselected(items=other)
            items[:] = [item for item in items if id(item) not in chosen]

    def _is_other(self, item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        case = callspec.params.get(FIXTURES[0]) if callspec is not None else None
        return isinstance(case, LossyCodec) and not {case.label, case.name} & set(self.names)
