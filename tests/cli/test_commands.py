"""The command line: what goes to stdout, what to stderr, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import click
import pytest
import torch
import typer

from ptv_hub import environment
from ptv_hub.cli import app
from ptv_hub.cli.options import ADVANCED
from ptv_hub.fetching import cache
from ptv_hub.zoo.manifest import entries
from tests import ROOT
from tests.command import ptv_hub


def test_list_as_json_is_every_entry():
    done = ptv_hub("list", "--json")
    assert done.code == 0
    listed = json.loads(done.out)
    assert [item["name"] for item in listed] == [item.name for item in entries()]
    assert listed[0]["published"]["top1"] == 71.46


def test_list_as_a_table_names_every_model_and_leaves_no_trailing_blanks():
    done = ptv_hub("list")
    assert done.code == 0
    assert all(item.name in done.out for item in entries())
    assert not any(line != line.rstrip() for line in done.out.splitlines())
    filtered = ptv_hub("list", "x3d_*", "--max-gflops", "1")
    assert "x3d_xs" in filtered.out
    assert "x3d_s " not in filtered.out


def test_a_long_title_is_not_folded_in_a_pipe(capsys):
    """A title is often a path, and is read by what reads the pipe."""
    from ptv_hub.cli.tables import print_table

    path = f"/videos/{'long' * 60}.mp4"
    print_table(["label", "score"], [["abseiling", "0.5"]], title=path)
    assert path in capsys.readouterr().out.splitlines()


def test_list_without_a_match_says_so_on_stderr():
    done = ptv_hub("list", "nothing*")
    assert (done.code, done.out) == (0, "")
    assert "no model matches" in done.err


def test_show_tells_the_errata():
    done = ptv_hub("show", "Charades/SLOWFAST_8x8_R50")
    assert done.code == 0
    assert "printed 34.00, found 34.01" in done.out
    assert json.loads(ptv_hub("show", "x3d_m", "--json").out)["labels"][0] == "abseiling"


def test_env_names_the_versions():
    facts = json.loads(ptv_hub("env", "--json").out)
    # With the CUDA it was built for, where torch is imported anyway.
    assert facts["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert facts["manifests"] == str(ROOT / "manifests")


def test_env_says_where_models_run_and_what_is_installed(monkeypatch):
    facts = json.loads(ptv_hub("env", "--json").out)
    assert facts["device"].split()[0] in ("cpu", "cuda", "mps")
    assert facts["threads"] == str(torch.get_num_threads())
    assert facts["cache"] == str(cache.folder())
    assert {"onnx", "openvino", "plot", "train"} <= set(facts["extras"].split(", "))
    monkeypatch.setitem(environment.EXTRAS, "plot", ("no-such-distribution",))
    assert "plot" not in json.loads(ptv_hub("env", "--json").out)["extras"]


@pytest.mark.parametrize("category", [DeprecationWarning, UserWarning, FutureWarning])
def test_warnings_of_other_packages_do_not_leak(category, monkeypatch):
    def warned(*_: object) -> dict[str, str]:
        warnings.warn("of another package", category, stacklevel=1)
        return {}

    monkeypatch.setattr(environment, "system", warned)
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = ptv_hub("env")
    assert (done.code, done.err, caught) == (0, "", [])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "no_such_model"], "there is no model 'no_such_model'"),
        (["show", "SLOW_8x8_R50"], "is the name of 3 models"),
        (["convert", "x.pyth"], "Missing option"),
        (["no_such_command"], "No such command"),
        (["convert", "no_such", "--to", "official", "-o", "a.pyth"], "file or model 'no_such'"),
    ],
)
def test_misuse_ends_with_2(words, says):
    done = ptv_hub(*words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err


def test_what_cannot_be_done_ends_with_1(tmp_path):
    (tmp_path / "page.pyth").write_text("<html>404</html>")
    (tmp_path / "empty.pyth").touch()
    torch.save([1, 2], tmp_path / "list.pyth")
    for name in ("page.pyth", "empty.pyth", "list.pyth", "missing.pyth"):
        for words in (
            ["identify", tmp_path / name],
            ["digest", tmp_path / name],
            ["convert", tmp_path / name, "--to", "official", "-o", tmp_path / "out.pyth"],
        ):
            done = ptv_hub(*words)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith("ptv-hub: ")
            assert str(tmp_path / name) in done.err
            assert "Traceback" not in done.err
    assert not (tmp_path / "out.pyth").exists()


def test_convert_digest_and_identify(drawn, tmp_path):
    source, out = drawn("x3d_xs"), tmp_path / "x3d_xs.safetensors"
    done = json.loads(ptv_hub("convert", source, "--to", "official", "-o", out, "--json").out)
    assert (done["models"], done["dropped"]) == (["x3d_xs"], ["epoch", "optimizer_state", "cfg"])
    said = ptv_hub("convert", source, "--to", "pyslowfast", "-o", tmp_path / "b.pyth").out
    assert "left out: epoch, optimizer_state, cfg" in said
    assert "MB" in said
    lines = ptv_hub("digest", source, out, tmp_path / "b.pyth").out.splitlines()
    assert {line.split()[0] for line in lines} == {done["digest"]}
    assert [line.split()[1] for line in lines] == [str(source), str(out), str(tmp_path / "b.pyth")]
    assert json.loads(ptv_hub("identify", out, "--json").out)["digest"] == done["digest"]
    assert "x3d_xs (by keys, shapes" in ptv_hub("identify", out).out


def test_a_manifest_on_the_command_line(tmp_path):
    import re

    text = (ROOT / "docs" / "manifest.md").read_text()
    (tmp_path / "mine.json").write_text(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    done = ptv_hub("--manifest", tmp_path / "mine.json", "list", "--dataset", "gestures")
    assert "x3d_s_gestures" in done.out


def process(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process and a shell of its own."""
    return subprocess.run(
        f"{sys.executable} -m ptv_hub {words}",
        shell=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_completion_and_version():
    assert process("--version").stdout.startswith("ptv_hub ")
    done = process("--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "Traceback" not in done.stderr


def test_a_process_ends_with_the_same_codes_and_streams():
    for words in ("list --json", "show no_such_model", "identify missing.pyth"):
        done, here = process(words), ptv_hub(*words.split())
        assert (done.returncode, done.stdout, done.stderr) == (here.code, here.out, here.err)


def test_a_closed_pipe_is_no_traceback():
    done = process("list | head -1")
    assert done.stdout.strip() == "kinetics400"
    assert "Traceback" not in done.stderr
    done = process("list >&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
@pytest.mark.parametrize("words", ["list", "list x3d_xs --json"])
def test_a_full_disk_behind_standard_output_is_no_bug(words):
    """What is printed at once, and what waits in a buffer until the end."""
    done = process(f"{words} > /dev/full")
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its words: ``list``, ``cache size``."""
    found: list[tuple[str, click.Command]] = []
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        words, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [(f"{words} {name}".strip(), inner) for name, inner in below.items()]
        if not below:
            found.append((words, command))
    return sorted(found)


@pytest.mark.parametrize(("words", "command"), commands(), ids=[words for words, _ in commands()])
def test_a_commands_help_shows_no_more_options_than_can_be_taken_in(words, command):
    """What few need stands in a panel of its own, behind the rest."""
    shown = [
        option.name
        for option in command.params
        if option.param_type_name == "option"
        and getattr(option, "rich_help_panel", None) != ADVANCED
    ]
    assert len(shown) + 1 <= 15, shown  # --help is one more


def test_rare_options_stand_under_advanced():
    help_ = ptv_hub("predict", "--help").out
    assert help_.index("--device") < help_.index("Advanced") < help_.index("--clip-sampling")
