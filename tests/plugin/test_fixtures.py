"""``lossy_codec`` and ``lossy_level`` in hand-written tests, with and without a lossy flag."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis.core  # noqa: F401  hypothesis' plugin would import it in each inner run, and pytester forget it each time
import pytest

import pytest_lossy.codecs.chain
import pytest_lossy.codecs.jpeg
import pytest_lossy.models.given
import pytest_lossy.own_tests.evaluation
import pytest_lossy.strategies
import pytest_lossy.transforms  # noqa: F401
from pytest_lossy.codecs.declared import LossyCodec, codec_choices
from tests.plugin.conftest import Run, verdicts

HEAD = """
import io
import numpy as np
import pytest
from PIL import Image

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
CLIP = np.stack([IMAGE, IMAGE[::-1], IMAGE])
"""


def ids(pytester: pytest.Pytester, *flags: str) -> list[str]:
    """What a collection lists, without the file's name."""
    result = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:randomly", *flags)
    return [line.rpartition("::")[2] for line in result.outlines if "::" in line]


def collection_error(pytester: pytest.Pytester, marker: str, arguments: str = "lossy_codec") -> str:
    """The message of a bad marker; checks that it has a place and no traceback."""
    path = pytester.makepyfile(f"import pytest\n\n{marker}\ndef test_it({arguments}): pass\n\ndef test_other(): pass\n")
    result = pytester.runpytest_inprocess("-p", "no:randomly")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = [line for line in result.outlines if f"{path.name}:3: test_it: @pytest.mark.lossy_levels: " in line]
    assert lines, result.outlines
    assert not [line for line in result.outlines if "Traceback" in line or "pytest_lossy" in line]
    return lines[0].partition("lossy_levels: ")[2]


@pytest.fixture(params=[(), ("-n2",)], ids=["in-process", "two-workers"])
def ordinary(request: pytest.FixtureRequest, pytester: pytest.Pytester):
    """Run pytest without a lossy flag."""
    common = ("-p", "no:randomly", "-p", "no:cacheprovider", "--strict-markers", "-v")
    return lambda: (pytester.runpytest_subprocess if request.param else pytester.runpytest_inprocess)(
        *request.param, *common
    )


def test_a_marked_test_runs_once_per_level(ordinary, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.lossy_levels(codec="jpeg", levels=[15, 50])
def test_it(lossy_codec, lossy_level):
    stream = io.BytesIO()
    Image.fromarray(IMAGE).save(stream, "JPEG", quality=lossy_level)
    assert np.array_equal(lossy_codec(IMAGE), Image.open(stream))
    assert (lossy_codec.name, lossy_codec.level) == ("jpeg", lossy_level)
    assert type(lossy_level) is int
"""
    )
    result = ordinary()
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines_random([r".*test_it\[jpeg-q50\]", r".*test_it\[jpeg-q15\]"])
    result.stdout.no_fnmatch_line("*lossy-report*")


def test_several_markers_are_several_codecs_and_the_default_grid_is_the_codecs_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

@pytest.mark.lossy_levels(codec="jpeg", levels=(15, 50, 15))
@pytest.mark.lossy_levels("h264", 40)
@pytest.mark.lossy_levels("jxl", [1.5])
class TestAll:
    @pytest.mark.lossy_levels(codec="jpeg", subsampling="4:4:4", label="jpeg-444", levels=[30])
    def test_it(self, lossy_level): pass

@pytest.mark.lossy_levels(codec="webp")
def test_grid(lossy_codec): pass
"""
    )
    from pytest_lossy.codecs.webp import WebpCodec

    shown = [name.partition("[")[2].rstrip("]") for name in ids(pytester)]
    assert shown == ["jpeg-q50", "jpeg-q15", "h264-crf40", "jxl-distance1.5", "jpeg-444-q30"] + [
        f"webp-q{level:g}" for level in WebpCodec.levels.default
    ]


def test_options_and_media(ordinary, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.lossy_levels(codec="jpeg", subsampling="4:4:4", levels=[90])
def test_options(lossy_codec):
    stream = io.BytesIO()
    Image.fromarray(IMAGE).save(stream, "JPEG", quality=90, subsampling="4:4:4")
    assert lossy_codec.encode(IMAGE).data == stream.getvalue()

@pytest.mark.lossy_levels(codec="jpeg", levels=[20])
@pytest.mark.lossy_levels(codec="h264", levels=[30])
@pytest.mark.lossy_levels(codec="frame-drop", levels=[50])
def test_media(lossy_codec):
    for media in (IMAGE, CLIP):
        result = lossy_codec.round_trip(media)
        assert result.media.shape == media.shape
        assert result.payload_bits > 0
        assert np.array_equal(lossy_codec(media), result.media)

@pytest.mark.lossy_levels(codec="h264", levels=[40], gop=5)
def test_still(lossy_codec):
    from pytest_lossy.codecs.registry import build_codec
    twin = build_codec("h264-intra")
    assert np.array_equal(lossy_codec(IMAGE), twin.decode(twin.encode(IMAGE, 40)))
    encoded = lossy_codec.encode(CLIP, 20)
    assert np.array_equal(lossy_codec.decode(encoded), lossy_codec(CLIP, 20))
    assert np.array_equal(lossy_codec.decode(lossy_codec.encode(IMAGE)), lossy_codec(IMAGE))
"""
    )
    ordinary().assert_outcomes(passed=5)


def test_other_fixtures_may_use_the_codec(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        HEAD
        + """
@pytest.fixture
def image(lossy_codec):
    return lossy_codec(IMAGE)

@pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15])
@pytest.mark.parametrize("flip", [False, True])
def test_it(image, flip):
    assert image.shape == IMAGE.shape
