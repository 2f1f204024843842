"""A weights file <-> a plain state dict. Weights are data: nothing in a file is ever run.

Files of ``torch.save`` are read by a machine that knows tensors and plain data alone
(``containers.pickled``), as safetensors, or as Caffe2's blobs by an unpickler that knows arrays
alone (``caffe2``); there is no other way and no switch. Tensors of zip
``.pyth`` and safetensors files are mapped, not copied: what is not used (an optimizer's state)
costs no memory. While they live, the file may be replaced by another, but must not be rewritten
in place.
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv_hub.containers import safetensors_header
from ptv_hub.containers.bounds import expanded_bytes, require_key, require_size, shown
from ptv_hub.containers.kind import Format, kind_of
from ptv_hub.errors import CheckpointError, LayoutError, UnreadableFile, WriteError
from ptv_hub.files import atomic_write
from ptv_hub.weights import caffe2

if TYPE_CHECKING:
    import os

    from torch import Tensor

CONTAINERS = ("model_state", "state_dict", "model")
"""Keys under which a file holds its state dict: PySlowFast and PyTorchVideo, Lightning, others."""

SAID = "ptv_hub_conversion"
"""Key under which a ``.pyth`` holds what a conversion says, as the header of safetensors does."""

WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before every key."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    path: Path
    format: Format
    container: str
    """The key that held the state dict, or ``bare``."""
    prefix: str
    """Wrappers' prefixes that were removed from every key (``module.``), mostly empty."""
    tensors: dict[str, Tensor]
    """In the file's order, under the file's keys but for ``prefix``."""
    training: dict[str, Any] = field(default_factory=dict)
    """All else in the file: ``epoch``, ``optimizer_state``, ``cfg`` (a YAML string), ..."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The header's strings of a safetensors file, or what a conversion wrote into a ``.pyth``."""
    not_mapped: str | None = None
    """Which storages were read into memory, and why; ``None`` where all are mapped."""

    @property
    def tensor_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def read(path: str | os.PathLike[str], *, checked: bool = False) -> Checkpoint:
    """The checkpoint in a file, tensors on the CPU.

    Args:
        checked: hold every byte against the checksums that a zip file has; a second for a
            gigabyte. Without it a flipped bit of a weight goes unseen.

    Raises:
        UnreadableFile: missing, empty, truncated, damaged, a web page, or not a checkpoint.
        UnsafeFile: a pickle that wants more than tensors and plain data.
        LayoutError: only some of the keys carry a wrapper's prefix.
        CheckpointError: no state dict in it, more than one, or what is no weights.
    """
    from ptv_hub.weights import storages

    path = Path(path)
    kind = kind_of(path)
    if kind == "caffe2":
        return Checkpoint(path, kind, "blobs", "", caffe2.read(path), not_mapped="all: Caffe2's")
    if kind == "safetensors":
        tensors, metadata = _read_safetensors(path)
        tensors, prefix = _unwrapped(tensors, path)
        return Checkpoint(path, kind, "bare", prefix, tensors, {}, metadata)
    if kind == "zip":
        content, not_mapped = storages.of_zip(path, checked=checked)
    else:
        content, not_mapped = storages.of_old_format(path), "all: the old format's"
    container, state, training = _contents(content, path)
    tensors, prefix = _unwrapped(state, path)
    if "pytorch-lightning_version" in training:
        tensors, attribute = _of_lightning(tensors)
        prefix += attribute
    said = training.pop(SAID, None)
    told = said.items() if isinstance(said, Mapping) else ()
    metadata = {str(k): v for k, v in told if isinstance(v, str)}
    return Checkpoint(path, kind, container, prefix, tensors, training, metadata, not_mapped)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        header = safetensors_header.read(path)
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in header.keys}
        return tensors, dict(header.metadata)
    except (SafetensorError, OSError, KeyError, AttributeError) as error:
        raise UnreadableFile(
            "a safetensors file is damaged", where=path, found=error, fix="fetch or copy it again"
        ) from error


def _contents(content: object, path: Path) -> tuple[str, Mapping[str, Any], dict[str, Any]]:
    """Container, state dict and all else of what a pickle held."""
    if not isinstance(content, Mapping):
        raise CheckpointError(
            "no state dict in the file",
            where=path,
            expected="a dict of tensors, or a dict that holds one",
            found=f"a {type(content).__name__}",
        )
    found = [key for key in CONTAINERS if isinstance(content.get(key), Mapping)]
    if len(found) > 1:
        raise CheckpointError(
            "more than one state dict in the file",
            where=path,
            found=", ".join(found),
            fix="save the one you mean in a file of its own",
        )
    if found:
        (container,) = found
        training = {str(key): value for key, value in content.items() if key != container}
        return container, content[container], training
    return "bare", content, {}


