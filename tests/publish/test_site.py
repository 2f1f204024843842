"""The zoo's pages: figures of the manifest, links that lead somewhere, nothing from elsewhere.

``make test-browser`` installs Chromium and opens them in it: filter, sort, phone, screenshots.
"""

from __future__ import annotations

import html.parser
import re
from collections import Counter
from pathlib import Path

import pytest

import ptv_hub
from ptv_hub.errors import WriteError
from ptv_hub.publish.site.write import write_site
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries
from tests.browser import faults, first_shown, sized


class Page(html.parser.HTMLParser):
    """What of a page the tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.source = path, path.read_text(encoding="utf-8")
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.codes: list[str] = []
        self.rows: list[dict[str, str]] = []
        self.open: list[str] = []
        self.cells: dict[str, list[str]] = {}
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if tag not in ("meta", "link", "img", "br", "wbr", "input"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(facts["href"])
        else:
            self.loaded += [facts[name] for name in ("src", "href", "xlink:href") if name in facts]
        self.loaded += re.findall(r"url\(([^)]*)\)", " ".join(filter(None, facts.values())))
        if tag == "code":
            self.codes.append("")
        if tag == "tr" and "data-name" in facts:
            self.rows.append(facts)
            self.cells[facts["data-name"]] = []
        if tag == "td" and self.rows:
            self.cells[self.rows[-1]["data-name"]].append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag, f"{self.path}: {tag} closed out of order"

    def handle_data(self, data):
        if self.open and self.open[-1] == "code":
            self.codes[-1] += data
        if "td" in self.open and self.rows:
            self.cells[self.rows[-1]["data-name"]][-1] += data


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    told = []
    write_site(entries(), folder, report=lambda number, name: told.append((number, name)))
    assert told == [(n, item.name) for n, item in enumerate(entries(), 1)]
    return folder


def test_every_model_stands_in_the_list_with_its_figures(site):
    page = Page(site / "index.html")
    assert not page.open
    assert [row["data-name"] for row in page.rows] == ptv_hub.list_models()
    for item in entries():
        cells, published = page.cells[item.name], item.published
        accuracy = getattr(published, item.protocol.metric)
        assert f"{accuracy:.2f}" in cells[4]
        assert ("mAP" in cells[4]) == (item.dataset == "charades")
        assert f"{published.gflops:.2f}" in cells[6]
        assert f"{published.params_millions:.2f}" in cells[8]
        starred = {erratum.field for erratum in item.errata}
        assert ("*" in cells[6]) == ("published.gflops" in starred)
        assert ("*" in cells[8]) == ("published.params_millions" in starred)
        # Every erratum that stands in the manifest was found by counting, and no other.
        assert ("erratum" in cells[9]) == bool(starred)
    assert page.source.count('class="wide-only"') == page.source.count('class="narrow"') == 3


def test_every_link_leads_to_a_page_or_an_address_of_the_manifest(site):
    known = {a.url for item in entries() for a in item.artifacts}
    known |= {item.paper.url for item in entries()}
    reached = Counter()
    for path in site.rglob("*.html"):
        for link in Page(path).links:
            if link.startswith("http"):
                assert link in known, link
            else:
                target = (path.parent / link).resolve()
                assert target.is_file(), link
                reached[target.name] += 1
    assert set(reached) == {p.name for p in site.rglob("*.html")}


def test_the_pages_need_nothing_but_themselves(site):
    for path in site.rglob("*"):
        if path.is_file():
            assert path.suffix == ".html"
            page = Page(path)
            assert all(address.startswith("#") for address in page.loaded)
            assert not re.search(r"@import|fetch\(|XMLHttpRequest", page.source)
            assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("item", [pytest.param(i, id=i.name) for i in entries()])
def test_a_models_page_has_its_facts_and_code_that_fits(site, item):
    page = Page(site / "models" / f"{item.name}.html")
    python = next(code for code in page.codes if "import ptv_hub" in code)
    compile(python, "page", "exec")
    spec = item.input
    shape = f"(1, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size})"
    assert f'ptv_hub.load("{item.name}")' in python
    assert shape in python.replace("torch.zeros(", "(")
    for erratum in item.errata:
        assert erratum.printed in page.source
        assert erratum.found in page.source
    assert "No weights were looked at" in page.source
    assert page.source.count("<li>") == item.num_classes
    for artifact in item.artifacts:
        assert artifact.sha256 is None or artifact.sha256 in page.source


def test_the_code_of_a_page_runs(site, drawn, monkeypatch):
    real = ptv_hub.load
    weights = drawn("x3d_xs")
    monkeypatch.setattr(ptv_hub, "load", lambda name: real(name, weights=weights))
    page = Page(site / "models" / "x3d_xs.html")
    scope: dict = {}
    exec(next(code for code in page.codes if "import ptv_hub" in code), scope)
    assert scope["logits"].shape == (1, 400)


def test_a_manifest_of_ones_own_may_hold_any_text(tmp_path):
    item: Entry = ptv_hub.entry("x3d_xs")
    odd = [
        item.model_copy(update={"name": '<script>alert("&")</script>'}),
        item.model_copy(update={"name": "a/b", "published": None, "paper": None, "labels": ()}),
        item.model_copy(update={"name": "a?b", "license": item.license}),
    ]
    pages = write_site(odd, tmp_path / "new" / "folder")
    assert len(set(pages)) == len(pages) == 4
    for path in pages:
        source = path.read_text(encoding="utf-8")
        assert "<script>alert" not in source
        assert path.parent in (tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "models")
    links = {link for link in Page(pages[0]).links if link.startswith("models/a_b")}
    assert len(links) == 2


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError):
        write_site(entries()[:1], tmp_path / "file")


# ---------------------------------------------------------------------------- in a browser


def _shown(browser) -> list[str]:
    code = "return [...document.querySelectorAll('#zoo tbody tr')].filter(r => !r.hidden)"
    return browser.execute_script(f"{code}.map(r => r.dataset.name)")


@pytest.mark.slow
def test_the_list_is_filtered_and_sorted_by_clicks(site, browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    sized(browser, 1280, 1600)
    browser.get((site / "index.html").as_uri())
    assert _shown(browser) == ptv_hub.list_models()
    by_cost = sorted(entries(), key=lambda item: item.published.gflops)

    heads = browser.find_elements(By.CSS_SELECTOR, "#zoo th button")
    gflops = next(head for head in heads if head.text == "GFLOPs")
    gflops.click()
    assert _shown(browser)[0] == by_cost[-1].name
    gflops.click()
    found = [item.published.gflops for item in map(ptv_hub.entry, _shown(browser))]
    assert found == [item.published.gflops for item in by_cost]
    assert gflops.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"

    browser.find_element(By.ID, "search").send_keys("X3D")
    assert _shown(browser) == ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]
    assert browser.find_element(By.ID, "count").text == "4 models"
    address = browser.current_url
    assert address.endswith("#search=X3D")
    browser.get("about:blank")
    browser.get(address)  # what is chosen is kept in the address
    assert _shown(browser) == ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]
    points = browser.find_elements(By.CSS_SELECTOR, "svg.wide-only [data-name]")
    assert sum(point.is_displayed() for point in points) == 4

    browser.find_element(By.ID, "search").clear()
    browser.find_element(By.ID, "search").send_keys(" ")
    Select(browser.find_element(By.ID, "dataset")).select_by_value("charades")
    assert set(_shown(browser)) == {"slow_r50_charades", "slowfast_r50_charades"}
    Select(browser.find_element(By.ID, "arch")).select_by_value("X3D")
    assert _shown(browser) == []
    Select(browser.find_element(By.ID, "arch")).select_by_value("")
    assert browser.save_screenshot(str(tmp_path / "list.png"))
    browser.find_element(By.LINK_TEXT, "slow_r50_charades").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "slow_r50_charades"
    browser.find_element(By.CSS_SELECTOR, ".copy").click()
    copied = browser.find_element(By.CSS_SELECTOR, ".copy").text
    assert copied in ("copied", "selected")
    browser.back()
    assert set(_shown(browser)) == {"slow_r50_charades", "slowfast_r50_charades"}
    # A name in the chart leads to its model's page, too.
    first_shown(browser, "svg [data-name='slowfast_r50_charades'] text").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "slowfast_r50_charades"
    assert faults(browser) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390, 768])
def test_on_a_phone_nothing_runs_out_of_the_page(site, browser, tmp_path, width):
    sized(browser, width, 800, mobile=True)
    for page in ("index.html", "models/slowfast_16x8_r101_50_50.html", "models/x3d_m.html"):
        browser.get((site / page).as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.save_screenshot(str(tmp_path / f"{Path(page).stem}.png"))
        letters = (
            "return [...document.querySelectorAll('svg text')].filter(t => t.checkVisibility())"
        )
        heights = f"{letters}.map(t => t.getBoundingClientRect()).map(b => b.height)"
        assert min(browser.execute_script(heights), default=10) >= 9  # to be read on a phone
    browser.get((site / "index.html").as_uri())
    table = "const box = document.querySelector('.wide'); return [box.scrollWidth, box.clientWidth]"
    inside, outside = browser.execute_script(table)
    # On a tablet it may have to be scrolled sideways, within its box.
    assert inside <= outside or width > 640
    assert _shown(browser) == ptv_hub.list_models()
