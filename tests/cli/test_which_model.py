"""Which model a command runs: ``--config X.yaml KEY VALUE``, and checkpoints that runs wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.cli.which_model import asked
from ptv_hub.datasets.motion import CLASSES, write_all
from ptv_hub.errors import (
    CheckpointError,
    ConfigError,
    FetchError,
    KeyMismatch,
    OfflineError,
    PtvHubError,
    UnreadableFile,
    UsageError,
)
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.transforms import transform
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.state import Position, save
from ptv_hub.weights import checkpoint
from ptv_hub.weights.load import load
from ptv_hub.weights.own_word import recorded
from ptv_hub.zoo.manifest import entries
from ptv_hub.zoo.pyslowfast import Config, Paths, from_config, to_yaml
from ptv_hub.zoo.recipe import recipe_of
from tests import GOLDEN

VIDEO = str(GOLDEN / "videos" / "short_15fps_1s.mp4")
TWO = ["TEST.NUM_ENSEMBLE_VIEWS", "2", "TEST.NUM_SPATIAL_CROPS", "1"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object) -> Result:
    found = run(*words)
    if isinstance(found.exception, PtvHubError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def told(*words: object) -> object:
    return json.loads(done(*words, "--json").stdout)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def weights(drawn) -> str:
    return str(drawn("Kinetics/X3D_XS", training=False))


@pytest.fixture
def config(tmp_path) -> Path:
    """The zoo's own config of x3d_xs, under another name."""
    path = tmp_path / "mine.yaml"
    path.write_text(done("config", "X3D_XS").stdout)
    return path


# ---------------------------------------------------------------------------- configs


@pytest.mark.parametrize("item", [e for e in entries() if e.published], ids=lambda e: e.name)
def test_every_config_of_the_zoo_is_the_zoos_model_whatever_the_file_is_called(item, tmp_path):
    path = tmp_path / "c.yaml"
    settings = Config(entry=item, recipe=recipe_of(item), paths=Paths())
    path.write_text(to_yaml(settings))
    found = asked(None, config=path)
    assert (found.entry, found.protocol, found.weights) == (item, item.protocol, None)
    assert asked(None, ["MODEL.HEAD_ACT", "sigmoid"], config=path).entry == item


def test_predict_with_an_unchanged_config_is_predict_with_the_name(config, weights):
    mine = told("predict", "--config", config, VIDEO, "--weights", weights)
    assert mine == told("predict", "x3d_xs", VIDEO, "--weights", weights)


def test_the_pairs_behind_a_config_decide_on_the_views(config, weights):
    mine = told("predict", "--config", config, VIDEO, *TWO, "--weights", weights)
    assert mine == told("predict", "x3d_xs", VIDEO, "--weights", weights, "--views", "2x1")
    assert mine[0]["views"] == "2x1"


def test_options_come_on_top_of_a_config(config, weights):
    (mine,) = told("predict", "--config", config, VIDEO, "--weights", weights, "--views", "1x1")
    assert mine["views"] == "1x1"


def test_eval_with_a_config_is_eval_with_the_name(config, weights, tmp_path):
    """All of it from the config: data, where the videos lie, weights, protocol."""
    pairs = ["DATA.PATH_TO_DATA_DIR", GOLDEN / "kinetics", "DATA.PATH_PREFIX", GOLDEN / "videos"]
    pairs += ["TEST.CHECKPOINT_FILE_PATH", weights, *TWO]
    fast = ("--workers", "0", "--limit", "2", "--out")
    mine = told("eval", "--config", config, *pairs, *fast, tmp_path / "a")
    paths = ["--data", GOLDEN / "kinetics", "--videos", GOLDEN / "videos", "--weights", weights]
    theirs = told("eval", "x3d_xs", *paths, "--views", "2x1", *fast, tmp_path / "b")
    for result in (mine, theirs):
        for measured in ("sessions", "model_seconds", "decode_seconds"):
            result.pop(measured)
    assert mine == theirs
    assert mine["differs"]  # from the published 10 x 3
    assert mine["comparisons"][0]["published"] == entry("x3d_xs").published.top1
    with np.load(tmp_path / "a" / "scores.npz") as a, np.load(tmp_path / "b" / "scores.npz") as b:
        assert a["scores"].tobytes() == b["scores"].tobytes()


