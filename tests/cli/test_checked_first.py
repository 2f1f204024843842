"""What could be checked first is: no video is decoded for what cannot be kept."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.errors import MissingExtra, PtvHubError, WriteError
from ptv_hub.fetching import artifacts
from ptv_hub.inference import feature_files, timeline
from ptv_hub.inference.container import EncodedVideo
from ptv_hub.pages import figure
from ptv_hub.verification import spec
from ptv_hub.weights.opened import OpenedWeights
from tests import GOLDEN

VIDEO = str(GOLDEN / "videos" / "short_15fps_1s.mp4")


@pytest.fixture
def weights(drawn):
    return str(drawn("x3d_xs"))


@pytest.fixture
def no_work(monkeypatch):
    """No video is opened."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr(EncodedVideo, "__init__", opened)


@pytest.fixture
def no_weights(monkeypatch):
    """Nothing is fetched, no weights are read but for what they say of themselves, and no model
    is counted."""

    def brought(*_: object, **__: object) -> None:
        raise AssertionError("a model was looked at")

    monkeypatch.setattr(artifacts, "fetch", brought)
    monkeypatch.setattr(OpenedWeights, "file", property(brought))
    monkeypatch.setattr(spec, "count", brought)


def asked(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


LIST = f"--data {GOLDEN}/kinetics --videos {GOLDEN}/videos"
COMMANDS = {
    "predict": f"predict x3d_xs {VIDEO} --plot {{}}/a.html --weights WEIGHTS",
    "features": f"features x3d_xs {VIDEO} -o {{}}/a --weights WEIGHTS",
    "eval": f"eval x3d_xs {LIST} --out {{}}/a --weights WEIGHTS",
    "check": f"data check x3d_xs {LIST} --write {{}}/a.csv",
    "extract": f"data extract slow_r50_ssv2 --data {GOLDEN}/ssv2 --out {{}}/a",
    "finetune": f"finetune x3d_xs --data {GOLDEN}/kinetics/test.csv --videos {GOLDEN}/videos "
    "-o {}/a --batch-size 1 --num-classes 400 --weights WEIGHTS",
    "export": "export x3d_xs --to torch-export -o {}/a.pt2 --weights WEIGHTS",
    "convert": "convert WEIGHTS --to official -o {}/a.safetensors",
    "predictions": f"predict x3d_xs {VIDEO} -o {{}}/a --weights WEIGHTS",
    "annotated": f"predict x3d_xs {VIDEO} --annotate {{}}/a.mp4 --weights WEIGHTS",
    "verify": f"verify x3d_xs {LIST} --out {{}}/a --weights WEIGHTS",
    "attest": "attest x3d_xs --by me --yes -o {}/a.json",
    "push": "push x3d_xs --repo-id org/mine --dry-run --folder {}/a --weights WEIGHTS",
    "site": "site -o {}/a",
    "draw": "data draw {}/a --train 1 --val 0",
    "merge": f"eval --merge {GOLDEN} --out {{}}/a",
    "compare": f"eval --compare {GOLDEN} {GOLDEN} --out {{}}/a",
    "bench": "bench --all -o {}/a",
    "lock": "lock -o {}/a.lock",
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_place_that_cannot_be_written(command, tmp_path, weights, no_work, no_weights):
    (tmp_path / "file").touch()
    words = COMMANDS[command].format(tmp_path / "file").replace("WEIGHTS", weights).split()
    done = asked(*words)
    assert isinstance(done.exception, WriteError), done.exception


def test_extras_formats_and_stages(tmp_path, weights, no_work, no_weights, monkeypatch):
    def missing(needed_for: str) -> None:
        raise MissingExtra("matplotlib", "plot", needed_for=needed_for)

    monkeypatch.setattr(figure, "require_matplotlib", missing)
    monkeypatch.setattr(feature_files, "_pyarrow", partial(missing, "parquet"))
    with_weights = ("x3d_xs", VIDEO, "--weights", weights)
    for words in (
        ("predict", *with_weights, "--plot", tmp_path / "a.png"),
        ("predict", *with_weights, "--plot", tmp_path / "a.gif"),
        ("features", *with_weights, "-o", tmp_path, "--stage", "stage9"),
        ("features", *with_weights, "-o", tmp_path, "--maps"),
        ("features", *with_weights, "-o", tmp_path, "--format", "parquet"),
        ("export", "x3d_xs", "--weights", weights, "--to", "torch-export", "-o", tmp_path / "a.x"),
    ):
        assert isinstance(asked(*words).exception, PtvHubError), words


NAMED = {
    "predict": (f"predict x3d_xs {VIDEO} --views 1x1 --weights WEIGHTS --plot", "a.html"),
    "check": (f"data check x3d_xs {LIST} --write", "a.csv"),
    "lock": ("lock -o", "a.lock"),
    "export": ("export x3d_xs --to torch-export --weights WEIGHTS -o", "a.pt2"),
    "convert": ("convert WEIGHTS --to official -o", "a.safetensors"),
    "zoo": ("convert x3d_xs --to official -o", "a.safetensors"),
    "annotated": (f"predict x3d_xs {VIDEO} --weights WEIGHTS --annotate", "a.mp4"),
}
"""Commands that write one file which the user named, and that file."""


@pytest.mark.parametrize("command", list(NAMED))
def test_a_file_that_is_there_is_left_as_it_is(command, tmp_path, weights, no_work, no_weights):
    words, name = NAMED[command]
    target = tmp_path / name
    target.write_text("mine")
    done = asked(*words.replace("WEIGHTS", weights).split(), target)
    assert isinstance(done.exception, WriteError), done.exception
    assert "--overwrite" in str(done.exception)
    assert target.read_text() == "mine"


@pytest.mark.parametrize("command", ["predict", "check", "lock"])
def test_a_file_that_is_there_is_replaced_on_request(command, tmp_path, weights):
    words, name = NAMED[command]
    target = tmp_path / name
    target.write_text("mine")
    done = asked(*words.replace("WEIGHTS", weights).split(), target, "--overwrite")
    assert done.exit_code == 0, done.output
    assert target.read_text() != "mine"


def test_what_lies_beside_an_exported_file_is_left_too(tmp_path, weights, no_weights):
    (tmp_path / "a.bin").write_text("mine")
    words = ("export", "x3d_xs", "--weights", weights, "--to", "openvino", "-o", tmp_path / "a.xml")
    assert "a.bin" in str(asked(*words).exception)


def test_a_push_in_vain_is_refused_before_the_weights_are_verified(
    tmp_path, weights, no_weights, monkeypatch
):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    words = ("push", "x3d_xs", "--weights", weights, "--repo-id")
    results = tmp_path / "result.json"
    results.write_text("{}")
    for more, told in (
        (("not a name", "--dry-run"), "name of a repository"),
        (("org/mine",), "hf auth login"),
        (("org/mine", "--dry-run", "--results", results), "results of an evaluation"),
    ):
        assert told in str(asked(*words, *more).exception)


def test_verify_looks_for_the_videos_first(tmp_path, weights, no_weights):
    words = ("verify", "x3d_xs", "--weights", weights, "--data", tmp_path / "none")
    assert "none" in str(asked(*words, "--out", tmp_path / "run").exception)


def test_parents_of_outputs_are_made(tmp_path, weights):
    plot = tmp_path / "new" / "folders" / "a.html"
    words = ("predict", "x3d_xs", VIDEO, "--weights", weights, "--views", "1x1", "--plot", plot)
    done = asked(*words, "--json")
    assert done.exit_code == 0, done.output
    assert plot.is_file()
    target = tmp_path / "more" / "a.safetensors"
    assert asked("convert", weights, "--to", "official", "-o", target).exit_code == 0
    assert target.is_file()


def test_labels_are_printed_even_if_the_picture_fails(tmp_path, weights, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise WriteError("a file could not be written", found="the disk is full")

    monkeypatch.setattr(timeline, "draw_timeline", full)
    words = ("predict", "x3d_xs", VIDEO, "--weights", weights, "--views", "1x1", "--json")
    done = asked(*words, "--plot", tmp_path / "a.html")
    assert done.exit_code == 1
    assert len(json.loads(done.stdout)[0]["predictions"]) == 5
    assert "the disk is full" in done.stderr
    assert not Path(tmp_path / "a.html").exists()
