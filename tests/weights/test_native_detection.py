"""PySlowFast's own networks with a head for boxes: their keys are those of its classifiers.

The scores were computed by PySlowFast's own code at 287ec007, with detectron2's RoIAlign, from
what tools/draw_other.py draws.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.errors import Inexpressible, OtherWeights, Undecided, UsageError
from ptv_hub.models.builders import build, shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.convert import convert
from ptv_hub.weights.identify import identify
from ptv_hub.weights.load import load
from ptv_hub.zoo.manifest import find
from tests import DATA
from tools import draw_other as other
from tools.draw import clip

SLOW, SLOWFAST = "AVA/SLOW_4x16_R50_DETECTION", "AVA/SLOWFAST_8x8_R50_DETECTION"
ALIGNED = {SLOW: "slow_r50_detection_aligned", SLOWFAST: "slowfast_r50_detection_aligned"}
UNALIGNED = "slow_r50_detection"
BOTH = [UNALIGNED, "slow_r50_detection_aligned"]
"""Entries of Slow's detectors; ``slow_r50_detection_native`` is the first by another name."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, torch.Tensor]:
    return other.state_dict("native", SLOW)


def write(
    tensors: dict[str, torch.Tensor], path: Path, detection: dict[str, object] | None, name: str
) -> Path:
    """A file of PySlowFast's, with a config that says what of detection; ``None``: nothing."""
    config = other.native_config(name)
    if detection is not None:
        config["DETECTION"] = detection
    torch.save({"model_state": tensors, "cfg": json.dumps(config)}, path)
    return path


def empty(path: Path, detection: dict[str, object] | None, name: str = SLOW) -> Path:
    """As ``write``, of tensors of zeros."""
    return write(other.zeros("native", name), path, detection, name)


def names(path: Path) -> list[str]:
    return [candidate.name for candidate in identify(path).candidates]


@pytest.mark.parametrize("name", [SLOW, pytest.param(SLOWFAST, marks=pytest.mark.slow)])
def test_a_converted_detector_gives_its_owners_scores(name, drawn, tmp_path, caplog):
    known, ours = other.facts("native", name), ALIGNED[name]
    tensors = drawn if name == SLOW else other.state_dict("native", name)
    source = write(tensors, tmp_path / "source.pyth", {"ENABLE": True, "ALIGNED": True}, name)
    assert names(source) == [ours]
    done = convert(source, tmp_path / "official.safetensors", to="official")
    assert (done.source_layout, done.models, done.transformations) == ("native", (ours,), ())
    model = load(ours, weights=done.target, activation="sigmoid")
    with np.load(DATA / "forward_native.npz") as golden:
        boxes, expected = torch.tensor(golden["AVA/boxes"]), golden[f"{name}/scores"]
    with torch.no_grad():
        scores = model(clip(known["num_frames"], known["test_crop"]), boxes).numpy()
    assert np.abs(scores - expected).max() < 1e-5
    back = convert(done.target, tmp_path / "native.pyth", to="native")
    there = checkpoint.read(back.target).tensors
    assert there.keys() == tensors.keys()
    assert all(torch.equal(there[key], tensor) for key, tensor in tensors.items())
    assert "DETECTION.ALIGNED, here True" in back.notes[0]
    assert not caplog.text


@pytest.mark.parametrize("name", ALIGNED)
def test_every_key_of_a_detector_has_the_official_name_that_was_proven(name):
    rows = other.tables()["native"]["layouts"][name]
    hollow = {row[0]: torch.empty(row[2], device="meta") for row in rows}
    (scheme,) = (s for s in layouts.schemes(hollow) if s.takes_boxes)
    assert {key: scheme.to_official(key) for key in hollow} == {row[0]: row[1] for row in rows}
    read = layouts.officially(hollow, scheme).tensors
    assert {key: tuple(t.shape) for key, t in read.items()} == shapes(find(ALIGNED[name]))
    assert layouts.written(read, layouts.scheme_for(read, "native")).tensors.keys() == hollow.keys()


