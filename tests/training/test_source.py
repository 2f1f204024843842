"""Training samples: what is random follows from the seed alone; what is wrong is said first."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ptv_hub.datasets.listing import Item
from ptv_hub.datasets.motion import CLASSES, write_all
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import DataError, UsageError, VideoError
from ptv_hub.fetching.hub import entry
from ptv_hub.training.clips import Batches, LookClips, TrainingClips, collate
from ptv_hub.training.source import check_videos, read_source

SPEC = entry("x3d_xs").input.model_copy(
    update={"train_crop_size": 32, "crop_size": 32, "short_side": 32, "train_jitter": (32, 40)}
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two videos of each class to train on, one to watch, 40 x 40 pixels."""
    folder = tmp_path_factory.mktemp("motion")
    write_all(folder, train=2, val=1)
    return folder


@pytest.fixture(scope="module")
def source(videos):
    return read_source(entry("x3d_xs"), videos, num_classes="auto")


def clips(source, **changes):
    arguments = {"num_marks": None, "flip": True, "seed": 3} | changes
    return TrainingClips(source.train, SPEC, **arguments)


def test_a_folder_of_classes_gives_names_and_splits(source):
    assert source.entry.labels == tuple(sorted(CLASSES))
    assert source.entry.num_classes == 6
    assert (len(source.train), len(source.val)) == (12, 6)
    for item in (*source.train, *source.val):
        assert item.id.split("/")[0] == source.entry.labels[item.labels[0]]