"""
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=4)


def test_keywords_and_marks_select_cases(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

@pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15])
@pytest.mark.lossy_levels(codec="webp", levels=[15])
def test_it(lossy_codec): pass

def test_other(): pass
"""
    )
    assert ids(pytester, "-k", "q15") == ["test_it[jpeg-q15]", "test_it[webp-q15]"]
    assert ids(pytester, "-m", 'lossy(codec="jpeg", level=15)') == ["test_it[jpeg-q15]"]
    assert ids(pytester, "-m", "lossy_levels") == ["test_it[jpeg-q50]", "test_it[jpeg-q15]", "test_it[webp-q15]"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('codec="jpg"', "unknown codec 'jpg'; did you mean 'jpeg'?"),
        ('codec="jpeg", levels=[0]', "jpeg: level 0 is outside 1..100; choose from 1..100"),
        ('codec="jpeg", levels=[15.5]', "jpeg: level 15.5 is not a whole number; choose from 1..100"),
        ('codec="jpeg", levels=["50"]', "jpeg: level '50' is not a number; choose from 1..100"),
        ('codec="jpeg", levels=[float("nan")]', "jpeg: level nan is outside 1..100; choose from 1..100"),
        ('codec="jpeg", levels=[]', "jpeg: levels are empty; name some, or leave them out for the default grid"),
        ('codec="jpeg", level=[50]', "codec 'jpeg': unknown option 'level'; did you mean 'levels'?"),
        ('codec="jpeg", subsampling="4:1:1"', "codec 'jpeg': subsampling: *"),
        ("levels=[50]", 'names no codec; write codec="jpeg"'),
        ("codec=5", 'codec 5 is not a name; write codec="jpeg"'),
        ('"jpeg", [50], 3', "*positional arguments*"),
        ('codec="jpeg", label="a b"', "label 'a b' does not match *"),
        ('codec="chain"', "codec 'chain': steps: Field required"),
        ('codec="no_such_module:Codec"', "cannot import 'no_such_module' *"),
    ],
)
def test_a_bad_marker_is_an_error_at_collection(pytester: pytest.Pytester, marker: str, message: str) -> None:
    from fnmatch import fnmatchcase

    found = collection_error(pytester, f"@pytest.mark.lossy_levels({marker})")
    assert fnmatchcase(found, message.replace("[", "[[]")), found


def test_bare_markers_and_tests_without_the_fixture(pytester: pytest.Pytester) -> None:
    assert collection_error(pytester, "@pytest.mark.lossy_levels").startswith("names no codec")
    found = collection_error(pytester, '@pytest.mark.lossy_levels(codec="jpeg")', arguments="")
    assert found == "takes neither lossy_codec nor lossy_level; add one as an argument, or remove the marker"


def test_two_codecs_of_one_name_need_labels(pytester: pytest.Pytester) -> None:
    marker = '@pytest.mark.lossy_levels(codec="jpeg", subsampling="4:4:4", levels=[30])'
    path = pytester.makepyfile(
        f'import pytest\n@pytest.mark.lossy_levels("jpeg")\n{marker}\ndef test_it(lossy_codec): pass'
    )
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines([f"*{path.name}:2: *two codecs are called 'jpeg'; tell them apart with label=..."])


def test_a_mark_of_a_module_leaves_tests_without_the_fixture_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

pytestmark = pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15])

def test_it(lossy_level): pass
def test_other(): pass
"""
    )
    assert ids(pytester) == ["test_it[jpeg-q50]", "test_it[jpeg-q15]", "test_other"]


def test_the_fixture_without_a_marker_names_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(lossy_level): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*test_it takes a fixture of pytest-lossy, but has no levels; mark it with @pytest.mark*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_fixtures_of_the_users_own_win(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

@pytest.fixture
def lossy_codec():
    return 7

def test_it(lossy_codec):
    assert lossy_codec == 7
"""
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_pytest_lists_fixtures_and_marker(pytester: pytest.Pytester) -> None:
    pytester.runpytest_inprocess("--fixtures").stdout.fnmatch_lines(["lossy_codec -- *", "lossy_level -- *"])
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.lossy_levels(codec, levels=None*"])


def test_an_ordinary_test_does_not_import_codecs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test_it(): assert 'pytest_lossy.fixtures' not in sys.modules")
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_fixtures_do_not_import_torch(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import sys
import pytest

@pytest.mark.lossy_levels(codec="jpeg", levels=[50])
def test_it(lossy_codec):
    assert not {"torch", "hypothesis.strategies", "av"} & set(sys.modules)
"""
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)


MARKED = """
import pytest

@pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15])
@pytest.mark.lossy_levels(codec="jpeg", subsampling="4:4:4", label="fine", levels=[50])
@pytest.mark.lossy_levels(codec="webp", levels=[50])
def test_it(lossy_codec): pass

