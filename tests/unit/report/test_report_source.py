"""Levels that are milder than what the sources had been through already."""

import pytest
from documents import GRIDS, H264, JPEG, curve_of, document, model_info

from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.plot import metric_domain, plot_level, plot_rate
from pytest_lossy.results.document import CodecInfo, DataInfo, SourceQuality


def report(quality=None, *, codec=JPEG, levels=GRIDS["jpeg"], samples=58):
    data = DataInfo(name="photographs", samples=samples, source_quality=quality or {})
    info = model_info(data=data)
    rows, curve = curve_of(info, codec, levels)
    return document(rows, models=[info], codecs=[codec], curves=[curve])


def photographs(median, minimum=None, maximum=None, count=58, **changes):
    entry = SourceQuality(
        parameter="q", count=count, minimum=minimum or median, median=median, maximum=maximum or median, **changes
    )
    return {"jpeg": entry}


def drawn(found):
    lookup, (curve,) = Lookup(found), found.curves
    domain = metric_domain(lookup, [curve])
    return lookup, curve, plot_level(lookup, curve, domain), plot_rate(lookup, curve, domain)


def inside(shade, mark):
    return float(shade.x) <= float(mark.x) <= float(shade.x) + float(shade.width)


def test_exactly_the_levels_above_the_sources_quality_are_shaded():
    lookup, curve, *plots = drawn(report(photographs(80)))
    for plot in plots:
        assert [mark.level for mark in plot.marks if inside(plot.shade, mark)] == [95]
        assert [mark.level for mark in plot.marks if "milder than the source" in mark.text] == [95]
        assert plot.shade.x == plot.left
    assert lookup.source_note(curve) == (
        "Shaded: q95 is milder than the source (58 JPEG files of quality 80): what was lost before cannot be seen here."
    )


def test_the_shade_of_the_level_axis_ends_at_the_sources_quality():
    _, _, plot, _ = drawn(report(photographs(65), levels=(75, 55)))
    left, right = (float(mark.x) for mark in plot.marks)
    assert float(plot.shade.edge) == pytest.approx((left + right) / 2, abs=0.02)


def test_a_level_equal_to_the_sources_is_not_milder():
    lookup, curve, plot, _ = drawn(report(photographs(95)))
    assert plot.shade is None
    assert lookup.source_note(curve) is None


def test_where_every_level_is_milder_the_whole_plot_is_shaded():
    _, _, *plots = drawn(report(photographs(1)))
    for plot in plots:
        assert all(inside(plot.shade, mark) for mark in plot.marks)
        assert plot.shade.edge == plot.right


def test_the_note_says_how_the_sources_spread():
    lookup, curve, _, _ = drawn(report(photographs(80, 60, 96, nonstandard=3)))
    assert (
        "(58 JPEG files of quality 80, from 60 to 96 (median), 3 of them by the nearest standard tables)"
        in lookup.source_note(curve)
    )


@pytest.mark.parametrize(("samples", "shaded"), [(116, True), (117, False), (None, True)])
def test_a_minority_of_the_samples_decides_nothing(samples, shaded):
    _, _, plot, _ = drawn(report(photographs(80), samples=samples))
    assert (plot.shade is not None) == shaded


@pytest.mark.parametrize("quality", [None, {"h264": photographs(80)["jpeg"]}])
def test_without_sources_of_the_codec_nothing_is_shaded(quality):
    lookup, curve, plot, rate = drawn(report(quality))
    assert plot.shade is None
    assert rate.shade is None
    assert lookup.source_note(curve) is None
    assert "shade" not in render_html(report(quality)).partition('<svg class="plot"')[2].partition("</svg>")[0]


def test_a_crf_does_not_compare_with_a_bit_rate():
    found = {"h264": SourceQuality(parameter="kbps", count=58, minimum=200, median=900, maximum=1700)}
    _, _, plot, _ = drawn(report(found, codec=H264, levels=GRIDS["h264"]))
    assert plot.shade is None


def test_bit_rates_compare_with_the_codec_at_a_constant_rate():
    found = {"h264": SourceQuality(parameter="kbps", count=58, minimum=200, median=900, maximum=1700)}
    built = build_codec("h264-cbr")
    codec = CodecInfo(
        label="camera",
        name="h264-cbr",
        parameter=built.parameter,
        higher_is_more_compressed=built.levels.higher_is_more_compressed,
        minimum=built.levels.minimum,
        maximum=built.levels.maximum,
    )
    lookup, curve, plot, _ = drawn(report(found, codec=codec, levels=(4000, 1000, 500)))
    assert [mark.level for mark in plot.marks if inside(plot.shade, mark)] == [4000, 1000]
    assert "58 videos of 900 kbit/s" in lookup.source_note(curve)


def test_tables_of_ones_own_give_q_another_meaning():
    for tables, shaded in ((None, True), ("web_high", False)):
        fingerprint = build_codec("jpeg", {"qtables": tables}).fingerprint()
        _, _, plot, _ = drawn(report(photographs(80), codec=JPEG.model_copy(update={"fingerprint": fingerprint})))
        assert (plot.shade is not None) == shaded


def test_another_label_of_the_same_codec_is_shaded_too():
    codec = JPEG.model_copy(update={"label": "jpeg-444"})
    _, _, plot, _ = drawn(report(photographs(80), codec=codec))
    assert plot.shade is not None


def test_the_page_shades_and_says_so():
    page = render_html(report(photographs(80)))
    assert page.count('<g class="shade">') == 2
    assert "q95 is milder than the source (58 JPEG files of quality 80)" in page
    assert page.count('title="milder than the source"') == 1
