"""Pages in headless Chromium: at a width, light or dark, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser whose requests and console are recorded; ``make test-browser`` installs it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.fail("Chromium and its driver are missing: 'make test-browser' installs them")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    arguments = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage")
    for argument in (*arguments, "autoplay-policy=no-user-gesture-required"):
        options.add_argument(f"--{argument}")
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield running
    finally:
        running.quit()


def sized(browser: Any, width: int, height: int, *, mobile: bool = False) -> None:
    facts = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", facts)


def shaded(browser: Any, scheme: str) -> None:
    """As a reader's system is: ``light`` or ``dark``."""
    wish = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wish})


def first_shown(browser: Any, selector: str) -> Any:
    from selenium.webdriver.common.by import By

    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return next(one for one in found if one.is_displayed())


def faults(browser: Any) -> list[str]:
    """Since it was last asked: errors in the console, and requests for other than files."""
    found = [
        str(line["message"]) for line in browser.get_log("browser") if line["level"] == "SEVERE"
    ]
    for line in browser.get_log("performance"):
        told = json.loads(line["message"])["message"]
        if told["method"] == "Network.requestWillBeSent":
            url = told["params"]["request"]["url"]
            if not url.startswith(("file:", "data:", "about:", "blob:")):
                found.append(f"request: {url}")
    return found


def violations(browser: Any) -> list[str]:
    """What axe-core finds on the page: names, contrast and all its other rules."""
    from axe_core_python.selenium import Axe

    found = Axe().run(browser)["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]
