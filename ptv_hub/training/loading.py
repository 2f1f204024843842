"""The batches of a run, decoded ahead of it."""

from __future__ import annotations

from torch.utils.data import DataLoader

from ptv_hub.training.balance import chances
from ptv_hub.training.clips import Batches, Replaced, Sample, TrainingClips, collate
from ptv_hub.training.source import Source
from ptv_hub.zoo.recipe import Recipe


def training_batches(
    source: Source, recipe: Recipe, batch_size: int, *, rank: int, world: int
) -> Batches:
    """The order of the training videos for one of several processes, drawn from the seed."""
    return Batches(
        len(source.train),
        batch_size,
        seed=recipe.seed,
        rank=rank,
        world=world,
        copies=recipe.clips_per_video,
        chances=chances(source.train) if recipe.balance == "sampler" else None,
    )


def training_loader(
    source: Source, recipe: Recipe, batches: Batches, *, skip_broken: bool, pinned: bool
) -> DataLoader[Sample | Replaced]:
    """Gives ``clips.Batch``, ``Replaced`` or an error; ``pinned`` memory is for GPUs."""
    clips = TrainingClips(
        source.train,
        source.entry.input,
        num_marks=source.num_marks,
        flip=recipe.random_flip,
        seed=recipe.seed,
        by_frame=source.by_frame,
        skip_broken=skip_broken,
    )
    return DataLoader(
        clips,
        batch_sampler=batches,
        num_workers=recipe.workers,
        collate_fn=collate,
        pin_memory=pinned,
        persistent_workers=recipe.workers > 0,
    )
