"""Items -> training samples: one clip of a video, scaled, cropped and flipped at random.

Everything that is random follows from (seed, epoch, index of the item), so that a sample is
the same for any number of workers and processes, and after any interruption. The steps are
those of ``slowfast/datasets/ptv_datasets.py`` in training mode: random clip (SSv2: a random
frame of each segment), normalise, random short side, random crop, flip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import PtvHubError, VideoError
from ptv_hub.inference.clips import prepared
from ptv_hub.inference.crops import crop_offsets
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import clip_at
from ptv_hub.zoo.input_spec import InputSpec

Sample = tuple[Tensor, Tensor] | PtvHubError
"""Clip (3, T, S, S) float32, and its label () int64 or marks (C,) float32; or why there is none.

Errors travel as values: a ``DataLoader`` would turn them into text with a traceback.
"""


Batch = Sequence[Tensor]
"""Clips (B, 3, T, S, S), and their labels (B,) or marks (B, C)."""


_TRIES = 100
"""Videos that are drawn for one that cannot be decoded, before that is an error."""


@dataclass(frozen=True)
class Replaced:
    """A sample or a batch in which other videos took the place of some that gave none."""

    content: Any
    """A ``Sample``, or a ``Batch``."""
    skipped: tuple[tuple[str, str], ...]
    """Id, and what is wrong with it."""


class TrainingClips(Dataset[Sample | Replaced]):
    """Random clips; an index is ``(epoch, item)``, or ``(epoch, item, which of its clips)``.

    A video that was removed from the list since the run began, and with ``skip_broken`` one that
    cannot be decoded, is replaced by another, drawn from (seed, epoch, index) as all is.
    """

    def __init__(
        self,
        items: Sequence[Item],
        spec: InputSpec,
        *,
        num_marks: int | None,
        flip: bool,
        seed: int,
        by_frame: bool = False,
        shuffle_frames: bool = False,
        skip_broken: bool = False,
    ) -> None:
        """``num_marks``: how many classes a sample marks any number of; ``None`` for one label.

        ``by_frame``: a sample is marked with what its own frames show, by the items' spans, not
        with all that its video shows. ``shuffle_frames`` puts the frames of
        each clip in random order: the control of whether a model sees motion.
        """
        self.items = list(items)
        self.spec = spec
        self.num_marks = num_marks
        self.flip = flip
        self.seed = seed
        self.by_frame = by_frame
        self.shuffle_frames = shuffle_frames
        self.skip_broken = skip_broken

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, ...]) -> Sample | Replaced:
        epoch, index, *copy = key
        # The first clip of several is the one that there is of one.
        more = [0, copy[0], 0] if copy and copy[0] else []
        rng = np.random.default_rng([self.seed, epoch, index, *more])
        skipped: list[tuple[str, str]] = []
        for again in range(_TRIES):
            item = self.items[index]
            try:
                sample = self._sample(item, rng)
                return Replaced(sample, tuple(skipped)) if skipped else sample
            except PtvHubError as error:
                may = item.problem or (self.skip_broken and isinstance(error, VideoError))
                if not may or again + 1 == _TRIES:
                    return error
                skipped.append((item.id, str(error)))
            rng = np.random.default_rng([self.seed, epoch, key[1], again + 1, *more])
            index = int(rng.integers(len(self)))
        raise AssertionError("the last try returns")

    def _sample(self, item: Item, rng: np.random.Generator) -> Sample:
        if item.problem:
            raise VideoError(item.problem, where=item.id)
        spec = self.spec

        def draw(low: int, high: int) -> int:
            return int(rng.integers(low, high + 1))

        with open_video(item.source) as video:
            chosen = clip_at(video.timestamps, spec, rng.random(), draw)
            short_side = draw(*spec.train_jitter)
            scaled = spec.model_copy(update={"short_side": short_side})
            ((_, clip),) = prepared(video, scaled, [chosen])
            seen = [video.timestamps.seconds[frame] for frame in chosen.frames]
        size = spec.train_crop_size
        top, left = (draw(0, side - size) for side in clip.shape[2:])
        clip = clip[:, :, top : top + size, left : left + size]
        if self.flip and rng.random() < 0.5:
            clip = clip.flip(3)
        if self.shuffle_frames:
            clip = clip[:, torch.from_numpy(rng.permutation(clip.shape[1]))]
        labels = item.labels_at(seen) if self.by_frame else item.labels
        return clip.contiguous(), _target(labels, self.num_marks)


class LookClips(Dataset[Sample]):
    """The centre crop, at test size, of the clip in the middle: how training is watched."""

    def __init__(
        self,
        items: Sequence[Item],
        spec: InputSpec,
        *,
        num_marks: int | None,
        shuffle_seed: int | None = None,
    ) -> None:
        """``shuffle_seed``: put the frames of each clip in random order, drawn from this."""
        self.items = list(items)
        self.spec = spec
        self.num_marks = num_marks
        self.shuffle_seed = shuffle_seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        item, size = self.items[index], self.spec.crop_size
        try:
            with open_video(item.source) as video:
                chosen = clip_at(video.timestamps, self.spec, 0.5)
                ((_, clip),) = prepared(video, self.spec, [chosen])
        except PtvHubError as error:
            return error
        ((top, left),) = crop_offsets(clip.shape[2], clip.shape[3], size, 1)
        clip = clip[:, :, top : top + size, left : left + size]
        if self.shuffle_seed is not None:
            order = np.random.default_rng([self.shuffle_seed, index]).permutation(clip.shape[1])
            clip = clip[:, torch.from_numpy(order)]
        return clip.contiguous(), _target(item.labels, self.num_marks)


def _target(labels: Sequence[int], num_marks: int | None) -> Tensor:
    if num_marks is None:
        return torch.tensor(labels[0])
    marks = torch.zeros(num_marks)
    marks[list(labels)] = 1.0
    return marks


def collate(samples: list[Sample | Replaced]) -> Batch | Replaced | PtvHubError:
    """A batch, or the first error of one."""
    plain = [one.content if isinstance(one, Replaced) else one for one in samples]
    for sample in plain:
        if isinstance(sample, PtvHubError):
            return sample
    batch: Batch = default_collate(plain)
    skipped = tuple(told for one in samples if isinstance(one, Replaced) for told in one.skipped)
    return Replaced(batch, skipped) if skipped else batch


def collate_sound(samples: list[Sample]) -> Batch | PtvHubError | None:
    """As ``collate``, of those samples whose video can be decoded; ``None`` if there is none."""
    sound = [one for one in samples if not isinstance(one, VideoError)]
    return cast("Batch | PtvHubError", collate([*sound])) if sound else None


class Batches(Sampler[list[tuple[int, ...]]]):
    """Of each epoch: the items in random order, cut into batches; of each batch a process's part.

    Items that fill no batch are left out of the epoch, as in PySlowFast.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        copies: int = 1,
        chances: NDArray[np.float64] | None = None,
    ) -> None:
        """``copies``: clips of each item, which stand side by side in a batch. ``chances``: of
        each item to be drawn, again and again; without them every one comes once an epoch."""
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.rank, self.world = rank, world
        self.copies, self.chances = copies, chances
        self.epoch = 0
        self.first = 0
        """The batch to begin the epoch with, after an interruption."""

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.chances is None:
            order = rng.permutation(self.count)
        else:
            order = rng.choice(self.count, self.count, p=self.chances)
        own = self.batch_size // self.world
        for batch in range(self.first, len(self)):
            begin = batch * self.batch_size + self.rank * own
            chosen = order[begin : begin + own]
            keys: list[tuple[int, ...]] = [(self.epoch, int(index)) for index in chosen]
            if self.copies > 1:
                keys = [(*key, copy) for key in keys for copy in range(self.copies)]
            yield keys
