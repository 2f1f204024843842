"""The guides' own code and commands, run as they stand, with small models for those they name."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import ptv_hub
from ptv_hub.cli import app
from ptv_hub.datasets import motion
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.zoo.manifest import entries, find
from tests import ROOT, hub_server

pytestmark = pytest.mark.slow  # each step of them is tested in its own room too
ZOO = "|".join(re.escape(n) for item in entries() for n in (item.name, item.zoo_name))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the guides name."""
    monkeypatch.chdir(tmp_path)
    motion.write_all(tmp_path / "videos", train=2, val=1)
    (clip,) = (tmp_path / "videos" / "val" / "left").iterdir()
    for name in ("dancing.mp4", "kitchen.mp4", "a.mp4", "b.mp4"):
        shutil.copy(clip, name)
    assert command("ptv-hub convert motion_x3d --to pyslowfast -o X3D_M.pyth").exit_code == 0
    return tmp_path


def blocks(page: str, language: str = "python") -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def small(name: str) -> VideoModel:
    """An entry of the zoo that sees 64 pixels and one view a video, with numbers of its own."""
    item = find(name)
    sizes = {"train_crop_size": 32, "crop_size": 64, "short_side": 64, "train_jitter": (64, 64)}
    one_view = item.protocol.model_copy(update={"num_clips": 1, "num_crops": 1})
    spec = item.input.model_copy(update=sizes)
    torch.manual_seed(0)
    model = build(item.model_copy(update={"input": spec, "protocol": one_view})).eval()
    model.activation = item.protocol.activation
    return model


def run(page: str, code: str, names: dict[str, object], **stands_for: str) -> None:
    """A block; every model of the zoo is ``motion_x3d``, but for those that ``stands_for`` has."""
    for name, word in stands_for.items():
        code = code.replace(f'ptv_hub.load("{name}")', word).replace(f'"{name}"', word)
    code = re.sub(rf'"({ZOO})"', '"motion_x3d"', code)
    exec(compile(code, f"docs/{page}.md", "exec"), names)


def command(line: str):
    words = [re.sub(rf"^({ZOO})$", "motion_x3d", word) for word in shlex.split(line)[1:]]
    return CliRunner().invoke(app, words)


def test_predict(here):
    frames = torch.randint(256, (40, 60, 80, 3), dtype=torch.uint8).numpy()
    names: dict[str, object] = {"frames": frames}
    for block in blocks("predict"):
        run("predict", block, names)
    assert names["maps"].values.ndim == 6
    assert Path("labelled.mp4").stat().st_size > 1000


def test_features(here):
    names: dict[str, object] = {"ptv_hub": ptv_hub, "model": small("slowfast_r50")}
    windows, pathways = blocks("features")[0].split("\n\n")  # each under the same name
    run("features", windows, names, slowfast_r50="model")
    assert names["found"].values.shape[1] == 2304
    run("features", pathways, names, slowfast_r50="model")
    outputs = names["found"].outputs
    assert (outputs["slow"].shape[1], outputs["fast"].shape[1]) == (2048, 256)


def test_evaluation(here):
    (block,) = blocks("evaluation")
    reading = 'read_listing(model.entry, "charades", videos="charades/frames")'
    assert reading in block
    pairs = '[("a.mp4", (3, 20)), ("b.mp4", (3,))]'  # the data set's own layout: test_reading
    names: dict[str, object] = {"small": small("slow_r50_charades")}
    run("evaluation", block.replace(reading, pairs), names, slow_r50_charades="small")
    assert names["result"].counts.scored == 2


def test_training(here):
    (block,) = blocks("training")
    one_epoch = block.replace(
        '["MIXUP.ENABLE", True]', '["MIXUP.ENABLE", True, "SOLVER.MAX_EPOCH", 1]'
    )
    assert one_epoch != block
    run("training", one_epoch, {})
    assert list(Path("logs").rglob("metrics.csv"))


def test_export(here):
    write, read, torchs = blocks("export")
    names: dict[str, object] = {"ptv_hub": ptv_hub}
    run("export", write, names)
    assert names["done"].max_difference < 1e-4
    names["clip"] = np.random.default_rng(0).random((3, 3, 8, 40, 40), dtype=np.float32)
    run("export", read, names)
    done = command("ptv-hub export X3D_M --to torch-export -o x3d_m.pt2")
    assert done.exit_code == 0, done.output
    run("export", torchs, names)
    assert names["labels"] == list(find("motion_x3d").labels)


def test_convert(here):
    for line in "".join(blocks("checkpoints", "bash")).splitlines():
        done = command(line)
        assert done.exit_code == 0, (line, done.output)
        if " digest " in line:
            assert len({one.split()[0] for one in done.stdout.splitlines()}) == 1
    for name in ("X3D_M_again.pyth", "X3D_M_official.pyth", "X3D_M_native.pyth"):
        assert Path(name).is_file()


def test_publish(here, monkeypatch):
    push, load = blocks("publish")
    names: dict[str, object] = {"ptv_hub": ptv_hub}
    with hub_server.in_this_process(monkeypatch, here / "hf"):
        run("publish", push, names)
        main, at_a_commit, folder = load.splitlines()
        run("publish", main, names)
        commit = names["model"].entry.artifacts[0].base_url.rpartition("@")[2]
        assert re.fullmatch("[0-9a-f]{40}", commit)
        run("publish", at_a_commit.replace("4f2c0a9...", commit), names)
        run("publish", folder, names)
    assert names["model"].num_classes == 6
