"""Bytes of a file -> torch's tensors: mapped where they can be, read where they cannot."""

from __future__ import annotations

import mmap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptv_hub.containers import old_format, pickled
from ptv_hub.containers.archive import Archive
from ptv_hub.containers.bounds import require_size
from ptv_hub.containers.kind import mapped
from ptv_hub.containers.rebuilding import Rebuilding
from ptv_hub.containers.tensors import Strided, Unusable
from ptv_hub.containers.torch_zip import pickle_in, storage_in

if TYPE_CHECKING:
    from torch import UntypedStorage

ALIGNED = 8
"""Bytes: a mapped storage begins at a multiple of it, as memory that torch allots does."""


def of_zip(path: Path, *, checked: bool) -> tuple[object, str | None]:
    """What a zip of ``torch.save`` holds, and why some of it is not mapped, if it is not.

    ``checked`` holds every byte against the archive's checksums.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: as ``checkpoint.read``.
    """
    data = mapped(path)
    archive = Archive(path, data)
    if checked:
        archive.check()
    builder = _Members(archive)
    content, _ = pickled.read(pickle_in(archive), Rebuilding(path, builder))
    return content, builder.not_mapped()


def of_old_format(path: Path) -> object:
    """What a file of torch before 1.6 holds. Raises as ``of_zip``."""
    data = mapped(path)
    builder = _Following(path, data)
    content, starts = old_format.contents(data, Rebuilding(path, builder))
    for key, start in starts.items():
        builder.fill(key, start)
    return content


class _Tensors:
    """Makes tensors in storages that it is given."""

    def tensor(self, storage: UntypedStorage, where: Strided, requires_grad: bool) -> Tensor:
        made = torch.empty(0, dtype=getattr(torch, where.dtype))
        made.set_(storage, where.offset, where.shape, where.stride)
        return made.requires_grad_() if requires_grad and made.is_floating_point() else made

    def parameter(self, tensor: object, requires_grad: bool) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise Unusable("a parameter that is no tensor")
        return torch.nn.Parameter(tensor.detach(), requires_grad and tensor.is_floating_point())

    def dtype(self, name: str) -> object:
        found = getattr(torch, name, None)
        if found is None:
            raise Unusable(f"{name}, which this torch does not know")
        return found

    def device(self, words: str) -> object:
        try:
            return torch.device(words)
        except RuntimeError as error:
            raise Unusable("a device that torch does not know") from error

    def size(self, sizes: tuple[int, ...]) -> object:
        return torch.Size(sizes)


class _Members(_Tensors):
    """Storages that are members of an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._all = torch.frombuffer(archive.data, dtype=torch.uint8).untyped_storage()
        self._read: Counter[str] = Counter()

    def storage(self, key: str, size: int) -> UntypedStorage:
        member = storage_in(self._archive, key, size)
        if not member.is_stored:
            self._read["compressed"] += 1
        elif (start := self._archive.stored_at(member)) % ALIGNED:
            self._read["at odd places"] += 1
        else:
            mapped: UntypedStorage = self._all[start : start + size]
            return mapped
        if not size:
            return torch.UntypedStorage(0)
        content = bytearray(self._archive.read(member))
        return torch.frombuffer(content, dtype=torch.uint8).untyped_storage()

    def not_mapped(self) -> str | None:
        told = [f"{count} that stand {why}" for why, count in self._read.items()]
        return " and ".join(told) or None


class _Following(_Tensors):
    """Storages whose bytes follow the pickles, at places that are known at the end alone."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data = path, data
        self._storages: dict[str, UntypedStorage] = {}
        self._bytes = 0

    def storage(self, key: str, size: int) -> UntypedStorage:
        self._bytes += size
        require_size("bytes of tensors", self._bytes, len(self._data), self._path)
        self._storages[key] = torch.UntypedStorage(size)
        return self._storages[key]

    def fill(self, key: str, start: int) -> None:
        storage = self._storages[key]
        if storage.nbytes():
            whole = torch.frombuffer(self._data, dtype=torch.uint8)
            whole = whole[start : start + storage.nbytes()]
            torch.empty(0, dtype=torch.uint8).set_(storage).copy_(whole)
