"""Drawn motion: the same on every machine, without loss, and nothing in it but motion."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from ptv_hub.datasets import drawn, motion
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import DataError, UsageError
from ptv_hub.fetching.cache import cached_files
from ptv_hub.inference.video import open_video
from ptv_hub.verification.repeated import kept
from ptv_hub.zoo.manifest import entries, known, resolve
from tests.command import ptv_hub

MOTION = resolve("motion_x3d", known())
TRAIN_IN_3 = "ed57344f62bb6fd4f152306558917493a42570cb0ed3eebe537a6046f23f31a0"


def sha256(frames: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()


def decoded(path: str) -> np.ndarray:
    with open_video(path) as video:
        return np.stack([frame for _, frame in video.frames(range(len(video.timestamps.pts)))])


def test_a_video_is_the_same_on_every_machine_and_by_every_numpy():
    """Numbers are made of PCG64's own; the frames' digest was taken when it was drawn first."""
    dice = motion.Dice(7)
    raw = np.random.PCG64(np.random.SeedSequence((7,))).random_raw()
    assert dice.between((0.0, 1.0)) == (raw >> 11) / 2**53
    assert sha256(motion.video("train", "in", 3, seed=2)) == TRAIN_IN_3


def test_noise_is_as_wide_as_it_says():
    noise = motion.Dice(1).noise(200, 500)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_held_out_videos_are_decoded_to_the_very_frames_whose_digests_are_kept(held_out):
    before = kept(MOTION)
    assert len(before) == drawn.COUNT
    for item in held_out(12).items:
        label, name = item.id.split("/")
        frames = decoded(item.video)
        assert frames.shape == (motion.FRAMES, motion.HEIGHT, motion.WIDTH, 3)
        assert np.array_equal(frames, motion.video("test", label, int(name[:4])))
        assert sha256(frames) == before[item.id].frames_sha256


def test_the_first_videos_hold_as_many_of_each_class(held_out):
    items = held_out(12).items
    assert [item.labels for item in items[:6]] == [(label,) for label in range(6)]
    assert [item.id.split("/")[0] for item in items] == [*motion.CLASSES, *motion.CLASSES]
    assert len({item.id for item in items}) == 12


def test_drawn_videos_are_drawn_once_and_no_fetched_files():
    first = read_listing(MOTION, "drawn:2").items
    before = [os.stat(item.video) for item in first]
    assert read_listing(MOTION, "drawn:2").items == first
    assert [os.stat(item.video) for item in first] == before
    assert cached_files() == []
    assert ptv_hub("cache", "remove", "--all").code == 0
    assert not any(os.path.exists(item.video) for item in first)


@pytest.mark.parametrize("word", ["drawn:0", "drawn:601", "drawn:", "drawn:-1", "drawn:six"])
def test_no_such_number_of_drawn_videos(word):
    with pytest.raises(UsageError, match="drawn:N"):
        read_listing(MOTION, word)


def test_of_other_models_drawn_is_a_folder_like_any_other():
    with pytest.raises(DataError, match="no such data folder"):
        read_listing(entries()[0], "drawn")


def test_a_motion_follows_another_without_a_jump():
    """The same field goes on: the second motion's first frame is near the last of the first's."""
    frames = motion.draw(("left", "in"), motion.Dice(3), frames=20, ease=1.0).astype(float)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert len(frames) == 40
    assert steps[19] < 1.5 * steps.mean()


def test_still_frames_do_not_tell_the_class():
    """Mean and spread of each class's frames are within what chance gives, class by class."""
    means = {
        label: [motion.video("test", label, n).std() for n in range(12)] for label in motion.CLASSES
    }
    overall = np.concatenate(list(means.values()))
    for label, values in means.items():
        error = overall.std() / len(values) ** 0.5
        assert abs(np.mean(values) - overall.mean()) < 4 * error, label


def test_data_draw_writes_a_data_set(tmp_path):
    done = ptv_hub("data", "draw", tmp_path / "motion", "--train", 2, "--val", 1)
    assert done.code == 0
    files = sorted(p.relative_to(tmp_path / "motion") for p in (tmp_path / "motion").rglob("*.avi"))
    assert len(files) == 18
    assert str(files[0]) == "train/down/0000.avi"
    one = decoded(str(tmp_path / "motion" / "train" / "left" / "0001.avi"))
    assert np.array_equal(one, motion.video("train", "left", 1))
    other = ptv_hub("data", "draw", tmp_path / "other", "--train", 1, "--val", 0, "--seed", 1)
    assert other.code == 0
    first = decoded(str(tmp_path / "other" / "train" / "left" / "0000.avi"))
    assert not np.array_equal(first, motion.video("train", "left", 0))
