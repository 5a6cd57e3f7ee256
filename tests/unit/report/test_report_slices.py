"""Classes and tags of a whole run, ranked by what their intervals leave no doubt of."""

from documents import JPEG, analysed, case, curve_of, document, full_document, model_info, value

from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.slice_ranking import rank_slices
from pytest_lossy.results.document import Curve, CurvePoint, MetricValue


def ranked(metrics, most=30, **changes):
    rows = [case(level=5, metrics=metrics), case(level=95, metrics={"miou": value(0.6, 1.0)})]
    points = [
        CurvePoint(level=row.level or 0, case=row.id, verdict="passed", metric=row.metrics["miou"]) for row in rows
    ]
    curve = Curve(model="segnet-mini", codec="jpeg", metric="miou", points=points, **changes)
    return rank_slices(Lookup(document(rows, curves=[curve])), most)


def test_a_noisy_slice_does_not_lead_and_other_metrics_stay_out():
    noisy = value(0.5, 0.4).model_copy(update={"retention_low": 0.0, "retention_high": 1.1})
    found = ranked(
        {
            "miou": value(0.6, 0.8),
            "miou[sure]": value(0.5, 0.6),
            "miou[noisy]": noisy,
            "miou{night}": value(0.5, 0.5),
            "miou[unknown]": MetricValue(value=0.1),
            "accuracy[sure]": value(0.5, 0.1),
        }
    )
    assert [row.name for row in found.rows] == ["night", "sure", "noisy"]
    assert [row.tag for row in found.rows] == [True, False, False]
    assert {row.level for row in found.rows} == {"q5"}
    assert found.rows[0].whole is not None


def test_the_list_is_bounded_and_says_of_how_many():
    found = ranked({"miou": value(0.6, 0.8), **{f"miou[{n}]": value(0.5, 0.6) for n in range(50)}}, most=7)
    assert (len(found.rows), found.total) == (7, 50)
    html = render_html(full_document(5))
    assert "The first 30 of 48 slices" in html
    assert html.index('id="retention"') < html.index('id="slices"') < html.index('id="cases"')


def test_the_slice_is_also_shown_at_the_operating_limit():
    rows, curve = curve_of(model_info(), JPEG, (95, 50, 20, 5))
    curve = analysed(curve)
    (first, *_) = rank_slices(Lookup(document(rows, curves=[curve]))).rows
    assert first.limit == f"q{curve.limit.level:g}"
    assert first.at_limit is not None
    assert first.at_limit.retention > first.value.retention


def test_no_slices_no_section():
    assert 'id="slices"' not in render_html(document([case(metrics={"miou": value(0.6, 0.9)})]))
