"""The report for readers with a keyboard, a screen reader, a phone, a printer or no script."""

import base64
from importlib.util import find_spec
from pathlib import Path

import pytest
from documents import full_document
from edge_documents import EDGES
from hostile_documents import hostile_document

pytestmark = pytest.mark.browser

RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(
  found => done(found.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])),
  error => done([['critical', String(error), []]]));
"""


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, which a package of the test dependencies bundles."""
    found = find_spec("selenium_axe_python")
    if found is None or found.origin is None:
        pytest.skip("needs selenium-axe-python")
    return (Path(found.origin).parent / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("full", 1280, False), ("full", 360, True), ("hostile", 1280, True), ("broken line", 360, False)],
)
def test_an_accessibility_checker_finds_nothing(show, axe, name, width, dark):
    document = {"full": full_document(1, 1), "hostile": hostile_document(), **EDGES}[name]
    browser = show(document, width=width, dark=dark)
    browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    browser.execute_script(axe)
    assert browser.execute_async_script(RUN_AXE) == []


def test_the_accessibility_checker_would_find_something(show, axe):
    browser = show(EDGES["nothing"])
    browser.execute_script(
        "document.querySelector('h1').style.color = '#eee';"
        "document.querySelector('main').append(document.createElement('img'))"
    )
    browser.execute_script(axe)
    assert {entry[1] for entry in browser.execute_async_script(RUN_AXE)} == {"color-contrast", "image-alt"}


def test_every_part_is_reached_from_the_contents_by_keyboard(show):
    from selenium.webdriver.common.keys import Keys

    browser = show(full_document(2))
    links = browser.find_elements("css selector", ".contents a")
    assert len(links) >= 6
    for link in links:
        target = link.get_attribute("href").rpartition("#")[2]
        assert browser.find_element("id", target).tag_name == "section"
    links[1].send_keys(Keys.ENTER)
    heading, bar = browser.execute_script(
        "return ['#curves-heading', 'main > nav'].map(s => document.querySelector(s).getBoundingClientRect().toJSON())"
    )
    assert bar["bottom"] <= heading["top"] < 160, "below the contents, which stay"


def test_wide_tables_scroll_by_keyboard(show):
    from selenium.webdriver.common.keys import Keys

    browser = show(full_document(1), width=360)
    region = browser.find_element("css selector", ".knees")
    assert browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", region)
    region.send_keys(Keys.END, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    moved = (
        "const e = arguments[0], done = arguments[1]; "
        "setTimeout(() => done(e.scrollLeft), 400)"  # scrolling by key is animated
    )
    assert browser.execute_async_script(moved, region) > 0


def test_the_printed_report_opens_its_tables_and_fits_the_paper(show):
    browser = show(full_document(1, 2), width=794, media="print")
    shown = "return ['.contents', 'fieldset.axis', '.skip'].map(s => document.querySelector(s).offsetParent !== null)"
    assert browser.execute_script(shown) == [False, False, False]
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.execute_script("window.opened = 0; window.addEventListener('beforeprint', () => { "
                           "opened = document.querySelectorAll('details.print[open]').length; })")  # fmt: skip
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert pdf.startswith(b"%PDF")
    assert browser.execute_script("return opened") > 0
    assert browser.execute_script("return document.querySelectorAll('details.print[open]').length") == 0


def test_without_script_everything_is_there(show):
    browser = show(full_document(1, 1), script=False)
    try:
        assert browser.find_element("css selector", ".knees table").is_displayed()
        summary = browser.find_element("css selector", ".figure details summary")
        summary.click()
        assert browser.find_element("css selector", ".figure details[open]").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
