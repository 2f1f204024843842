"""File -> file: read, rename and cast by the layouts' tables, write, read back, compare.

What was done beyond renaming is told, and written into the file: the step that folds a batch norm
loses it, and whoever takes the file later must be able to know.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from ptv_hub._version import __version__
from ptv_hub.containers.kind import Format
from ptv_hub.errors import UsageError, WriteError
from ptv_hub.files import ready_file, refuse_existing
from ptv_hub.models.builders import build
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.identify import candidates, fits_but_for_head
from ptv_hub.weights.load import require_fit
from ptv_hub.weights.mmaction2 import MMACTION2
from ptv_hub.weights.named import SUFFIXES, entry, existing, in_words, weights_file
from ptv_hub.weights.native import NATIVE
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.other_code import notes
from ptv_hub.weights.own_word import ENTRY, recorded_in
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import Record
from ptv_hub.zoo.repository import is_address

_OF_OTHER_CODE = {NATIVE, MMACTION2}
"""Layouts whose files are not written by PyTorchVideo's models, or a wrapper around them."""


_BOUND = {
    "optimizer_state": "its parameters are numbered in the order of that network's",
    "cfg": "it builds that code's network",
    "epoch": "it is where that code's training goes on",
}
"""Why a part of a training state is of no use to other code."""
_BOUND_TO_IT = "other code does not read it"


class Conversion(Record):
    """What ``convert`` did."""

    source: str
    """The file that was read."""
    target: str
    """The file that was written."""
    source_layout: str
    """Whose keys it has."""
    target_layout: str
    """Whose keys it was given."""
    source_format: Format
    """Its container."""
    source_size: int
    """Bytes."""
    target_size: int
    """Bytes."""
    num_tensors: int
    """That were written."""
    digest: str
    """Of the tensors in the official layout, the same before and after."""
    transformations: tuple[str, ...] = ()
    """What was done beyond renaming, in order: ``name: what it did``."""
    lost: tuple[str, ...] = ()
    """What the new file no longer holds, so that no way leads back to the same one."""
    notes: tuple[str, ...] = ()
    """What belongs to the model and to no file, and is another where the new file is used."""
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
    as_name: str | Entry | None = None,
    keep_training: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Conversion:
    """Write the weights of a file, or of a zoo entry, in another layout.

    Args:
        source: what holds weights, as ``load`` takes it; of a name or address it is fetched.
        out: where to; safetensors by that suffix, else a ``.pyth`` in PySlowFast's container.
        to: the layout: ``official``, ``pyslowfast``, ``native`` or ``mmaction2``.
        as_name: whose weights these are, where keys and shapes are those of several networks.
        keep_training: carry ``epoch``, ``optimizer_state`` and ``cfg`` over as they are; the
            default leaves them out. Which model it is goes along in any case, under a key of a
            ``.pyth`` that the loaders of PySlowFast and PyTorchVideo pass by.
        overwrite: replace a file that is there; never the source.
        progress: show a bar on stderr while a name is fetched.

    Raises:
        UnknownName: no such layout, or the source is neither a file nor an entry.
        CheckpointError: the source cannot be read, its keys are of no layout, or (``Undecided``)
            of several networks; it is not of ``as_name``, or the layout has no such network.
        WriteError: the target is there, or the source, or it could not be written whole.
    """
    layouts.layout(to)
    out = Path(out)
    _require_target(out)
    refuse_existing(out, overwrite, sources=[source])  # before anything is fetched
    path, origin, item = _source(source, progress)
    refuse_existing(out, overwrite, sources=[path])
    if as_name is not None:
        item = entry(as_name) if isinstance(as_name, str) else as_name
    weights = OpenedWeights(path, item, checked=True)
    if item is not None and as_name is not None:
        _require_its(weights, item)
    models = (item.name,) if item is not None else tuple(c.name for c in candidates(weights))
    training = _carried(weights, to) if keep_training else {}
    return _converted(weights, out, to=to, models=models, training=training, origin=origin)


