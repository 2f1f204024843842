"""Help: panels by what one wants to do, no word that says nothing, and examples that parse."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest
import typer
from typer.core import TyperGroup

from ptv_hub.cli import app, typed
from ptv_hub.cli.families import PANELS
from tests.cli.test_commands import commands
from tests.command import ptv_hub

GROUP = typer.main.get_command(app)


def test_commands_stand_in_panels_in_their_order():
    out = ptv_hub("--help").out
    assert "Commands" not in out.split("Usage")[1].split("\n", 1)[1]
    at = 0
    for panel, names in PANELS.items():
        for word in (rf"─ {panel} ─", *(rf"│ {name} " for name in names)):
            found = re.compile(word).search(out, at)
            assert found, word
            at = found.start()
    assert sorted(GROUP.commands) == sorted(name for names in PANELS.values() for name in names)


@pytest.mark.parametrize("words", ["", *(words for words, _ in commands())])
def test_help_has_no_word_that_says_nothing(words):
    out = ptv_hub(*words.split(), "--help").out
    assert "--help" in out
    for noise in ("<bool>", "BOOLEAN", "<str>", "range>", "RANGE", "<path>", "<int>", "<float>"):
        assert noise not in out, noise


def test_examples_stand_below_all_options_each_on_a_line_of_its_own():
    said, shown = ptv_hub("list", "--help").out.split("─ Examples ─")
    assert "ptv-hub list '" not in said
    lines = [line.strip("│ ") for line in shown.splitlines() if line.startswith("│")]
    assert lines == examples(GROUP.commands["list"])
    assert GROUP.commands["list"].help.count("Examples:") == 1  # it is as it was


def test_every_option_says_what_it_is_for():
    told = [(words, param) for words, command in commands() for param in command.params]
    assert [(words, param.name) for words, param in told if not param.help] == []


def examples(command) -> list[str]:
    """The command lines of a command's help, continued lines joined."""
    text = inspect.cleandoc(command.help or "").replace("\\\n", " ")
    return re.findall(r"^ +(ptv-hub .*)$", text, re.MULTILINE)


@pytest.mark.parametrize(("words", "command"), commands(), ids=[words for words, _ in commands()])
def test_every_command_has_examples_and_each_parses(words, command):
    given = examples(command)
    assert given, words
    own = 0
    for line in given:
        typed = shlex.split(line.split(" > ")[0].split("|")[0])[1:]
        while typed[0].startswith("--"):  # options of ptv-hub itself, with a value each
            typed = typed[2:]
        own += typed[: len(words.split())] == words.split()
        if typed[: len(words.split())] != words.split():
            continue  # of another command, to go before or after this one
        context = command.context_class(command, resilient_parsing=True)
        rest = typed[len(words.split()) :]
        values, left, _ = command.make_parser(context).parse_args(list(rest))
        assert left == [], line
        for param in command.params:
            if param.param_type_name == "argument" and param.required:
                assert values[param.name], f"{line}: no {param.name}"
    assert own, words


def test_a_command_that_is_typed_is_made_alone_and_is_the_same():
    whole = typer.main.get_command(app)
    assert isinstance(whole, TyperGroup)
    for name, command in whole.commands.items():
        alone = typer.main.get_command(app.only(name))
        assert isinstance(alone, TyperGroup)
        assert list(alone.commands) == [name]
        options = [[p.opts for p in one.params] for one in (command, alone.commands[name])]
        assert options[0] == options[1]
    for word in (None, "lst", "--help"):
        assert app.only(word) is app


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["list", "x3d*"], "list"),
        (["--manifest", "list", "show", "x3d_m"], "show"),
        (["--manifest=a.json", "--debug", "cache", "list"], "cache"),
        (["--lock", "show"], None),
        (["--help"], None),
        ([], None),
    ],
)
def test_the_command_is_found_behind_the_options_of_all(words, command):
    assert typed(words) == command
    every = typer.main.get_command(app)
    valued = {
        opt
        for p in every.params
        if not getattr(p, "is_flag", False)
        for opt in p.opts
        if opt.startswith("--")
    }
    assert valued - {"--install-completion", "--show-completion"} == {"--manifest", "--lock"}
