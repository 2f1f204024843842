"""Level ``accuracy`` of verify: what a measured number proves, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.datasets.listing import Item
from ptv_hub.errors import UsageError
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.fetching.hub import entry
from ptv_hub.verification.accuracy import accuracy_checks
from tests.evaluation.test_loop import GOLDEN, VIDEOS, ColourModel

X3D_XS = entry("x3d_xs")


def result(**changes):
    """A result of a whole Kinetics run that measured 69.00, published are 69.12."""
    small = evaluate(ColourModel(), [Item("a", str(VIDEOS / "short_15fps_1s.mp4"), (1,))])
    counts = small.counts.model_copy(update={"listed": 19761, "scored": 19761})
    first, second = small.comparisons
    first = first.model_copy(
        update={"measured": 69.0, "difference": -0.12, "low": 68.35, "high": 69.64, "inside": True}
    )
    known = {"counts": counts, "comparisons": (first, second), "unknown_list": None}
    return small.model_copy(update={**known, **changes})


def verdicts(found) -> dict[str, str]:
    return {check.name: check.verdict for check in accuracy_checks(X3D_XS, found)}


def test_the_published_number_inside_the_interval_holds():
    assert verdicts(result()) == {"top-1": "holds", "top-5": "noted"}
    check = accuracy_checks(X3D_XS, result())[0]
    assert (check.expected, check.found) == ("69.12", "69.00")
    assert check.note == "95 % interval 68.35 to 69.64 over 19761 of 19761 videos"


def test_the_published_number_outside_the_interval_fails():
    found = result()
    first = found.comparisons[0].model_copy(update={"low": 60.0, "high": 61.3, "inside": False})
    found = found.model_copy(update={"comparisons": (first, found.comparisons[1])})
    assert verdicts(found)["top-1"] == "fails"


@pytest.mark.parametrize(
    "changes",
    [
        {"cautions": ("10 of 19761 videos failed",)},
        {"cautions": ("not frame-identical: 5 videos",)},
        {"differs": ("1 x 1 views, published with 10 x 3",)},
        {"unknown_list": "the list is not known to be the validation set"},
    ],
)
def test_what_is_not_a_whole_clean_run_proves_nothing_and_says_why(changes):
    given = next(iter(changes.values()))
    reason = given if isinstance(given, str) else given[0]
    check = accuracy_checks(X3D_XS, result(**changes))[0]
    assert check.verdict == "noted"
    assert reason in check.note


@pytest.mark.slow
def test_a_few_videos_prove_nothing(drawn, tmp_path):
    paths = ["--data", GOLDEN / "kinetics", "--videos", VIDEOS, "--out", tmp_path / "out"]
    weights = drawn("x3d_xs", training=False)
    command = ["verify", "x3d_xs", "--weights", weights, *paths, "--json"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    report = json.loads(done.stdout)
    top1, top5 = (check for check in report["checks"] if check["level"] == "accuracy")
    assert (top1["verdict"], top1["expected"], top1["found"]) == ("noted", "69.12", "50.00")
    assert "too wide to tell" in top1["note"]
    assert (top5["verdict"], top5["found"]) == ("noted", "75.00")
    assert report["levels"]["accuracy"] == "not checked"
    assert Path(tmp_path / "out" / "scores.npz").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "x3d_xs", "--videos", "."],
        ["verify", "x3d_xs", "--spec", "--data", "."],
        ["verify", "--all", "--data", "."],
    ],
)
def test_misuse(command):
    assert isinstance(CliRunner().invoke(app, command).exception, UsageError)
