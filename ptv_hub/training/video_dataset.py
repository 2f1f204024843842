"""Videos of a list as a plain torch ``Dataset``: for loops of one's own, and for Lightning's."""

from __future__ import annotations

import logging
import os
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ptv_hub.datasets.listing import Listing, Split
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import PtvHubError, UnknownName, VideoError
from ptv_hub.files import expanded
from ptv_hub.training.clips import LookClips, Replaced, TrainingClips
from ptv_hub.training.source import folders_of
from ptv_hub.weights.named import entry_of
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import FrameSampling

log = logging.getLogger("ptv_hub")

Broken = Literal["raise", "skip"]


class VideoDataset(Dataset[tuple[Tensor, Tensor] | None]):
    """One clip of each video, with its label, as a model of the zoo takes it.

    For training a random clip: random short side, crop and flip, as ``ptv-hub train`` draws them;
    else the centre crop, at test size, of the clip in the middle of the video, as it looks at how
    training goes (the published protocol, with its views, is ``ptv-hub eval``'s).

    ``dataset[i]`` is a clip, float32, (3, T, S, S), and its label: an index (), int64, or where the
    entry's metric is mAP (Charades) a mark for each class (C,), float32. A SlowFast takes such a
    clip too and packs its pathways itself. What is random is drawn by torch's generator, which a
    ``DataLoader`` seeds in each worker and each epoch: ``torch.manual_seed`` repeats a run.
    """

    def __init__(
        self,
        listing: Listing | str | os.PathLike[str],
        entry: Entry | str | os.PathLike[str] | torch.nn.Module,
        *,
        train: bool,
        flip: bool = True,
        broken: Broken = "raise",
    ) -> None:
        """``dataset[i]`` of every video of a list.

        Args:
            listing: of ``read_listing``; or what that reads: a list of paths and labels, a folder
                with a folder of videos for each class, the annotation of a data set.
            entry: whose input, labels and metric count: a loaded model, an entry, or what ``load``
                takes. After ``model.reset_classifier`` the model's own number of classes; of
                a model without labels as many folders are its classes, in alphabetical order.
            train: random clips, and the list's ``train`` split; else ``val``.
            flip: mirror half of the training clips; False where left and right are classes.
            broken: whether a video that cannot be decoded is an error, or passed over, with a
                warning in the log: in training another takes its place, else ``collate`` leaves
                it out of the batch.

        Raises:
            DataError: nothing there, or with ``broken="raise"`` a label that is none of the model.
            UnknownName: there is no such model, or no such way with broken videos.
        """
        if broken not in ("raise", "skip"):
            raise UnknownName("way with broken videos", broken, ("raise", "skip"))
        item = entry_of(entry)
        if not isinstance(listing, Listing):
            split: Split = "train" if train else "val"
            if not item.labels:
                item = _with_folders_names(item, listing, split)
            listing = read_listing(item, listing, split=split)
        self.entry = item
        self.listing = listing.checked(item)
        self.skips = broken == "skip"
        if not self.skips:
            self.listing.labelled(
                f"labels of {item.name}, 0 to {item.num_classes - 1}",
                fix="correct the list, or pass such videos over: broken='skip'",
            )
        marks = item.num_classes if item.protocol.metric == "mean_average_precision" else None
        items, spec = self.listing.items, item.input
        self._clips: TrainingClips | LookClips
        if train:
            self._clips = TrainingClips(
                items,
                spec,
                num_marks=marks,
                flip=flip,
                seed=0,
                by_frame=isinstance(spec.sampling, FrameSampling) and listing.dataset == "charades",
                skip_broken=self.skips,
            )
        else:
            self._clips = LookClips(items, spec, num_marks=marks)

    def __len__(self) -> int:
        return len(self.listing.items)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in index order, as torchvision's data sets have them."""
        return self.entry.labels

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor] | None:
        """Clip and label; ``None`` of a video that is passed over. Raises PtvHubError."""
        item = self.listing.items[index]
        if isinstance(self._clips, TrainingClips):
            draw = int(torch.randint(2**63 - 1, ()))
            sample = self._clips[draw, range(len(self))[index]]
        elif item.problem:
            sample = VideoError(item.problem, where=item.id)
        else:
            sample = self._clips[index]
        if isinstance(sample, Replaced):
            for name, why in sample.skipped:
                log.warning("%s is passed over: %s", name, why.splitlines()[0])
            sample = sample.content
        if not isinstance(sample, PtvHubError):
            return sample
        if self.skips and isinstance(sample, VideoError):
            log.warning("%s is passed over: %s", item.id, sample.what)
            return None
        raise sample

    def collate(self, samples: list[tuple[Tensor, Tensor] | None]) -> tuple[Tensor, Tensor]:
        """Samples -> clips (B, 3, T, S, S), and labels (B,) or marks (B, C).

        B is smaller where videos are passed over, 0 where all of them are.
        """
        sound = [sample for sample in samples if sample is not None]
        if sound:
            clips, labels = default_collate(sound)
            return clips, labels
        size = self.entry.input.crop_size
        marks = self.entry.protocol.metric == "mean_average_precision"
        labels = torch.empty(0, self.entry.num_classes) if marks else torch.empty(0).long()
        return torch.empty(0, 3, self.entry.input.num_frames, size, size), labels


def _with_folders_names(item: Entry, data: str | os.PathLike[str], split: Split) -> Entry:
    """The entry with folders' names as labels, where there are as many as it has classes."""
    folder = expanded(data)
    names = folders_of(folder, split) if folder.is_dir() else ()
    wanted = len(names) == item.num_classes > 0
    return item.model_copy(update={"labels": names}) if wanted else item