def test_features_and_verify_take_a_config(config, weights, tmp_path):
    given = ("--config", config, "--weights", weights)
    (found,) = told("features", *given, VIDEO, *TWO, "-o", tmp_path / "features")
    assert (found["views"], found["model"]) == ("2x1", "x3d_xs")
    stages = told("features", "--config", config, "--stages")
    assert stages == told("features", "x3d_xs", "--stages")
    report = told("verify", "--config", config, "--spec")
    assert report["checks"] == told("verify", "x3d_xs", "--spec")["checks"]


@pytest.mark.slow
def test_export_takes_a_config_and_its_activation(own, tmp_path):
    path = tmp_path / "cfg.yaml"
    path.write_text(checkpoint.read(own).training["cfg"])
    words = ("--config", path, "MODEL.HEAD_ACT", "sigmoid", "--weights", own)
    exported = told("export", *words, "--to", "torch-export", "-o", tmp_path / "x.pt2")
    clip = torch.randn(1, 3, 4, 40, 40)
    assert exported["inputs"] == {"clip": ["batch", 3, 4, 40, 40]}
    scores = torch.export.load(exported["files"][0]).module()(clip)
    model = load(recorded(own), weights=own, activation="sigmoid")
    torch.testing.assert_close(scores, model(clip), atol=1e-4, rtol=0)


def test_other_input_than_the_zoos_keeps_the_classes_names_and_needs_weights(config, weights):
    pairs = ["DATA.NUM_FRAMES", "8", *TWO]
    (found,) = told("predict", "--config", config, VIDEO, *pairs, "--weights", weights)
    assert found["predictions"][0]["label"] in entry("x3d_xs").labels
    assert found["model"] == "mine"
    with pytest.raises(ConfigError, match="no weights"):
        done("predict", "--config", config, VIDEO, *pairs)


def test_as_in_pyslowfast_the_last_checkpoint_of_the_output_folder_is_tested(config, own):
    path = config.parent / "cfg.yaml"
    path.write_text(checkpoint.read(own).training["cfg"])
    found = run("predict", "--config", path, VIDEO, *TWO, "OUTPUT_DIR", own.parent, "--json")
    assert found.exit_code == 0, found.output
    assert f"weights: {own}" in found.stderr
    assert json.loads(found.stdout) == told("predict", own, VIDEO, "--views", "2x1")


def test_keys_without_effect_are_told(config):
    found = run("verify", "--config", config, "LOG_PERIOD", "3", "--spec")
    assert "LOG_PERIOD = 3" in found.stderr


MISUSE = [
    ("predict", ["x3d_xs", VIDEO], [], "contradict"),
    ("predict", ["SLOW_8x8_R50", VIDEO], [], "contradict"),
    ("predict", ["local-dir:nowhere", VIDEO], [], "contradict"),
    ("predict", [], [], "no video"),
    ("predict", [], TWO, "no video"),
    ("predict", [VIDEO], TWO[:3], "no value"),
    ("eval", ["x3d_xs"], [], "contradict"),
    ("eval", ["x3d_xs"], TWO, "contradict"),
    ("eval", [], TWO[:3], "no value"),
    ("verify", ["x3d_xs"], [], "contradict"),
    ("verify", ["here.pyth"], [], "contradict"),
    ("verify", ["--all"], [], "--all"),
    ("eval", ["--report", "."], [], "--report"),
]


@pytest.mark.parametrize(("command", "words", "pairs", "says"), MISUSE)
def test_misuse_of_a_config(config, command, words, pairs, says):
    Path("here.pyth").touch()
    with pytest.raises(UsageError, match=says):
        done(command, *words, "--config", config, *pairs)


