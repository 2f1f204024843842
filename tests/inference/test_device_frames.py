"""Frames by torchcodec against PyAV's, on the CPU: ``make test-nvdec``. On a GPU: ``tests/gpu``."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.errors import MissingExtra, UsageError, VideoError
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.inference.device_frames import device_frames
from ptv_hub.inference.video import open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.models.builders import build
from ptv_hub.weights.named import entry
from tests import GOLDEN
from tests.inference.test_video import turned_video

VIDEOS = sorted((GOLDEN / "videos").iterdir())


def test_without_torchcodec_there_is_no_such_decoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with open_video(VIDEOS[0]) as video, pytest.raises(MissingExtra, match=r"ptv_hub\[nvdec\]"):
        next(device_frames(video, [0], "cpu"))


def test_it_is_for_gpus_and_decodes_in_the_process_of_the_model():
    model = build(entry("x3d_xs")).eval()
    with pytest.raises(UsageError, match="nvdec decodes on an NVIDIA GPU") as caught:
        evaluate(model, [(str(VIDEOS[0]), 0)], preprocess="nvdec")
    assert "found:    cpu, 0 workers" in str(caught.value)
    with pytest.raises(UsageError, match="no such place"):
        evaluate(model, [(str(VIDEOS[0]), 0)], preprocess="gpu")


def test_what_is_no_file_is_read_as_always():
    array = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), np.uint8)
    with open_video(array, fps=4) as video:
        found = dict(device_frames(video, [0, 2], "cpu"))
    assert set(found) == {0, 2}
    assert np.array_equal(found[2].numpy(), array[2])


@pytest.fixture
def torchcodec():
    return pytest.importorskip("torchcodec", reason="of an environment of its own: make test-nvdec")


@pytest.mark.slow
@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_frames_are_those_that_pyav_gives(torchcodec, path):
    with open_video(path) as video:
        count = len(video.timestamps.pts)
        wanted = [*range(0, count, 7), count - 1, 0]  # double ones come once
        theirs = dict(video.frames(wanted))
        ours = dict(device_frames(video, wanted, "cpu"))
    assert list(ours) == sorted(theirs)
    assert all(np.array_equal(theirs[i], ours[i].numpy()) for i in theirs)


@pytest.mark.slow
def test_views_of_a_protocol_come_of_them(torchcodec):
    item = entry("x3d_xs")
    shapes, frames = [], []
    for decoder in (None, "cpu"):
        viewing = ProtocolViews(item.input, item.protocol, undone=True, decoder=decoder)
        with open_video(GOLDEN / "videos" / "wide_30fps_10s.mp4") as video:
            found = list(viewing.views(video, viewing.plan(video.timestamps)))
        shapes.append([one.views[0].shape for one in found])
        frames.append(torch.stack([one.views[0] for one in found]))
    assert shapes[0] == shapes[1]
    assert torch.equal(*frames)


@pytest.mark.slow
def test_an_evaluation_goes_by_them(torchcodec, drawn, monkeypatch, tmp_path):
    """On the CPU, where users are told that it is for GPUs."""
    from ptv_hub.evaluation import loop

    monkeypatch.setattr(loop, "check_place", lambda *_: None)
    model = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))
    found = {}
    for place in ("device", "nvdec"):
        video = str(GOLDEN / "videos" / "wide_30fps_10s.mp4")
        result = evaluate(model, [(video, 0)], out=tmp_path / place, preprocess=place)
        assert result.counts.scored == 1, result.failures
        assert ("decoded on the GPU" in " ".join(result.cautions)) == (place == "nvdec")
        found[place] = np.load(tmp_path / place / "scores.npz")["scores"]
    assert np.array_equal(found["device"], found["nvdec"])


@pytest.mark.slow
def test_what_torchcodec_turns_is_refused(torchcodec, tmp_path):
    with (
        open_video(turned_video(tmp_path)) as video,
        pytest.raises(VideoError, match="as PyAV does") as caught,
    ):
        next(device_frames(video, [0], "cpu"))
    assert "leave --preprocess nvdec out" in str(caught.value)