def test_other(): pass
"""


def test_a_lossy_run_narrows_marked_tests_to_its_codecs(run: Run, suite: pytest.Pytester) -> None:
    suite.makepyfile(MARKED)
    result = run("--lossy-codec=jpeg", "-v")
    result.assert_outcomes(passed=4 + 3)  # clean and three levels of the spec; q50, q15 and fine-q50
    result.stdout.no_fnmatch_line("*webp*")
    assert list(verdicts(suite)) == ["clean", "jpeg-q90", "jpeg-q50", "jpeg-q5"]


def test_which_cases_a_lossy_run_keeps(suite: pytest.Pytester) -> None:
    path = suite.makepyfile(MARKED)

    def kept(*flags: str) -> list[str]:
        return [name for name in ids(suite, *flags) if name.startswith("test_")]

    everything = ["test_it[jpeg-q50]", "test_it[jpeg-q15]", "test_it[fine-q50]", "test_it[webp-q50]"]
    assert kept("--lossy-codec=all") == everything
    assert kept("--lossy-codec=webp") == everything[3:]
    assert kept("--lossy-codec=jpeg", str(path)) == [*everything[:3], "test_other"]
    assert kept("--lossy-codec=hevc") == []
    flags = ("--lossy-codec=jpeg,webp", "--lossy-level=jpeg:7,80")
    assert kept(*flags) == [
        "test_it[jpeg-q80]",
        "test_it[jpeg-q7]",
        "test_it[fine-q80]",
        "test_it[fine-q7]",
        everything[3],
    ]


def test_a_deselected_case_is_counted(suite: pytest.Pytester) -> None:
    suite.makepyfile(MARKED)
    result = suite.runpytest_inprocess("--lossy-codec=webp", "--collect-only", "-q", "-p", "no:randomly")
    result.stdout.fnmatch_lines(["*4 deselected*"])  # three of test_it, and test_other


def test_a_codec_says_what_it_cannot_take() -> None:
    import numpy as np

    from pytest_lossy.errors import CodecError

    jpeg = LossyCodec.build("jpeg", 50)
    for wrong in (np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), [1]):
        with pytest.raises(CodecError, match=r"jpeg: needs a numpy array of uint8, \(H, W, 3\) .* got .*; convert"):
            jpeg(wrong)  # type: ignore[arg-type]
    with pytest.raises(CodecError, match=r"level 0 is outside 1..100"):
        jpeg(np.zeros((8, 8, 3), np.uint8), 0)
    with pytest.raises(CodecError, match=r"h264-cbr: compresses clips alone, .* choose 'h264-intra'"):
        LossyCodec.build("h264-cbr", 500)(np.zeros((8, 8, 3), np.uint8))


def test_declarations_of_codecs_and_levels() -> None:
    from pytest_lossy.errors import LossyError

    (jpeg, fine, h264) = codec_choices(
        {"jpeg": (95, 10), "fine": {"codec": "jpeg", "subsampling": "4:4:4", "levels": [15, 50]}, "h264": None}
    )
    assert (jpeg.bounds, jpeg.lossy.level) == ((10, 95), 95)
    assert (fine.bounds, fine.levels, fine.lossy.name, fine.lossy.label) == (None, (50, 15), "jpeg", "fine")
    assert (h264.levels, h264.lossy.level) == (h264.lossy.codec.levels.default, 23)
    assert [choice.lossy.label for choice in codec_choices(["webp", "jpeg"])] == ["webp", "jpeg"]
    assert codec_choices("jpeg")[0].levels == jpeg.lossy.codec.levels.default
    for wrong, message in (
        ({"jpeg": (1, 2, 3)}, "a tuple is a range of two levels"),
        ({"jpeg": (0, 50)}, "level 0 is outside"),
        ({}, "no codec is declared"),
        ("jpgg", "did you mean 'jpeg'"),
    ):
        with pytest.raises(LossyError, match=message):
            codec_choices(wrong)  # type: ignore[arg-type]


def test_the_examples_of_the_documentation_run(pytester: pytest.Pytester) -> None:
    text = (Path(__file__).parents[2] / "docs" / "own-tests.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 6
    pytester.makepyfile(**{f"test_block_{number}": block for number, block in enumerate(blocks)})
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "-v", "-s", "--strict-markers")
    result.assert_outcomes(passed=2 + 4 + 3 + 1)
    names = ("clean", "jpeg-q50", "jpeg-q15", "webp-q20", "h264-crf35")
    result.stdout.fnmatch_lines_random([f"*[[]{name}] PASSED*" for name in names])
    result.stdout.re_match_lines_random([r".*LossyCodec\('jpeg', q=\d+\)"])
