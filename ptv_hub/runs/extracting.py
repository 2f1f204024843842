"""Features of a collection: a file a video, at its place in the tree."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ptv_hub.datasets.decoding import Reading
from ptv_hub.errors import VideoError
from ptv_hub.inference.batching import ViewBatches, device_of
from ptv_hub.inference.feature_files import FileKind, save_features
from ptv_hub.inference.features import Features, Wish, features_of
from ptv_hub.inference.outputs import Extractor
from ptv_hub.inference.viewing import ProtocolViews, WindowViews
from ptv_hub.inference.windows import Windows
from ptv_hub.models.builders import ActionModel
from ptv_hub.runs.collection import Made, Work, file_of
from ptv_hub.runs.engine import Outcome

FORMAT = 1
"""Of what is written; another one is another setting."""


class Extracting(Work):
    """What is done with each video to have its features."""

    def __init__(
        self,
        model: ActionModel,
        wish: Wish,
        kind: FileKind,
        out: Path,
        *,
        weights: str | None = None,
        fps: float | None = None,
        allow_broken: bool = False,
        batch_views: int = 1,
        across: bool = False,
    ) -> None:
        """``weights``: their digest. ``fps``: of folders of frames. ``across``: batches may hold
        windows of several videos.

        Raises:
            UsageError, MissingExtra: files of this kind cannot be written, or the model does not
                give what is asked for.
        """
        kind.check()
        self._wish, self._kind, self._out = wish, kind, out
        self._extractor = Extractor(model, wish.outputs)
        self._device = device_of(model)
        self._batch, self._across = batch_views, across
        self.reading = Reading(wish.viewing, fps, allow_broken, content=True)
        self.settings = {
            "what": "features",
            "format": FORMAT,
            "model": wish.entry.name,
            "weights": weights,
            "backend": getattr(model, "backend", "eager"),
            "outputs": list(wish.outputs),
            "views": _viewing(wish),
            "files": [kind.format, kind.dtype, kind.key],
            "fps": fps,
            "allow_broken": allow_broken,
            "batch_views": batch_views,
            "across": across,
        }

    def batches(self) -> ViewBatches:
        return ViewBatches(
            self._extractor,
            self._wish.entry.input,
            self._device,
            self._batch,
            across=self._across,
        )

    def attached(self) -> AbstractContextManager[object]:
        return self._extractor.attached()

    def made(self, name: str, outcome: Outcome) -> Made:
        end = outcome.end
        assert end.plan is not None
        of_views = outcome.views.result(end.clips, end.plan.num_crops)
        told = outcome.item.shown
        notes = end.notes[: len(end.notes) - len(end.plan.notes)]
        found = features_of(self._wish, told, of_views, end.plan, end.duration, notes)
        for output, values in found.outputs.items():
            if not torch.isfinite(values).all():
                raise VideoError("the model's numbers are not finite", where=told, found=output)
        return Made(found, self._write(found, name), found.notes)

    def _write(self, found: Features, name: str) -> tuple[Path, ...]:
        kind, written = self._kind, []
        each = {"": found}
        if kind.format == "npy" and len(found.outputs) > 1:
            # A folder an output: beside each other, names of outputs could be those of videos.
            each = {
                output: replace(found, outputs={output: values})
                for output, values in found.outputs.items()
            }
        for folder, one in each.items():
            path = file_of(self._out / folder.replace(":", "_"), name, f".{kind.format}")
            save_features(one, path, dtype=kind.dtype, key=kind.key)
            written.append(path)
        return tuple(written)


def _viewing(wish: Wish) -> Mapping[str, Any]:
    viewing = wish.viewing
    spec = viewing.spec.model_dump(mode="json")
    if isinstance(viewing, WindowViews):
        windows: Windows = viewing.windows
        return {"windows": windows.model_dump(mode="json"), "crops": viewing.crops, "input": spec}
    assert isinstance(viewing, ProtocolViews)
    return {"protocol": viewing.protocol.model_dump(mode="json"), "input": spec}
