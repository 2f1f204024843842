"""A moving average of the weights, which is what is watched and published."""

from __future__ import annotations

from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ptv_hub.models.builders import VideoModel


class Averaged:
    """decay x what it was + (1 - decay) x the model, of weights and batch-norm statistics.

    Torch's own ``AveragedModel``; counters of batches are the model's. It begins as the model.
    """

    def __init__(self, model: VideoModel, decay: float) -> None:
        self._model = model
        self._averaged = AveragedModel(
            model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True
        )
        self.update()  # the first one copies

    @property
    def model(self) -> VideoModel:
        return cast(VideoModel, self._averaged.module)

    def update(self) -> None:
        """After a step of the optimizer."""
        self._averaged.update_parameters(self._model)
        pairs = zip(self.model.buffers(), self._model.buffers(), strict=True)
        with torch.no_grad():
            for own, theirs in pairs:
                if not own.is_floating_point():
                    own.copy_(theirs)
