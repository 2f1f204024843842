"""The table of all models on one machine: resumed, bounded in memory, and told in three forms."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.errors import UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.runs import speed_table
from ptv_hub.runs.speed_table import Settings, measure_all

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


@pytest.mark.slow
def test_a_model_is_measured_in_a_process_of_its_own(tmp_path):
    settings = Settings(backends=("eager", "torch"), batch_views=1, calls=1)
    found = measure_all(ITEMS[1:], tmp_path, settings)
    (one,) = found.models
    assert [row["backend"] for row in one["rows"]] == ["eager", "torch"]
    assert one["rows"][0]["difference"] == 0
    assert not one["failures"]


@pytest.mark.parametrize("words", ["--all", "x3d_xs --all -o a", "x3d_xs -o a"])
def test_misuse(words):
    done = CliRunner().invoke(app, ["bench", *words.split()])
    assert isinstance(done.exception, UsageError)
