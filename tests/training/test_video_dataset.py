"""Videos for a plain loop: samples, worker processes, pathways, broken files."""

from __future__ import annotations

import logging

import pytest
import torch
from torch.utils.data import DataLoader

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.errors import AnnotationMissing, DataError, UnknownName, VideoError, WrongInput
from ptv_hub.models.builders import build
from ptv_hub.training.clips import LookClips
from ptv_hub.training.video_dataset import VideoDataset
from ptv_hub.zoo.manifest import find


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos a class to train on, one to watch, and one of each that is no video."""
    where = tmp_path_factory.mktemp("videos") / "motion"
    motion.write_all(where, train=2, val=1)
    for split in ("train", "val"):
        (where / split / "up" / "broken.avi").write_bytes(b"RIFF no video at all")
    return where


def test_a_loader_with_workers_repeats_with_the_seed(folder):
    data = VideoDataset(folder, "motion_x3d", train=True, broken="skip")
    assert len(data) == 13
    assert data.classes == motion.CLASSES

    def epoch() -> list[torch.Tensor]:
        torch.manual_seed(1)
        loader = DataLoader(data, 4, shuffle=True, num_workers=1, collate_fn=data.collate)
        return [tensor for batch in loader for tensor in batch]

    first, again = epoch(), epoch()
    assert [tuple(one.shape) for one in first[:2]] == [(4, 3, 8, 40, 40), (4,)]
    assert sum(len(one) for one in first[::2]) == 13  # another took the broken one's place
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(data[0][0], data[0][0])  # another clip each time


def test_what_is_watched_is_what_training_looks_at(folder, caplog):
    data = VideoDataset(folder, build(find("motion_x3d")), train=False, broken="skip")
    looks = LookClips(data.listing.items, data.entry.input, num_marks=None)
    broken = [i for i, item in enumerate(data.listing.items) if "broken" in item.id]
    assert len(broken) == 1
    for index in range(len(data)):
        if index not in broken:
            assert all(torch.equal(a, b) for a, b in zip(data[index], looks[index], strict=True))
    with caplog.at_level(logging.WARNING, logger="ptv_hub"):
        clips, labels = data.collate([data[index] for index in range(len(data))])
    assert (len(clips), labels.tolist()) == (6, [0, 1, 2, 3, 4, 5])
    assert "broken.avi is passed over" in caplog.text
    clips, labels = data.collate([data[broken[0]]])
    assert (clips.shape, labels.shape) == ((0, 3, 8, 40, 40), (0,))


def test_a_broken_video_is_an_error_that_names_it(folder):
    for train in (True, False):
        data = VideoDataset(folder, "motion_x3d", train=train)
        (index,) = [i for i, item in enumerate(data.listing.items) if "broken" in item.id]
        with pytest.raises(VideoError, match=r"broken\.avi"):
            data[index]


def test_two_pathways_and_several_labels(folder):
    video = str(next((folder / "train" / "up").glob("[!b]*.avi")))
    item = find("slowfast_r50_charades")
    small = item.input.model_copy(
        update={"crop_size": 64, "train_crop_size": 64, "short_side": 64, "train_jitter": (64, 64)}
    )
    item = item.model_copy(update={"input": small})
    listing = Listing("motion", (Item("one", video, (3, 5)),), ())
    for train in (True, False):
        data = VideoDataset(listing, item, train=train)
        clips, marks = next(iter(DataLoader(data, 1, collate_fn=data.collate)))
        assert marks.shape == (1, 157)
        assert marks[0].nonzero().flatten().tolist() == [3, 5]
        assert clips.shape == (1, 3, 32, 64, 64)
        slow, fast = build(item, device="meta").pathways(clips)
        assert slow.shape == (1, 3, 8, 64, 64)
        assert torch.equal(fast, clips)


def test_labels_must_be_the_models(folder):
    model = build(find("motion_x3d"), device="meta")
    model.reset_classifier(3)
    listing = Listing("own", (Item("one", "a.mp4", (2,)), Item("two", "b.mp4", (3,))), ())
    with pytest.raises(DataError, match="1 of 2 videos have no label") as told:
        VideoDataset(listing, model, train=True)
    assert "two: label 3" in str(told.value)
    assert len(VideoDataset(listing, model, train=True, broken="skip")) == 2
    with pytest.raises(UnknownName, match="way with broken videos"):
        VideoDataset(listing, model, train=True, broken="never")
    with pytest.raises(WrongInput, match="not a model"):
        ptv_hub.VideoDataset(listing, torch.nn.Linear(1, 1), train=True)


@pytest.mark.slow
def test_it_goes_into_lightnings_trainer(folder):
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = ptv_hub.load("motion_x3d").train()

        def training_step(self, batch, _):
            clips, labels = batch
            return torch.nn.functional.cross_entropy(self.model(clips), labels)

        def validation_step(self, batch, _):
            clips, labels = batch
            self.log("top1", (self.model(clips).argmax(1) == labels).float().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.model.param_groups(1e-4, lr=0.01), momentum=0.9)

    module = Module()
    loaders = []
    for train in (True, False):
        data = VideoDataset(folder, module.model, train=train, flip=False, broken="skip")
        loaders.append(DataLoader(data, 4, shuffle=train, num_workers=1, collate_fn=data.collate))
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.fit(module, *loaders)
    assert 0 <= trainer.callback_metrics["top1"] <= 1


@pytest.mark.parametrize("train", [True, False])
def test_folders_are_the_classes_of_a_model_without_labels(tmp_path, train):
    for name in ("walk", "jump", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.avi").touch()
    model = ptv_hub.load("motion_x3d", num_classes=3)
    data = VideoDataset(tmp_path, model, train=train)
    assert data.classes == ("jump", "run", "walk")
    assert [item.labels for item in data.listing.items] == [(0,), (1,), (2,)]
    with pytest.raises(AnnotationMissing):
        VideoDataset(tmp_path, ptv_hub.load("motion_x3d", num_classes=4), train=train)
