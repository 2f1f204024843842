"""Repositories of ``push`` in transformers, which has an environment of its own:
``make test-transformers``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.publish.push import assemble
from ptv_hub.publish.upload import upload
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import find
from tests import ROOT, hub_server
from tests.test_habits import blocks

pytestmark = pytest.mark.slow
TOLERANCE = 1e-6
"""Of scores: ours go through a logarithm, and back by transformers' own softmax or sigmoid."""


@pytest.fixture(scope="module", autouse=True)
def transformers():
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("videos")
    motion.write_all(folder, train=1, val=1)
    return str(folder / "val" / "left" / sorted(os.listdir(folder / "val" / "left"))[0])


def tiny(name: str, side: int) -> Entry:
    """An entry of the zoo for small crops, with a head of several positions."""
    item = find(name)
    sizes = {"train_crop_size": side - 32, "crop_size": side, "short_side": side}
    spec = item.input.model_copy(update={**sizes, "train_jitter": (side, side)})
    update = {"name": f"tiny_{name}", "input": spec, "published": None, "artifacts": ()}
    return item.model_copy(update=update)


ENTRIES = {
    "one label": lambda: tiny("x3d_xs", 96),
    "two pathways, several labels": lambda: tiny("slowfast_r50_charades", 96),
    "segments": lambda: tiny("slow_r50_ssv2", 96),
    "trained": lambda: find("motion_x3d"),
}


@pytest.fixture(scope="module", params=ENTRIES)
def repository(request, drawn, tmp_path_factory) -> Path:
    item = ENTRIES[request.param]()
    folder = tmp_path_factory.mktemp("repository")
    of = item.name.removeprefix("tiny_")
    # Of another seed than those whose digests are known: they are nobody's.
    weights = None if of == item.name else drawn(of, training=False, seed=1)
    assemble(item, folder, repo_id="org/r", weights=weights, progress=False)
    return folder


def ours(repository: Path, video: object, **more: object) -> dict[str, float]:
    model = ptv_hub.load(repository)
    count = model.num_classes
    found = ptv_hub.predict(model, video, views="1x1", top_k=count, **more)
    return {one.label: one.score for one in found.predictions}


def test_the_pipeline_gives_our_scores(transformers, repository, video):
    ask = transformers.pipeline(
        "video-classification", model=str(repository), trust_remote_code=True
    )
    expected = ours(repository, video)
    found = {one["label"]: one["score"] for one in ask(video, top_k=len(expected))}
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert [one["label"] for one in ask(video, top_k=2)] == list(expected)[:2]
    several = ask.model.config.problem_type == "multi_label_classification"
    assert several == ("charades" in ask.model.config.entry["name"])


def test_frames_and_pixels_are_ours_bit_for_bit(transformers, repository, video):
    processor = transformers.AutoVideoProcessor.from_pretrained(repository, trust_remote_code=True)
    model = transformers.AutoModelForVideoClassification.from_pretrained(
        repository, trust_remote_code=True
    )
    item = ptv_hub.entry(repository)
    frames = np.random.default_rng(0).integers(0, 256, (60, 40, 56, 3), dtype=np.uint8)
    metadata = {"total_num_frames": 60, "fps": 15.0}
    inputs = processor(
        [frames], video_metadata=[metadata], do_sample_frames=True, return_tensors="pt"
    )
    spec = item.input
    assert inputs["pixel_values_videos"].shape == (
        *(1, spec.num_frames, 3),
        *(spec.crop_size, spec.crop_size),
    )
    with torch.inference_mode():
        logits = model(**inputs).logits
        plain = ptv_hub.load(repository)
        plain.activation = item.protocol.activation
        clip = inputs["pixel_values_videos"].transpose(1, 2)
        activation = torch.softmax if item.protocol.activation == "softmax" else None
        scores = logits.softmax(-1) if activation else logits.sigmoid()
        torch.testing.assert_close(scores, plain(clip), rtol=0, atol=TOLERANCE)
    expected = ours(repository, frames, fps=15)
    labels = model.config.id2label
    found = {labels[index]: score for index, score in enumerate(scores[0].tolist())}
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_it_is_saved_trained_and_given_other_classes(transformers, repository, tmp_path):
    auto = transformers.AutoModelForVideoClassification
    model = auto.from_pretrained(
        repository, trust_remote_code=True, num_labels=3, ignore_mismatched_sizes=True
    ).train()
    config = model.config
    spec = ptv_hub.entry(repository).input
    clip = torch.rand(2, spec.num_frames, 3, spec.crop_size, spec.crop_size)
    several = config.problem_type == "multi_label_classification"
    labels = torch.eye(3)[:2] if several else torch.tensor([0, 2])
    found = model(pixel_values_videos=clip, labels=labels)
    assert found.logits.shape == (2, 3)
    found.loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval().save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path, trust_remote_code=True)
    with torch.inference_mode():
        torch.testing.assert_close(again(clip).logits, model(clip).logits, rtol=0, atol=1e-5)
    whole = ptv_hub.load(
        ptv_hub.entry(repository), weights=tmp_path / "model.safetensors", num_classes=3
    )
    assert torch.equal(whole.get_classifier().weight, model.get_submodule(whole.classifier).weight)


SCRIPT = """
import json, sys
from transformers import pipeline
ask = pipeline("video-classification", model=sys.argv[1], trust_remote_code=True)
print(json.dumps(ask(sys.argv[2], top_k=6)))
"""


def run(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_through_the_hub(monkeypatch, video, tmp_path):
    folder = tmp_path / "r"
    assemble(find("motion_x3d"), folder, repo_id="org/motion", progress=False)
    with hub_server.in_this_process(monkeypatch, tmp_path / "hf") as server:
        upload(folder, "org/motion")
        there = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
        done = run(SCRIPT, "org/motion", video, **there, HF_HUB_DISABLE_XET="1")
    assert done.returncode == 0, done.stderr[-3000:]
    found = {one["label"]: one["score"] for one in json.loads(done.stdout.splitlines()[-1])}
    assert found == pytest.approx(ours(folder, video), abs=TOLERANCE)


def test_the_page_runs(transformers, video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "clip.avi")
    names: dict[str, object] = {"ptv_hub": ptv_hub}
    for block in (*blocks("Hugging Face"), *blocks("transformers")):
        exec(compile(block, "docs/habits.md", "exec"), names)
    assert names["scores"].shape == (1, 3)  # type: ignore[attr-defined]


def test_without_this_package_it_says_what_to_install(tmp_path):
    assemble(find("motion_x3d"), tmp_path / "r", repo_id="org/motion", progress=False)
    hide = "import sys; sys.modules['ptv_hub'] = None\n"
    done = run(hide + SCRIPT, tmp_path / "r", "video.mp4", HF_HOME=str(tmp_path / "home"))
    assert done.returncode != 0
    assert "pip install ptv_hub" in done.stderr
