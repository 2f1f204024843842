"""Documentation is tested like code: what is generated is current, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import ptv_hub
from ptv_hub.cli import app
from ptv_hub.evaluation import metrics
from ptv_hub.fetching import patience
from ptv_hub.inference import annotated, container, playable
from ptv_hub.runs import pool, queue
from ptv_hub.training import holdout
from tests import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def test_generated_files_are_current():
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_index_and_site_name_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    assert "docs/index.md" in (ROOT / "README.md").read_text()
    named = [*re.findall(r"[\w-]+\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)]
    assert sorted(named) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    for name in set(named) - {"index.md"}:
        assert f"]({name})" in index, name


def test_the_reference_has_every_public_function():
    page = (ROOT / "docs" / "reference.md").read_text()
    for name in set(dir(ptv_hub)) - {"ModelName", "__version__"}:
        assert re.search(rf"^::: ptv_hub\.[\w.]+\.{name}$", page, re.MULTILINE), name


def blocks(*languages: str) -> list[tuple[Path, str]]:
    """The page and the text of each block of code in these languages; of none is ``""``."""
    fence = re.compile(r"^ *```([\w-]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    return [
        (page, text)
        for page in PAGES
        for language, text in fence.findall(page.read_text(encoding="utf-8"))
        if language in languages
    ]


def calls() -> list[tuple[str, str]]:
    """Page and text of each Python block, named by its first line."""
    return [(page.name, text) for page, text in blocks("python")]


@pytest.mark.parametrize(("page", "text"), calls(), ids=lambda text: text.split("\n")[0][:40])
def test_documented_python_names_what_there_is(page, text):
    """What is imported exists, and the package's own functions take what they are called with."""
    tree = ast.parse(text)
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ptv_hub"):
            room = importlib.import_module(node.module or "")
            for name in node.names:
                known[name.asname or name.name] = getattr(room, name.name)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in known:
                called = known[name]
            case ast.Call(func=ast.Attribute(value=ast.Name(id="ptv_hub"), attr=name)):
                called = getattr(ptv_hub, name)
            case _:
                continue
        if not any(isinstance(word, ast.Starred) for word in node.args):
            given = {word.arg: None for word in node.keywords if word.arg}
            inspect.signature(called).bind(*node.args, **given)


NUMBERS = [
    ("evaluation.md", f"a sign of life each {queue.BEAT:g} s."),
    ("evaluation.md", f"gave none for {queue.PATIENCE:g} s"),
    ("evaluation.md", f"at most {pool.AHEAD_BYTES >> 20} MiB of views"),
    ("evaluation.md", f"from {metrics._FEWEST} videos on"),
    ("fetching.md", f"a connection is given up; {patience.Patience().silence_s:g} |"),
    ("predict.md", f"up to {playable.EMBEDDED // 1000} kB"),
    (
        "predict.md",
        f"{annotated._GIF_WIDTH} pixels wide, {annotated._GIF_RATE} frames a second, "
        f"{annotated._GIF_FRAMES} in all",
    ),
    ("training.md", f"fewer than {holdout.FEW} watched videos"),
    ("video.md", f"{container._REORDERED} frames before the damage shows"),
]


@pytest.mark.parametrize(("page", "words"), NUMBERS, ids=lambda text: text[:40])
def test_numbers_that_the_code_has_are_those_of_the_pages(page, words):
    assert words in " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split())


def commands() -> list[tuple[str, str]]:
    """Every ``ptv-hub`` command line in a block of the docs, continuation lines joined."""
    found = []
    for page, block in blocks("bash", "sh", "console", ""):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.split(" #")[0].strip().removeprefix("$ ")
            if re.match(r"(\w+=\S+ )*ptv-hub ", line):
                found.append((page.name, line))
    return found


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda text: text[:60])
def test_documented_commands_exist_with_their_options(page, line):
    """Parsed as typed, with --help at the end: an unknown command or option would be misuse."""
    words = shlex.split(line.split("|")[0].split(" > ")[0].split("&&")[0].split(" || ")[0])
    words = words[words.index("ptv-hub") + 1 :]
    known = told(*command_of(words))
    options = {word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
    for option in options:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known + told()), option


@cache
def told(*command: str) -> str:
    """The help of a command."""
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0, done.output
    return done.output


def command_of(words: list[str]) -> list[str]:
    """The command's own words: ``convert``, or ``cache list``; global options come before."""
    import typer

    group = typer.main.get_command(app)
    path: list[str] = []
    for word in words:
        commands = getattr(group, "commands", None)
        if commands is None:
            break
        if word in commands:
            path.append(word)
            group = commands[word]
    assert path, words
    return path


def test_the_readmes_two_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w[\w-]*)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_pictures_are_small_and_shown_where_they_are_made():
    shown = {
        target
        for page in PAGES
        for target in re.findall(r"(?:src|srcset)=\"([^\"]+)\"|\]\((img/[^)]+)\)", page.read_text())
    }
    names = {Path("".join(target)).name for target in shown}
    pictures = sorted((ROOT / "docs" / "img").iterdir())
    assert {picture.name for picture in pictures} == names == {"demo.png", "demo-narrow.png"}
    for picture, widest in zip(pictures, (760, 2000), strict=True):
        assert picture.stat().st_size < 200_000
        with Image.open(picture) as opened:
            assert opened.width == widest
            assert len(opened.convert("RGB").getcolors(1 << 24) or ()) > 20  # not one colour


def test_the_demo_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "tools/demo.py", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = re.findall(r"^ +\d+ to +\d+ +(\w+) +(.*)$", done.stdout, re.MULTILINE)
    assert [label for label, _ in seen] == ["left", "out", "up", "right", "in", "down"]
    for label, told in seen:
        counts = {name: int(n) for name, n in re.findall(r"(\w+) (\d+) of", told)}
        assert max(counts, key=counts.__getitem__) == label, told
    for said in ("over 60 of 60 videos", "published 88.83", "the same in all three files"):
        assert said in done.stdout
    for said in ("refused", "demonstration, drawn data; ", "With the real weights"):
        assert said in done.stdout
    assert (
        "56 were right when the model was published; 0 are taken for something else" in done.stdout
    )
    for name in ("labelled.mp4", "picture.png", "timeline.html", "evaluation/report.html"):
        assert str(tmp_path / name) in done.stdout
        assert (tmp_path / name).stat().st_size > 1000
    assert done.stderr == ""
