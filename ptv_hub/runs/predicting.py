"""Predictions of a collection, streamed; and, with a folder, a JSON file a video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from ptv_hub.datasets.decoding import Reading
from ptv_hub.errors import VideoError
from ptv_hub.files import write_text
from ptv_hub.inference.batching import ViewBatches, device_of
from ptv_hub.inference.predict import SCORES, Prediction, VideoScores, scores_of
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.runs.collection import Made, Work, file_of
from ptv_hub.runs.engine import Outcome
from ptv_hub.zoo.input_spec import Protocol

FORMAT = 1


class Predicting(Work):
    """What is done with each video to have its classes."""

    def __init__(
        self,
        model: ActionModel,
        protocol: Protocol,
        told: Callable[[VideoScores], Prediction],
        out: Path | None,
        *,
        asked: str = "",
        weights: str | None = None,
        fps: float | None = None,
        allow_broken: bool = False,
        batch_views: int = 1,
        across: bool = False,
    ) -> None:
        """``told``: scores -> what is said of them; ``asked``: what that depends on, in words.
        The others: as of ``Extracting``."""
        self.model, self._protocol, self._told, self._out = model, protocol, told, out
        self._batch, self._across = batch_views, across
        viewing = ProtocolViews(model.entry.input, protocol)
        self.reading = Reading(viewing, fps, allow_broken, content=out is not None)
        self.settings = {
            "what": "predictions",
            "format": FORMAT,
            "model": model.entry.name,
            "weights": weights,
            "backend": getattr(model, "backend", "eager"),
            "dtype": getattr(model, "dtype", "fp32"),
            "protocol": protocol.model_dump(mode="json"),
            "input": model.entry.input.model_dump(mode="json"),
            "asked": asked,
            "fps": fps,
            "allow_broken": allow_broken,
            "batch_views": batch_views,
            "across": across,
        }

    def batches(self) -> ViewBatches:
        return ViewBatches(
            scores_of(self.model),
            self.model.entry.input,
            device_of(self.model),
            self._batch,
            across=self._across,
        )

    def attached(self) -> AbstractContextManager[object]:
        return activated(self.model, self._protocol.activation)

    def made(self, name: str, outcome: Outcome) -> Made:
        end = outcome.end
        assert end.plan is not None
        found = outcome.views.result(end.clips, end.plan.num_crops)[SCORES]
        video = outcome.item.shown
        if not torch.isfinite(found).all():
            raise VideoError("the model's scores are not finite", where=video)
        scores = VideoScores(
            video, found, end.plan.clips, end.plan.num_crops, end.duration, end.notes
        )
        told = self._told(scores)
        files: tuple[Path, ...] = ()
        if self._out is not None:
            path = file_of(self._out, name, ".json")
            write_text(path, told.model_dump_json(indent=2) + "\n")
            files = (path,)
        # Not what is said of the weights: of all videos alike, it is said once.
        return Made(told, files, end.notes)
