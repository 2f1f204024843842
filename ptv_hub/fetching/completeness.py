"""Whether a file is the one that was asked for, and all of it: what can be told without a hash."""

from __future__ import annotations

from pathlib import Path

from ptv_hub.containers import archive, old_format, safetensors_header
from ptv_hub.containers.archive import Archive
from ptv_hub.containers.kind import mapped
from ptv_hub.containers.rebuilding import Nobody, Rebuilding
from ptv_hub.containers.torch_zip import pickle_in
from ptv_hub.errors import CheckpointError, FetchError, HashMismatch, UnreadableFile
from ptv_hub.fetching.part import Partial

HEAD = 256
"""Bytes at the start of a file that tell what it is."""


def broken(path: Path) -> UnreadableFile | None:
    """Why a file is not whole, or not as it was written; ``None`` if nothing shows that.

    Of a zip archive (``.pyth``) its directory stands at the end, and it has a checksum for each
    member; a safetensors file says its length at the start; the old format of torch says in its
    pickles which bytes follow.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not begins_as_checkpoint(head):
        what = "an empty file" if not head else "no checkpoint, by its first bytes"
        return UnreadableFile(what, where=path, found=None if not head else ascii(head[:16]))
    try:
        if head.startswith(archive.BEGINS):
            whole = Archive(path, mapped(path))
            whole.check()
            pickle_in(whole)
        elif safetensors_header.begins(head):
            safetensors_header.read(path)
        elif head.startswith(old_format.BEGINS):
            old_format.contents(mapped(path), Rebuilding(path, Nobody()))
    except UnreadableFile as error:
        return error
    except CheckpointError:
        return None  # whole, and no checkpoint that we would read: whoever reads it says so
    return None


def begins_as_checkpoint(head: bytes) -> bool:
    """Whether a file that begins so may be one: a zip archive, a safetensors file, a pickle."""
    if head.startswith(archive.BEGINS) or safetensors_header.begins(head):
        return True
    return head[:1] == b"\x80" and head[1:2] in _PROTOCOLS


_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
_TELLING = 16
"""Bytes that tell every beginning of a checkpoint from another."""

PAGE_TAGS = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<?xml", b"<error", b"<!--")


def is_page(head: bytes, content_type: str = "") -> bool:
    """Whether a file that begins so is a web page: by its tags, or a text that says it is one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    text = all(byte in b"\t\r\n" or byte >= 32 for byte in start)
    return start.startswith(PAGE_TAGS) or (text and "html" in content_type.lower())


def refuse_other(partial: Partial, head: bytes, where: str, content_type: str = "") -> None:
    """Discard what is a web page, or begins as no checkpoint does.

    Raises:
        FetchError: it was one, or did.
    """
    if is_page(head, content_type):
        partial.discard()
        raise FetchError(
            "the server sent a web page in place of the file",
            where=where,
            expected="a checkpoint",
            found=ascii(head[:60].decode("utf-8", "replace")),
            fix="log in to the network, if it asks for that, or set PTV_HUB_MIRROR",
        )
    if len(head) > _TELLING and not begins_as_checkpoint(head):
        partial.discard()
        raise FetchError(
            "the server sent something else in place of the file",
            where=where,
            expected="a checkpoint: a zip archive, a safetensors file, or a pickle",
            found=ascii(head[:60].decode("utf-8", "replace")),
            fix="look at what it is; another mirror (PTV_HUB_MIRROR) may have the file",
        )


def refuse_size(partial: Partial, found: int | None, size: int | None, url: str) -> None:
    """Discard what is not of the size that somebody vouches for.

    Raises:
        HashMismatch: it was not.
    """
    if None not in (size, found) and found != size:
        partial.discard()
        raise HashMismatch(
            "the file has not the expected size",
            where=url,
            expected=f"{size} bytes",
            found=f"{found} bytes",
        )
