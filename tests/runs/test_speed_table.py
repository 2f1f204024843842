"""The table of all models on one machine: resumed, bounded in memory, and told in three forms."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.engines.measure import Killed
from ptv_hub.errors import UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.runs import speed_table
from ptv_hub.runs.speed_table import Settings, measure_all
from tests import ROOT

ITEMS = [entry("x3d_xs"), entry("motion_x3d")]
ROW = {"batch_views": 1, "median_ms": 10.0, "first_call_ms": 20.0, "peak_mb": None}


@pytest.fixture
def measured(monkeypatch):
    """What was measured, in order; the numbers are drawn up."""
    names = []

    def alone(item, settings, here):
        names.append(item.name)
        rows = [
            {**ROW, "backend": name, "dtype": "fp32", "views_per_second": speed, "difference": 0.0}
            for name, speed in (("eager", 2.0), ("torch", 5.0))
        ]
        return {
            "format": 1,
            "model": item.name,
            "date": "2026-11-26",
            "settings": settings.model_dump(mode="json"),
            "machine": here,
            "rows": rows,
            "failures": [],
            "ended": item.name == "motion_x3d" and len(names) == 2,
        }

    monkeypatch.setattr(speed_table, "_alone", alone)
    return names


def test_what_was_measured_is_kept_and_only_the_rest_is_measured_again(measured, tmp_path):
    pytest.importorskip("matplotlib")
    settings = Settings(backends=())
    found = measure_all(ITEMS, tmp_path, settings)
    assert measured == ["x3d_xs", "motion_x3d"]
    assert {path.name for path in found.files} == {"bench.json", "bench.md", "bench.png"}
    told = json.loads((tmp_path / "bench.json").read_text())
    assert [one["model"] for one in told["models"]] == ["x3d_xs", "motion_x3d"]
    text = (tmp_path / "bench.md").read_text()
    assert "2.50" in text
    assert "torch, fp32" in text
    measure_all(ITEMS, tmp_path, settings)
    assert measured[2:] == ["motion_x3d"], "the one whose process was killed"
    measure_all(ITEMS, tmp_path, settings)
    assert len(measured) == 3
    measure_all(ITEMS, tmp_path, settings.model_copy(update={"batch_views": 1}))
    assert len(measured) == 5, "other settings are other numbers"


def test_a_run_that_is_ended_leaves_the_table_of_what_it_measured(measured, tmp_path):
    def end(told):
        if told.startswith("[2/2]"):
            raise KeyboardInterrupt

    settings = Settings(backends=())
    with pytest.raises(KeyboardInterrupt):
        measure_all(ITEMS, tmp_path, settings, report=end)
    told = json.loads((tmp_path / "bench.json").read_text())
    assert ([one["model"] for one in told["models"]], told["total"]) == (["x3d_xs"], 2)
    assert "1 of 2 models; the same command goes on." in (tmp_path / "bench.md").read_text()
    measure_all(ITEMS, tmp_path, settings)
    assert measured == ["x3d_xs", "motion_x3d"]
    assert "the same command goes on" not in (tmp_path / "bench.md").read_text()


@pytest.mark.parametrize("failure", [Killed("ended"), UsageError("no such device")])
def test_a_row_whose_process_was_killed_is_tried_again(failure, monkeypatch):
    sent = []
    found = SimpleNamespace(rows=(), failures=(failure,))
    monkeypatch.setattr(speed_table, "bench", lambda *asked, **more: found)
    speed_table._child(SimpleNamespace(send=sent.append), ITEMS[0], Settings(backends=()))
    assert sent == [([], [str(failure)], isinstance(failure, Killed))]


def test_what_was_kept_before_a_setting_was_known_counts(measured, tmp_path):
    settings = Settings(backends=())
    measure_all(ITEMS[:1], tmp_path, settings)
    (path,) = (tmp_path / "models").iterdir()
    told = json.loads(path.read_text())
    del told["settings"]["calibrate_views"]
    path.write_text(json.dumps(told))
    measure_all(ITEMS[:1], tmp_path, settings)
    assert len(measured) == 1
    measure_all(ITEMS[:1], tmp_path, settings.model_copy(update={"calibrate_views": 8}))
    assert len(measured) == 2


@pytest.mark.slow
def test_no_process_measures_on_when_the_command_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import multiprocessing, os, signal, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from ptv_hub.engines.measure import end_with_parent\n"
        "def child(ours):\n"
        "    end_with_parent()\n"
        "    ours.send('started')\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    ours, theirs = context.Pipe()\n"
        "    context.Process(target=child, args=(theirs,)).start()\n"
        "    print(ours.recv(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # It returns when the last that holds its output has ended, and that is the child.
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert done.stdout.strip() == "started", done.stderr


@pytest.mark.slow
def test_a_model_is_measured_in_a_process_of_its_own(tmp_path):
    settings = Settings(backends=("eager", "torch"), batch_views=1, calls=1)
    found = measure_all(ITEMS[1:], tmp_path, settings)
    (one,) = found.models
    assert [row["backend"] for row in one["rows"]] == ["eager", "torch"]
    assert one["rows"][0]["difference"] == 0
    assert not one["failures"]


@pytest.mark.parametrize(
    "words", ["--all", "x3d_xs --all -o a", "x3d_xs -o a", "--all -o a --calibrate b"]
)
def test_misuse(words):
    done = CliRunner().invoke(app, ["bench", *words.split()])
    assert isinstance(done.exception, UsageError)
