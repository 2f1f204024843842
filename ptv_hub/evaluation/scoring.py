"""A model and the views of a video -> what becomes of it: its scores, or why it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor

from ptv_hub.datasets.decoding import End, Failure, Message
from ptv_hub.datasets.listing import Item
from ptv_hub.engines.optimized import DTYPES
from ptv_hub.errors import WrongInput
from ptv_hub.inference.batching import ViewBatches, device_of
from ptv_hub.inference.predict import ensemble
from ptv_hub.inference.transforms import ModelInput
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.runs.journal import Row
from ptv_hub.zoo.entry import Entry, Protocol

Scored = Callable[[ModelInput], Tensor]
"""A model, or any callable whose output is taken for scores, (B, classes)."""


class Scorer:
    """A model, and how views become the scores of a video."""

    def __init__(
        self,
        model: Scored,
        entry: Entry,
        protocol: Protocol,
        *,
        batch_views: int,
        dtype: str,
        keep_views: bool,
    ) -> None:
        self.entry = entry
        self.protocol = protocol
        self._model = model
        self._size = batch_views
        self._keep_views = keep_views
        self._device = device_of(model)
        self._cast: AbstractContextManager[object] = (
            nullcontext()
            if dtype == "fp32" or hasattr(model, "backend")
            else torch.autocast(self._device.type, dtype=DTYPES[dtype])
        )

    def activated(self) -> AbstractContextManager[None]:
        """The protocol's activation for the time being: a loaded model may return logits."""
        if not hasattr(self._model, "activation"):
            return nullcontext()
        return activated(cast(ActionModel, self._model), self.protocol.activation)

    def row(self, item: Item, messages: Iterator[Message]) -> Row:
        """What becomes of a video whose views come as these messages."""
        batches = ViewBatches(self._scores, self.entry.input, self._device, self._size)
        end = End(0.0)
        for message in messages:
            if isinstance(message, End):
                end = message
                break
            batches.add(message.views)
        if end.failure:
            return failed(item, end.failure, end, batches.seconds)
        views = batches.result(end.clips, self.protocol.num_crops)  # (views, classes)
        scores = ensemble(views, self.protocol.ensemble)
        if not torch.isfinite(scores).all():
            failure = Failure("the model's scores are not finite", "NaN or infinite scores")
            return failed(item, failure, end, batches.seconds)
        return Row(
            id=item.id,
            scores=scores.numpy(),
            views=views.numpy() if self._keep_views else None,
            num_views=len(views),
            reason=None,
            error=None,
            notes=end.notes,
            decode_seconds=end.seconds,
            model_seconds=batches.seconds,
        )

    def _scores(self, batch: ModelInput) -> Tensor:
        """Scores of a batch of views, shape (B, classes)."""
        with self._cast:
            scores = self._model(batch)
        views = batch if isinstance(batch, Tensor) else batch[0]
        wanted = (len(views), self.entry.num_classes)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
            raise WrongInput(
                "the model does not return a score for each view and class",
                expected=f"shape {wanted}",
                found=getattr(scores, "shape", type(scores).__name__),
            )
        return scores


def failed(item: Item, failure: Failure, end: End, model_seconds: float = 0.0) -> Row:
    """The row of a video without scores."""
    return Row(
        id=item.id,
        scores=None,
        views=None,
        num_views=0,
        reason=failure.reason,
        error=failure.error,
        notes=end.notes,
        decode_seconds=end.seconds,
        model_seconds=model_seconds,
    )
