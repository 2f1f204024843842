"""Folders for a while, which do not stay; files that are to be written, seen to before."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ptv_hub import load
from ptv_hub.cli import main
from ptv_hub.errors import ConfigError, UsageError, WriteError
from ptv_hub.fetching import hub
from ptv_hub.files import expanded, ready_file, ready_folder, scratch_folder, write_text
from ptv_hub.inference.video import open_video
from ptv_hub.zoo.pyslowfast import from_config
from tests import ROOT

KILLED = """
import os, signal
from ptv_hub.files import scratch_folder
with scratch_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


NO_PLACE = Path("/proc/self")


@pytest.mark.skipif(not NO_PLACE.is_dir(), reason="a folder that nobody may write into")
def test_a_folder_that_is_there_is_written_into_to_see_that_it_can_be():
    with pytest.raises(WriteError):
        ready_folder(NO_PLACE)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_goes_at_the_end_and_after_an_error(place):
    with scratch_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.parent == place
    with pytest.raises(KeyError), scratch_folder():
        raise KeyError
    assert list(place.iterdir()) == []


def test_that_of_a_killed_process_goes_with_the_next_one(place):
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert Path(done.stdout.strip()).is_dir()
    others = [place / "ptv_hub-other-1-x", place / "ptv_hub_", place / "mine"]
    for other in others:
        other.mkdir()
    with scratch_folder() as own, scratch_folder() as second:
        assert not Path(done.stdout.strip()).exists()
        assert own.is_dir()  # its process runs
        assert second != own
    assert sorted(place.iterdir()) == sorted(others)


def test_parents_are_made_and_nothing_is_left(tmp_path):
    assert ready_file(tmp_path / "a" / "b" / "c.bin") == tmp_path / "a" / "b" / "c.bin"
    assert ready_folder(tmp_path / "d" / "e").is_dir()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "d", "e"]
    (tmp_path / "d" / "kept").write_text("kept")
    ready_file(tmp_path / "d" / "kept")
    assert (tmp_path / "d" / "kept").read_text() == "kept"


def test_what_cannot_be_written_is_said_before(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match="could not be written") as caught:
        ready_file(tmp_path / "file" / "below")
    assert "a file" in caught.value.found
    with pytest.raises(WriteError):
        ready_folder(tmp_path / "file")
    with pytest.raises(WriteError) as caught:
        ready_file(tmp_path / "folder")
    assert "a folder is in the place" in caught.value.found
    with pytest.raises(WriteError):
        ready_folder("/proc/nothing/here")  # a folder of the system's that takes no files


@pytest.mark.parametrize("write", [ready_file, lambda path: write_text(path, "text")])
def test_what_is_no_file_is_not_replaced_by_one(write, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(WriteError, match="a device, a pipe"):
        write(pipe)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["a" * 256, "a/" * 2100, "a\0b", "\ud800"])
def test_what_no_file_can_be_called_is_one_error(name):
    for road in (expanded, hub.entry, load, open_video):
        with pytest.raises(UsageError, match="no file can be called so"):
            road(name)


def test_the_home_of_nobody_is_a_folder_like_others(tmp_path, monkeypatch):
    """As in a shell; Path.expanduser raises RuntimeError for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a") == tmp_path / "a"
    assert expanded("~nobody-is-called-so/a") == Path("~nobody-is-called-so/a")
    used = [p for p in (ROOT / "ptv_hub").rglob("*.py") if ".expanduser()" in p.read_text()]
    assert used == []


def test_a_name_too_long_is_misuse_of_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ptv-hub", "lock", "x3d_m", "-o", "a" * 300])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code in (1, 2)
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("base", ["/dev/zero", "a\\0b", "a" * 300, "~nobody-is-called-so/x", "."])
def test_a_config_goes_on_from_a_file_alone(base, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(f'_BASE_: "{base}"\n')
    with pytest.raises(ConfigError):
        from_config(path)