def test_samples_are_the_same_for_any_number_of_workers(source):
    batches = []
    for workers in (0, 1, 3):
        sampler = Batches(12, 4, seed=3)
        sampler.epoch = 5
        loader = DataLoader(
            clips(source), batch_sampler=sampler, num_workers=workers, collate_fn=collate
        )
        batches.append(list(loader))
    for other in batches[1:]:
        for (a, x), (b, y) in zip(batches[0], other, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(x, y)


def test_samples_differ_by_epoch_and_seed(source):
    first = clips(source)[0, 1][0]
    assert torch.equal(first, clips(source)[0, 1][0])
    assert not torch.equal(first, clips(source)[1, 1][0])
    assert not torch.equal(first, clips(source, seed=4)[0, 1][0])
    assert first.shape == (3, 4, 32, 32)


def test_without_flip_no_sample_is_mirrored(source):
    """The flip is the last thing drawn, so the same sample without it is it or its mirror."""
    mirrored = 0
    for epoch in range(12):
        flipped, plain = (clips(source, flip=f)[epoch, 0][0] for f in (True, False))
        assert torch.equal(flipped, plain) or torch.equal(flipped, plain.flip(3))
        mirrored += not torch.equal(flipped, plain)
    assert 0 < mirrored < 12


def test_shuffled_frames_are_the_same_frames(source):
    plain, shuffled = (clips(source, flip=False, shuffle_frames=s)[2, 3][0] for s in (False, True))
    frames = {tuple(f.flatten().tolist()) for f in plain.unbind(1)}
    assert frames == {tuple(f.flatten().tolist()) for f in shuffled.unbind(1)}


def test_a_look_is_always_the_same_and_at_test_size(source):
    one, two = (LookClips(source.val, SPEC, num_marks=None)[0] for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert one[0].shape == (3, 4, 32, 32)


def test_an_epoch_is_every_video_once_and_another_order():
    batches = Batches(23, 5, seed=1)
    orders = []
    for epoch in range(2):
        batches.epoch = epoch
        rows = list(batches)
        seen = [index for row in rows for _, index in row]
        assert len(rows) == len(batches) == 4
        assert len(set(seen)) == 20
        assert all(e == epoch for row in rows for e, _ in row)
        orders.append(seen)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(world):
    whole = list(Batches(40, 8, seed=2))
    parts = [list(Batches(40, 8, seed=2, rank=rank, world=world)) for rank in range(world)]
    for i, batch in enumerate(whole):
        assert batch == [key for part in parts for key in part[i]]


def test_an_interrupted_epoch_goes_on_where_it_was():
    whole = list(Batches(40, 8, seed=2))
    rest = Batches(40, 8, seed=2)
    rest.first = 3
    assert list(rest) == whole[3:]


def test_ssv2_takes_a_random_frame_of_each_segment(tmp_path):
    for number in range(40):
        pixels = np.full((36, 36, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:03d}.png")
    spec = entry("slow_r50_ssv2").input.model_copy(
        update={"train_crop_size": 32, "crop_size": 32, "short_side": 32, "train_jitter": (32, 36)}
    )
    item = Item("a", str(tmp_path), (0,))
    data = TrainingClips([item], spec, num_marks=None, flip=False, seed=0)
    edges = [round(39 / 8 * i) for i in range(9)]
    seen = set()
    for epoch in range(20):
        clip = data[epoch, 0][0]
        frames = [round(255 * (0.225 * float(v) + 0.45)) for v in clip[0, :, 0, 0]]
        assert all(a <= f <= b for f, a, b in zip(frames, edges[:-1], edges[1:], strict=True))
        seen.add(tuple(frames))
    assert len(seen) > 10


def test_charades_marks_what_the_clip_shows():
    item = Item("v", "v.mp4", (3, 7, 9), spans=((3, 0.0, 1.0), (7, 0.9, 2.0), (9, 5.0, 6.0)))
    assert item.labels_at([0.5]) == (3,)
    assert item.labels_at([0.95, 1.5]) == (3, 7)
    assert item.labels_at([3.0]) == ()


def test_charades_spans_of_both_annotations(tmp_path):
    charades = entry("slow_r50_charades")
    frames = tmp_path / "lists" / "train.csv"
    frames.parent.mkdir()
    rows = [f'ABC 0 {i} ABC/{i:06d}.jpg "{said}"' for i, said in enumerate(["1", "1,2", "2", "1"])]
    frames.write_text("\n".join(["original_vido_id video_id frame_id path labels", *rows]))
    (item,) = read_listing(charades, frames, split="train").items
    assert [item.labels_at([i / 30]) for i in range(4)] == [(1,), (1, 2), (2,), (1,)]
    owners = tmp_path / "Charades_v1_train.csv"
    owners.write_text("id,actions\nXYZ,c092 11.90 21.20;c147 0.00 12.60\n")
    (item,) = read_listing(charades, owners, split="train").items
    assert item.labels_at([1.0]) == (147,)
    assert item.labels_at([12.0]) == (92, 147)


def test_charades_actions_without_times_are_no_training_data(tmp_path):
    owners = tmp_path / "Charades_v1_train.csv"
    owners.write_text("id,actions\nXYZ,c092 11.90 21.20;c147\nUVW,c001 0.00 1.00\n")
    charades = entry("slow_r50_charades")
    assert read_listing(charades, owners, split="train").items[0].labels == (92, 147)
    with pytest.raises(DataError, match="an action of the annotation is not understood") as caught:
        read_source(charades, owners)
    assert "XYZ" in str(caught.value)
    assert "class 147 without times" in str(caught.value)


def test_ssv2_without_validation_labels_holds_videos_out(tmp_path):
    ssv2 = entry("slow_r50_ssv2")
    names = {name: str(index) for index, name in enumerate(ssv2.labels)}
    (tmp_path / "something-something-v2-labels.json").write_text(json.dumps(names))
    rows = [{"id": str(i), "template": ssv2.labels[i % 3]} for i in range(20)]
    (tmp_path / "something-something-v2-train.json").write_text(json.dumps(rows))
    source = read_source(ssv2, tmp_path, holdout=0.2)
    assert (len(source.train), len(source.val)) == (16, 4)
    assert source.notes[0] == "4 of 20 videos are held out to watch"


def test_held_out_videos_are_watched_and_not_trained_on(videos):
    source = read_source(entry("x3d_xs"), videos / "train", num_classes="auto", holdout=0.25)
    assert (len(source.train), len(source.val)) == (9, 3)
    assert not {i.id for i in source.train} & {i.id for i in source.val}
    again = read_source(entry("x3d_xs"), videos / "train", num_classes="auto", holdout=0.25)
    assert again == source


def test_one_unreadable_video_is_named_before_anything_is_trained(videos, tmp_path):
    write_all(tmp_path, train=1, val=1)
    broken = tmp_path / "train" / "left" / "0000.avi"
    broken.write_bytes(broken.read_bytes()[:400])
    source = read_source(entry("x3d_xs"), tmp_path, num_classes="auto")
    with pytest.raises(DataError, match=r"1 of 12 videos cannot be used") as caught:
        check_videos((*source.train, *source.val), SPEC, "full")
    assert "left/0000.avi" in caught.value.where
    sample = TrainingClips(source.train, SPEC, num_marks=None, flip=False, seed=0)[0, 2]
    assert isinstance(sample, VideoError)


def test_labels_out_of_range_are_named(videos, tmp_path):
    rows = [f"{videos}/train/left/000{i}.avi {label}" for i, label in enumerate((0, 6))]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match="no label that can be used") as caught:
        read_source(entry("x3d_xs"), tmp_path, num_classes=6)
    assert "label 6 is outside 0 to 5" in caught.value.found


def test_a_list_counts_its_classes(videos, tmp_path):
    rows = [f"{videos}/train/left/000{i}.avi {label}" for i, label in enumerate((0, 6))]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    source = read_source(entry("x3d_xs"), tmp_path, num_classes="auto", holdout=0)
    assert source.entry.num_classes == 7
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefg"))
    named = read_source(entry("x3d_xs"), tmp_path, num_classes="auto", labels=names, holdout=0)
    assert named.entry.labels == tuple("abcdefg")


def test_another_number_of_classes_than_folders_is_an_error(videos):
    with pytest.raises(DataError, match="6 classes in the data, not 4"):
        read_source(entry("x3d_xs"), videos, num_classes=4)


def test_misuse_is_said(videos, tmp_path):
    with pytest.raises(DataError, match="no such data folder"):
        read_source(entry("x3d_xs"), tmp_path / "nothing", num_classes="auto")
    with pytest.raises(UsageError, match="hold out"):
        read_source(entry("x3d_xs"), videos, num_classes="auto", holdout=1.5)


def test_ssv2_training_files_are_read(tmp_path):
    (tmp_path / "videos").mkdir()
    names = dict.fromkeys(("a b", "c d"))
    labels = {name: str(index) for index, name in enumerate(names)}
    (tmp_path / "something-something-v2-labels.json").write_text(json.dumps(labels))
    rows = [{"id": str(i), "template": name} for i, name in enumerate(names)]
    for split in ("train", "validation"):
        (tmp_path / f"something-something-v2-{split}.json").write_text(json.dumps(rows))
    item = entry("slow_r50_ssv2").model_copy(update={"num_classes": 2, "labels": ()})
    source = read_source(item, tmp_path)
    assert [i.labels for i in source.train] == [(0,), (1,)]
    assert len(source.val) == 2
