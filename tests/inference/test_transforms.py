"""Transforms: bit for bit the reference's, written here once more as plain torch."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

import ptv_hub
from ptv_hub.errors import UnknownName, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.clips import clip_views
from ptv_hub.inference.transforms import crops, input_spec, pack_pathways, prepare, transform
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import plan_views
from ptv_hub.models.builders import build
from ptv_hub.zoo.input_spec import InputSpec
from ptv_hub.zoo.manifest import entries
from tests import GOLDEN


def reference(frames: torch.Tensor, spec: InputSpec, place: int) -> list[torch.Tensor]:
    """PySlowFast's test transform of one clip, uint8 (T, H, W, 3), as its steps stand there.

    Float, / 255, normalise, short side, uniform crop, pathways; a clip at a time.
    """
    clip = frames.permute(3, 0, 1, 2).to(torch.float32)  # (T, H, W, C) -> (C, T, H, W)
    clip = clip / 255.0
    clip = clip.clone()
    mean, std = torch.as_tensor(spec.mean), torch.as_tensor(spec.std)
    clip.sub_(mean[:, None, None, None]).div_(std[:, None, None, None])
    height, width = clip.shape[2:]
    if width < height:
        size = (math.floor((float(height) / width) * spec.short_side), spec.short_side)
    else:
        size = (spec.short_side, math.floor((float(width) / height) * spec.short_side))
    clip = torch.nn.functional.interpolate(clip, size=size, mode="bilinear", align_corners=False)
    height, width = clip.shape[2:]
    side = spec.crop_size
    top, left = math.ceil((height - side) / 2), math.ceil((width - side) / 2)
    if height > width:
        top = (0, top, height - side)[place]
    else:
        left = (0, left, width - side)[place]
    clip = clip[:, :, top : top + side, left : left + side]
    if spec.slowfast_alpha is None:
        return [clip]
    count = clip.shape[1]
    slow = torch.linspace(0, count - 1, count // spec.slowfast_alpha).long()
    return [torch.index_select(clip, 1, slow), clip]


def drawn(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def as_list(given):
    return given if isinstance(given, list) else [given]


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_the_center_crop_is_the_references_bit_for_bit(item):
    frames = drawn(item.input.num_frames, 97, 131)
    found = as_list(transform(item)(frames))
    expected = reference(torch.from_numpy(frames), item.input, 1)
    assert len(found) == len(expected) == item.input.num_pathways
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(8, 420),
    width=st.integers(8, 420),
    count=st.sampled_from([1, 4, 8]),
    short_side=st.integers(65, 300),
    less=st.integers(0, 15),
    place=st.integers(0, 2),
)
def test_any_size_is_the_references_bit_for_bit(height, width, count, short_side, less, place):
    changes = {"num_frames": count, "short_side": short_side, "crop_size": short_side - less}
    # Under 65 pixels (the zoo's smallest are 182) torch interpolates several frames with another
    # kernel than one, and the last bit may differ.
    spec = entry("x3d_xs").input.model_copy(update=changes)
    frames = drawn(count, height, width, seed=height)
    name = ("left", "center", "right")[place]
    (expected,) = reference(torch.from_numpy(frames), spec, place)
    assert torch.equal(transform(spec, crop=name)(frames), expected)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("x3d_xs", "videos/wide_30fps_10s.mp4"),
        ("x3d_s", "videos/ntsc_6s.mkv"),
        ("slow_r50", "videos/portrait_25fps_5s.avi"),
        ("Kinetics/SLOWFAST_4x16_R50", "videos/short_15fps_1s.mp4"),
        ("SSv2/SLOWFAST_8x8_R50", "frames/102"),
        ("Charades/SLOW_8x8_R50", "frames/XYZ89"),
    ],
)
def test_the_views_of_a_video_are_the_references_bit_for_bit(name, source):
    item = entry(name)
    protocol = item.protocol.model_copy(update={"num_clips": min(item.protocol.num_clips, 3)})
    with open_video(GOLDEN / source) as video:
        plan = plan_views(video.timestamps, item.input, protocol)
        raw = dict(video.frames(plan.frames))
        for found in clip_views(video, item.input, protocol):
            whole = torch.from_numpy(np.stack([raw[frame] for frame in found.clip.frames]))
            for place in range(3):
                ours = as_list(pack_pathways(found.views[place], item.input))
                for one, other in zip(ours, reference(whole, item.input, place), strict=True):
                    assert torch.equal(one, other)


def test_frames_come_as_array_tensor_or_list():
    spec = entry("x3d_xs").input
    frames = drawn(4, 60, 80)
    found = transform(spec)(frames)
    assert found.shape == (3, 4, 182, 182)
    assert found.dtype == torch.float32
    assert torch.equal(transform(spec)(torch.from_numpy(frames)), found)
    assert torch.equal(transform(spec)(list(frames)), found)
    assert torch.equal(transform(spec)(frames[:, :, ::-1][:, :, ::-1]), found)  # odd strides
    read_only = frames.copy()
    read_only.flags.writeable = False
    assert torch.equal(transform(spec)(read_only), found)


def test_another_number_of_frames_is_sampled_as_the_protocol_does():
    frames = drawn(45, 20, 30)
    uniform, segments = entry("x3d_xs").input, entry("SSv2/SLOW_8x8_R50").input
    assert torch.equal(transform(uniform)(frames), transform(uniform)(frames[[0, 14, 29, 44]]))
    middle = frames[[3, 8, 13, 19, 25, 30, 35, 41]]
    assert torch.equal(transform(segments)(frames), transform(segments)(middle))


def test_bgr_turns_the_channels_round():
    spec = entry("x3d_xs").input
    frames = drawn(4, 60, 80)
    turned = transform(spec.model_copy(update={"channel_order": "bgr"}))(frames)
    assert torch.equal(turned, transform(spec)(frames[..., ::-1]))


class Clips(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.how(drawn(40, 40, 50, seed=index)), index


def test_it_works_in_a_data_loader_with_workers():
    how = transform("slowfast_r50")
    assert pickle.loads(pickle.dumps(how)) == how
    loader = DataLoader(Clips(how), batch_size=2, num_workers=1, multiprocessing_context="spawn")
    (slow, fast), numbers = next(iter(loader))
    assert slow.shape == (2, 3, 8, 256, 256)
    assert fast.shape == (2, 3, 32, 256, 256)
    assert torch.equal(fast[1], how(drawn(40, 40, 50, seed=1))[1])
    assert numbers.tolist() == [0, 1]


def test_the_spec_comes_from_a_model_a_name_an_entry_or_itself():
    model = ptv_hub.load("x3d_xs", pretrained=False)
    item = entry("X3D_XS")
    assert input_spec(model) == input_spec("x3d_xs") == input_spec(item) == item.input
    assert input_spec(item.input) is item.input
    with pytest.raises(WrongInput, match="no input spec"):
        input_spec(torch.nn.Linear(1, 1))
    with pytest.raises(UnknownName):
        transform("x3d_xs", crop="top")


def test_what_transform_makes_the_model_takes():
    model = ptv_hub.load("slowfast_r50", pretrained=False)
    clip = transform(model)(drawn(32, 30, 40))
    with torch.inference_mode():
        assert model([pathway[None] for pathway in clip]).shape == (1, 400)


@pytest.mark.parametrize(
    "frames",
    [
        drawn(4, 8, 8).astype(np.float32),
        drawn(4, 8, 8).astype(np.int64),
        drawn(4, 8, 8)[0],
        drawn(4, 8, 8).transpose(3, 0, 1, 2),
        drawn(0, 8, 8),
        [],
        [drawn(1, 8, 8)[0], drawn(1, 9, 8)[0]],
        "frames",
        None,
    ],
    ids=[
        "bytes as float",
        "whole numbers",
        "one frame",
        "channels before time",
        "no frame",
        "empty",
        "two sizes",
        "text",
        "none",
    ],
)
def test_what_are_not_frames_is_refused(frames):
    with pytest.raises(WrongInput) as caught:
        transform("x3d_xs")(frames)
    assert "uint8, or float from 0 to 1, RGB, of shape (T, H, W, 3)" in str(caught.value)


@pytest.mark.parametrize("name", ["x3d_xs", "slowfast_4x16_r50"])
def test_frames_come_as_torchvision_has_them(name):
    """(T, C, H, W), uint8 or float, one or a batch: what comes out is what a video gives."""
    how = transform(name)
    count = how.spec.num_frames
    frames = drawn(count, 60, 80)
    expected = as_list(how(frames))
    channels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    same = [channels, channels.contiguous(), channels.float() / 255, list(channels)]
    for form in (*same, [frame.numpy() for frame in channels]):
        for one, other in zip(as_list(how(form)), expected, strict=True):
            assert torch.equal(one, other)
    others = torch.from_numpy(drawn(count, 60, 80, seed=1)).permute(0, 3, 1, 2)
    for one, other, second in zip(
        as_list(how(torch.stack([channels, others]))), expected, as_list(how(others)), strict=True
    ):
        assert torch.equal(one, torch.stack([other, second]))


def test_frames_stay_on_their_device():
    clip = transform("x3d_xs")(torch.empty(2, 9, 3, 60, 80, dtype=torch.uint8, device="meta"))
    assert clip.device.type == "meta"
    assert clip.shape == (2, 3, 4, 182, 182)


def test_crops_are_views_and_prepare_leaves_the_frame_alone():
    spec = entry("x3d_xs").input
    frame = torch.from_numpy(drawn(1, 60, 80)[0])
    before = frame.clone()
    clip = torch.stack([prepare(frame, spec)] * 4, dim=1)
    assert torch.equal(frame, before)
    assert all(crop.data_ptr() >= clip.data_ptr() for crop in crops(clip, spec, 3))
    assert [tuple(crop.shape) for crop in crops(clip, spec, 5)] == [(3, 4, 182, 182)] * 5


@pytest.mark.parametrize("how", ["linspace", "nearest"])
def test_the_slow_pathway_has_the_frames_that_the_model_would_take(how):
    item = entry("slowfast_r50")
    spec = item.input.model_copy(update={"slow_frames": how})
    model = build(item.model_copy(update={"input": spec}), device="meta")
    view = torch.arange(32.0).reshape(1, 1, 32, 1, 1).expand(1, 3, 32, 193, 193)
    slow, fast = pack_pathways(view, spec)
    assert torch.equal(slow, model.pathways(view)[0])
    assert torch.equal(fast, view)
