"""Runs of a small X3D on drawn videos: what is written, restarts, processes, bad input.

The real task, drawn motion learnt to 95 %, is the slow test at the end.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from ptv_hub.cli import app, main
from ptv_hub.datasets.motion import CLASSES, write_all
from ptv_hub.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    KeyMismatch,
    TrainingError,
    UsageError,
    VideoError,
    WriteError,
)
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build
from ptv_hub.training.engine import train
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.logs import RunLog
from ptv_hub.training.source import read_source
from ptv_hub.weights import checkpoint
from ptv_hub.weights.identify import identify
from ptv_hub.weights.load import load
from ptv_hub.zoo.pyslowfast import from_config
from tests import ROOT
from tests.command import ptv_hub
from tools import draw

# An X3D of a third of X3D_XS's blocks on 32 pixels: a step takes 20 ms.
SMALL = ["X3D.DEPTH_FACTOR", 0.5, "X3D.WIDTH_FACTOR", 1.0, "X3D.DIM_C5", 64]
SMALL += ["DATA.TRAIN_CROP_SIZE", 32, "DATA.TEST_CROP_SIZE", 32]
SMALL += ["DATA.TRAIN_JITTER_SCALES", "[32, 40]", "DATA.RANDOM_FLIP", False]
SMALL += ["TRAIN.BATCH_SIZE", 4, "DATA_LOADER.NUM_WORKERS", 0]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    write_all(folder, train=3, val=1)
    return folder


def run(videos, output, *opts, epochs=2, **changes):
    source = read_source(
        finetuning(entry("x3d_xs"), output=str(output), opts=SMALL).entry,
        videos,
        num_classes="auto",
    )
    config = finetuning(
        entry("x3d_xs"), output=str(output), opts=[*SMALL, "SOLVER.MAX_EPOCH", epochs, *opts]
    )
    return train(config, source, **({"check": "none"} | changes))


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "moves"
    return run(videos, output, control=True), output


def command(videos, output, *more):
    pairs = [str(x) for x in (*SMALL, "SOLVER.MAX_EPOCH", 2)]
    start = Path(output).parent / "start.pyth"
    return [
        *("-m", "ptv_hub", "finetune", "x3d_xs", *pairs, "--data", str(videos)),
        *("-o", str(output), "--weights", str(start), "--check", "none", "--json", *more),
    ]


def start_weights(folder, seed=5):
    """A small X3D's weights, for other classes than the videos'."""
    item = finetuning(entry("x3d_xs"), opts=SMALL).entry
    torch.manual_seed(seed)
    path = folder / "start.pyth"
    checkpoint.write(path, build(item).state_dict())
    return path


def same(a, b):
    """Whether two checkpoints hold the same weights and the same optimizer state."""
    one, two = checkpoint.read(a), checkpoint.read(b)
    states = [f.training["optimizer_state"]["state"] for f in (one, two)]
    return all(torch.equal(t, two.tensors[k]) for k, t in one.tensors.items()) and all(
        torch.equal(s["momentum_buffer"], states[1][i]["momentum_buffer"])
        for i, s in states[0].items()
    )


def test_a_checkpoint_is_pyslowfasts(trained):
    result, output = trained
    file = checkpoint.read(output / "last.pyth")
    assert file.container == "model_state"
    assert all(key.startswith("model.blocks.") for key in file.tensors)
    assert file.training["epoch"] == 1
    state = file.training["optimizer_state"]
    assert set(state) == {"state", "param_groups"}
    trainable = [k for k in file.tensors if "running_" not in k and "num_batches" not in k]
    assert len(state["state"]) == len(trainable)
    config = yaml.safe_load(file.training["cfg"])
    assert config["MODEL"]["MODEL_NAME"] == "PTVX3D"
    assert config["MODEL"]["NUM_CLASSES"] == 6
    assert config["SOLVER"]["MAX_EPOCH"] == 2
    assert Path(result.best).is_file()


def test_the_config_in_a_checkpoint_means_the_run(trained, tmp_path):
    _, output = trained
    path = tmp_path / "cfg.yaml"
    path.write_text(checkpoint.read(output / "last.pyth").training["cfg"])
    config = from_config(path)
    assert config.recipe.epochs == 2
    assert config.entry.num_classes == 6
    assert config.entry.input.train_crop_size == 32


def test_the_logs_have_a_row_for_each_epoch(trained):
    _, output = trained
    rows = list(csv.DictReader((output / "epochs.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(float(row["loss"]) > 0 and row["metric"] == "top1" for row in rows)
    steps = list(csv.DictReader((output / "steps.csv").open()))
    assert [(row["epoch"], row["step"]) for row in steps] == [("0", "3"), ("1", "3")]


def test_a_full_disk_leaves_the_logs_of_an_interrupted_run_as_they_were(tmp_path, monkeypatch):
    written = RunLog(tmp_path, epoch=0, step=0, tensorboard=False)
    for step in (9, 19):
        row = {"epoch": 0, "step": step, "learning_rate": 0.1, "loss": 1.0, "seconds": 1.0}
        written.step(step + 1, row)
    before = (tmp_path / "steps.csv").read_text()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(WriteError, match="the disk is full"):
            RunLog(tmp_path, epoch=0, step=10, tensorboard=False)
    assert (tmp_path / "steps.csv").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs.csv", "steps.csv"]
    RunLog(tmp_path, epoch=0, step=10, tensorboard=False)
    assert len((tmp_path / "steps.csv").read_text().splitlines()) == 2


def test_the_result_says_how_it_was_measured(trained):
    result, _ = trained
    assert result.videos == 6
    assert result.chance == pytest.approx(100 / 6)
    assert result.control is not None
    assert result.steps == 8


def test_the_model_travels_with_its_class_names(trained):
    result, _ = trained
    model = load(result.model)
    assert model.entry.labels == tuple(sorted(CLASSES))
    assert model(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 6)
    identity = identify(result.last)
    assert identity.layout == "pyslowfast"


def test_predict_says_the_users_own_class_names(trained, videos):
    result, _ = trained
    clip = str(next((videos / "val" / "left").glob("*.avi")))
    done = CliRunner().invoke(app, ["predict", result.model, clip, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert any(label in json.dumps(said) for label in CLASSES)


def test_running_again_goes_on_and_changes_nothing(videos, tmp_path):
    first = run(videos, tmp_path / "run")
    again = run(videos, tmp_path / "run")
    assert again.digest == first.digest


def test_an_interrupted_run_equals_an_uninterrupted_one(videos, tmp_path):
    """Killed with SIGKILL in the middle of an epoch, with dropout and momentum."""
    start = start_weights(tmp_path)
    whole = run(videos, tmp_path / "whole", weights=start)
    output = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, *command(videos, output, "--save-every", "0")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    last = output / "last.pyth"
    deadline = time.monotonic() + 600
    while not last.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    position = checkpoint.read(last).training["ptv_hub"]["position"]
    assert (position["epoch"], position["step"]) < (2, 0), "it was killed too late"
    resumed = run(videos, output, weights=start)
    assert resumed.digest == whole.digest
    assert same(last, whole.last)
    logs = [(Path(r.output) / "epochs.csv").read_text().splitlines() for r in (whole, resumed)]
    assert [row.split(",")[:5] for row in logs[0]] == [row.split(",")[:5] for row in logs[1]]


@pytest.mark.slow
def test_two_processes_do_what_one_does(videos, tmp_path):
    """The same global batches, with batch-norm statistics over all clips and with dropout."""
    start = start_weights(tmp_path)
    one = run(videos, tmp_path / "one", weights=start)
    two = tmp_path / "two"
    # Standalone: it takes a port that is free.
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, *command(videos, two)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["processes"] == 2
    assert result["loss"] == pytest.approx(one.loss, rel=1e-3)
    tensors, others = (checkpoint.read(f"{r}/last.pyth").tensors for r in (tmp_path / "one", two))
    for key, tensor in tensors.items():
        difference = (tensor.double() - others[key].double()).norm()
        # Float32 summed in another order, over eight steps (measured: 2e-6).
        assert difference <= 1e-4 * tensor.double().norm() + 1e-6, key


def test_a_checkpoint_of_another_model_is_refused_before_any_step(videos, tmp_path):
    draw.write("Kinetics/X3D_XS", tmp_path / "other.pyth", training=False)
    with pytest.raises(KeyMismatch):
        run(videos, tmp_path / "run", weights=tmp_path / "other.pyth")
    assert not (tmp_path / "run" / "last.pyth").exists()


def test_an_output_folder_of_another_run_is_not_overwritten(videos, trained):
    _, output = trained
    with pytest.raises(CheckpointError, match="other settings") as caught:
        run(videos, output, "SOLVER.BASE_LR", 0.5)
    assert "base_lr" in caught.value.expected


def test_a_batch_larger_than_the_data_is_an_error(videos, tmp_path):
    with pytest.raises(DataError, match="fewer training videos"):
        run(videos, tmp_path / "run", "TRAIN.BATCH_SIZE", 64)


def test_more_frozen_stages_than_there_are_is_misuse(videos, tmp_path):
    config = finetuning(entry("x3d_xs"), output=str(tmp_path), opts=SMALL, frozen_stages=6)
    source = read_source(config.entry, videos, num_classes="auto")
    with pytest.raises(UsageError, match="stages to freeze"):
        train(config, source, check="none")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["finetune", "x3d_xs", "--data", "nowhere"], 1, "no such data folder"),
        (["finetune", "x3d_xxs", "--data", "."], 2, "no model"),
        (["finetune", "x3d_xs", "--data", ".", "--num-classes", "six"], 2, "auto"),
        (["finetune", "x3d_xs", "SOLVER.BASE_LR", "--data", "."], 2, "no value"),
        (["finetune", "x3d_xs", "SOLVER.BASE_LRR", "1", "--data", "."], 1, "no key"),
        (["train", "--config", "nowhere.yaml"], 1, "cannot be read"),
        (["config", "x3d_xxs"], 2, "no model"),
    ],
)
def test_misuse_of_the_commands(arguments, code, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ptv-hub", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, words in said) == (code, True), said


def test_an_unknown_model_name_is_an_error_before_anything_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("MODEL: {MODEL_NAME: MViT, ARCH: mvit}\nTRAIN: {DATASET: ptvkinetics}\n")
    with pytest.raises(ConfigError, match="MODEL_NAME"):
        CliRunner().invoke(app, ["train", "--config", str(path)], catch_exceptions=False)


def test_config_writes_what_train_reads(videos, tmp_path):
    runner = CliRunner()
    written = runner.invoke(app, ["config", "X3D_XS", *map(str, SMALL)])
    assert written.exit_code == 0, written.output
    path = tmp_path / "small.yaml"
    path.write_text(written.stdout)
    pairs = ["DATA.PATH_TO_DATA_DIR", str(videos), "OUTPUT_DIR", str(tmp_path / "run")]
    pairs += ["SOLVER.MAX_EPOCH", "1", "MODEL.NUM_CLASSES", "6", "TEST.BATCH_SIZE", "4"]
    done = runner.invoke(app, ["train", "--config", str(path), *pairs, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"] == 1
    assert (tmp_path / "run" / "tensorboard").exists() is False


def test_an_evaluation_tells_what_the_run_was_trained_on(trained, videos, tmp_path):
    _, output = trained
    words = ["eval", output / "best.pyth", "--views", "1x1", "--workers", 0, "--limit", 3, "--json"]
    done = ptv_hub(*words, "--data", videos / "train", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    # A held-out video of the class bears the name of the third.
    assert "2 of 3 videos are named like ones that" in " ".join(json.loads(done.out)["cautions"])


def test_mixed_precision_and_clipped_gradients_run_and_differ(videos, tmp_path):
    plain = run(videos, tmp_path / "plain", epochs=1)
    mixed = run(videos, tmp_path / "mixed", "TRAIN.MIXED_PRECISION", True, epochs=1)
    clipped = run(videos, tmp_path / "clipped", "SOLVER.CLIP_GRAD_L2NORM", 1e-3, epochs=1)
    assert len({plain.digest, mixed.digest, clipped.digest}) == 3
    assert mixed.loss == pytest.approx(plain.loss, rel=0.1)
    tensors = checkpoint.read(mixed.last).tensors
    assert {t.dtype for t in tensors.values()} == {torch.float32, torch.int64}


def test_tensorboard_gets_the_same_curves(videos, tmp_path):
    run(videos, tmp_path / "run", "TENSORBOARD.ENABLE", True, epochs=1)
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))


def test_a_loss_that_is_no_number_ends_the_run_in_words(videos, tmp_path):
    with pytest.raises(TrainingError, match="the loss is"):
        run(videos, tmp_path / "run", "SOLVER.BASE_LR", 1e9, "SOLVER.WARMUP_START_LR", 1e9)


def test_gradients_that_are_no_numbers_end_the_run_before_they_are_kept(
    videos, tmp_path, monkeypatch
):
    """Of a loss that is a number: a root's slope at nothing is infinite."""
    from ptv_hub.training import step

    made = step.loss_function

    def steep(*arguments):
        plain = made(*arguments)
        return lambda found, wanted: plain(found, wanted) + (0 * found.sum()).sqrt()

    monkeypatch.setattr(step, "loss_function", steep)
    with pytest.raises(
        TrainingError, match=r"norm of the gradients is (nan|inf) in epoch 0, step 0"
    ):
        run(videos, tmp_path / "run", "SOLVER.CLIP_GRAD_L2NORM", 1.0, save_every_s=0)
    assert not (tmp_path / "run" / "last.pyth").exists()


