"""Every kind of page in headless Chromium: what is named is clicked, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.evaluation.comparing import compare
from ptv_hub.evaluation.comparison_words import write_comparison
from ptv_hub.evaluation.report_page import write_report
from ptv_hub.inference.timeline import draw_timeline
from ptv_hub.publish.site.index import index_page
from ptv_hub.publish.site.model import model_page
from ptv_hub.verification.records import Check
from ptv_hub.zoo.manifest import entries
from tests.browser import faults, first_shown, shaded, sized, violations
from tests.evaluation import test_comparing as runs

pytestmark = pytest.mark.slow

PLAN = ("left", "out", "up")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, held_out) -> Path:
    """One of each kind of page."""
    made = tmp_path_factory.mktemp("pages")
    checks = [Check(level="spec", name="parameters, M", verdict="erratum", expected="1", found="2")]
    addresses = {item.name: f"models/{item.name}.html" for item in entries()}
    told = dict.fromkeys(addresses, checks)
    (made / "models").mkdir()
    (made / "site.html").write_text(index_page(entries(), told, addresses))
    (made / "models" / "slow_r50.html").write_text(model_page(ptv_hub.entry("slow_r50"), checks))
    model = ptv_hub.load("motion_x3d")
    video = made / "motion.mp4"
    frames = motion.draw(PLAN, motion.Dice(4), frames=3 * motion.RATE, ease=0.5)
    motion.write(video, frames, zoom=9)
    found = ptv_hub.predict(model, video, 6, "24x1", timeline=True, clip_sampling="main")
    draw_timeline(found, video, made / "timeline.html")
    items = held_out(12).items
    items = (*items, Item("gone.avi", str(made / "gone.avi"), (0,)))
    items = (*items, Item("motion.mp4", str(video), (1,)))
    result = ptv_hub.evaluate(model, Listing("motion", items, ()))
    write_report(result, made, {item.id: item.source for item in items})
    one = runs.run(made / "one", "motion_x3d", runs.LABELS, runs.changed(range(10)))
    two = runs.run(made / "two", "motion_x3d", runs.LABELS, runs.changed(range(8, 11)))
    write_comparison(compare(one, two), made)
    return made


PAGES = (*("site.html", "models/slow_r50.html", "timeline.html", "report.html", "comparison.html"),)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_for_everyone(page, width, scheme, folder, browser, tmp_path):
    sized(browser, width, 900, mobile=width < 640)
    shaded(browser, scheme)
    faults(browser)
    browser.get((folder / page).as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 23, 42)"}[scheme]
    assert violations(browser) == []
    assert faults(browser) == []
    assert (folder / page).stat().st_size < 1_000_000
    assert browser.save_screenshot(str(tmp_path / "page.png"))


def _waited(browser, script: str, *arguments) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda b: b.execute_script(f"return {script}", *arguments))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_video_plays_a_cursor_follows_and_a_click_seeks(width, folder, browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    sized(browser, width, 1600, mobile=width < 640)
    browser.get((folder / "timeline.html").as_uri())
    faults(browser)
    at = "document.querySelector('video').currentTime"
    cursor = "parseFloat(document.getElementById('cursor').style.left)"
    _waited(browser, "document.querySelector('video').readyState > 0")
    browser.execute_script("document.querySelector('video').play()")
    _waited(browser, f"{at} > 0.5")
    before = browser.execute_script(f"return {cursor}")
    _waited(browser, f"{cursor} > {before}")
    browser.execute_script("document.querySelector('video').pause()")

    stills = browser.find_elements(By.CSS_SELECTOR, ".strip button")
    assert len(stills) == 6
    for number, still in enumerate(stills):
        still.click()
        _waited(browser, f"Math.abs({at} - {1.5 * number + 0.75}) < 0.1")
    picture = first_shown(browser, "#over svg")
    # The middle of the axes, between the pixels that stand beside them: 4.5 of 9 seconds.
    scale = picture.size["width"] / {390: 350, 1280: 1200}[width]
    middle = (54 + (picture.size["width"] / scale - 14 - 54) / 2) * scale
    offset = round(middle - picture.size["width"] / 2)
    ActionChains(browser).move_to_element_with_offset(picture, offset, -40).click().perform()
    _waited(browser, f"Math.abs({at} - 4.5) < 0.15")
    assert abs(browser.execute_script(f"return {cursor}") - middle) < 6
    assert browser.find_element(By.ID, "now").text.startswith("out")
    rows = browser.find_elements(By.CSS_SELECTOR, "tr[data-start] button")
    rows[-1].click()
    _waited(browser, f"{at} > 8")
    assert browser.find_element(By.ID, "now").text.startswith("up")
    assert faults(browser) == []


def test_a_video_that_is_gone_is_told(folder, browser, tmp_path):
    moved = tmp_path / "timeline.html"
    moved.write_text((folder / "timeline.html").read_text())
    sized(browser, 1280, 900)
    browser.get(moved.as_uri())
    _waited(browser, "!document.getElementById('gone').hidden")
    faults(browser)  # the console's word on it


def test_a_report_is_sorted_and_its_worst_videos_play(folder, browser):
    from selenium.webdriver.common.by import By

    sized(browser, 1280, 1600)
    browser.get((folder / "report.html").as_uri())
    faults(browser)

    def cells(column: int) -> list[str]:
        rows = browser.find_elements(By.CSS_SELECTOR, "#classes tbody tr")
        return [row.find_elements(By.TAG_NAME, "td")[column].text for row in rows]

    heads = browser.find_elements(By.CSS_SELECTOR, "#classes th button")
    heads[0].click()
    assert cells(0) == sorted(motion.CLASSES)
    heads[0].click()
    assert cells(0) == sorted(motion.CLASSES, reverse=True)
    heads[2].click()
    assert cells(2) == sorted(cells(2), key=float, reverse=True)
    assert heads[2].find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    for video in browser.find_elements(By.CSS_SELECTOR, ".videos video")[:12]:
        browser.execute_script("arguments[0].play()", video)
        _waited(browser, "arguments[0].currentTime > 0", video)
    assert "gone.avi" in browser.find_element(By.TAG_NAME, "body").text
    assert faults(browser) == []
