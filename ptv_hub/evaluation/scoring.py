"""A model and the views of a video -> what becomes of it: its scores, or why it has none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor

from ptv_hub.datasets.decoding import End, Failure, Reading
from ptv_hub.datasets.listing import Item
from ptv_hub.engines.optimized import DTYPES
from ptv_hub.errors import UsageError, WrongInput
from ptv_hub.inference.batching import Outputs, ViewBatches, device_of
from ptv_hub.inference.device_frames import require_torchcodec
from ptv_hub.inference.predict import SCORES, ensemble
from ptv_hub.inference.transforms import ModelInput
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.runs.engine import Outcome
from ptv_hub.runs.journal import Row
from ptv_hub.runs.settings import NVDEC, PREPROCESS, Settings
from ptv_hub.zoo.entry import Entry

Scored = Callable[[ModelInput], Tensor]
"""A model, or any callable whose output is taken for scores, (B, classes)."""


def check_place(model: Scored, preprocess: str, workers: int) -> None:
    """That frames can be prepared there. Raises UsageError, MissingExtra."""
    if preprocess not in PREPROCESS:
        raise UsageError("no such place", expected=", ".join(PREPROCESS), found=repr(preprocess))
    if preprocess != NVDEC:
        return
    device = device_of(model)
    if device.type != "cuda" or workers:
        raise UsageError(
            "nvdec decodes on an NVIDIA GPU, in the process of the model",
            expected="--device cuda, --workers 0",
            found=f"{device}, {workers} workers",
            fix="--preprocess device decodes on the CPU, in workers, and does the rest on the GPU",
        )
    require_torchcodec()


class Scorer:
    """A model, and how views become the scores of a video."""

    def __init__(
        self, model: Scored, entry: Entry, settings: Settings, *, batch_views: int
    ) -> None:
        self.entry = entry
        self.protocol = settings.protocol
        self._model = model
        self._size = batch_views
        self._keep_views = settings.keep_views
        self._device = device_of(model)
        self._undone = settings.preprocess != "host"
        self._decoder = str(self._device) if settings.preprocess == NVDEC else None
        dtype = settings.dtype
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

    @property
    def reading(self) -> Reading:
        """What is to be seen of each video."""
        return Reading(self._viewing)

    @property
    def _viewing(self) -> ProtocolViews:
        return ProtocolViews(
            self.entry.input,
            self.protocol,
            as_reference=True,
            undone=self._undone,
            decoder=self._decoder,
        )

    def batches(self) -> ViewBatches:
        """Where views become scores."""
        return ViewBatches(
            self._scores,
            self.entry.input,
            self._device,
            self._size,
            num_crops=self.protocol.num_crops,
        )

    def row(self, outcome: Outcome) -> Row:
        """What became of a video."""
        item, end, batches = outcome.item, outcome.end, outcome.views
        if end.failure:
            return failed(item, end.failure, end, batches.seconds)
        found = batches.result(end.clips, self.protocol.num_crops)
        views = found[SCORES]  # (views, classes)
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

    def _scores(self, batch: ModelInput) -> Outputs:
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
        return {SCORES: scores}


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