def test_a_detector_is_told_by_its_config_or_your_word_and_never_guessed(tmp_path):
    bare = empty(tmp_path / "bare.pyth", None)
    found = identify(bare)
    assert (found.layout, found.digest, found.num_classes) == ("native", None, 80)
    assert [c.name for c in found.candidates] == BOTH
    assert "--as NAME" in (found.problem or "")
    with pytest.raises(Undecided, match="a Slow with a head for boxes"):
        convert(bare, tmp_path / "out.pyth", to="official")
    as_boxes = convert(bare, tmp_path / "a.pyth", to="official", as_name=UNALIGNED)
    as_videos = convert(bare, tmp_path / "b.pyth", to="official", as_name="slow_4x16_r50")
    assert as_boxes.digest != as_videos.digest
    assert digest(load(UNALIGNED, weights=bare).state_dict()) == as_boxes.digest

    legacy = empty(tmp_path / "legacy.pyth", {"ENABLE": True, "ALIGNED": False})
    assert names(legacy) == [UNALIGNED]
    whole = empty(tmp_path / "whole.pyth", {"ENABLE": False})
    assert names(whole)[0] == "slow_4x16_r50"  # but for the head: 80 classes of videos
    with pytest.raises(OtherWeights, match=r"DETECTION\.ENABLE: False"):
        load(UNALIGNED, weights=whole)
    with pytest.raises(OtherWeights, match=r"DETECTION\.ENABLE: True"):
        load("slow_4x16_r50", weights=legacy, num_classes=80)


def test_a_config_that_says_nothing_of_boxes_does_not_choose_a_head(tmp_path):
    tensors = other.zeros("native", SLOWFAST)
    config = {"MODEL": {"ARCH": "slowfast"}, "DATA": {"NUM_FRAMES": 32, "SAMPLING_RATE": 2}}
    content = {"model_state": tensors, "cfg": json.dumps(config)}
    torch.save(content, tmp_path / "slowfast.pyth")
    with pytest.raises(Undecided, match="a SlowFast with a head for boxes"):
        convert(tmp_path / "slowfast.pyth", tmp_path / "out.pyth", to="official")


def test_whole_videos_classes_tell_that_a_file_is_of_no_detector(tmp_path):
    bare = empty(tmp_path / "kinetics.pyth", None, "Kinetics/SLOW_4x16_R50")
    found = identify(bare)
    assert (found.problem, found.num_classes) == (None, 400)


def test_another_alignment_is_said_and_another_network_is_refused(tmp_path, caplog):
    source = empty(tmp_path / "aligned.pyth", {"ENABLE": True})
    load("slow_r50_detection", weights=source)
    assert "DETECTION.ALIGNED: True, and RoIAlign of slow_r50_detection is not" in caplog.text

    i3d = empty(tmp_path / "i3d.pyth", {"ENABLE": True}, "Kinetics/I3D_8x8_R50")
    with pytest.raises(Inexpressible, match="a detector of PySlowFast on a ResNet with a pool"):
        convert(i3d, tmp_path / "out.pyth", to="official")


def test_the_zoos_row_is_refused_where_its_file_holds_a_c2d(drawn, tmp_path):
    """Its name says C2D and its config Slow: the kernels decide."""
    item = find("slow_r50_detection_native")
    path = other.write_caffe2(drawn, tmp_path / "C2D_8x8_R50.pkl")
    assert load(item, weights=path).entry == item
    flat = {k: t[:, :, 1:2] if t.dim() == 5 and t.shape[2] == 3 else t for k, t in drawn.items()}
    path = other.write_caffe2(flat, tmp_path / "flat.pkl")
    with pytest.raises(Inexpressible, match="no kernel of it spans more than one frame"):
        load(item, weights=path)


@pytest.mark.parametrize("name", ALIGNED.values())
def test_what_takes_clips_alone_refuses_a_detector_and_says_so(name, tmp_path):
    model = build(find(name), device="meta").eval()
    with pytest.raises(UsageError, match="an optimized model takes clips alone"):
        ptv_hub.optimize(model)
    with pytest.raises(UsageError, match="an exported model takes clips alone"):
        ptv_hub.export(model, to="torch-export", out=tmp_path / "model.pt2")
