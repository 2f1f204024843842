"""One batch forwards and backwards, and the optimizer where it is its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from ptv_hub.models.builders import VideoModel
from ptv_hub.training.averaged import Averaged
from ptv_hub.training.balance import class_weights
from ptv_hub.training.clips import Batch
from ptv_hub.training.fabric import scaler_of
from ptv_hub.training.mixing import mix
from ptv_hub.training.modules import seed_dropout
from ptv_hub.training.optimizer import loss_function
from ptv_hub.training.source import Source
from ptv_hub.zoo.recipe import Recipe

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.wrappers import _FabricModule, _FabricOptimizer


@dataclass(frozen=True)
class Group:
    """The batches of an epoch, by their place in it, whose gradients make one step."""

    first: int
    last: int

    @classmethod
    def of(cls, step: int, total: int, size: int) -> Group:
        """The one that a batch is in; the last of an epoch may be smaller."""
        first = step - step % size
        return cls(first, min(first + size, total) - 1)

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Done:
    """What a step leaves on its device."""

    loss: Tensor
    """Of the batch, of this process's part."""
    norm: Tensor | None = None
    """Of the gradients, where they are clipped to one, and no scaler passes over infinite ones."""


class Step:
    """The steps of a run: mixing, loss, gradients, optimizer, moving average."""

    def __init__(
        self,
        fabric: Fabric,
        model: _FabricModule,
        optimizer: _FabricOptimizer,
        source: Source,
        recipe: Recipe,
        averaged: Averaged | None,
    ) -> None:
        self.fabric, self.model, self.optimizer = fabric, model, optimizer
        self.recipe, self.averaged = recipe, averaged
        self.classes = source.entry.num_classes
        weights = None
        if recipe.balance == "weights":
            weights = class_weights(source.train, self.classes).to(fabric.device)
        self.loss_of = loss_function(recipe, weights)

    def __call__(self, batch: Batch, epoch: int, step: int, group: Group) -> Done:
        """One batch; what is random follows from seed, epoch and step.

        Nothing here waits for a GPU, but the scaler of half precision (torch's own).

        The gradients of a group are the mean of its batches'. A batch is mixed within each
        process's part of it.
        """
        recipe = self.recipe
        clips, targets = self.fabric.to_device(batch)
        seed = _seed(recipe.seed, epoch, step)
        if recipe.mixing is not None:
            dice = np.random.RandomState(seed % 2**32)
            clips, targets = mix(clips, targets, recipe.mixing, self.classes, dice)
        seed_dropout(cast(VideoModel, self.model.module), seed)
        if step == group.first:
            self.optimizer.optimizer.zero_grad()
        with self.fabric.no_backward_sync(self.model, enabled=step != group.last):
            loss = self.loss_of(self.model(clips), targets)
            self.fabric.backward(loss / group.size if group.size > 1 else loss)
        return Done(loss, self._optimize() if step == group.last else None)

    def _optimize(self) -> Tensor | None:
        """The optimizer's step; returns the gradients' norm, as ``Done`` has it."""
        recipe, optimizer = self.recipe, self.optimizer
        norm = None
        if recipe.clip_grad_value is not None:
            self.fabric.clip_gradients(self.model, optimizer, clip_val=recipe.clip_grad_value)
        elif recipe.clip_grad_norm is not None:
            norm = self.fabric.clip_gradients(
                *(self.model, optimizer),
                max_norm=recipe.clip_grad_norm,
                # Asked for there, it would be waited for; and a scaler begins with infinite ones.
                error_if_nonfinite=False,
            )
        optimizer.step()
        if self.averaged is not None:
            self.averaged.update()
        return None if scaler_of(self.fabric) is not None else norm


def _seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0]) >> 1
