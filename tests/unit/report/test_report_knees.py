"""Knee and limit in words, in plots and in the table of a run."""

import pytest
from documents import GRIDS, H264, JPEG, analysed, case, curve_of, document, full_document, metric_info, model_info

from pytest_lossy.report.curve_words import bytes_text, curve_notes, curve_sentence, knee_interval, knee_text
from pytest_lossy.report.html import render_html
from pytest_lossy.report.knee_table import knee_rows, published_rows
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.markdown import render_markdown
from pytest_lossy.report.plot import metric_domain, plot_level, plot_rate
from pytest_lossy.report.terminal import terminal_lines
from pytest_lossy.results.document import Estimate, Knee, Limit, Position


def found(codec=JPEG, *, higher=True, changes=None, knee=None, limit=None):
    info = model_info(metrics=[metric_info("miou", higher=higher)])
    rows, curve = curve_of(info, codec, GRIDS[codec.label])
    curve = analysed(curve)
    if knee is not None:
        curve = curve.model_copy(update={"knee": knee})
    if limit is not None:
        curve = curve.model_copy(update={"limit": limit})
    curve = curve.model_copy(update=changes or {})
    held = document(rows, models=[info], codecs=[codec], curves=[curve])
    return held, Lookup(held), curve


def knee_at(value, low=None, high=None, **fields):
    position = Position(level=Estimate(value=value, low=low, high=high), **fields)
    return Knee(metric="miou", status="resolved", tolerance=0.05, position=position)


def limit_at(**fields):
    return Limit(**{"metric": "miou", "status": "found", "requirement": "r", "gated": False, **fields})


def test_the_sentence_has_knee_limit_and_bytes():
    _, lookup, curve = found(
        knee=knee_at(17.28, 14.91, 20.13), limit=limit_at(level=30, byte_share=0.2414), changes={"bytes_of": 95}
    )
    assert (
        curve_sentence(lookup, curve)
        == "Knee at q17.3 [14.9, 20.1]; operating limit q30, at 24.1% of the bytes of q95."
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("not_resolved", "Knee not resolved; operating"),
        ("beyond_range", "No knee within the levels tried; operating"),
        ("undefined", "Knee not defined; operating"),
    ],
)
def test_no_knee_is_an_answer_in_words(status, words):
    knee = Knee(metric="miou", status=status, tolerance=0.05, explanation="The band is 9% wide.")
    held, lookup, curve = found(knee=knee)
    assert curve_sentence(lookup, curve).startswith(words)
    html = render_html(held)
    assert "The band is 9% wide." in html
    assert 'knee-label"' not in html, "no plot marks a knee"


@pytest.mark.parametrize(("status", "words"), [("none", "no level is shown to be safe"), ("undefined", "not defined")])
def test_without_a_limit_the_knee_names_its_bytes(status, words):
    _, lookup, curve = found(
        knee=knee_at(17, byte_share=Estimate(value=0.152)), limit=limit_at(status=status), changes={"bytes_of": 95}
    )
    text = curve_sentence(lookup, curve)
    assert text.startswith("Knee at q17, at 15.2% of the bytes of q95; ")
    assert words in text


def test_an_end_that_replicates_left_open_names_the_last_level():
    _, lookup, curve = found(knee=knee_at(8.0, None, 12.0))
    assert knee_interval(lookup, curve) == "[beyond 5, 12]"
    _, lookup, curve = found(H264, knee=knee_at(48, 45, None))
    assert knee_text(lookup, curve) == "crf48 [45, beyond 51]"


def test_a_share_of_unknown_bytes_is_not_printed():
    _, lookup, curve = found(changes={"bytes_of": None})
    assert bytes_text(lookup, curve, 0.5) == ""
    assert "bytes of" not in curve_sentence(lookup, curve)


def test_curves_without_analysis_say_nothing():
    held, lookup, curve = found(changes={"knee": None, "limit": None})
    assert curve_sentence(lookup, curve) == ""
    assert knee_rows(lookup) == []
    assert "Knees and operating limits" not in render_html(held)


def test_notes_name_requirement_source_next_level_and_tags_that_end_earlier():
    _, lookup, curve = found(limit=limit_at(level=75, requirement="miou at least 0.5", gated=True, ended_by=50))
    text = " ".join(curve_notes(lookup, curve))
    assert "Safe means miou at least 0.5 (from thresholds.yaml)." in text
    assert "q50 is the first level not shown to be safe." in text
    assert "Tags with a milder limit: night (none shown to be safe)." in text
    assert "day" not in text


def drawn(held, curve):
    lookup = Lookup(held)
    domain = metric_domain(lookup, [curve])
    return plot_level(lookup, curve, domain), plot_rate(lookup, curve, domain)


