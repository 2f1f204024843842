"""What a command says at the end of a collection, and by which code."""

from __future__ import annotations

import io
import json
import sys

import pytest
import typer

from ptv_hub.cli.videos import VideoRun
from ptv_hub.errors import UsageError
from ptv_hub.runs.collection import FAILURES
from tests import ROOT
from tests.command import ptv_hub

SHORT = ROOT / "tests" / "data" / "golden" / "videos" / "short_15fps_1s.mp4"


@pytest.mark.parametrize(
    ("world", "rank", "mine", "others", "code"),
    [
        *((1, 0, False, False, None), (1, 0, True, False, 1)),
        # One rank's code ends all of torchrun's: only the first, which waits for all, may give one.
        *((3, 2, True, True, None), (3, 0, False, True, 1), (3, 0, True, True, 1)),
        (3, 0, False, False, None),
    ],
)
def test_a_rank_ends_no_other(monkeypatch, tmp_path, world, rank, mine, others, code):
    monkeypatch.setenv("WORLD_SIZE", str(world))
    monkeypatch.setenv("RANK", str(rank))
    going = VideoRun([str(tmp_path / "none.mp4")] if mine else [])
    assert len(going.failures) == mine
    if others:
        (tmp_path / FAILURES).write_text("video,reason,error\n")
    if code is None:
        going.end(tmp_path)
        return
    with pytest.raises(typer.Exit) as ended:
        going.end(tmp_path)
    assert ended.value.exit_code == code


def test_lists_come_from_a_file_or_standard_input(monkeypatch, tmp_path):
    for name in ("a b.mp4", "#c.mp4"):
        (tmp_path / name).touch()
    text = f"{tmp_path}/a b.mp4\n\n{tmp_path}/#c.mp4\n"
    (tmp_path / "list.txt").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    for listed in (tmp_path / "list.txt", "-"):
        going = VideoRun([], listed)  # type: ignore[arg-type]
        assert [one.stem for one in going.videos] == ["a b", "#c"]
    with pytest.raises(UsageError, match="cannot be read"):
        VideoRun([], tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--recipe ego4d --last back", "a recipe says all"),
        ("--recipe ego4d --crops 3", "a recipe says all"),
        ("--recipe ego4d --clip-sampling main", "a recipe says all"),
        ("--every 2s --crops 3 --whole-frame", "crops, or whole frames"),
        ("--fps 15", "for windows"),
        ("--last drop", "for windows"),
    ],
)
def test_nothing_that_was_typed_of_windows_is_passed_over(tmp_path, words, told):
    ran = ptv_hub("features", "x3d_xs", SHORT, "-o", tmp_path / "out", *words.split())
    assert ran.code == 2
    assert told in ran.err


def test_what_was_done_before_is_counted_and_a_failure_says_no_more_than_it_is(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    words = ("features", "motion_x3d", SHORT, "-o", tmp_path / "out")
    assert "before" not in ptv_hub(*words, "--window", "1s").err
    again = ptv_hub(*words, tmp_path / "bad.mp4", "--window", "1s", "--json")
    assert f"1 was done before: {tmp_path / 'out'}" in again.err
    (failed,) = json.loads(again.out)
    assert (again.code, failed.keys()) == (1, {"video", "error"})
