"""Knees, limits and bands lie where the document says: coordinates are read back through the plots' own axes."""

import math

import pytest
from documents import full_document

pytestmark = pytest.mark.browser

READ = """
const [scope, number] = arguments;
const plot = document.getElementById('curve-' + number).closest('.figure').querySelector(scope + ' svg.plot');
const centre = e => { const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; };
const path = e => {
  const to = e.getScreenCTM();
  return (e.getAttribute('d').match(/-?[0-9.]+/g) || []).map(Number).reduce((all, n, i, list) => {
    if (i % 2) { const p = new DOMPoint(list[i - 1], n).matrixTransform(to); all.push([p.x, p.y]); }
    return all;
  }, []);
};
const box = s => { const e = plot.querySelector(s); if (!e) return null;
  const b = e.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; };
const text = s => (plot.querySelector(s) || {}).textContent || null;
return {
  x: [...plot.querySelectorAll('.tick.x')].map(e => [parseFloat(e.textContent), centre(e)[0]]),
  y: [...plot.querySelectorAll('.tick.y')].map(e => [parseFloat(e.textContent), centre(e)[1]]),
  interval: [...plot.querySelectorAll('.band')].map(path),
  simultaneous: [...plot.querySelectorAll('.simultaneous')].map(path),
  fit: [...plot.querySelectorAll('.fit')].map(path),
  knee: box('.knee .point'), reach: box('.knee .reach'), limit: box('.limit .stem'), safe: box('.limit .safe'),
  kneeLabel: text('.knee-label'), limitLabel: text('.limit-label'), frame: box('.frame'),
  gates: [...plot.querySelectorAll('.gate')].map(e => [+e.dataset.value, path(e.querySelector('path'))[0][1]]),
  labels: ['.knee-label', '.limit-label', '.clean-text'].map(box),
};
"""


def axis(ticks, change=lambda value: value):
    (v0, p0), (v1, p1) = ticks[0], ticks[-1]
    slope = (p1 - p0) / (change(v1) - change(v0))
    return lambda value: p0 + (change(value) - change(v0)) * slope


def in_metric_units(curve, retention, higher):
    return curve.clean.value * retention if higher else curve.clean.value / retention


@pytest.mark.parametrize("scope", [".by-level", ".by-rate"])
def test_bands_fit_knee_limit_and_gates_lie_where_the_document_says(show, scope):
    document = full_document(4, 2)
    browser = show(document)
    if scope == ".by-rate":
        browser.find_element("id", "axis-rate").click()
    resolved = 0
    for number, curve in enumerate(document.curves, 1):
        higher = curve.metric == "miou"
        found = browser.execute_script(READ, scope, number)
        down = axis(found["y"])
        across = axis(found["x"]) if scope == ".by-level" else axis(found["x"], math.log10)
        places = [across(point.level if scope == ".by-level" else point.bpp) for point in curve.points]

        (outline,) = found["interval"]
        upper, lower = outline[: len(places)], outline[len(places) :][::-1]
        for (x, high), (_, low), place, point in zip(upper, lower, places, curve.points, strict=True):
            assert x == pytest.approx(place, abs=1.5)
            assert (high, low) == pytest.approx((down(point.metric.high), down(point.metric.low)), abs=1.5)

        wanted = [
            [down(in_metric_units(curve, getattr(point, end), higher)) for point in curve.points]
            for end in ("band_low", "band_high")
        ]
        drawn = [[y for _, y in edge] for edge in found["simultaneous"]]
        for edge in wanted:
            assert any(edge == pytest.approx(other, abs=1.5) for other in drawn), (curve.model, curve.codec)
        (fit,) = found["fit"]
        assert [y for _, y in fit] == pytest.approx(
            [down(in_metric_units(curve, point.isotonic, higher)) for point in curve.points], abs=1.5
        )

        position, limit = curve.knee.position, curve.limit
        if position is None:
            assert found["knee"] is None
        else:
            resolved += 1
            place = position.level if scope == ".by-level" else position.bpp
            left, right, top, bottom = found["knee"]
            assert (left + right) / 2 == pytest.approx(across(place.value), abs=1.5)
            height = in_metric_units(curve, 1 - curve.knee.tolerance, higher)
            assert (top + bottom) / 2 == pytest.approx(down(height), abs=1.5)
            ends = sorted((across(place.low), across(place.high)))
            assert list(found["reach"][:2]) == pytest.approx(ends, abs=2.5)
            assert found["kneeLabel"].startswith("knee ")
        left, right, _, _ = found["limit"]
        assert (left + right) / 2 == pytest.approx(across(limit.level if scope == ".by-level" else limit.bpp), abs=1.5)
        assert found["safe"][0] == pytest.approx(found["frame"][0], abs=1.5), "safe from the mild end"
        assert found["safe"][1] == pytest.approx((left + right) / 2, abs=1.5)
        assert found["limitLabel"] == f"limit {'q' if curve.codec == 'jpeg' else 'crf'}{limit.level:g}"
        for value, y in found["gates"]:
            assert y == pytest.approx(down(value), abs=1.5)
        boxes = [box for box in found["labels"] if box]
        for one, other in ((a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]):
            apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] + 1 or other[3] <= one[2] + 1
            assert apart, "labels overlap"
    assert resolved >= 4


def test_the_sentence_and_the_table_name_knee_limit_and_bytes(show):
    document = full_document(1, 2)
    browser = show(document)
    for curve, card in zip(document.curves, browser.find_elements("css selector", ".figure"), strict=True):
        sentence = card.find_element("css selector", ".verdict").text
        share = 100 * curve.limit.byte_share
        assert sentence.startswith("Knee at ")
        assert f"{share:.1f}% of the bytes of" in sentence
    table = browser.find_element("css selector", ".knees table").text
    assert "Published" in table
    assert "crf about 40" in table


def test_fifty_models_open_and_switch(show):
    document = full_document(50)
    browser = show(document)
    counts = browser.execute_script(
        "return ['.by-level svg', '.by-rate svg', '.knee .point', '#case-table tbody tr'].map("
        "s => document.querySelectorAll(s).length)"
    )
    resolved = sum(curve.knee.position is not None for curve in document.curves)
    assert counts == [150, 150, 2 * resolved + 1, len(document.cases)]  # the key shows one more
    for number in (1, 75, 150):
        found = browser.execute_script(READ, ".by-level", number)
        limit = document.curves[number - 1].limit
        left, right, _, _ = found["limit"]
        assert (left + right) / 2 == pytest.approx(axis(found["x"])(limit.level), abs=1.5)
    rate = browser.find_element("id", "axis-rate")
    rate.send_keys(" ")
    assert rate.is_selected()
    shown = browser.find_elements("css selector", ".by-rate")
    assert shown[0].is_displayed()
    assert shown[-1].is_displayed()
    browser.find_element("id", "case-filter-text").send_keys("segnet-49 webp")
    assert browser.find_element("id", "case-filter-count").text == f"8 of {len(document.cases):,} shown".replace(
        ",", ""
    )
