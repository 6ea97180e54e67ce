"""A real browser without a screen, on pages written to disk.

Chromium from the distribution, driven by Selenium.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stacklab.checks.outcome import Outcome
from stacklab.views import saving
from stacklab.views.page import html

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One browser for all tests; without one they are skipped, but for CI, where they must run."""
    if BROWSER is None or DRIVER is None:
        words = (
            "chromium and chromedriver are not installed (apt-get install chromium chromium-driver)"
        )
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """What a user does with a page, and sees."""

    def __init__(self, driver: WebDriver, path: Path) -> None:
        self.driver = driver
        self.path = path

    def open(self, found: Outcome) -> Page:
        saving.save(str(self.path), html.page_parts(found))
        self.driver.get(self.path.as_uri())
        return self

    def js(self, script: str, *args: object) -> Any:  # noqa: ANN401
        return self.driver.execute_script(script, *args)

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()
        self._settle()

    def _settle(self) -> None:
        """Let the browser send what it queues: a details' toggle, a change of the scheme."""
        script = (
            "const done = arguments[0]; "
            "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        )
        self.driver.execute_async_script(script)

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()
        self._settle()

    def texts(self, selector: str) -> list[str]:
        """Of all that is visible."""
        return self.js(  # type: ignore[no-any-return]
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(each => each.checkVisibility()).map(each => each.textContent.trim())",
            selector,
        )

    def is_open(self) -> bool:
        return bool(self.js("return document.getElementById('evidence').open"))

    def background(self) -> str:
        return str(self.js("return getComputedStyle(document.body).backgroundColor"))

    def emulate(self, **features: str) -> None:
        listed = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": listed})
        self._settle()

    def resize(self, width: int, height: int = 740) -> None:
        how = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", how)

    def complaints(self) -> list[str]:
        """The console's lines since the last call, without the advice to tests that read pixels."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return [each for each in said if "willReadFrequently" not in each]


@pytest.fixture
def page(chromium: WebDriver, tmp_path: Path) -> Iterator[Page]:
    """A page of which the browser must not complain, and which must not ask for anything."""
    made = Page(chromium, tmp_path / "report.html")
    chromium.get("about:blank")
    made.complaints()
    yield made
    requests = made.js("return performance.getEntriesByType('resource').map(each => each.name)")
    complaints = made.complaints()
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    made.emulate(prefers_color_scheme="light")
    assert requests == []
    assert complaints == []


@pytest.fixture
def opened(page: Page) -> Callable[[Outcome], Page]:
    return page.open
