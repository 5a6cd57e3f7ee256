"""The report in a real browser: what it draws is read back from the page and compared with the document."""

import math

import pytest
from documents import full_document
from edge_documents import EDGES
from hostile_documents import hostile_document

pytestmark = pytest.mark.browser

READ_PLOT = """
const plot = document.querySelectorAll(arguments[0] + ' svg.plot')[arguments[1]];
const centre = e => { const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; };
return {
  marks: [...plot.querySelectorAll('.mark')].map(e =>
    ({level: +e.dataset.level, value: e.dataset.value, at: centre(e.querySelector('path'))})),
  x: [...plot.querySelectorAll('.tick.x')].map(e => [parseFloat(e.textContent), centre(e)[0]]),
  y: [...plot.querySelectorAll('.tick.y')].map(e => [parseFloat(e.textContent), centre(e)[1]]),
};
"""


def fitted(ticks, change=lambda value: value):
    """The line through the outer two ticks: what a reader's eye does with an axis."""
    (v0, p0), (v1, p1) = ticks[0], ticks[-1]
    slope = (p1 - p0) / (change(v1) - change(v0))
    return lambda value: p0 + (change(value) - change(v0)) * slope


@pytest.mark.parametrize("index", [0, 1, 4])
def test_points_stand_where_the_axes_say(show, index):
    document = full_document(3, 2)
    browser = show(document)
    curve = document.curves[index]
    found = browser.execute_script(READ_PLOT, ".by-level", index)
    across, down = fitted(found["x"]), fitted(found["y"])
    assert [mark["level"] for mark in found["marks"]] == [point.level for point in curve.points]
    for mark, point in zip(found["marks"], curve.points, strict=True):
        assert float(mark["value"]) == point.metric.value
        assert mark["at"][0] == pytest.approx(across(point.level), abs=1.5)
        # a triangle's box is not centred on its point
        assert mark["at"][1] == pytest.approx(down(point.metric.value), abs=2.5)
    drawn = [mark["at"][0] for mark in found["marks"]]
    assert drawn == sorted(drawn), "mild to severe runs left to right"


def test_the_axis_switches_by_keyboard_and_shows_rates(show):
    from selenium.webdriver.common.keys import Keys

    document = full_document(1, 2)
    browser = show(document)
    level, rate = (browser.find_element("css selector", part) for part in (".by-level", ".by-rate"))
    assert level.is_displayed()
    assert not rate.is_displayed()
    browser.find_element("id", "axis-level").send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element.get_attribute("id") == "axis-rate"
    assert rate.is_displayed()
    assert not level.is_displayed()
    found = browser.execute_script(READ_PLOT, ".by-rate", 0)
    across = fitted(found["x"], math.log10)
    for mark, point in zip(found["marks"], document.curves[0].points, strict=True):
        assert mark["at"][0] == pytest.approx(across(point.bpp), abs=1.5)
    browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert level.is_displayed()


def test_the_first_tab_stop_skips_to_the_report(show):
    from selenium.webdriver.common.keys import Keys

    browser = show(full_document(1, 1))
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.get_attribute("class") == "skip"
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize(
    "document", [full_document(2), hostile_document(), *EDGES.values()], ids=["full", "hostile", *EDGES]
)
def test_the_page_never_scrolls_sideways(show, document):
    browser = show(document, width=320)
    browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    measured = "return [document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
    for wanted in (320, 360, 768, 1280):
        metrics = {"width": wanted, "height": 800, "deviceScaleFactor": 1, "mobile": wanted < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        page, body, window = browser.execute_script(measured)
        assert page <= window == wanted
        assert body <= window


def test_hostile_text_runs_nothing(show):
    browser = show(hostile_document())
    from selenium.common.exceptions import NoAlertPresentException

    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text
    assert browser.execute_script("return document.images.length + document.scripts.length") == 1


BRIGHTNESS = """
const lightness = text => text.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0) / 3;
const style = getComputedStyle(document.body);
return [lightness(style.backgroundColor), lightness(style.color)];
"""


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_readers_scheme(show, dark):
    paper, ink = show(full_document(1, 1), dark=dark).execute_script(BRIGHTNESS)
    assert (paper < 60 and ink > 200) if dark else (paper > 200 and ink < 60)


def test_the_filter_narrows_the_rows(show):
    browser = show(full_document(2, 2))
    field = browser.find_element("id", "case-filter-text")
    assert field.is_displayed()
    field.send_keys("segnet-1 h264 failed")
    rows = browser.find_elements("css selector", "#case-table tbody tr")
    left = [row for row in rows if row.is_displayed()]
    assert 0 < len(left) < len(rows)
    assert browser.find_element("id", "case-filter-count").text == f"{len(left)} of {len(rows)} shown"


def test_without_script_the_axis_still_switches_and_the_filter_stays_away(show):
    browser = show(full_document(1, 1), script=False)
    try:
        browser.find_element("id", "axis-rate").click()
        assert browser.find_element("css selector", ".by-rate").is_displayed()
        assert not browser.find_element("css selector", ".by-level").is_displayed()
        assert not browser.find_element("id", "case-filter").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
