"""A browser for the report, and its synthetic documents, which the unit tests share."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "report"))

from pytest_lossy.report.html import render_html

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver on the path")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = selenium.ChromeService(shutil.which("chromedriver"))
    driver = selenium.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, tmp_path):
    """Open a document at a width; afterwards the page must have logged nothing and asked for nothing."""

    def show(document, *, width=1280, dark=False, script=True, media=""):
        path = tmp_path / "index.html"
        path.write_text(render_html(document), encoding="utf-8")
        scheme = "dark" if dark else "light"
        emulated = {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(path.as_uri())
        return browser

    browser.get_log("browser")
    browser.get_log("performance")
    yield show
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    # chrome: is the browser's own start page, still loading when the first test begins
    assert [url for url in asked if not url.startswith(("file:", "data:", "chrome:"))] == []
    assert len({url for url in asked if url.startswith("file:")}) <= 1
