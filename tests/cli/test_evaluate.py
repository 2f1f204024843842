"""``ptv-hub eval`` as it is typed: golden scores, torchrun, kill -9, exit codes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.errors import EvaluationError, UsageError
from ptv_hub.runs.journal import Journal, journals
from tests import GOLDEN, ROOT
from tests.command import ptv_hub

SCORES = np.load(GOLDEN / "evaluation.npz")


@pytest.fixture
def weights(drawn) -> str:
    return str(drawn("Kinetics/X3D_XS", training=False))


def arguments(data: Path, videos: Path, weights: str, out: Path, *more: str) -> list[str]:
    paths = ["--data", data, "--videos", videos, "--weights", weights, "--out", out]
    return ["eval", "x3d_xs", *map(str, paths), *more]


def golden(weights: str, out: Path, *more: str) -> list[str]:
    return arguments(GOLDEN / "kinetics", GOLDEN / "videos", weights, out, *more)


def many(folder: Path, count: int) -> Path:
    """A list of many names for the golden videos."""
    files = sorted((GOLDEN / "videos").iterdir())
    lines = []
    for number in range(count):
        path = folder / f"{number:03d}{files[number % 4].suffix}"
        path.symlink_to(files[number % 4])
        lines.append(f"{path.name} {number}\n")
    (folder / "test.csv").write_text("".join(lines))
    return folder


def scores_of(out: Path) -> dict[str, np.ndarray]:
    with np.load(out / "scores.npz") as file:
        return {name: file[name] for name in file.files}


def torchrun(ranks: int, command: list[str], **options) -> subprocess.Popen:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    return subprocess.Popen(
        [*launcher, "--master-addr=127.0.0.1", f"--master-port={port}", "-m", "ptv_hub", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def rows(out: Path) -> list[str]:
    """Ids in all journals of a folder, one for each row."""
    found: list[str] = []
    for path in journals(out):
        with Journal(path, new=False) as journal:
            found += [] if journal.is_new else journal.ids()
    return found


@pytest.mark.slow  # tests/runs has two ranks in every run
def test_the_golden_kinetics_run_on_two_ranks(weights, tmp_path):
    process = torchrun(2, golden(weights, tmp_path, "--workers", "0", "--json"))
    output, talk = process.communicate()
    assert process.returncode == 0, talk
    found = scores_of(tmp_path)
    np.testing.assert_allclose(
        found["scores"], SCORES["kinetics/X3D_XS/release/video"] / 30, atol=1e-4
    )
    result = json.loads(output)  # of rank 0 alone
    assert result["metrics"]["top1"] == 50.0
    assert result["metrics"]["top5"] == 75.0
    assert sorted(session["rank"] for session in result["sessions"]) == [0, 1]
    assert len(rows(tmp_path)) == 4  # no video twice
    assert {path.name for path in tmp_path.iterdir()} >= {
        *("result.json", "scores.npz", "report.md", "report.html"),
    }


@pytest.mark.slow  # tests/runs kills a rank, and this file a process, in every run
def test_killed_ranks_go_on_in_another_number_with_the_same_result(weights, tmp_path):
    count = 18
    data = many(tmp_path, count)
    options = ("--views", "1x2", "--workers", "0")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = torchrun(1, arguments(data, data, weights, whole, *options))
    done.communicate()
    assert done.returncode == 0
    command = arguments(data, data, weights, parts, *options)
    process = torchrun(3, command, start_new_session=True)
    while len(rows(parts)) < 4:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.killpg(process.pid, 9)
    process.communicate()
    assert 4 <= len(rows(parts)) < count
    process = torchrun(2, command)
    talk = process.communicate()[1]
    assert process.returncode == 0, talk
    assert sorted(rows(parts)) == sorted(f"{n:03d}{p}" for n, p in names(data))
    mine, theirs = scores_of(whole), scores_of(parts)
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def names(folder: Path) -> list[tuple[int, str]]:
    lines = (folder / "test.csv").read_text().split()
    return [(int(Path(line).stem), Path(line).suffix) for line in lines[::2]]


def test_the_report_alone_and_joining_need_only_journals(weights, tmp_path):
    out = tmp_path / "out"
    fast = ("--views", "1x1", "--workers", "0")
    first = CliRunner().invoke(app, golden(weights, out, *fast, "--json"))
    assert first.exit_code == 0, first.output
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in ("result.json", "scores.npz", "report.md", "report.html"):
        (out / name).unlink()
    again = CliRunner().invoke(app, ["eval", "--report", str(out), "--json"])
    assert json.loads(again.stdout) == json.loads(first.stdout)
    for name in ("result.json", "report.md"):
        assert (out / name).read_bytes() == before[name]
    # Where the videos lie is not kept: the worst are named, and not shown.
    pages = [before["report.html"].decode(), (out / "report.html").read_text()]
    shown = r'<video .*?</video>|<img .*?>|<div class="blank">not here</div>'
    assert ["<video " in page for page in pages] == [True, False]
    first_page, again_page = (re.sub(shown, "", page) for page in pages)
    assert first_page == again_page
    joined = tmp_path / "joined"
    merged = CliRunner().invoke(app, ["eval", "--merge", str(out), "--out", str(joined), "--json"])
    assert json.loads(merged.stdout) == json.loads(first.stdout)


def test_a_table_for_people(weights, tmp_path):
    done = CliRunner().invoke(app, golden(weights, tmp_path, "--views", "1x1", "--workers", "0"))
    assert done.exit_code == 0, done.output
    assert "x3d_xs on kinetics400: 4 of 4 videos scored" in done.stdout
    assert "not comparable   1 x 1 views, published with 10 x 3" in done.stdout


def test_strict_fails_on_a_failed_video_and_only_strict(weights, tmp_path):
    data = many(tmp_path, 1)
    with (data / "test.csv").open("a") as file:
        file.write("gone.mp4 7\n")
    command = arguments(data, data, weights, tmp_path / "out", "--views", "1x1", "--workers", "0")
    assert CliRunner().invoke(app, command).exit_code == 0
    done = CliRunner().invoke(app, [*command, "--strict"])
    assert done.exit_code == 1
    assert "1: there is no such video" in done.stdout


def test_only_some_videos(weights, tmp_path):
    fast = ("--views", "1x1", "--workers", "0", "--json")
    for part, said in (
        (("--limit", "1"), "the first 1 of 4 videos"),
        (("--sample", "2", "--seed", "7"), "a random sample of 2 of 4 videos (seed 7)"),
    ):
        done = CliRunner().invoke(app, golden(weights, tmp_path / part[0], *fast, *part))
        result = json.loads(done.stdout)
        assert result["counts"]["listed"] == int(part[1])
        assert said in result["part"]


@pytest.mark.parametrize(
    "command",
    [
        ["eval"],
        ["eval", "x3d_xs"],
        ["eval", "x3d_xs", "--report", "."],
        ["eval", "--merge", "."],
        ["eval", "x3d_xs", "--data", str(GOLDEN / "kinetics"), "--limit", "1", "--sample", "1"],
        ["eval", "x3d_xs", "--data", str(GOLDEN / "kinetics"), "--views", "many"],
        ["eval", "x3d_xs", "--data", str(GOLDEN / "kinetics"), "--clip-sampling", "other"],
        ["eval", "no_such_model", "--data", str(GOLDEN / "kinetics")],
    ],
)
def test_misuse(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ptv_hub(*command).code == 2
    assert list(tmp_path.iterdir()) == []


def test_misuse_that_needs_a_model(weights, tmp_path):
    for more in (("--dtype", "int8"), ("--device", "no such"), ("--device", "cuda")):
        done = CliRunner().invoke(app, golden(weights, tmp_path / "out", *more))
        assert isinstance(done.exception, UsageError), more


def test_another_protocol_does_not_resume(weights, tmp_path):
    fast = ("--workers", "0", "--views")
    assert CliRunner().invoke(app, golden(weights, tmp_path, *fast, "1x1")).exit_code == 0
    done = CliRunner().invoke(app, golden(weights, tmp_path, *fast, "1x2"))
    assert isinstance(done.exception, EvaluationError)
    assert "protocol.num_crops 1" in str(done.exception)
    assert "protocol.num_crops 2" in str(done.exception)


def test_reports_of_folders_without_a_run(tmp_path):
    done = CliRunner().invoke(app, ["eval", "--report", str(tmp_path)])
    assert isinstance(done.exception, EvaluationError)
    assert "no journal" in str(done.exception)


def test_reduced_precision_is_near_and_labelled(weights, tmp_path):
    command = golden(weights, tmp_path, "--dtype", "bf16", "--views", "1x1", "--workers", "0")
    done = CliRunner().invoke(app, [*command, "--json"])
    assert "computed in bf16" in " ".join(json.loads(done.stdout)["cautions"])
    command = golden(weights, tmp_path / "32", "--views", "1x1", "--workers", "0")
    assert CliRunner().invoke(app, command).exit_code == 0
    mine, theirs = scores_of(tmp_path)["scores"], scores_of(tmp_path / "32")["scores"]
    assert 0 < abs(mine - theirs).max() < 0.05