@pytest.mark.parametrize("codec", [JPEG, H264])
@pytest.mark.parametrize("higher", [True, False])
def test_the_knee_lies_between_its_levels_and_at_the_tolerance(codec, higher):
    held, _, curve = found(codec, higher=higher)
    position = curve.knee.position
    for plot, key in zip(drawn(held, curve), ("level", "bpp"), strict=True):
        place = getattr(position, key)
        known = sorted(
            (getattr(point, key), float(mark.x)) for point, mark in zip(curve.points, plot.marks, strict=True)
        )
        below = max(x for value, x in known if value <= place.value)
        above = min(x for value, x in known if value >= place.value)
        assert min(below, above) <= float(plot.knee.x) <= max(below, above)
        left, right = map(float, plot.knee.interval)
        assert left < float(plot.knee.x) < right
        assert plot.knee.closed == (True, True)
        assert plot.knee.y == plot.tolerance.y
        clean = next(mark.y for mark in plot.marks)
        assert (float(plot.knee.y) > float(clean)) == higher, "a drop lies below clean, a grown error above"


def test_open_ends_reach_the_frame():
    held, _, curve = found(knee=knee_at(8.0, None, 12.0))
    level, _ = drawn(held, curve)
    assert level.knee.interval[1] == level.right, "the severe end is on the right"
    assert level.knee.closed == (True, False)
    held, _, curve = found(H264, knee=knee_at(48, 45, None))
    level, _ = drawn(held, curve)
    assert level.knee.interval[1] == level.right
    assert level.knee.closed == (True, False)


def test_places_that_an_axis_lacks_are_not_drawn():
    held, _, curve = found(knee=knee_at(20), limit=limit_at(level=30))
    level, rate = drawn(held, curve)
    assert level.knee is not None
    assert level.limit is not None
    assert rate.knee is None
    assert rate.limit is None


def test_a_place_outside_of_the_frame_is_held_on_it():
    bits = Estimate(value=1e-9, low=0.0, high=1e9)
    held, _, curve = found(knee=knee_at(1000, bpp=bits), limit=limit_at(level=-50, bpp=0.0))
    for plot in drawn(held, curve):
        for x in (plot.knee.x, plot.limit.x, plot.knee.label_x, plot.limit.label_x, *(plot.knee.interval or ())):
            assert float(plot.left) <= float(x) <= float(plot.right)


def test_a_band_without_end_does_not_flatten_the_plot():
    _, lookup, curve = found(higher=False)
    wide = [point.model_copy(update={"band_low": 1e-6}) for point in curve.points]
    grown = metric_domain(lookup, [curve.model_copy(update={"points": wide})])
    plain = metric_domain(lookup, [curve])
    assert grown[1] <= 3 * plain[1]


def test_the_fit_replaces_the_line_and_the_band_is_outlined():
    held, _, curve = found()
    level, _ = drawn(held, curve)
    assert len(level.fits) == 1
    assert len(level.simultaneous) == 2
    bare = curve.model_copy(
        update={"points": [p.model_copy(update={"isotonic": None, "band_low": None}) for p in curve.points]}
    )
    level, _ = drawn(held, bare)
    assert level.fits == level.simultaneous == ()


def test_the_table_has_published_knees_of_its_codecs_alone():
    for codecs, words in ((1, ["q about 15"]), (2, ["q about 15", "crf about 40"])):
        lookup = Lookup(full_document(1, codecs))
        assert [entry.knee for entry in published_rows(lookup, knee_rows(lookup))] == words
    still = H264.model_copy(update={"label": "h264", "name": "h264-intra"})
    held, lookup, _ = found(still)
    assert published_rows(lookup, knee_rows(lookup)) == []
    assert "about 40" not in render_html(held)


def test_models_under_one_codec_stand_together_in_the_table():
    rows = knee_rows(Lookup(full_document(3, 2)))
    assert [row.curve.codec for row in rows] == ["jpeg"] * 3 + ["h264"] * 3
    assert [row.number for row in rows] == [1, 2, 3] * 2


def test_the_summary_has_one_line_per_curve_before_the_tables_of_levels():
    text = render_markdown(full_document(2, 1))
    lines = [line for line in text.splitlines() if line.startswith("| segnet-0 miou")]
    assert len(lines) == 1
    assert "████" in lines[0]
    assert "q27.2" in lines[0]
    assert "of the bytes of q95" in lines[0]
    assert text.index(lines[0]) < text.index("### segnet-0, jpeg")


def test_the_terminal_has_the_sentence_under_each_curve():
    text = "\n".join(line for line, _ in terminal_lines(full_document(1, 2), 120, verbose=False))
    assert text.count("  Knee at ") == 2
    assert "at 33.3% of the bytes of q95." in text


def test_clean_alone_has_no_sentence():
    lines = terminal_lines(document([case(codec="clean")]), 80, verbose=False)
    assert not any("nee" in line for line, _ in lines)
