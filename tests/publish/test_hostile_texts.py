"""Cards, licences, pages and reports of entries whose texts are markup: as a reader renders them.

The texts are put in behind the door, which refuses many of them: each medium's own place must do
without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ptv_hub.cli import verify_tables
from ptv_hub.publish.card import bibtex, card, license_markdown
from ptv_hub.publish.chart import accuracy_against_flops, svg
from ptv_hub.publish.site.index import index_page
from ptv_hub.publish.site.model import model_page
from ptv_hub.verification.records import Check, VerifyReport
from ptv_hub.zoo.entry import Entry, Erratum, License, Paper
from ptv_hub.zoo.manifest import entries, resolve
from tests.publish.test_card import config_of

READER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
"""As sites show Markdown; raw HTML is let through, to be seen."""

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[t](javascript:alert(1))",
    "![i](https://evil.example/pixel.png)",
    "[click](http://evil.example)",
    "<http://evil.example>",
    "[a]: http://evil.example",
    "a\n\n# verified: holds\n\n- everything",
    "a\r\n## Results, as published",
    "a | **holds** |\n| b | **holds** |",
    "\\| a \\\\| b",
    "```\n# out of the code\n```",
    "`code` ``more``",
    "~~~",
    "---\nlicense: mit\n---",
    "*bold* __bold__ ~~struck~~",
    "&lt;script&gt; &#60;b&#62;",
    "<!-- hidden",
    '"); import os; os.system("id") #',
    "'; rm -rf ~ #",
    "$(id) `id`",
    '" onmouseover="alert(1)',
    "</code></pre><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "}, title = {x}\n}\n@misc{y",
    "\x1b[2J\x9b1m\u202eabc",
]


def hostile(text: str) -> Entry:
    """A model of the zoo all of whose texts are this one."""
    item = resolve("slow_r50", entries())
    fields = ("name", "zoo_name", "config", "arch", "depth", "pretrain", "dataset", "source")
    return item.model_copy(
        update={
            **dict.fromkeys(fields, text),
            "labels": (text,) * item.num_classes,
            # Its note may have paragraphs.
            "license": License.model_construct(
                code=text, weights=None, note=" ".join(text.split())
            ),
            "paper": Paper.model_construct(title=text, authors=text, year=2020, url=text),
            "errata": (Erratum.model_construct(field=text, printed=text, found=text, reason=text),),
            "published": item.published.model_copy(update={"url": text}),
            "artifacts": tuple(
                a.model_copy(update={"zoo": text, "path": text, "base_url": text})
                for a in item.artifacts
            ),
        }
    )


def report(text: str) -> VerifyReport:
    checks = tuple(
        Check(level="keys", name=text, verdict=v, expected=text, found=text, note=text)
        for v in ("holds", "fails", "unknown")
    )
    facts = dict.fromkeys(("name", "dataset", "weights", "origin", "caution"), text)
    return VerifyReport(checks=checks, environment={"torch": text}, **facts)


def tokens(markdown: str) -> Iterator[Token]:
    for token in READER.parse(markdown):
        yield token
        yield from token.children or ()


def outline(markdown: str) -> list[tuple[str, str]]:
    """What a reader makes of it but for its texts: blocks, markup, languages of code."""
    return [
        (token.type, token.tag + (token.info if token.type == "fence" else ""))
        for token in tokens(markdown)
        if token.type not in ("text", "softbreak", "code_inline", "text_special")
    ]


def is_harmless(markdown: str) -> None:
    for token in tokens(markdown):
        assert token.type not in ("html_block", "html_inline"), token.content
        if token.type == "link_open":
            assert not re.match(r"(?i)\s*(javascript|data|vbscript):", str(token.attrs["href"]))
            assert "evil" not in str(token.attrs["href"])
        if token.type == "image":
            assert token.attrs["src"] == "accuracy_against_flops.png"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", markdown)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_changes_what_a_card_is_made_of(text):
    made, plain = (_card(hostile(one), report(one)) for one in (text, "plain"))
    is_harmless(made)
    assert outline(made) == outline(plain)


def _card(item: Entry, found: VerifyReport) -> str:
    config = config_of(item, source="a file")
    origin = config.provenance.model_copy(update={"source": item.name, "vouched_by": item.name})
    config = config.model_copy(update={"provenance": origin})
    made = card(item, config, found, repo_id="org/name")
    return made.split("\n---\n", 1)[1]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_changes_what_a_licence_is_made_of(text):
    is_harmless(license_markdown(hostile(text)))
    inner = {kind for kind, _ in outline(license_markdown(hostile(text)))}
    assert inner <= {"paragraph_open", "inline", "paragraph_close"}


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_forges_a_row_of_a_report(text):
    made = verify_tables.markdown(report(text))
    is_harmless(made)
    assert outline(made) == outline(verify_tables.markdown(report("plain")))
    made = verify_tables.summary_markdown([report(text)])
    is_harmless(made)
    assert outline(made) == outline(verify_tables.summary_markdown([report("plain")]))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_commands_the_terminal_that_a_report_is_printed_to(text, capsys):
    verify_tables.print_report(report(text))
    verify_tables.print_summary([report(text)])
    told = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told)
    assert not any(
        line.lstrip().startswith(("# verified", "verified")) for line in told.split("\n")
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.drawn: set[tuple[str, tuple[str, ...]]] = set()
        self.links: list[str] = []
        self._in_picture = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A link that is none has lost its address; a "_" may be followed by a place to break.
        names = tuple(name for name, _ in attrs if name != "href")
        self._in_picture |= tag == "svg"
        if self._in_picture:  # where a name stands, and whether there is room, is its length's
            self.drawn.add((tag, names))
        elif tag != "wbr":
            self.found.append((tag, names))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        self._in_picture &= tag != "svg"


def tags(page: str) -> _Tags:
    reader = _Tags()
    reader.feed(page)
    return reader


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_changes_what_the_pages_are_made_of(text):
    checks = [Check(level="spec", name="a", verdict="fails", expected="b", found="c", note="d")]
    for make in (
        lambda item: model_page(item, checks),
        lambda item: index_page([item], {item.name: checks}, {item.name: "models/x.html"}),
        _picture,
    ):
        made, plain = tags(make(hostile(text))), tags(make(hostile("plain")))
        assert made.found == plain.found
        assert made.drawn <= plain.drawn
        for link in made.links:
            assert re.match(r"https?://|[\w./-]+$", link), link


def _picture(item: Entry) -> str:
    drawn = svg(accuracy_against_flops([item]), "chart", links={item.name: "models/x.html"})
    return drawn.wide + drawn.narrow


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_citation_is_one_entry_whatever_its_title(text):
    made = bibtex(Paper.model_construct(title=text, authors=text, year=2020, url=text))
    assert made.count("@misc{") == 1 or "@misc" in text
    depth = 0
    for place, character in enumerate(made):
        depth += (character == "{") - (character == "}")
        assert depth > 0 or place < made.index("{") or place == len(made) - 1
    assert depth == 0