def _unwrapped(state: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors without wrappers' prefixes, and the prefixes that were taken off."""
    import torch

    strange = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if strange or not state:
        raise CheckpointError(
            "the state dict holds other things than tensors"
            if strange
            else "no tensor in the file",
            where=path,
            expected="tensors under string keys",
            found="; ".join(f"{shown(key)}: {shown(state[key])}" for key in strange[:3])
            or "nothing",
        )
    for key in state:
        require_key(key, path)
    size = sum(t.numel() * t.element_size() for t in state.values())
    most = expanded_bytes(path.stat().st_size)
    require_size("bytes of tensors that it does not hold", size, most, path)
    prefix = _prefix(list(state), path)
    return {key[len(prefix) :]: value.detach() for key, value in state.items()}, prefix


_WRAPPED = re.compile(f"^(?:{'|'.join(map(re.escape, WRAPPERS))})*")


_OF_LAYOUTS = {"blocks", "model", "backbone"}
"""First words of a layout's keys, that are no name of somebody's own."""


def _of_lightning(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The tensors without the name that a LightningModule gave its one network (``net.``)."""
    first = {key.partition(".")[0] for key in tensors}
    if len(first) > 1 or first & _OF_LAYOUTS:
        return tensors, ""
    attribute = f"{first.pop()}."
    return {key.removeprefix(attribute): value for key, value in tensors.items()}, attribute


def _prefix(keys: list[str], path: Path) -> str:
    """The wrappers' prefixes that every key has. Raises LayoutError where they differ."""
    found = Counter(key[: len(key) - len(_WRAPPED.sub("", key, count=1))] for key in keys)
    if len(found) == 1:
        return next(iter(found))
    longest = max(found, key=len)
    bare = [key for key in keys if not key.startswith(longest)]
    raise LayoutError(
        f"only some keys carry the wrapper {longest!r}",
        keys=bare,
        where=path,
        expected="all of them or none",
        found=f"{len(keys) - len(bare)} of {len(keys)}; without: {', '.join(bare[:3])}",
    )


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    training: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    container: str = "model_state",
) -> None:
    """Write a checkpoint: ``.safetensors`` by that suffix, else PySlowFast's ``.pyth`` container.

    A ``.pyth`` holds ``model_state`` (or another ``container``) and, where given, the training
    state beside it, as PySlowFast's and PyTorchVideo's loaders read it; ``metadata`` goes into
    safetensors, and under a key of a ``.pyth`` that their loaders pass by.
    The file is read back and every tensor compared bit for bit before it appears under its
    name: whole, right, or not at all.

    Raises:
        WriteError: the folder is missing or not writable, the disk is full, or what came
            back differs from what was written.
        CheckpointError: training state for a safetensors file, which has no place for it.
    """
    path = Path(path)
    if path.suffix == ".safetensors" and training:
        raise CheckpointError(
            "safetensors hold tensors only, no training state",
            where=path,
            found=", ".join(training),
            fix="write a .pyth, or leave the training state out",
        )
    plain = _alone(tensors)
    with atomic_write(path) as temporary:
        if path.suffix == ".safetensors":
            _write_safetensors(plain, {"format": "pt", **(metadata or {})}, temporary)
        else:
            # PySlowFast's order: epoch, model_state, optimizer_state, cfg.
            head = {"epoch": training["epoch"]} if training and "epoch" in training else {}
            rest = {k: v for k, v in (training or {}).items() if k != "epoch"}
            told = {SAID: dict(metadata)} if metadata else {}
            _write_pickle({**head, container: plain, **rest, **told}, temporary, path)
        back = read(temporary).tensors
        wrong = [key for key in plain if key not in back or not same_bits(plain[key], back[key])]
        if wrong or len(back) != len(plain):
            raise WriteError(
                "a file was written and came back different; it was deleted",
                where=path,
                found=", ".join(wrong[:3]) or f"{len(back)} tensors of {len(plain)}",
                fix="check the disk, then write again",
            )


def _alone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor in a storage of its own that holds no other bytes: those would be written too."""
    plain: dict[str, Tensor] = {}
    taken: set[int] = set()
    for key, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        shared = storage.nbytes() != tensor.numel() * tensor.element_size()
        if shared or storage.data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        plain[key] = tensor
    return plain


def _write_safetensors(plain: dict[str, Tensor], metadata: dict[str, str], temporary: Path) -> None:
    from safetensors.torch import save_file

    mode = temporary.stat().st_mode
    try:
        save_file(plain, temporary, metadata)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            "safetensors cannot hold these tensors", found=error, fix="write a .pyth"
        ) from error
    temporary.chmod(mode)  # safetensors makes files for the owner alone
    _order_metadata(temporary)


def _write_pickle(content: dict[str, Any], temporary: Path, path: Path) -> None:
    import torch

    try:
        torch.save(content, temporary)
    except (RecursionError, TypeError) as error:
        raise CheckpointError(
            "the training state cannot be written",
            where=path,
            expected="numbers, strings, lists and dicts, not too deep in one another",
            found=str(error)[:200],
            fix="leave it out (without --keep-training)",
        ) from error


def _order_metadata(path: Path) -> None:
    """Sort the header's strings: safetensors leaves them in another order each time.

    The same weights then make the same file, byte for byte, and nothing is uploaded twice.
    """
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # as it was but for the order; the rest is filled with spaces
            file.seek(8)
            file.write(text.ljust(length))


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether shape, type and every bit agree; two NaNs of the same bits do."""
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # As integers, since NaNs are not equal; of the same width, since a byte a step is slow.
    width = one.element_size()
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}.get(width, torch.uint8)
    return torch.equal(_flat(one).view(bits), _flat(other).view(bits))


def _flat(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1)