def test_a_loss_is_asked_for_when_the_next_step_has_begun(videos, tmp_path, monkeypatch):
    from ptv_hub.training.losses import Losses
    from ptv_hub.training.step import Step

    happened = []
    step, settle = Step.__call__, Losses.settle

    def stepped(self, batch, epoch, number, group):
        happened.append(("begun", number))
        return step(self, batch, epoch, number, group)

    def settled(self, until=None):
        settle(self, until)
        happened.append(("known", self.position.step))

    monkeypatch.setattr(Step, "__call__", stepped)
    monkeypatch.setattr(Losses, "settle", settled)
    result = run(videos, tmp_path / "run", epochs=1)
    assert result.steps == 4
    known = [("known", n) for n in range(5)]
    begun = [("begun", n) for n in range(4)]
    assert happened == [
        begun[0],
        known[0],
        *(x for n in (1, 2, 3) for x in (begun[n], known[n])),
        known[4],
    ]
    with (tmp_path / "run" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3"]
    assert 0 < float(rows[0]["seconds"]) < result.seconds


def test_precise_statistics_are_those_of_the_batches(videos, tmp_path):
    """With precise BN the looks see other statistics than the moving averages."""
    plain = run(videos, tmp_path / "plain", epochs=1)
    precise = run(
        videos,
        tmp_path / "precise",
        *("BN.USE_PRECISE_STATS", True, "BN.NUM_BATCHES_PRECISE", 2),
        epochs=1,
    )
    one, two = (checkpoint.read(r.last).tensors for r in (plain, precise))
    differing = {key for key in one if not torch.equal(one[key], two[key])}
    assert differing
    assert all("running_" in key or "num_batches" in key for key in differing)


@pytest.mark.slow
def test_motion_x3d_can_be_trained_again(tmp_path):
    """The command of docs/demo.md: some eight minutes on 2 cores."""
    write_all(tmp_path / "motion", train=300, val=20)
    words = ["finetune", "motion_x3d", "--from-scratch", "--data", tmp_path / "motion"]
    words += ["-o", tmp_path / "motion_x3d", "--no-flip", "--epochs", 12, "--batch-size", 16]
    words += ["--lr", 0.005, "--workers", 1, "--seed", 0, "--control", "--json"]
    words += ["SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.WEIGHT_DECAY", 0.02]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["started_from"] == "pytorchvideo's initial weights"
    assert result["best_value"] >= 75  # of one clip, where the protocol takes two
    # Four standard errors of 120 guesses at chance.
    assert result["control"] <= 100 / 6 + 4 * 100 * (1 / 6 * 5 / 6 / 120) ** 0.5
    model = load(result["model"])
    assert model.entry.labels == CLASSES
    assert model.entry.pretrain is None
    assert not model.entry.demonstration


# What goes wrong on the way


def copy_of(videos, folder):
    shutil.copytree(videos, folder)
    return folder


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def first_trained(data, epoch=0):
    """The video that an epoch begins with."""
    source = read_source(finetuning(entry("x3d_xs"), opts=SMALL).entry, data, num_classes="auto")
    order = np.random.default_rng([0, epoch]).permutation(len(source.train))
    return source.train[int(order[0])]


def test_a_broken_video_is_replaced_where_that_is_allowed(videos, tmp_path, caplog):
    data = copy_of(videos, tmp_path / "data")
    broken = first_trained(data)
    Path(broken.video).write_bytes(b"not a video")
    watched = files_of(data / "val")[0]
    watched.write_bytes(b"not a video")
    with pytest.raises(VideoError):
        run(data, tmp_path / "refused")
    with pytest.raises(DataError, match="--skip-broken") as caught:
        run(data, tmp_path / "refused", check="open")
    assert "2 of " in str(caught.value)
    for check in ("none", "open"):
        result = run(data, tmp_path / check, check=check, skip_broken=True)
        assert result.skipped == (broken.id,)
        assert result.videos == len(files_of(data / "val")) - 1
        with (tmp_path / check / "epochs.csv").open() as file:
            assert {row["videos"] for row in csv.DictReader(file)} == {str(result.videos)}
    assert broken.id in caplog.text
    assert "5 of 6 watched videos were scored" in caplog.text
    assert same(tmp_path / "none" / "last.pyth", tmp_path / "open" / "last.pyth")


def test_what_takes_a_broken_videos_place_does_not_change_with_an_interruption(videos, tmp_path):
    data = copy_of(videos, tmp_path / "data")
    Path(first_trained(data).video).write_bytes(b"not a video")

    class Ended(Exception):
        pass

    def end(now):
        if now.kind == "step" and now.epoch == 1:
            raise Ended

    run(data, tmp_path / "whole", skip_broken=True)
    options = {"skip_broken": True, "save_every_s": 0}
    with pytest.raises(Ended):
        run(data, tmp_path / "parts", report=end, **options)
    result = run(data, tmp_path / "parts", **options)
    assert len(result.skipped) == 1
    assert same(tmp_path / "whole" / "last.pyth", tmp_path / "parts" / "last.pyth")


def test_nothing_but_broken_videos_is_an_error(videos, tmp_path):
    data = copy_of(videos, tmp_path / "data")
    for path in files_of(data / "train"):
        path.write_bytes(b"not a video")
    with pytest.raises(VideoError):
        run(data, tmp_path / "run", skip_broken=True)


def test_a_run_goes_on_with_a_list_from_which_videos_were_removed(videos, tmp_path, caplog):
    data = copy_of(videos, tmp_path / "data")
    run(data, tmp_path / "run", epochs=1, check="none")
    checkpoint_before = (tmp_path / "run" / "last.pyth").read_bytes()
    gone = first_trained(data)
    Path(gone.video).unlink()
    files_of(data / "val")[0].unlink()
    result = run(data, tmp_path / "run", epochs=1)
    assert "2 videos were removed from the list since the run began" in caplog.text
    assert result.videos == 6  # that the last look was over, before
    added = data / "train" / Path(gone.id).with_stem("new")
    shutil.copy(files_of(data / "train")[0], added)
    with pytest.raises(DataError, match="a run on other data") as caught:
        run(data, tmp_path / "run", epochs=1)
    assert "1 new" in caught.value.found
    assert (tmp_path / "run" / "last.pyth").read_bytes() == checkpoint_before


def test_removed_videos_are_replaced_by_others(videos, tmp_path):
    """Whether the list lost a video or the file cannot be read, the same takes its place."""
    one, two = (copy_of(videos, tmp_path / name) for name in ("one", "two"))
    gone = first_trained(one, epoch=1).id

    class Ended(Exception):
        pass

    def end(now):
        raise Ended

    for data in (one, two):
        # Ended after the first step: the list and a checkpoint are written.
        with pytest.raises(Ended):
            run(data, tmp_path / f"run {data.name}", save_every_s=0, report=late(end))
    (one / "train" / gone).unlink()
    (two / "train" / gone).write_bytes(b"not a video")
    removed = run(one, tmp_path / "run one")
    broken = run(two, tmp_path / "run two", skip_broken=True)
    assert removed.skipped == broken.skipped == (gone,)
    assert same(tmp_path / "run one" / "last.pyth", tmp_path / "run two" / "last.pyth")


def late(end):
    """Called in the second step of a run."""

    def report(now):
        if now.kind == "step" and now.done == 2:
            end(now)

    return report


@pytest.fixture
def one_thread():
    """As another process has that is told so: sums come in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_sigterm_writes_a_checkpoint_and_exits_with_143(
    videos, tmp_path, workers, one_thread, monkeypatch
):
    start_weights(tmp_path)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # SMALL's own number of workers comes first; the last of two counts.
    more = ("SOLVER.MAX_EPOCH", "4", "DATA_LOADER.NUM_WORKERS", str(workers))
    arguments = [*command(videos, parts)]
    at = arguments.index("--data")
    arguments[at:at] = more
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (parts / "last.pyth").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)  # to its decoding processes, too
    talk = process.communicate(timeout=120)[1]
    assert process.returncode == 143, talk
    assert "the same command goes on" in talk
    monkeypatch.chdir(ROOT)
    words = arguments[2:]
    done = ptv_hub(*words)
    assert done.code == 0, done.err
    words[words.index(str(parts))] = str(whole)
    done = ptv_hub(*words)
    assert done.code == 0, done.err
    assert same(whole / "last.pyth", parts / "last.pyth")


@pytest.mark.parametrize("way", [("--seed", "-1"), ("RNG_SEED", "-1")])
def test_a_negative_seed_is_misuse(videos, tmp_path, way):
    words = [way[0], way[1]] if way[0].startswith("--") else []
    pairs = [] if words else ["--", *way]
    done = CliRunner().invoke(
        app,
        ["finetune", "x3d_xs", "--data", str(videos), "-o", str(tmp_path / "r"), *words, *pairs],
    )
    assert done.exit_code in (1, 2)
    assert not isinstance(done.exception, ValueError)
    assert not (tmp_path / "r").exists()
