"""A model in memory -> a repository's folder, with the numbers that it has now."""

from __future__ import annotations

import os
from pathlib import Path

from ptv_hub._version import __version__
from ptv_hub.errors import UsageError
from ptv_hub.files import sha256_of
from ptv_hub.models.builders import VideoModel
from ptv_hub.models.digest import digest
from ptv_hub.publish.transformers_side import write_for_transformers
from ptv_hub.training.finetuning import built_as, of_its_own
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.repository import write_config, write_repository
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.names import name_of
from ptv_hub.zoo.repository import HubConfig, Provenance


def save(
    model: VideoModel, folder: str | os.PathLike[str], *, name: str | None = None
) -> HubConfig:
    """Write a model into a folder that ``load``, every command, and transformers take.

    Weights, config, and what transformers needs; the card is ``push``'s. A model whose numbers are
    no more those of the file that it was loaded from is one of its own: it gets a name, and
    nothing that was published of the other.

    Args:
        name: what a model of its own is called; the folder's name if not given.

    Raises:
        UsageError: a model without a classifier, or without numbers.
        WriteError: the folder or a file in it could not be written.
    """
    if not model.num_classes or any(p.is_meta for p in model.parameters()):
        raise UsageError(
            "only a whole model can be saved",
            expected="a classifier, and weights",
            found="no classifier" if not model.num_classes else "a model on the meta device",
            fix="model.reset_classifier(n) puts one in; torch.save keeps whatever there is",
        )
    folder = Path(folder)
    tensors = {key: t.detach().cpu().contiguous() for key, t in model.state_dict().items()}
    file, same, own = loaded_from(model), is_as_loaded(model), digest(tensors)
    item = model.entry if same else _renamed(model, name or folder.resolve().name)
    begun = "pytorchvideo's initial weights" if file is None else f"local file {file.name}"
    provenance = Provenance(
        source=begun if same else f"a model in memory, begun from {begun}",
        sha256=own if file is None else sha256_of(file),
        vouched_by=None,
        evidence="the tensors of that file" if same else "saved from memory",
        converted_by=f"ptv_hub {__version__}",
    )
    config = write_repository(folder, item, tensors, provenance, digest=own)
    if file is None:
        # There was no file before this one.
        known = provenance.model_copy(update={"sha256": config.weights.sha256})
        config = write_config(folder, config.model_copy(update={"provenance": known}))
    write_for_transformers(folder, item)
    return config


def loaded_from(model: VideoModel) -> Path | None:
    """The file that a model's numbers came from, if it is still there."""
    file = None if model.origin is None else model.origin.file
    return Path(file) if file and Path(file).is_file() else None


def is_as_loaded(model: VideoModel) -> bool:
    """Whether its numbers are still those of that file, bit for bit. Raises CheckpointError."""
    file = loaded_from(model)
    return file is not None and OpenedWeights(file, model.entry).digest == digest(
        model.state_dict()
    )


def _renamed(model: VideoModel, name: str) -> Entry:
    new = built_as if model.origin is None else of_its_own
    return new(model.entry, name_of(name))
