"""Boxes in a video: the file that lists them, the clip around each, its scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from ptv_hub.errors import UsageError, VideoError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.box_files import Box, read_boxes
from ptv_hub.inference.detection import predict_boxes
from ptv_hub.inference.features import features
from ptv_hub.inference.predict import predict
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import clip_around
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.zoo.entry import Entry


@pytest.fixture(scope="module")
def model() -> VideoModel:
    """Slow for boxes, of small frames, whose scores are spread."""
    torch.manual_seed(0)
    item = entry("slow_r50_detection")
    sizes = {"short_side": 64, "crop_size": 64, "train_crop_size": 64}
    small = item.model_copy(update={"input": item.input.model_copy(update=sizes)})
    made = build(small).eval()
    made.detection_head.proj.weight.data.mul_(60)
    return made


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    """Three seconds at 30 a second, (90, 96, 128, 3)."""
    return np.random.default_rng(0).integers(0, 256, (90, 96, 128, 3), dtype=np.uint8)


def test_a_box_has_the_scores_of_its_clip(model, video):
    boxes = [
        Box(time=2.0, box=(32, 24, 96, 90)),
        Box(time=1.0, box=(0, 0, 64, 48)),
        Box(time=2.0, box=(0.5, 0.25, 1, 1), relative=True),
    ]
    found = predict_boxes(model, video, boxes, 80)
    frames = torch.from_numpy(video[[60 - 32, 60 - 16, 60, 60 + 16]])
    clip = (frames.float() / 255 - 0.45) / 0.225
    scaled = functional.interpolate(clip.permute(0, 3, 1, 2), (64, 85), mode="bilinear")
    corners = torch.tensor([[32.0, 24, 96, 90], [64, 24, 128, 96]])
    corners *= torch.tensor([85 / 128, 64 / 96, 85 / 128, 64 / 96])
    with torch.inference_mode():
        want = model(scaled.transpose(0, 1)[None], [corners]).sigmoid()
    for place, number in ((0, 0), (2, 1)):
        scores = {one.index: one.score for one in found.boxes[place].predictions}
        ours = torch.tensor([scores[index] for index in range(80)])
        assert float((ours - want[number]).abs().max()) < 1e-5
    assert [one.time for one in found.boxes] == [2.0, 1.0, 2.0]
    assert found.boxes[2].box == (64, 24, 128, 96)
    best = found.boxes[0].predictions[0]
    assert best.label == entry("slow_r50_detection").labels[best.index]
    assert model.activation is None


@pytest.mark.parametrize(
    ("time", "frames"),
    [
        (1.0, (0, 14, 30, 46)),
        (0.0, (0, 0, 0, 16)),
        (3.0, (58, 74, 89, 89)),
        (1.51, (13, 29, 45, 61)),
    ],
)
def test_the_clip_has_the_box_in_its_middle(time, frames):
    spec = entry("slow_r50_detection").input
    assert clip_around(Timestamps.regular(90, 30), spec, time).frames == frames


def test_another_rate_gives_the_nearest_frames():
    spec = entry("slow_r50_detection").input
    assert clip_around(Timestamps.regular(75, 25), spec, 1.0).frames == (0, 12, 25, 38)


@pytest.mark.parametrize("time", [3.01, 100.0])
def test_no_clip_is_beyond_the_end(time):
    with pytest.raises(VideoError, match="at that time"):
        clip_around(Timestamps.regular(90, 30), entry("slow_r50_detection").input, time)


AVA = "a,0902,0.1,0.2,0.5,0.9,12,3\na,0902,0.1,0.2,0.5,0.9,17,3\nb,0903,0.0,0.0,1.0,1.0,80,0\n"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("x.csv", "time,x1,y1,x2,y2\n1.5,1,2,3,4\n", [Box(time=1.5, box=(1, 2, 3, 4))]),
        (
            "x.csv",
            "\ufeffVideo, score, X1, Y1, X2, Y2, Time\nv.mp4, 0.9, 1, 2, 3, 4, 2\n",
            [Box(time=2, box=(1, 2, 3, 4), video="v.mp4")],
        ),
        (
            "ava.csv",
            AVA,
            [
                Box(time=902, box=(0.1, 0.2, 0.5, 0.9), relative=True, video="a"),
                Box(time=903, box=(0, 0, 1, 1), relative=True, video="b"),
            ],
        ),
        (
            "x.json",
            json.dumps([{"time": 1, "box": [1, 2, 3, 4]}, {"time": 1, "box": [0, 0, 2, 9]}]),
            [Box(time=1, box=(1, 2, 3, 4)), Box(time=1, box=(0, 0, 2, 9))],
        ),
    ],
)
def test_lists_of_boxes_are_read(tmp_path, name, text, wanted):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert list(read_boxes(path)) == wanted


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "", "empty"),
        ("x.csv", "time,x1,y1,x2,y2\n1,5,2,3,4\n", "x1 < x2"),
        ("x.csv", "time,x1,y1,x2,y2\n1,5,2\n", ":2"),
        ("x.csv", "time,x1,y1,x2,y2\n1,nan,2,3,4\n", "finite"),
        ("x.csv", "time,x1,y1,x2,y2\n-1,1,2,3,4\n", "greater than or equal to 0"),
        ("x.csv", "a,902,10,20,30,40\n", "shares"),
        ("x.csv", "left,top\n1,2\n", "not understood"),
        ("x.csv", "x1,y1,x2,y2\n1,1,9,9\n", "4 cells: x1, y1, x2, y2"),
        ("x.json", "{", "not understood"),
        ("x.json", '[{"time": 1, "box": [1, 2, 3]}]', "box"),
        ("x.json", '[{"time": 1, "bbox": [1, 2, 3, 4]}]', "bbox|box"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_boxes(path)


def test_boxes_of_other_videos_are_left_out(model, video):
    boxes = [Box(time=1, box=(0, 0, 9, 9), video="other.mp4")]
    with pytest.raises(UsageError, match="no box is of this video"):
        predict_boxes(model, video, boxes)
    assert Box(time=1, box=(0, 0, 9, 9), video="a").is_in("folder/a.mp4")


def test_a_box_outside_of_the_frame_is_refused(model, video):
    with pytest.raises(UsageError, match="outside"):
        predict_boxes(model, video, [Box(time=1, box=(200, 0, 300, 9))])


def test_models_and_questions_that_do_not_fit_are_refused(model, video):
    with pytest.raises(UsageError, match="scores boxes"):
        predict(model, video)
    with pytest.raises(UsageError, match="features of boxes"):
        features(model, video)
    whole = build(entry("x3d_xs"), device="meta").eval()
    with pytest.raises(UsageError, match="takes no boxes"):
        predict_boxes(whole, video, [Box(time=1, box=(0, 0, 9, 9))])


def test_a_class_token_is_a_clips_embedding(video):
    item: Entry = entry("mvit_base_16x4")
    sizes = {"short_side": 64, "crop_size": 64, "train_crop_size": 64}
    made = build(item.model_copy(update={"input": item.input.model_copy(update=sizes)})).eval()
    found = features(made, video, views="2x1")
    assert found.values.shape == (2, 768)
    assert found.stage == "embedding"
    scores = predict(made, video, 400, views="2x1").predictions
    with torch.inference_mode():
        want = made.head.proj(found.values).softmax(dim=1).mean(dim=0)
    assert max(abs(one.score - float(want[one.index])) for one in scores) < 1e-6
