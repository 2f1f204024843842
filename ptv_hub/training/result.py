"""What a run tells its caller: how far it is, and what came out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ptv_hub.zoo.records import Record


@dataclass(frozen=True)
class Progress:
    """Where a run is; given to ``report``."""

    kind: Literal["check", "step", "look"]
    done: int
    """Videos looked at, or steps of the epoch."""
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float = math.nan
    learning_rate: float = math.nan
    metric: str = ""
    value: float | None = None
    """Of a look: percent."""


class TrainingResult(Record):
    """What came out of a run."""

    name: str
    output: str
    last: str
    """The checkpoint after the last step."""
    best: str | None
    """The checkpoint with the best look; null where nothing was watched."""
    model: str
    """``local-dir:`` address of the best (else the last) model with its class names."""
    epochs: int
    steps: int
    loss: float
    """Mean of the last epoch."""
    metric: str
    last_value: float | None
    """Percent, over ``videos`` held-out videos, the centre crop of one clip each."""
    best_value: float | None
    best_epoch: int | None
    videos: int
    chance: float | None
    """Percent, of guessing among the classes; null for mAP."""
    skipped: tuple[str, ...] = ()
    """Videos that could not be decoded, or were removed, and that others took the place of."""
    stopped_early: bool = False
    """Whether looks found nothing better for as long as the recipe has patience."""
    control: float | None
    """The best model's value with the frames of each clip shuffled; null if not asked for."""
    digest: str
    """Of the exported tensors."""
    data: str
    """Digest of the data."""
    started_from: str
    processes: int
    seconds: float
    """Of this sitting."""
    environment: dict[str, str]
