"""What others wrote is shown on terminals, in logs and in code, and commands nothing."""

from __future__ import annotations

import ast
import json
import logging
import shlex
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptv_hub.cli import main
from ptv_hub.errors import PtvHubError
from ptv_hub.pages.page import is_link, render
from ptv_hub.text import json_text, python_literal, shell_word, shortened, visible

COMMANDS = [
    *("\x00", "\x07", "\x08", "\n", "\r", "\x1b[2J", "\x1b]0;t\x07", "\x7f", "\x85"),
    *("\x9b2J", "\x9d0;t", "\u061c", "\u200b", "\u200e", "\u200f", "\u202a", "\u202e"),
    *("\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\ufff9", "\U000e0041"),
    *("\ud800", "\udcff", "\xad"),
]
ANY = st.text(st.characters(exclude_categories=()))


def commands(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_what_commands_is_written_out(command):
    shown = visible(f"a{command}b")
    assert not commands(shown)
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@given(ANY)
def test_nothing_commands_and_what_does_not_stays(text):
    assert not commands(visible(text))
    assert visible(visible(text)) == visible(text)
    if not commands(text):
        assert visible(text) == text


@pytest.mark.parametrize("text", ["abseiling", "日本語", "naïve", "a\u00a0b", "Ω ≥ 1", "😀"])
def test_letters_of_all_writings_stay(text):
    assert visible(text) == text


@given(ANY)
def test_a_literal_of_python_is_the_text(text):
    literal = python_literal(text)
    assert ast.literal_eval(literal) == text
    assert literal.isascii()
    assert not commands(literal)


@given(ANY)
def test_a_word_of_the_shell_is_one_word(text):
    assert shlex.split(shell_word(text)) == [visible(text)]


@given(ANY)
def test_json_is_the_same_json(text):
    document = json_text(json.dumps({"a": text}, indent=2, ensure_ascii=False))
    # A high and a low surrogate that stand beside each other are one character in JSON.
    assert json.loads(document) == json.loads(json.dumps({"a": text}))
    assert not commands(document.replace("\n", ""))


def test_the_beginning_of_a_long_text():
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("x" * 11, 10) == f"{'x' * 10}... (1 more characters)"


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_an_error_is_a_fact_a_line_and_bounded(command):
    told = f"a{command}  verified: holds{command}"
    error = PtvHubError(told, where=told, expected=told, found=told * 10_000, fix=told)
    lines = str(error).split("\n")
    assert len(lines) == 5
    assert not any(map(commands, lines))
    assert len(str(error)) < 30_000
    assert error.found == told * 10_000


def test_a_log_has_a_line_for_each_message(caplog):
    with caplog.at_level(logging.INFO, logger="ptv_hub"):
        logging.getLogger("ptv_hub").info("%s: %d", "a\nb\x1b[2J", 3)
    assert [record.getMessage() for record in caplog.records] == ["a\\nb\\x1b[2J: 3"]


@pytest.mark.parametrize(
    "address",
    [
        *("javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "vbscript:x"),
        *("java\nscript:alert(1)", "\x01javascript:alert(1)", "data:text/html,x", "x:y", ""),
        *("file:///etc/passwd", "//host/x", "\\\\host\\x", "/etc/passwd", "https:javascript:x"),
        *("models/../../x y", "http://a b", "https://\u202ea"),
    ],
    ids=ascii,
)
def test_no_page_links_to_what_is_no_address_of_the_web(address):
    assert not is_link(address)


@pytest.mark.parametrize(
    "address",
    ["https://a.b/c?d=1&e#f", "http://127.0.0.1:80/x", "models/x3d_m.html", "../index.html"],
)
def test_pages_link_to_the_web_and_to_each_other(address):
    assert is_link(address)


@pytest.mark.parametrize("text", ["<script>", '" onload="x', "' x='", "&lt;", "\x1b\u202e\x00"])
def test_markup_in_text_is_text(text):
    made = render("base.html", title=text)
    plain = render("base.html", title="")
    assert (made.count("<"), made.count(">")) == (plain.count("<"), plain.count(">"))
    assert not commands(made.replace("\n", ""))


def test_a_bug_is_one_message_with_a_code_of_its_own(monkeypatch, capsys):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a\x1b[2J\nverified: holds")

    monkeypatch.setattr("ptv_hub.zoo.manifest.entries", broken)
    for words, debug in ((["list"], False), (["--debug", "list"], True)):
        monkeypatch.setenv("PTV_HUB_DEBUG", "")
        monkeypatch.setattr(sys, "argv", ["ptv-hub", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code == 70
        assert said.out == ""
        assert "this is a bug of ptv_hub, please report" in said.err
        assert ("Traceback" in said.err) == debug
        assert not commands(said.err.replace("\n", ""))
        assert not any(line.startswith("verified") for line in said.err.splitlines())
