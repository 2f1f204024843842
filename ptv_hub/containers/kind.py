"""What a file is by its first bytes; suffixes are not believed."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Literal

from ptv_hub.containers import archive, safetensors_header
from ptv_hub.errors import UnreadableFile

Format = Literal["zip", "legacy", "safetensors", "caffe2"]

_HEAD = 512


def kind_of(path: Path) -> Format:
    """Which kind of weights file it seems to be.

    Raises:
        UnreadableFile: missing, empty, a web page, or none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
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
    if head.startswith(archive.BEGINS):
        return "zip"
    # Before pickles: the length of a safetensors header may begin with the byte of a pickle.
    if safetensors_header.begins(head):
        return "safetensors"
    if head[:1] == b"\x80" and b"blobs" in head[:64]:  # a pickle of Caffe2's, not of torch's
        return "caffe2"
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


def mapped(path: Path) -> mmap.mmap:
    """The whole file as memory: read when looked at, shared with the page cache.

    Raises:
        UnreadableFile: it cannot be opened, or is empty.
    """
    try:
        with path.open("rb") as file:
            # Private: whoever takes tensors from it may write to them, and not to the file.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise UnreadableFile("a weights file cannot be mapped", where=path, found=error) from error
