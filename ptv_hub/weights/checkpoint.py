"""A weights file <-> a plain state dict. Weights are data: nothing in a file is ever run.

Files are read with ``torch.load(weights_only=True)`` or as safetensors; there is no other
way and no switch. Tensors of zip ``.pyth`` and safetensors files are mapped, not copied:
what is not used (an optimizer's state) costs no memory. While they live, the file may be
replaced by another, but must not be rewritten in place.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptv_hub.errors import CheckpointError, LayoutError, UnreadableFile, UnsafeFile, WriteError
from ptv_hub.files import atomic_write

if TYPE_CHECKING:
    import os

    from torch import Tensor

Format = Literal["zip", "legacy", "safetensors"]

CONTAINERS = ("model_state", "state_dict", "model")
"""Keys under which a file holds its state dict: PySlowFast and PyTorchVideo, Lightning, others."""

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
    """The header's strings of a safetensors file."""

    @property
    def tensor_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file, tensors on the CPU.

    Raises:
        UnreadableFile: missing, empty, truncated, a web page, or not a checkpoint.
        UnsafeFile: a pickle that wants more than tensors and plain data.
        LayoutError: only some of the keys carry a wrapper's prefix.
        CheckpointError: no state dict in it, or more than one.
    """
    path = Path(path)
    kind = _format(path)
    if kind == "safetensors":
        tensors, metadata = _read_safetensors(path)
        tensors, prefix = _unwrapped(tensors, path)
        return Checkpoint(path, kind, "bare", prefix, tensors, {}, metadata)
    content = _read_pickle(path, kind)
    container, state, training = _contents(content, path)
    tensors, prefix = _unwrapped(state, path)
    return Checkpoint(path, kind, container, prefix, tensors, training)


def _format(path: Path) -> Format:
    """What the first bytes say; suffixes are not believed."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
    except IsADirectoryError as error:
        raise UnreadableFile("a folder is not a weights file", where=path) from error
    except OSError as error:
        raise UnreadableFile(
            "a weights file cannot be opened", where=path, found=error.strerror or error
        ) from error
    if not head:
        raise UnreadableFile(
            "a weights file is empty", where=path, found="0 bytes", fix="fetch or copy it again"
        )
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    # Before pickles: the length of a safetensors header may begin with the byte of a pickle.
    if head[4:9] == b"\0\0\0\0{":
        (length,) = struct.unpack("<Q", head[:8])
        if length > size - 8:
            raise UnreadableFile(
                "a safetensors file is truncated",
                where=path,
                expected=f"a header of {length} bytes",
                found=f"{size} bytes in all",
                fix="fetch or copy it again",
            )
        return "safetensors"
    if head[:1] == b"\x80":  # a pickle's protocol opcode: torch's format before 1.6
        return "legacy"
    text = head.lstrip()[:100].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UnreadableFile(
            "a web page was saved in place of a weights file",
            where=path,
            found=head[:60].decode("utf-8", "replace").strip().splitlines()[0],
            fix="fetch it again; a proxy or a login page may have answered",
        )
    raise UnreadableFile(
        "not a weights file",
        where=path,
        expected="a .pyth/.pt file of torch.save, or safetensors",
        found=f"a file that begins with {head[:8]!r}",
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Sorted by offset is the order they were written in.
            tensors = {key: file.get_tensor(key) for key in _in_file_order(path)}
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            "a safetensors file is damaged", where=path, found=error, fix="fetch or copy it again"
        ) from error


def _in_file_order(path: Path) -> list[str]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return sorted(header, key=lambda key: tuple(header[key]["data_offsets"]))


def _read_pickle(path: Path, kind: Format) -> object:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them comes as an error, below
            # Files of the old format refuse mmap.
            content: object = torch.load(
                path, map_location="cpu", weights_only=True, mmap=kind == "zip"
            )
            return content
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except Exception as error:
        # Damaged bytes make torch's reader raise nearly anything: EOFError, struct.error,
        # AttributeError, UnicodeDecodeError, ...
        if "TorchScript" in str(error):
            raise CheckpointError(
                "a TorchScript program, not a checkpoint",
                where=path,
                expected="a state dict",
                fix="save the model's state_dict() instead",
            ) from error
        raise UnreadableFile(
            "a weights file is truncated or damaged",
            where=path,
            found=str(error).strip().splitlines()[0][:200]
            if str(error).strip()
            else "no more bytes",
            fix="fetch or copy it again",
        ) from error


def _refused(path: Path, message: str) -> CheckpointError:
    """The right error for what torch's data-only unpickler did not take."""
    wanted = re.search(r"GLOBAL ([\w.]+)", message) or re.search(
        r"Unsupported (?:global|class)[^\w]*([\w.]+)", message
    )
    opcode = re.search(r"Unsupported operand (\d+)", message)
    if wanted is None and opcode is None:
        return UnreadableFile(
            "a weights file is truncated or damaged",
            where=path,
            found=message.strip().splitlines()[-1][:200],
            fix="fetch or copy it again",
        )
    return UnsafeFile(
        "a pickle asks for more than data and was refused; nothing of it was run",
        where=path,
        expected="tensors, numbers, strings, lists and dicts",
        found=wanted[1] if wanted else f"pickle operation {opcode and opcode[1]}",
        fix="ask whoever made it for a plain state dict or safetensors; do not load it otherwise",
    )


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
            found="; ".join(f"{key}: {type(state[key]).__name__}" for key in strange[:3])
            or "nothing",
        )
    tensors: dict[str, Tensor] = {str(key): value.detach() for key, value in state.items()}
    prefix = ""
    while True:
        wrapped = {w: sum(key.startswith(w) for key in tensors) for w in WRAPPERS}
        wrapper = max(wrapped, key=lambda w: wrapped[w])
        if not wrapped[wrapper]:
            return tensors, prefix
        if wrapped[wrapper] < len(tensors):
            bare = [key for key in tensors if not key.startswith(wrapper)]
            raise LayoutError(
                f"only some keys carry the wrapper {wrapper!r}",
                keys=bare,
                where=path,
                expected="all of them or none",
                found=f"{wrapped[wrapper]} of {len(tensors)}; without: {', '.join(bare[:3])}",
            )
        prefix += wrapper
        tensors = {key[len(wrapper) :]: value for key, value in tensors.items()}


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    training: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint: ``.safetensors`` by that suffix, else PySlowFast's ``.pyth`` container.

    A ``.pyth`` holds ``model_state`` and, where given, the training state beside it, as
    PySlowFast's and PyTorchVideo's loaders read it; ``metadata`` goes into safetensors only.
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
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            mode = temporary.stat().st_mode
            save_file(plain, temporary, {"format": "pt", **(metadata or {})})
            temporary.chmod(mode)  # safetensors makes files for the owner alone
            _order_metadata(temporary)
        else:
            import torch

            # PySlowFast's order: epoch, model_state, optimizer_state, cfg.
            head = {"epoch": training["epoch"]} if training and "epoch" in training else {}
            rest = {k: v for k, v in (training or {}).items() if k != "epoch"}
            torch.save({**head, "model_state": plain, **rest}, temporary)
        back = read(temporary).tensors
        wrong = [key for key in plain if key not in back or not same_bits(plain[key], back[key])]
        if wrong or len(back) != len(plain):
            raise WriteError(
                "a file was written and came back different; it was deleted",
                where=path,
                found=", ".join(wrong[:3]) or f"{len(back)} tensors of {len(plain)}",
                fix="check the disk, then write again",
            )


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
