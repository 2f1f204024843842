"""File -> file: read, rename by the layouts' rules, write, read back, compare bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ptv_hub._version import __version__
from ptv_hub.errors import UnknownName, UsageError, WriteError
from ptv_hub.fetching.hub import entry
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.identify import candidates
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Record
from ptv_hub.zoo.repository import is_address


class Conversion(Record):
    """What ``convert`` did."""

    source: str
    target: str
    source_layout: str
    target_layout: str
    source_format: Literal["zip", "legacy", "safetensors"]
    source_size: int
    """Bytes."""
    target_size: int
    num_tensors: int
    digest: str
    """Of the tensors, the same before and after."""
    models: tuple[str, ...]
    """The entries it may be: one where the source or its keys settle it, more where they do not."""
    kept: tuple[str, ...]
    """Training state that was carried over."""
    dropped: tuple[str, ...]
    """Training state that was left out."""


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str,
    keep_training: bool = False,
    progress: bool = True,
) -> Conversion:
    """Write the weights of a file, or of a zoo entry, in another layout.

    Args:
        source: a weights file in any layout and format, or the name of an entry or an address
            (``hf-hub:org/name``), which is fetched. A file wins over a name.
        out: where to; safetensors by that suffix, else a ``.pyth`` in PySlowFast's container.
        to: the layout, ``official`` or ``pyslowfast``.
        keep_training: carry ``epoch``, ``optimizer_state`` and ``cfg`` over as they are; the
            default leaves them out (about half of a zoo file's bytes).

    Raises:
        UnknownName: no such layout, or the source is neither a file nor an entry.
        CheckpointError: the source cannot be read, or its keys are of no layout.
        WriteError: the target could not be written whole; nothing is left of it.
    """
    layouts.layout(to)
    out = Path(out)
    _require_target(out)
    path, origin, name = _source(source, progress)
    weights = OpenedWeights(path, checked=True)
    file, size = weights.file, weights.size
    models = (name,) if name else tuple(c.name for c in candidates(weights))
    training = file.training if keep_training else {}
    checkpoint.write(
        out,
        layouts.convert(file.tensors, weights.layout, to),
        training=training,
        metadata={
            ("entry" if len(models) == 1 else "candidates"): ", ".join(models),
            "layout": to,
            "digest": weights.digest,
            "source": origin,
            "converted_by": f"ptv_hub {__version__}",
        },
    )
    return Conversion(
        source=str(path),
        target=str(out),
        source_layout=weights.layout,
        target_layout=to,
        source_format=file.format,
        source_size=size,
        target_size=out.stat().st_size,
        num_tensors=len(file.tensors),
        digest=weights.digest,
        models=models,
        kept=tuple(training),
        dropped=tuple(key for key in file.training if key not in training),
    )


def _require_target(out: Path) -> None:
    if out.suffix not in (".pyth", ".pt", ".pth", ".safetensors"):
        raise UsageError(
            "the suffix of the target says no format",
            where=out,
            expected=".safetensors, or .pyth, .pth, .pt",
            found=out.suffix or "no suffix",
        )
    if out.is_dir():
        raise WriteError("the target is a folder", where=out, fix="name a file")


def _source(source: str | os.PathLike[str], progress: bool) -> tuple[Path, str, str | None]:
    """Path of the file, where it came from, and the entry's name where one was asked for."""
    path = Path(source)
    named = isinstance(source, str) and (is_address(source) or not path.suffix)
    if path.exists() or not named or path.is_absolute():
        return path, path.name, None
    try:
        item = entry(str(source))
    except UnknownName as error:
        raise UnknownName(
            "file or model",
            source,
            error.known,
            spellings=error.spellings,
            see="'ptv-hub list' shows the models",
        ) from error
    from ptv_hub.fetching.artifacts import fetch

    fetched = fetch(item, progress=progress)
    return fetched.path, fetched.artifact.url, item.name
