"""Views in batches through a function, and back to the clips and crops of the plan."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ptv_hub.fetching.hub import entry
from ptv_hub.inference.batching import ViewBatches, distinct
from ptv_hub.inference.video import open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import Clip, ViewPlan
from tests import GOLDEN

SPEC = entry("x3d_xs").input


def plan(*frames: tuple[int, ...]) -> ViewPlan:
    clips = (Clip(i, Fraction(i), Fraction(i + 1), f) for i, f in enumerate(frames))
    return ViewPlan(tuple(clips), 2)


def test_a_clip_that_repeats_another_comes_once():
    few, order = distinct(plan((0, 1), (0, 1), (2, 3), (0, 1)))
    assert [clip.index for clip in few.clips] == [0, 2]
    assert (few.num_crops, order) == (2, (0, 0, 1, 0))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_views_come_back_in_their_places_whatever_the_batch(size):
    batches_seen = []

    def number_of(batch):
        batches_seen.append(len(batch))
        return {"number": batch[:, 0, 0, 0, :1]}

    batches = ViewBatches(number_of, SPEC, torch.device("cpu"), size).video()
    for clip in range(2):
        batches.add([torch.full((3, 4, 2, 2), 10.0 * clip + crop) for crop in range(2)])
    found = batches.result((0, 0, 1, 0), 2)["number"]
    assert found.flatten().tolist() == [0, 1, 0, 1, 10, 11, 0, 1]
    assert sum(batches_seen) == 4
    assert all(count == size for count in batches_seen[:-1])
    assert batches.seconds > 0


@pytest.mark.parametrize("across", [False, True])
def test_videos_keep_their_own_views_where_batches_hold_several(across):
    sizes = []

    def number_of(batch):
        sizes.append(len(batch))
        return {"number": batch[:, 0, 0, 0, :1]}

    batches = ViewBatches(number_of, SPEC, torch.device("cpu"), 4, across=across)
    videos = []
    for number, views in enumerate((3, 1, 6)):
        videos.append(batches.video())
        for view in range(views):
            videos[-1].add([torch.full((3, 4, 2, 2), 10.0 * number + view)])
        videos[-1].end()
    done = [video.done for video in videos]
    assert done == [True, True, not across]
    assert sizes == ([4, 4] if across else [3, 1, 4, 2])
    found = [
        v.result(range(n), 1)["number"].flatten().tolist()
        for v, n in zip(videos, (3, 1, 6), strict=True)
    ]
    assert found == [[0, 1, 2], [10], [20, 21, 22, 23, 24, 25]]
    assert all(video.seconds > 0 for video in videos)


@pytest.mark.parametrize("late", [False, True])
def test_results_come_to_their_videos_however_late_they_are_collected(late):
    """On a GPU a batch is collected when the next one is on its way; in order, and all of them."""
    spec = entry("x3d_xs").input
    batches = ViewBatches(
        lambda views: {"mean": views.mean(dim=(1, 2, 3, 4))}, spec, torch.device("cpu"), 2
    )
    batches._late = late
    videos = []
    for number in range(3):
        video = batches.video()
        video.add([torch.full((3, 1, 2, 2), 10.0 * number + view) for view in range(3)])
        assert not (late and video.done), "the last batch is on its way"
        video.end()
        videos.append(video)
    assert [video.done for video in videos] == [True, True, not late]
    for number, video in enumerate(videos):
        found = video.result([0, 1, 2], 1)["mean"]
        assert found.tolist() == [10.0 * number + view for view in range(3)]


@pytest.mark.parametrize("name", ["motion_x3d", "x3d_xs"])
def test_frames_prepared_on_the_device_are_near_those_prepared_one_by_one(name):
    item = entry(name)
    video = GOLDEN / "videos" / "short_15fps_1s.mp4"
    views = {}
    for undone in (False, True):
        viewing = ProtocolViews(item.input, item.protocol, undone=undone)
        crops = item.protocol.num_crops
        batches = ViewBatches(lambda x: {}, item.input, torch.device("cpu"), 1, num_crops=crops)
        with open_video(str(video)) as opened:
            plan = viewing.plan(opened.timestamps)
            made = list(viewing.views(opened, plan))
        views[undone] = [one for clip in made for one in batches.prepared(clip.views)]
    assert len(views[True]) == len(views[False]) == item.protocol.num_views
    for mine, wanted in zip(views[True], views[False], strict=True):
        torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=0)
