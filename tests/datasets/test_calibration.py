"""Which views a model is calibrated on: seeded, from videos of one's own, others held out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.datasets.calibration import calibration
from ptv_hub.errors import DataError, UsageError


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    motion.write_split(folder, "train", 1)
    return folder


@pytest.fixture(scope="module")
def entry():
    return ptv_hub.entry("motion_x3d")


def test_views_are_drawn_from_the_seed_and_the_held_out_are_of_other_videos(videos, entry):
    first = calibration(entry, videos, views=3)
    again = calibration(entry, videos, views=3)
    assert first.record == again.record
    assert calibration(entry, videos, views=3, seed=1).record.digest != first.record.digest
    views, others = list(first.calibrating()), list(first.held_out())
    assert [tuple(view.shape) for view in views] == [(3, 8, 40, 40)] * 3
    assert len(others) == 6
    assert all(torch.equal(a, b) for a, b in zip(views, again.calibrating(), strict=True))
    assert not any(torch.equal(view, other) for view in views for other in others)
    assert (first.record.videos, first.record.held_out_videos) == (6, 4)


def test_one_video_serves_both_with_other_views(videos, tmp_path, entry):
    one = tmp_path / "one.txt"
    one.write_text(str(videos / "train" / "left" / "0000.avi"))
    drawn = calibration(entry, one, views=8)
    views, others = list(drawn.calibrating()), list(drawn.held_out())
    assert views
    assert others
    assert not any(torch.equal(view, other) for view in views for other in others)
    assert drawn.record.held_out_videos == 0


def test_lists_of_a_data_set_and_broken_videos(videos, tmp_path, entry, caplog):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")
    good = sorted(videos.rglob("*.avi"))
    listed = tmp_path / "train.csv"
    listed.write_text("".join(f"{path} 0\n" for path in [broken, *good]))
    for source in (listed, tmp_path):
        drawn = calibration(entry, source, views=2)
        assert drawn.record.videos == 7
        assert len([*drawn.calibrating(), *drawn.held_out()]) >= 5
    assert "left out of calibrating" in caplog.text


def test_nothing_to_calibrate_on(tmp_path, entry):
    with pytest.raises(UsageError, match="nothing to calibrate on"):
        calibration(entry, tmp_path / "missing")
    with pytest.raises(DataError, match="no video"):
        calibration(entry, tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="can be decoded"):
        list(calibration(entry, tmp_path).calibrating())