@pytest.mark.parametrize(
    ("command", "pairs", "says"),
    [
        ("predict", ["TEST.NUM_SPATIAL_CROPSS", "1"], "no key 'TEST.NUM_SPATIAL_CROPSS'"),
        ("eval", ["TSET.NUM_SPATIAL_CROPS", "1"], "no key 'TSET.NUM_SPATIAL_CROPS'"),
        ("predict", ["MODEL.HEAD_ACT", "relu"], "not supported"),
        ("predict", ["TEST.NUM_SPATIAL_CROPS", "many"], "not a whole number"),
        ("predict", ["MODEL.NUM_CLASSES", "7"], "no weights"),
        ("eval", [], "names no data"),
    ],
)
def test_values_that_a_config_cannot_have(config, command, pairs, says):
    video = [VIDEO] if command == "predict" else []
    with pytest.raises(ConfigError, match=says):
        done(command, "--config", config, *video, *pairs)


def test_names_and_configs_that_are_not_there(config):
    with pytest.raises(ConfigError, match="cannot be read"):
        done("predict", "--config", "missing.yaml", VIDEO)
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        done("predict", "--config", config, VIDEO, "TEST.CHECKPOINT_FILE_PATH", "missing.pyth")
    for words in (["predict"], ["features"], ["export", "--to", "onnx"]):
        with pytest.raises(UsageError, match="no model is named"):
            done(*words)
    with pytest.raises(UsageError, match="for a config"):
        done("verify", "x3d_xs", *TWO)


# ---------------------------------------------------------------------------- runs' checkpoints


def write(path: Path, weights: object, labels: tuple[str, ...]) -> Path:
    """A checkpoint of a run of one step: an X3D_XS on 40 pixels with classes of its own."""
    small = ["DATA.TRAIN_CROP_SIZE", 40, "DATA.TEST_CROP_SIZE", 40]
    small += ["DATA.TRAIN_JITTER_SCALES", "[40, 50]", "MODEL.NUM_CLASSES", len(labels)]
    settings = finetuning(entry("x3d_xs"), output=str(path.parent), name="moves", opts=small)
    own = settings.entry.model_copy(update={"labels": labels, "dataset": "custom"})
    large = own.model_copy(update={"num_classes": 400, "labels": ()})
    model = load(large, weights=weights, num_classes=len(labels))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(2, 3, 4, 40, 40))[:, 0].sum().backward()
    optimizer.step()
    position = Position(data="none", batches=1, world=1, started_from="x3d_xs")
    save(path, model, optimizer, settings.model_copy(update={"entry": own}), position)
    return path


@pytest.fixture(scope="module")
def own(drawn, tmp_path_factory) -> Path:
    """Of six classes, where x3d_xs has 400."""
    path = tmp_path_factory.mktemp("run") / "last.pyth"
    return write(path, drawn("Kinetics/X3D_XS", training=False), tuple(sorted(CLASSES)))


def test_a_checkpoint_holds_its_own_entry(own, weights):
    found = recorded(own)
    assert (found.name, found.num_classes, found.labels) == ("moves", 6, tuple(sorted(CLASSES)))
    assert found.input.crop_size == 40
    assert told("identify", own)["own_word"] == "moves, 6 classes, fine-tuned from x3d_xs"
    assert recorded(weights) is None
    assert told("identify", weights)["own_word"] is None


def test_predict_takes_a_runs_checkpoint_with_its_classes(own):
    found = told("predict", own, VIDEO, "--views", "1x1")
    assert found[0]["model"] == "moves"
    assert {one["label"] for one in found[0]["predictions"]} < set(CLASSES)
    with_name = run("predict", "X3D_XS", VIDEO, "--weights", own, "--views", "1x1", "--json")
    assert json.loads(with_name.stdout) == found
    assert "taken for what it says it is: moves, 6 classes" in with_name.stderr


def test_own_names_for_as_many_classes_are_not_taken_for_the_zoos(weights, tmp_path):
    names = tuple(f"mine {index}" for index in range(400))
    path = write(tmp_path / "best.pyth", weights, names)
    for words in ((path, VIDEO), ("x3d_xs", VIDEO, "--weights", path)):
        (found,) = told("predict", *words, "--views", "1x1")
        assert found["predictions"][0]["label"].startswith("mine ")


def test_eval_takes_a_runs_checkpoint_and_class_folders(own, tmp_path):
    write_all(tmp_path / "motion", train=1, val=1)
    fast = ("--data", tmp_path / "motion", "--views", "1x1", "--workers", "0", "--out")
    found = told("eval", own, *fast, tmp_path / "a")
    assert (found["model"], found["counts"]["scored"]) == ("moves", 6)
    with_name = told("eval", "x3d_xs", "--weights", own, *fast, tmp_path / "b")
    assert with_name["metrics"] == found["metrics"]
    assert with_name["weights_digest"] == found["weights_digest"]


