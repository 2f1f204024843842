"""The command line: what goes to stdout, what to stderr, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from ptv_hub.zoo.manifest import entries
from tests import ROOT


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ptv_hub", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_list_as_json_is_every_entry():
    done = run("list", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    assert [item["name"] for item in listed] == [item.name for item in entries()]
    assert listed[0]["published"]["top1"] == 71.46


def test_list_as_a_table_names_every_model_and_leaves_no_trailing_blanks():
    done = run("list")
    assert done.returncode == 0
    assert all(item.name in done.stdout for item in entries())
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())
    filtered = run("list", "x3d_*", "--max-gflops", "1")
    assert "x3d_xs" in filtered.stdout
    assert "x3d_s " not in filtered.stdout


def test_a_long_title_is_not_folded_in_a_pipe(capsys):
    """A title is often a path, and is read by what reads the pipe."""
    from ptv_hub.cli.tables import print_table

    path = f"/videos/{'long' * 60}.mp4"
    print_table(["label", "score"], [["abseiling", "0.5"]], title=path)
    assert path in capsys.readouterr().out.splitlines()


def test_list_without_a_match_says_so_on_stderr():
    done = run("list", "nothing*")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no model matches" in done.stderr


def test_show_tells_the_errata():
    done = run("show", "Charades/SLOWFAST_8x8_R50")
    assert done.returncode == 0
    assert "printed 34.00, found 34.01" in done.stdout
    assert json.loads(run("show", "x3d_m", "--json").stdout)["labels"][0] == "abseiling"


def test_env_names_the_versions():
    facts = json.loads(run("env", "--json").stdout)
    assert facts["torch"] == torch.__version__.split("+")[0]
    assert facts["manifests"] == str(ROOT / "manifests")


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
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


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
            done = run(*words)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("ptv-hub: ")
            assert str(tmp_path / name) in done.stderr
            assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.pyth").exists()


def test_convert_digest_and_identify(drawn, tmp_path):
    source, out = drawn("x3d_xs"), tmp_path / "x3d_xs.safetensors"
    done = json.loads(run("convert", source, "--to", "official", "-o", out, "--json").stdout)
    assert (done["models"], done["dropped"]) == (["x3d_xs"], ["epoch", "optimizer_state", "cfg"])
    said = run("convert", source, "--to", "pyslowfast", "-o", tmp_path / "b.pyth").stdout
    assert "left out: epoch, optimizer_state, cfg" in said
    assert "MB" in said
    lines = run("digest", source, out, tmp_path / "b.pyth").stdout.splitlines()
    assert {line.split()[0] for line in lines} == {done["digest"]}
    assert [line.split()[1] for line in lines] == [str(source), str(out), str(tmp_path / "b.pyth")]
    assert json.loads(run("identify", out, "--json").stdout)["digest"] == done["digest"]
    assert "x3d_xs (by keys, shapes" in run("identify", out).stdout


def test_a_manifest_on_the_command_line(tmp_path):
    import re

    text = (ROOT / "docs" / "manifest.md").read_text()
    (tmp_path / "mine.json").write_text(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    done = run("--manifest", tmp_path / "mine.json", "list", "--dataset", "gestures")
    assert "x3d_s_gestures" in done.stdout


def test_completion_and_version():
    assert run("--version").stdout.startswith("ptv_hub ")
    done = run("--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m ptv_hub list | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
