"""A trained model with its record and class names, as a folder that every command takes.

``local-dir:FOLDER`` is its address: ``ptv-hub predict local-dir:FOLDER clip.mp4``. It is what
``ptv-hub push`` uploads, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ptv_hub._version import __version__
from ptv_hub.errors import WriteError
from ptv_hub.files import sha256_of, write_text
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.repository import CONFIG_FILE, WEIGHTS_FILE, HubConfig, Provenance, WeightsFile


def export(
    folder: Path, tensors: Mapping[str, Tensor], entry: Entry, source: Path, began_from: str
) -> None:
    """Write ``model.safetensors`` and ``config.json``.

    ``tensors`` have official keys; ``source`` is the checkpoint that they were read from.

    Raises:
        WriteError: the folder or a file in it could not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, folder) from error
    path = folder / WEIGHTS_FILE
    checkpoint.write(path, tensors)
    weights = WeightsFile(size=path.stat().st_size, sha256=sha256_of(path), digest=digest(tensors))
    provenance = Provenance(
        source=source.name,
        sha256=sha256_of(source),
        vouched_by=None,
        evidence=f"trained here, from {began_from}",
        converted_by=f"ptv_hub {__version__}",
    )
    config = HubConfig.of(entry, weights, provenance)
    write_text(folder / CONFIG_FILE, config.model_dump_json(indent=2) + "\n")
