"""examples/app.py in headless Chromium: an upload, what is shown, and whom it asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from ptv_hub.datasets import motion
from tests import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def address(tmp_path):
    """The app's, running in a process of its own."""
    pytest.importorskip("gradio", reason="of an environment of its own: make test-app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "examples/app.py", "--port", str(port), "--models", "motion_x3d"]
    uploads = tmp_path / "uploads"
    place = {"GRADIO_TEMP_DIR": str(uploads), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **place})
    here = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            try:
                urlopen(here, timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, "it did not start"
                time.sleep(0.5)
        yield here
        assert [path for path in uploads.rglob("*") if path.is_file()], "nothing was uploaded"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert not [path for path in uploads.rglob("*") if path.is_file()]


@pytest.fixture
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    running = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    running.set_window_size(1280, 1200)
    yield running
    running.quit()


def asked(browser) -> set[str]:
    """The hosts of all that the page asked for."""
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return {urlsplit(url).hostname for url in urls if url.startswith("http")}


def test_an_uploaded_video_has_its_label_and_nobody_else_is_asked(address, browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    video = tmp_path / "left.mp4"
    motion.write(video, motion.video("val", "left", 0, seed=7), zoom=4)
    browser.get(address)
    wait = WebDriverWait(browser, 120)
    picker = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "input[type=file]"))
    picker.send_keys(str(video))
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "video"))
    button = next(b for b in browser.find_elements(By.TAG_NAME, "button") if b.text == "Predict")
    button.click()
    wait.until(lambda b: "views" in b.find_element(By.TAG_NAME, "body").text)
    shown = browser.find_element(By.TAG_NAME, "body").text
    if os.environ.get("PTV_HUB_PICTURES"):
        browser.save_screenshot(str(Path(os.environ["PTV_HUB_PICTURES"]) / "app.png"))
    assert sum(label in shown for label in motion.CLASSES) >= 5
    assert asked(browser) == {"127.0.0.1"}
