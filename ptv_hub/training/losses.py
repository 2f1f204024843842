"""The losses of an epoch's steps, each asked for when the step after it has begun.

Asked for at once, as is usual, a GPU would stand still until the next batch was sent to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ptv_hub.engines.transfers import Returning
from ptv_hub.errors import TrainingError
from ptv_hub.training.state import LAST, Position
from ptv_hub.training.step import Done

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True)
class Begun:
    """A step that was begun, and what is not known of it yet."""

    number: int
    """In its epoch, from 0."""
    rate: float
    at: float
    """``time.perf_counter()`` when it began."""
    closes: bool
    """Whether the optimizer went on with it: only then can a checkpoint be of it."""
    found: Returning


class Losses:
    """What became of the steps of one epoch, up to the last whose loss is known."""

    def __init__(
        self,
        fabric: Fabric,
        position: Position,
        output: Path,
        told: Callable[[Begun, float, float], None],
    ) -> None:
        """``told`` is called with each step, its loss over all processes, and its seconds."""
        self._fabric = fabric
        self._output = output
        self._told = told
        self._begun: Begun | None = None
        self.position = position
        """Behind the last step whose loss is known."""
        self.kept = position
        """The same, behind the last of them that can be in a checkpoint."""
        self.asked = False
        """Whether a process was asked to end before such a step: all of them know it alike."""

    def add(
        self, number: int, done: Done, *, rate: float, at: float, closes: bool, asked: bool
    ) -> None:
        """A step that was begun; the one before it is settled."""
        # Fabric's reduction is on all processes.
        norm = done.loss.new_zeros(()) if done.norm is None else done.norm
        mine = torch.stack([done.loss.detach(), torch.full_like(norm, float(asked)), norm])
        means = cast(Tensor, self._fabric.all_reduce(mine, reduce_op="mean"))
        begun = Begun(number, rate, at, closes, Returning({"means": means}))
        self.settle(until=at)
        self._begun = begun

    def settle(self, until: float | None = None) -> None:
        """Wait for what is not known yet; ``until``: when the next step began.

        Raises:
            TrainingError: loss or gradients are not numbers.
        """
        begun, self._begun = self._begun, None
        if begun is None:
            return
        loss, asked, norm = begun.found.arrived()["means"].tolist()
        for what, value in (("loss", loss), ("norm of the gradients", norm)):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {what} is {value} in epoch {self.position.epoch}, step {begun.number}",
                    expected="a number",
                    fix="a smaller learning rate (SOLVER.BASE_LR) or a longer warm-up; "
                    f"{LAST} in {self._output} is from before it",
                )
        self.position = self.position.model_copy(
            update={"step": begun.number + 1, "loss_sum": self.position.loss_sum + loss}
        )
        self.asked = self.asked or asked > 0
        if begun.closes:
            self.kept = self.position
        seconds = (time.perf_counter() if until is None else until) - begun.at
        self._told(begun, loss, seconds)

    def skip(self, videos: tuple[str, ...]) -> None:
        """Put down videos that gave no clip."""
        self.position, self.kept = (
            one.model_copy(update={"skipped": tuple(sorted({*one.skipped, *videos}))})
            for one in (self.position, self.kept)
        )