def _carried(weights: OpenedWeights, to: str) -> dict[str, Any]:
    """The file's training state, if the code that reads the layout can go on from it."""
    training = weights.file.training
    if training and weights.layout != to and {weights.layout, to} & _OF_OTHER_CODE:
        reasons = [f"{key}: {_BOUND.get(key, _BOUND_TO_IT)}" for key in training]
        raise UsageError(
            "training state belongs to the code that wrote it",
            where=weights.path,
            expected=f"the {weights.layout} layout, or no training state",
            found="; ".join(reasons),
            fix="leave --keep-training out: the weights alone, and whose they are, go along; or"
            f" keep the layout (--to {weights.layout}), and go on with that code",
        )
    return training


def _converted(
    weights: OpenedWeights,
    out: Path,
    *,
    to: str,
    models: tuple[str, ...],
    training: dict[str, Any],
    origin: str,
) -> Conversion:
    """Write them, with what is told of them, and tell it."""
    file, size = weights.file, weights.size
    tensors, done, lost = _written(weights, to)
    metadata = {
        **_who(models, recorded_in(file)),
        "layout": to,
        "digest": weights.digest,
        "source": origin,
        "converted_by": f"ptv_hub {__version__}",
        **_history(file, done, lost),
    }
    container = "state_dict" if to == MMACTION2 else "model_state"
    checkpoint.write(out, tensors, training=training, metadata=metadata, container=container)
    return Conversion(
        source=str(weights.path),
        target=str(out),
        source_layout=weights.layout,
        target_layout=to,
        source_format=file.format,
        source_size=size,
        target_size=out.stat().st_size,
        num_tensors=len(tensors),
        digest=weights.digest,
        transformations=tuple(done),
        lost=lost,
        notes=notes(models, to),
        models=models,
        kept=tuple(training),
        dropped=tuple(key for key in file.training if key not in training),
    )


def _history(file: Checkpoint, done: list[str], lost: tuple[str, ...]) -> dict[str, str]:
    """What was done to the tensors and lost of them, here and in conversions before."""
    before = file.metadata.get("transformations")
    steps = "; ".join(filter(None, [before, *done]))
    missing = "; ".join(lost) or file.metadata.get("lost")
    return {k: v for k, v in (("transformations", steps), ("lost", missing)) if v}


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
    ready_file(out)


def _written(
    weights: OpenedWeights, to: str
) -> tuple[dict[str, Tensor], list[str], tuple[str, ...]]:
    """The tensors in a layout, what was done to them beyond renaming, and what they lost by it."""
    there = weights.converted
    if weights.layout == to and not any(step.tidies for step in there.steps):  # not cast to and fro
        return dict(weights.file.tensors), [], ()
    target = layouts.written(there.tensors, layouts.scheme_for(there.tensors, to))
    done = [f"{s.name}: {s.does}" for s in there.steps]
    done += [f"{s.name}: {s.back_does}" for s in target.steps]
    return target.tensors, done, there.lost


def _require_its(weights: OpenedWeights, item: Entry) -> None:
    """Raise KeyMismatch unless these are weights of the entry's network, whatever its classes."""
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.official.items()}
    if not fits_but_for_head(item, shapes):
        wanted = build(item, device="meta").state_dict()
        require_fit(weights.official, wanted, item, where=weights.path)


def _who(models: tuple[str, ...], own: Entry | None) -> dict[str, str]:
    """Which model it is; of one's own the whole entry, which no manifest holds."""
    if own is not None:
        return {"entry": own.name, ENTRY: own.model_dump_json()}
    return {("entry" if len(models) == 1 else "candidates"): ", ".join(models)}


def _source(source: str | os.PathLike[str], progress: bool) -> tuple[Path, str, Entry | None]:
    """Path of the file, where it came from, and the entry where one was asked for."""
    word = os.fspath(source)
    missing = not is_address(word) and Path(word).suffix in SUFFIXES
    if existing(word) is not None or missing:
        path = weights_file(word, progress=progress)
        return path, path.name, None
    item = in_words(word, kind="file or model")
    from ptv_hub.fetching.artifacts import fetch

    fetched = fetch(item, progress=progress)
    return fetched.path, fetched.artifact.url, item
