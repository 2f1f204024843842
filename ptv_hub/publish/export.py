"""``ptv_hub.export``: a model, or what names one -> a file for another engine."""

from __future__ import annotations

import os

import torch

from ptv_hub.engines.export import Exported, ready_target
from ptv_hub.engines.export import export as written
from ptv_hub.engines.export_formats import format_of
from ptv_hub.engines.export_graph import Options
from ptv_hub.inference.predict import ready_model
from ptv_hub.models.builders import VideoModel
from ptv_hub.zoo.entry import Entry


def export(
    model: VideoModel | Entry | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    to: str,
    options: Options | None = None,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a model as a file for another engine, and prove that it gives the same scores.

    Args:
        model: a loaded model, or what ``load`` takes; with ``weights``, ``any_weights`` as there.
        out, to, options, overwrite: as ``engines.export.export``.

    Raises:
        PtvHubError: as ``load`` and ``engines.export.export``.
    """
    format_of(to).require()  # before anything is fetched
    if out is not None:
        ready_target(format_of(to), out, overwrite)
    device = None if isinstance(model, torch.nn.Module) else "cpu"
    net = ready_model(model, weights, any_weights=any_weights, device=device)
    assert isinstance(net, VideoModel)
    return written(net, out, to=to, options=options, overwrite=overwrite)
