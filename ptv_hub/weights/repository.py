"""Weights with their record and class names, as a folder that every command takes.

``local-dir:FOLDER`` is its address: ``ptv-hub predict local-dir:FOLDER clip.mp4``. It is what
``ptv-hub push`` uploads, and what a training run leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ptv_hub.errors import WriteError
from ptv_hub.files import sha256_of, write_text
from ptv_hub.models.digest import digest as digest_of
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.repository import CONFIG_FILE, WEIGHTS_FILE, HubConfig, Provenance, WeightsFile


def write_repository(
    folder: Path,
    entry: Entry,
    tensors: Mapping[str, Tensor],
    provenance: Provenance,
    *,
    digest: str | None = None,
) -> HubConfig:
    """Write ``model.safetensors`` and ``config.json``; other files in the folder are left alone.

    ``tensors`` have official keys, ``digest`` is theirs where it is known.

    Raises:
        WriteError: the folder or a file in it could not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, folder) from error
    digest = digest or digest_of(tensors)
    path = folder / WEIGHTS_FILE
    # Only what follows from the weights goes in: the same ones give the same file, whatever
    # file they were read from, and are not uploaded twice. All else stands in the config.
    metadata = {"entry": entry.name, "layout": layouts.OFFICIAL, "digest": digest}
    checkpoint.write(path, tensors, metadata=metadata)
    weights = WeightsFile(size=path.stat().st_size, sha256=sha256_of(path), digest=digest)
    return write_config(folder, HubConfig.of(entry, weights, provenance))


def write_config(folder: Path, config: HubConfig) -> HubConfig:
    """Write ``config.json`` into a repository's folder. Raises WriteError."""
    write_text(folder / CONFIG_FILE, config.model_dump_json(indent=2) + "\n")
    return config
