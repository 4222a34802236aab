"""A headless Chromium, and the sample report in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from pyk8s.verify import report_html
from tests.sample_report import sample

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
METRICS = "Emulation.setDeviceMetricsOverride"


class Browser:
    """Chromium with one page open; ``look`` opens it anew."""

    def __init__(self, driver: Chrome, page: Path) -> None:
        self.driver = driver
        self.url = page.as_uri()

    def look(self, *, width: int = 1280, scheme: str = "light", script: bool = True) -> Chrome:
        """Open the page on a screen so wide, in a colour scheme, with or without JavaScript."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd(METRICS, size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(self.url)
        return self.driver

    def requests(self) -> list[str]:
        """What the browser asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.fail("chromium or chromedriver is missing: `bin/browser` installs them", pytrace=False)
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "verify.html"
    page.write_text(report_html.to_text(sample()), encoding="utf-8")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(chromedriver))
    try:
        yield Browser(driver, page)
    finally:
        driver.quit()
