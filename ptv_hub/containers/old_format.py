"""torch's format before 1.6: five pickles one after another, then the storages' bytes.

The pickles are a magic number, the version, the writer's machine, the content, and the keys of
the storages in the order in which they follow, each behind its number of elements.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any

from ptv_hub.containers.bounds import PICKLE_BYTES, require_size, shown
from ptv_hub.containers.pickled import damaged, read
from ptv_hub.containers.rebuilding import Rebuilding
from ptv_hub.containers.tensors import DTYPES
from ptv_hub.errors import TruncatedFile, UnreadableFile

BEGINS = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The magic number, pickled."""

_VERSION = 1001
_COUNT = struct.Struct("<q")


def contents(data: bytes | mmap.mmap, rebuilding: Rebuilding) -> tuple[Any, dict[str, int]]:
    """What the fourth pickle holds, and where in ``data`` the bytes of each storage begin.

    ``data`` is bytes or a mapped file.

    Raises:
        UnreadableFile: truncated, damaged, or not of this format.
        UnsafeFile, CheckpointError: as ``pickled.read``.
    """
    path = rebuilding.path
    head, at = data[: PICKLE_BYTES + 1], 0
    values: list[Any] = []
    for _ in range(5):
        try:
            value, at = read(head, rebuilding, at)
        except UnreadableFile:
            # It may be cut by ourselves alone.
            cut = len(data) > PICKLE_BYTES and len(values) == 3
            require_size("bytes of its pickle", len(head) if cut else 0, PICKLE_BYTES, path)
            raise
        values.append(value)
        if len(values) == 1 and not head.startswith(BEGINS):
            raise damaged(path, "a pickle that is no checkpoint of torch")
    _, version, machine, content, keys = values
    if version != _VERSION:
        raise damaged(path, f"version {shown(version)} of the format")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise damaged(path, "numbers whose bytes are in the other order (big-endian)")
    return content, _places(data, at, keys, rebuilding)


def _places(
    data: bytes | mmap.mmap, at: int, keys: object, rebuilding: Rebuilding
) -> dict[str, int]:
    """Where each storage begins; all of them are there, and as long as the pickle says."""
    path, storages = rebuilding.path, rebuilding.storages
    named = isinstance(keys, list) and all(type(key) is str for key in keys)
    if not isinstance(keys, list) or not named or sorted(keys) != sorted(storages):
        raise damaged(path, "the storages that follow are not those of the tensors")
    found = {}
    for key in keys:
        stored = storages[key]
        start = at + _COUNT.size
        at = start + stored.size
        if at > len(data):
            raise TruncatedFile(
                "a weights file is truncated or damaged: not all tensors are there",
                where=path,
                expected=f"{at:,} bytes or more",
                found=f"{len(data):,}",
                fix="fetch or copy it again",
            )
        (count,) = _COUNT.unpack_from(data, start - _COUNT.size)
        if count * DTYPES[stored.dtype] != stored.size:
            raise damaged(path, f"a storage of {count:,} elements, not as its tensors say")
        found[key] = start
    if at != len(data):
        raise damaged(path, f"{len(data) - at:,} bytes after the last tensor")
    return found
