import pytest
from documents import GRIDS, H264, JPEG, case, curve_of, document, gate, metric_info, model_info, value
from edge_documents import EDGES

from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.plot import metric_domain, plot_level, plot_rate
from pytest_lossy.results.document import Curve, CurvePoint


def drawn(found, index=0):
    lookup = Lookup(found)
    curve = found.curves[index]
    domain = metric_domain(lookup, [curve])
    return plot_level(lookup, curve, domain), plot_rate(lookup, curve, domain), domain


@pytest.mark.parametrize("codec", [JPEG, H264])
def test_severe_levels_lie_right_and_better_values_lie_higher(codec):
    rows, curve = curve_of(model_info(), codec, GRIDS[codec.label])
    level, rate, _ = drawn(document(rows, codecs=[codec], curves=[curve]))
    assert rate is not None
    for plot in (level, rate):
        across = [float(mark.x) for mark in plot.marks]
        assert across == sorted(across)
        assert [mark.level for mark in plot.marks] == list(GRIDS[codec.label])
        by_value = sorted(plot.marks, key=lambda mark: mark.value or 0)
        heights = [float(mark.y) for mark in by_value]
        assert heights == sorted(heights, reverse=True)


def test_level_positions_are_linear_in_the_level():
    rows, curve = curve_of(model_info(), JPEG, (95, 55, 15))
    level, _, _ = drawn(document(rows, curves=[curve]))
    left, middle, right = (float(mark.x) for mark in level.marks)
    assert middle == pytest.approx((left + right) / 2, abs=0.02)


@pytest.mark.parametrize("name", sorted(name for name, found in EDGES.items() if found.curves))
def test_everything_lies_inside_the_axes(name):
    found = EDGES[name]
    for index in range(len(found.curves)):
        for plot in drawn(found, index)[:2]:
            if plot is None:
                continue
            for mark in plot.marks:
                assert float(plot.left) <= float(mark.x) <= float(plot.right)
                assert float(plot.top) <= float(mark.y) <= float(plot.bottom)
            for tick in plot.x_ticks:
                assert float(plot.left) <= float(tick.at) <= float(plot.right)
            for tick in plot.y_ticks:
                assert float(plot.top) - 0.01 <= float(tick.at) <= float(plot.bottom) + 0.01


def test_a_line_does_not_bridge_a_missing_level():
    level, _, _ = drawn(EDGES["broken line"])
    assert len(level.lines) == 2
    assert len(level.bands) == 2
    assert [mark.verdict for mark in level.marks][3] == "error"
    assert level.marks[3].y == level.bottom


def test_a_lone_level_shows_its_interval_as_a_whisker():
    level, _, _ = drawn(EDGES["one level"])
    assert not level.lines
    assert not level.bands
    assert level.marks[0].whisker is not None


@pytest.mark.parametrize(
    ("higher", "bound", "quantity", "required", "comparison", "expected"),
    [
        (True, "max_drop", "retention", 0.9, ">=", 0.54),
        (True, "max_loss", "loss", 0.05, "<=", 0.55),
        (True, "min", "value", 0.5, ">=", 0.5),
        (False, "max_drop", "retention", 0.75, ">=", 0.8),
        (False, "max_loss", "loss", 0.05, "<=", 0.65),
        (False, "max", "value", 0.7, "<=", 0.7),
    ],
)
def test_gates_are_drawn_in_the_metrics_own_units(higher, bound, quantity, required, comparison, expected):
    info = model_info(metrics=[metric_info("miou", higher=higher)])
    rule = gate(bound=bound, quantity=quantity, required=required, comparison=comparison)
    row = case(gates=[rule, gate(metric="accuracy")], metrics={"miou": value(0.6, 0.95, higher=higher)})
    point = CurvePoint(level=15, case=row.id, verdict="passed", metric=row.metrics["miou"])
    curve = Curve(model="segnet-mini", codec="jpeg", metric="miou", clean=value(0.6, 1.0), points=[point])
    level, _, domain = drawn(document([row], models=[info], curves=[curve]))
    (mark,) = level.gates
    assert mark.value == pytest.approx(expected)
    assert mark.upwards == higher
    assert domain[0] <= expected <= domain[1]


def test_without_any_rate_there_is_no_rate_plot():
    assert drawn(EDGES["every bound, no clean"])[1] is None


def test_an_error_names_its_direction_on_the_axis():
    level, _, _ = drawn(EDGES["lower is better"])
    assert level.y_title == "abs_rel (m), lower is better"