def test_verify_holds_a_runs_checkpoint_to_what_it_says(own):
    for words in ((own,), ("x3d_xs", "--weights", own)):
        report = told("verify", *words)
        assert (report["name"], report["holds"]) == ("moves", True)
        assert report["levels"]["behaviour"] == "holds"
        classes = next(check for check in report["checks"] if check["name"] == "classes")
        assert classes["expected"] == "6 classes (custom)"


def test_push_and_convert_take_a_runs_checkpoint(own, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    folder = tmp_path / "pushed"
    pushed = told("push", own, "--repo-id", "me/moves", "--dry-run", "--folder", folder)
    written = json.loads((folder / "config.json").read_text())
    assert written["entry"]["name"] == "moves"
    assert list(written["label2id"]) == sorted(CLASSES)
    with_name = ("push", "x3d_xs", "--weights", own, "--repo-id", "me/moves", "--dry-run")
    assert told(*with_name)["digest"] == pushed["digest"]
    converted = told("convert", own, "--to", "official", "-o", tmp_path / "m.safetensors")
    assert converted["digest"] == pushed["digest"]


def test_a_folder_that_push_wrote_stands_where_a_name_does(own, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    pushed = told("push", own, "--repo-id", "a/b", "--dry-run", "--folder", tmp_path / "pushed")
    address = f"local-dir:{tmp_path / 'pushed'}"
    assert transform(address).spec == recorded(own).input
    again = told("push", address, "--repo-id", "a/b", "--dry-run")
    assert again["digest"] == pushed["digest"]
    exported = told("export", address, "--to", "torch-export", "-o", tmp_path / "m.pt2")
    assert (exported["name"], exported["digest"]) == ("moves", pushed["digest"])
    for command in (["push", "--repo-id", "a/b", "--dry-run"], ["export", "--to", "torch-export"]):
        with pytest.raises(FetchError, match=r"no config\.json"):
            done(*command, "local-dir:nowhere")
        with pytest.raises(OfflineError, match="not in the cache"):
            done(*command, "hf-hub:org/nothing")


def test_config_and_finetune_take_a_runs_checkpoint(own, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(done("config", own).stdout)
    assert from_config(path).entry.input == recorded(own).input
    write_all(tmp_path / "motion", train=1, val=1)
    words = ("finetune", own, "--data", tmp_path / "motion", "-o", tmp_path / "more")
    fast = ("--epochs", 1, "--batch-size", 6, "--workers", 0, "--check", "none")
    result = told(*words, *fast)
    assert result["started_from"] == str(own)
    again = recorded(result["last"])
    assert (again.input, again.labels) == (recorded(own).input, recorded(own).labels)
    assert again.source == "fine-tuned from moves"


def test_a_config_names_its_classes_by_the_checkpoint(own, tmp_path):
    path = tmp_path / "cfg.yaml"
    path.write_text(checkpoint.read(own).training["cfg"])
    pairs = ["TEST.CHECKPOINT_FILE_PATH", own, *TWO]
    (found,) = told("predict", "--config", path, VIDEO, *pairs)
    assert {one["label"] for one in found["predictions"]} < set(CLASSES)


def test_checkpoints_that_do_not_fit_are_refused(own, weights, tmp_path):
    with pytest.raises(KeyMismatch, match="not those of slow_r50"):
        done("predict", "slow_r50", VIDEO, "--weights", own)
    with pytest.raises(CheckpointError, match="does not say which model"):
        done("predict", weights, VIDEO)
    with pytest.raises(UsageError, match="two files"):
        done("predict", own, VIDEO, "--weights", weights)
    file = checkpoint.read(own)
    for record in ({"entry": '{"name": "x"}'}, {}, "text"):
        path = tmp_path / "odd.pyth"
        checkpoint.write(path, file.tensors, training={**file.training, "ptv_hub": record})
        with pytest.raises(CheckpointError, match="cannot be understood"):
            done("predict", path, VIDEO)
